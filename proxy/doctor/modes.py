"""Who may read and write what the gate relies on: its data, its keys, its configuration, its secrets.

Rules of this module:
* Looked at from the inode alone; nothing is opened, nothing is changed. What mends it is said as a command.
* Who may write a folder above a file may put another file in its place: that counts as writing the file.
"""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path

from policies.errors import PolicyErrors
from policies.loader import find_files
from proxy.config import FromFile, HttpServer, SecretValue, StdioServer
from proxy.doctor.finding import Finding, ok, problem, warning
from proxy.doctor.subject import Subject
from proxy.keys import FILE_NAME


def file_modes(subject: Subject) -> Iterator[Finding]:
    found = [
        *_private("data_dir", subject.data_dir, "700", subject),
        *(one for path in _store_files(subject) for one in _private("store", path, "600", subject)),
        *_private("keys_dir", subject.keys_dir, "700", subject),
        *_private("keys", subject.keys_dir / FILE_NAME, "600", subject),
        *_not_writable("configuration", subject.loaded.file, subject),
        *_policies(subject),
        *_secrets(subject),
        *_clear_secrets(subject),
    ]
    yield from found
    if not found:
        said = "data, keys and secrets are the gate's alone; configuration and policies are written by nobody else"
        yield ok("file modes", said)


def _store_files(subject: Subject) -> list[Path]:
    return [Path(f"{subject.store}{ending}") for ending in ("", "-wal", "-shm", ".lock")]


def _private(what: str, path: Path, mode: str, subject: Subject) -> Iterator[Finding]:
    """Nobody but the gate's user may read or write it."""
    status = _status(path)
    if status is None:
        return
    if stat.S_ISLNK(status.st_mode):
        yield problem("file modes", f"{what}: {path} is a symbolic link", "put the file itself there")
    elif status.st_mode & 0o077:
        said = f"{what}: {path} is open to others (mode {stat.S_IMODE(status.st_mode):04o})"
        yield problem("file modes", said, f"chmod {mode} {shlex.quote(str(path))}")
    elif status.st_uid != subject.owner:
        mend = f"chown it to the gate's user (uid {subject.owner})"
        yield problem("file modes", f"{what}: {path} belongs to uid {status.st_uid}", mend)


def _not_writable(what: str, path: Path, subject: Subject) -> Iterator[Finding]:
    """Others may read it; only the gate's user and root may write it or its folder."""
    for place in (path, path.parent):
        status = _status(place)
        if status is None:
            continue
        is_sticky = stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX
        if status.st_mode & 0o022 and not is_sticky:
            said = f"{what}: {place} can be written by others (mode {stat.S_IMODE(status.st_mode):04o})"
            yield problem("file modes", said, f"chmod go-w {shlex.quote(str(place))}")
        elif status.st_uid not in (0, subject.owner, subject.user):
            said = f"{what}: {place} belongs to uid {status.st_uid}, who can therefore change what the gate does"
            yield warning("file modes", said, "give it to root or to the gate's user")


def _policies(subject: Subject) -> Iterator[Finding]:
    try:
        paths = find_files(subject.config.policies, subject.loaded.base)
    except PolicyErrors:
        return  # the check of the policy says it
    for path in paths:
        yield from _not_writable("policy", path, subject)


def secret_values(subject: Subject) -> Iterator[tuple[str, SecretValue]]:
    """Every secret that the configuration names, by its key."""
    for name, server in subject.config.servers.items():
        values = server.headers if isinstance(server, HttpServer) else server.env
        part = "env" if isinstance(server, StdioServer) else "headers"
        for key, value in values.items():
            yield f"servers.{name}.{part}.{key}", value


def _secrets(subject: Subject) -> Iterator[Finding]:
    for where, value in secret_values(subject):
        if isinstance(value, FromFile):
            yield from _private(where, value.file, "600", subject)
    for name in ("agents_listener", "reviewers_listener"):
        tls = getattr(subject.config, name).tls
        if tls is not None:
            yield from _private(f"{name}.tls.key", tls.key, "600", subject)


def _clear_secrets(subject: Subject) -> Iterator[Finding]:
    """Headers that stand in the configuration in clear, while others can read it."""
    status = _status(subject.loaded.file)
    if status is None or not status.st_mode & 0o044:
        return
    for where, value in secret_values(subject):
        if isinstance(value, str) and ".headers." in where:
            mend = f"write it as {{env: NAME}} or {{file: PATH}}, or chmod 600 {shlex.quote(str(subject.loaded.file))}"
            yield warning("file modes", f"{where} stands in a file that others can read", mend)


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except OSError:
        return None
