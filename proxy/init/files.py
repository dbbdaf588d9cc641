"""The files that are to be written: shown as a diff first, then written whole, each in one step.

Rules of this module:
* What is written is what was shown: a file that has changed since is left alone (`ChangedMeanwhile`).
* A file takes its name only when it is whole and on disk. A new one is 0600 where it says so; one that is there keeps
  its mode. A symbolic link is not followed.
* The content of a secret is never shown.
"""

from __future__ import annotations

import difflib
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path


class ChangedMeanwhile(Exception):
    """Somebody else changed a file after it was shown; the text says which. Nothing of it was overwritten."""


@dataclass(frozen=True, slots=True)
class Planned:
    """One file as it is to be. `before` None: it is not there yet."""

    path: Path
    before: str | None
    after: str
    is_private: bool = False
    is_secret: bool = False

    @property
    def is_change(self) -> bool:
        return self.before != self.after


def planned(path: Path, after: str, *, is_private: bool = False, is_secret: bool = False) -> Planned:
    """Raises: OSError, UnicodeDecodeError (what is there is no text)."""
    return Planned(path, current(path), after, is_private, is_secret)


def current(path: Path) -> str | None:
    """What stands in the file now; None where there is none. Raises: OSError, UnicodeDecodeError."""
    if path.is_symlink():
        raise OSError(f"{path} is a symbolic link; name the file that it leads to")
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def diff(files: Sequence[Planned], base: Path) -> Iterator[str]:
    """Unified diffs, a line each, of everything that would change."""
    for one in files:
        if not one.is_change:
            continue
        name = one.path.relative_to(base).as_posix() if one.path.is_relative_to(base) else str(one.path)
        if one.is_secret:
            yield f"new secret {name} (0600; what is in it is not shown)"
            continue
        old = "/dev/null" if one.before is None else name
        before = (one.before or "").splitlines()
        yield from difflib.unified_diff(before, one.after.splitlines(), old, name, lineterm="")


def write(files: Sequence[Planned]) -> None:
    """Raises: ChangedMeanwhile, OSError."""
    changes = [one for one in files if one.is_change]
    for one in changes:
        if current(one.path) != one.before:
            raise ChangedMeanwhile(f"{one.path} has changed since it was shown; run it again")
    for one in changes:
        _write(one)


def _write(one: Planned) -> None:
    one.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700 if one.is_secret else 0o755)
    mode = stat.S_IMODE(one.path.stat().st_mode) if one.before is not None else 0o600 if one.is_private else 0o644
    new = one.path.with_name(f".{one.path.name}.{os.getpid()}.new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as out:
            out.write(one.after)
            out.flush()
            os.fchmod(out.fileno(), mode)
            os.fsync(out.fileno())
        new.replace(one.path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
