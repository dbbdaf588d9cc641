"""Policy files from disk: read, checked whole, swapped atomically, the last good set kept. The only I/O of `policies`.

Rules of this module (SEMANTICS §1.19):
* Never silently fewer rules. A pattern that finds nothing, a folder or file that cannot be read, a symbolic link, a
  file that changes while it is read, and a file of the last good set that has gone are errors.
* Wildcards stand in the file's name only, so that no folder is skipped unseen.
* Files named `*_test.yaml` hold cases (`cases.py`): they are read with the set, and are no part of it.
* A set that does not load changes nothing: `current` stays the last good snapshot, and the errors are returned.
* An entry `pack:NAME=SERVER` is a shipped policy (`packs/`); no file on disk can pass for one.
* Watching is for development. It loads only what has stood still for one interval, so that nothing half-written is
  read.
"""

from __future__ import annotations

import asyncio
import errno
import fnmatch
import itertools
import os
import stat
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from policies.cases import policies_of
from policies.errors import PolicyError, PolicyErrors
from policies.packs import is_pack, pack_texts
from policies.schema import load_snapshot
from policies.snapshot import PolicySnapshot
from policies.yaml_source import TEXT_CHARS_MAX

FILE_BYTES_MAX = 4 * TEXT_CHARS_MAX  # UTF-8 takes at most four bytes for a character


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What a reload came to. `snapshot` is the new or unchanged one; None if the files did not load."""

    snapshot: PolicySnapshot | None
    changed: bool
    errors: tuple[PolicyError, ...] = ()


class PolicyLoader:
    """The policy files of one configuration, and the last good snapshot of them."""

    def __init__(self, patterns: Sequence[str], base: Path, *, detector_kinds: Collection[str] | None = None) -> None:
        self._patterns = tuple(patterns)
        self._base = base
        self._kinds = detector_kinds
        self._current: PolicySnapshot | None = None
        self._loaded: tuple[object, ...] = ()  # the state of the files `current` was read from

    @property
    def current(self) -> PolicySnapshot:
        """The last good snapshot. Raises: LookupError before the first `load`."""
        if self._current is None:
            raise LookupError("no policies have been loaded yet")
        return self._current

    def load(self) -> PolicySnapshot:
        """Read and check every file, and make the result current.

        Raises: PolicyErrors; then `current` is what it was.
        """
        state = self._signature()
        files = policies_of(read_set(self._patterns, self._base))
        gone = sorted(set(self._current.files) - set(files)) if self._current else []
        if gone:
            raise PolicyErrors(
                PolicyError(name, 1, 1, "this policy file has gone", "put it back; to drop it, restart without it")
                for name in gone
            )
        self._current, self._loaded = load_snapshot(files, detector_kinds=self._kinds), state
        return self._current

    def reload(self) -> Reloaded:
        """`load`, with the errors as a value; what is current stays so if there are any."""
        before = self._current
        try:
            snapshot = self.load()
        except PolicyErrors as bad:
            return Reloaded(None, changed=False, errors=bad.errors)
        return Reloaded(snapshot, changed=before is None or before.digest != snapshot.digest)

    async def watch(
        self,
        on_reload: Callable[[Reloaded], Awaitable[None]],
        interval_sec: float,
        *,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """Look every `interval_sec`; tell of each reload that changed something or failed anew. Until cancelled."""
        loaded = last = self._loaded
        told: tuple[PolicyError, ...] = ()
        while True:
            await sleep(interval_sec)
            seen = await asyncio.to_thread(self._signature)
            stood_still, last = seen == last, seen
            if seen == loaded or not stood_still:
                continue
            loaded = seen
            outcome = await asyncio.to_thread(self.reload)
            if outcome.changed or outcome.errors != told:
                told = outcome.errors
                await on_reload(outcome)

    def _signature(self) -> tuple[object, ...]:
        """What tells one state of the files from another, without reading them."""
        try:
            paths = find_files(self._patterns, self._base)
            return tuple((str(path), *_identity(os.lstat(path))) for path in paths)
        except PolicyErrors as bad:
            return bad.errors
        except OSError as error:
            return (error.errno, error.filename)


def read_set(patterns: Sequence[str], base: Path) -> dict[str, str]:
    """Name -> text of everything the patterns name, files and packs.

    Raises: PolicyErrors.
    """
    packed = pack_texts(filter(is_pack, patterns))
    return packed | read_files(find_files(patterns, base), base)


def find_files(patterns: Sequence[str], base: Path) -> list[Path]:
    """The files the patterns name, each once, in order; packs are none.

    Raises: PolicyErrors.
    """
    found: dict[Path, None] = {}
    errors: list[PolicyError] = []
    for pattern in itertools.filterfalse(is_pack, patterns):
        try:
            found.update(dict.fromkeys(_matching(pattern, base)))
        except PolicyErrors as bad:
            errors.extend(bad.errors)
    if errors:
        raise PolicyErrors(errors)
    return list(found)


def _matching(pattern: str, base: Path) -> list[Path]:
    path = base / pattern
    if any(sign in str(Path(pattern).parent) for sign in "*?["):
        raise _error(pattern, "wildcards are for the file's name only", "list each folder")
    try:
        names = sorted(entry.name for entry in os.scandir(path.parent))
    except OSError as error:
        why = f"its folder cannot be read: {os.strerror(error.errno or 0)}"
        hint = f"make {path.parent}, or change `policies:` in the configuration"
        raise _error(pattern, why, hint) from error
    wild = any(sign in path.name for sign in "*?[")
    matching = [
        name for name in names if (fnmatch.fnmatchcase(name, path.name) and name[0] != ".") or name == path.name
    ]
    if not matching:
        what = "no file fits this pattern" if wild else "there is no such file"
        raise _error(pattern, what, "a set with fewer rules than meant is refused")
    return [path.parent / name for name in matching]


def read_files(paths: Sequence[Path], base: Path) -> dict[str, str]:
    """Name -> text of every file; the name is the path below `base`, or the whole path.

    Raises: PolicyErrors.
    """
    files: dict[str, str] = {}
    errors: list[PolicyError] = []
    for path in paths:
        name = path.relative_to(base).as_posix() if path.is_relative_to(base) else path.as_posix()
        try:
            files[_utf8(name)] = _read(path, name)
        except PolicyErrors as bad:
            errors.extend(bad.errors)
    if errors:
        raise PolicyErrors(errors)
    return files


def _utf8(name: str) -> str:
    """The name, which is hashed, recorded and shown. Raises: PolicyErrors if it is not text, or a pack's."""
    if is_pack(name):
        raise _error(name, "only a pack is called 'pack:…'", "rename the file")
    try:
        name.encode()
    except UnicodeEncodeError as error:
        shown = name.encode(errors="backslashreplace").decode()
        raise _error(shown, "the file's name is not UTF-8 text", "rename the file") from error
    return name


def _read(path: Path, name: str) -> str:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise _error(name, "a symbolic link", "name the file it leads to") from error
        raise _error(name, f"cannot be read: {os.strerror(error.errno or 0)}") from error
    try:
        data = _whole(handle, name)
    except OSError as error:
        raise _error(name, f"cannot be read: {os.strerror(error.errno or 0)}") from error
    finally:
        os.close(handle)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise PolicyErrors([PolicyError(name, line, 1, "not UTF-8 text")]) from error


def _whole(handle: int, name: str) -> bytes:
    """The bytes of one plain file that did not change meanwhile."""
    before = os.fstat(handle)
    if not stat.S_ISREG(before.st_mode):
        raise _error(name, "not a file")
    data = b""
    while len(data) <= FILE_BYTES_MAX and (part := os.read(handle, FILE_BYTES_MAX + 1 - len(data))):
        data += part
    if len(data) > FILE_BYTES_MAX:
        raise _error(name, f"more than {FILE_BYTES_MAX} bytes")
    if _identity(before) != _identity(os.fstat(handle)) or len(data) != before.st_size:
        raise _error(name, "it changed while it was read", "load again")
    return data


def _identity(status: os.stat_result) -> tuple[int, ...]:
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def _error(file: str, message: str, hint: str = "") -> PolicyErrors:
    return PolicyErrors([PolicyError(file, 1, 1, message, hint)])


def read_named(paths: Sequence[Path]) -> Mapping[str, str]:
    """The files and packs a person named on the command line, by the names given; a folder stands for its YAML files.

    Raises: PolicyErrors.
    """
    files = pack_texts(filter(is_pack, map(str, paths)))
    errors: list[PolicyError] = []
    for path in (path for path in paths if not is_pack(str(path))):
        try:
            for one in _in_folder(path) if path.is_dir() else (path,):
                files[_utf8(str(one))] = _read(one, str(one))
        except PolicyErrors as bad:
            errors.extend(bad.errors)
    if errors:
        raise PolicyErrors(errors)
    return files


def _in_folder(folder: Path) -> list[Path]:
    """Its policy and case files, not those of folders in it. Raises: PolicyErrors."""
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith((".yaml", ".yml")) and name[0] != ".")
    except OSError as error:
        raise _error(str(folder), f"cannot be read: {os.strerror(error.errno or 0)}") from error
    if not names:
        raise _error(str(folder), "a folder without a *.yaml file", "name the folder that has the policies")
    return [folder / name for name in names]
