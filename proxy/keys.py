"""The gate's secret keys: six of 32 bytes, in one file, outside the data directory.

Rules of this module:
* Whoever can write the database must not thereby hold the keys (traps T12): the directory of keys may not be, or be
  inside, the data directory.
* The directory is 0700, the file 0600, both ours; anything wider is refused with the command that mends it.
* The file is made whole or not at all; a partial or altered one is refused, never mended: new keys in its place would
  make everything sealed with the old ones unreadable.
* A key is never part of a `repr`.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

KEY_BYTES = 32
FILE_NAME = "interlock.keys"
_FILE_BYTES_MAX = 4096
_TITLE = "interlock keys v1: secret; keep a copy apart from the database"
_NAMES = ("seal", "mac", "commit", "repeat", "ticket", "session")


class KeysRefused(Exception):
    """The keys cannot be used as they lie; the message says why and how to mend it."""


@dataclass(frozen=True, slots=True)
class Keys:
    """`seal` encrypts stored values, `mac` signs rows, `commit` commitments; `repeat`, `ticket`, `session` as named."""

    seal: bytes = field(repr=False)
    mac: bytes = field(repr=False)
    commit: bytes = field(repr=False)
    repeat: bytes = field(repr=False)
    ticket: bytes = field(repr=False)
    session: bytes = field(repr=False)
    directory: Path | None = None

    @classmethod
    def load_or_create(
        cls,
        directory: Path,
        *,
        data_dir: Path | None = None,
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> Keys:
        """The keys in `directory`, made now if there are none. Raises: KeysRefused."""
        if data_dir is not None:
            refuse_inside(directory, data_dir)
        try:
            _prepare_directory(directory)
            path = directory / FILE_NAME
            if not os.path.lexists(path):
                _create(path, random_bytes)
            return cls(**_read(path), directory=directory)
        except OSError as error:
            raise KeysRefused(f"the keys in {directory} cannot be used: {error}") from error


def refuse_inside(directory: Path, data_dir: Path) -> None:
    """Raises: KeysRefused if the keys would lie with the data."""
    if directory.resolve().is_relative_to(data_dir.resolve()):
        raise KeysRefused(
            f"the directory of keys {directory} is inside the data directory {data_dir}: whoever can write the "
            "database could forge approvals; set `keys_dir` to a directory outside it"
        )


def _prepare_directory(directory: Path) -> None:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = directory.stat()
    if found.st_uid != os.geteuid():
        raise KeysRefused(f"the directory of keys {directory} belongs to another user (uid {found.st_uid})")
    if found.st_mode & 0o077:
        mode = f"{stat.S_IMODE(found.st_mode):04o}"
        raise KeysRefused(f"the directory of keys {directory} is open to others (mode {mode}): chmod 700 {directory}")


def _create(path: Path, random_bytes: Callable[[int], bytes]) -> None:
    """Write a whole file beside it, then give it its name; of two processes doing so at once, the first one's stays."""
    new = path.with_name(f".{path.name}.{random_bytes(8).hex()}")
    text = _text({name: random_bytes(KEY_BYTES) for name in _NAMES})
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(new, path)
    finally:
        new.unlink()
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _read(path: Path) -> dict[str, bytes]:
    # A link could point into the data directory; a pipe would keep us waiting.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
            raise KeysRefused(f"{path} is not a file of this user's")
        if found.st_mode & 0o077:
            mode = stat.S_IMODE(found.st_mode)
            raise KeysRefused(f"{path} is open to others (mode {mode:04o}): chmod 600 {path}")
        data = file.read(_FILE_BYTES_MAX + 1)
    keys = _parse(data)
    if keys is None:
        raise KeysRefused(
            f"{path} is damaged; put back your copy of it. Without it what was sealed cannot be read again: only if "
            "there is nothing to keep, move the file and the database away and start anew"
        )
    return keys


def _text(keys: dict[str, bytes]) -> bytes:
    body = "".join(f"{line}\n" for line in (_TITLE, *(f"{name} {keys[name].hex()}" for name in _NAMES)))
    return f"{body}sha256 {hashlib.sha256(body.encode()).hexdigest()}\n".encode()


def _parse(data: bytes) -> dict[str, bytes] | None:
    """The keys, or None for anything but exactly what `_text` writes."""
    lines = data.decode("ascii", "replace").splitlines()
    if len(lines) != len(_NAMES) + 2:
        return None
    try:
        named = zip(_NAMES, lines[1:-1], strict=True)
        keys = {name: bytes.fromhex(line.removeprefix(f"{name} ")) for name, line in named}
    except ValueError:
        return None
    if any(len(key) != KEY_BYTES for key in keys.values()) or len(set(keys.values())) != len(_NAMES):
        return None
    return keys if _text(keys) == data else None
