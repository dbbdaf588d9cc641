"""Stops as files: durable without the store, without the event loop, without the gate.

Rules of this module:
* A file in `<data_dir>/stops` stops. Whoever may write there runs as the gate or as root, and tightens only: removing
  a file lifts nothing, for a running gate keeps the stop and the store has it too.
* What cannot be understood there stops everything (closed by default): also an empty file that somebody touched.
* A file is written whole: under another name, synced, renamed, and its directory synced. Names that begin with a dot
  are no stops: files being written, and what the gate notes about each stop for `interlock status`.
* Standard library and our own strict reader; the command line and the watcher's thread use it, each on its own.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pwd
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from policies.model import JsonObject
from proxy.wire import strict_json
from review.model import Stop, StopScope

DIRECTORY = "stops"
FILE_BYTES_MAX = 16 * 1024
_SUFFIX = ".json"
_NOTED = ".noted"


@dataclass(frozen=True, slots=True)
class Found:
    """A file, and the stop it stands for. `is_understood` False: everything is stopped because of it."""

    name: str
    stop: Stop
    is_understood: bool = True


class StopFiles:
    """The directory of stops of one gate."""

    def __init__(self, data_dir: Path) -> None:
        self.directory = data_dir / DIRECTORY

    def prepare(self) -> None:
        """Raises: OSError."""
        if self.directory.is_dir():
            return
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        of_gate = self.directory.parent.stat()
        if of_gate.st_uid != os.geteuid():  # root is here before the gate itself
            os.chown(self.directory, of_gate.st_uid, of_gate.st_gid)

    def write(self, stop: Stop) -> None:
        """Durable when this returns. Raises: OSError."""
        self.prepare()
        fields = {
            "id": stop.id,
            "scope": stop.scope.value,
            "target": stop.target,
            "ordered_by": stop.ordered_by,
            "why": stop.why,
            "at": stop.at,
            "login": stop.login,
        }
        self._put(f"{stop.id}{_SUFFIX}", fields)

    def names(self) -> list[str]:
        """The names of all stops there are, in order. Raises: OSError."""
        with contextlib.suppress(FileNotFoundError):
            return sorted(name for name in os.listdir(self.directory) if not name.startswith("."))
        return []

    def read(self, name: str) -> Found | None:
        """The stop of one file; None if it has gone meanwhile. Never raises: what cannot be read stops everything."""
        try:
            at = os.lstat(self.directory / name)
        except FileNotFoundError:
            return None
        except OSError as error:
            return Found(name, _everything(name, "", f"it cannot be looked at: {error.strerror}", 0.0, 0), False)
        who = f"local:{_user(at.st_uid)}"
        try:
            stop = _understood(name, _bytes(self.directory / name), who)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError) as error:
            why = f"the file {name!r} in {DIRECTORY} is no stop that can be understood: {error}"
            return Found(name, _everything(name, who, why[:1_000], at.st_mtime, at.st_mtime_ns), False)
        return Found(name, stop)

    def read_all(self) -> list[Found]:
        """Raises: OSError."""
        return [found for name in self.names() if (found := self.read(name)) is not None]

    def remove(self, names: Sequence[str]) -> None:
        """These files, and what is noted about them. Raises: OSError."""
        for name in names:
            (self.directory / name).unlink(missing_ok=True)
            (self.directory / f".{name}{_NOTED}").unlink(missing_ok=True)
        if names:
            _sync(self.directory)

    def name_of(self, stop: Stop) -> str:
        return f"{stop.id}{_SUFFIX}"

    def note(self, name: str, noted: JsonObject) -> None:
        """What the gate has done about a stop, for `interlock status`. Raises: OSError."""
        self._put(f".{name}{_NOTED}", noted)

    def noted(self, name: str) -> JsonObject | None:
        """What the gate noted about a stop; None if it has not, or it cannot be read."""
        try:
            noted = strict_json.read(_bytes(self.directory / f".{name}{_NOTED}"))
        except (OSError, ValueError):
            return None
        return noted if isinstance(noted, dict) else None

    def _put(self, name: str, value: JsonObject) -> None:
        unfinished = self.directory / f".{os.getpid()}-{hashlib.sha256(name.encode()).hexdigest()[:8]}.new"
        unfinished.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        is_gates = self.directory.stat().st_uid == os.geteuid()  # else root writes what the gate is to read
        with os.fdopen(os.open(unfinished, flags, 0o600), "wb") as out:
            os.fchmod(out.fileno(), 0o600 if is_gates else 0o644)
            out.write(json.dumps(value).encode())
            out.flush()
            os.fsync(out.fileno())
        unfinished.replace(self.directory / name)
        _sync(self.directory)


def _understood(name: str, data: bytes, who: str) -> Stop:
    """Raises: ValueError, TypeError, KeyError."""
    value = strict_json.read(data)
    if not isinstance(value, dict):
        raise TypeError("it is no JSON object")
    stop_id, target = _text(value, "id"), _text(value, "target")
    at = value["at"]
    if not isinstance(at, int | float):
        raise TypeError("'at' is no number")
    if f"{stop_id}{_SUFFIX}" != name or not target:
        raise ValueError("its name and its id differ, or it has no target")
    why, says = _text(value, "why"), _text(value, "ordered_by")
    if says != who:  # its owner is what is known; what it says of people it only says
        why = f"{why} (its file says that {says} ordered it)".strip()
    return Stop(stop_id, StopScope(_text(value, "scope")), target, who, why, float(at), _text(value, "login"))


def _text(value: JsonObject, name: str) -> str:
    """Raises: TypeError, KeyError."""
    text = value[name]
    if not isinstance(text, str):
        raise TypeError(f"{name!r} is no text")
    return text


def _everything(name: str, who: str, why: str, at: float, version: int) -> Stop:
    """A new id for each version of the file: one that was lifted and is put there again stops again."""
    mark = hashlib.sha256(f"{name}\0{version}".encode()).hexdigest()[:16]
    return Stop(f"stop_by_file_{mark}", StopScope.ALL, "*", who or "local:unknown", why, at, "local")


def _bytes(file: Path) -> bytes:
    """Raises: OSError, ValueError."""
    descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as opened:
        found = os.fstat(opened.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise ValueError("it is no plain file")
        if found.st_uid not in (0, os.geteuid()):
            raise ValueError(f"it belongs to another user (uid {found.st_uid})")
        data = opened.read(FILE_BYTES_MAX + 1)
    if len(data) > FILE_BYTES_MAX:
        raise ValueError(f"it has more than {FILE_BYTES_MAX} bytes")
    return data


def who_am_i() -> str:
    """As a file that this process writes will be read."""
    return f"local:{_user(os.geteuid())}"


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
