"""The machine and what is installed: versions, who owns our package names, open files, the clock, the disk.

Rules of this module:
* The disk's speed is measured on a file without a name, in the data directory's own file system; nothing is left there.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import resource
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.machinery import PathFinder
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from proxy.doctor.finding import Finding, ok, problem, unreachable, warning
from proxy.doctor.subject import Subject
from proxy.wire.http_server import OPEN_FILES_WANTED

PACKAGES = ("proxy", "policies", "redaction", "review", "audit")
TOLD = ("interlock", "mcp", "mitmproxy")
PYTHONS = ((3, 13), (3, 14))
FREE_BYTES_FEW, FREE_BYTES_LOW, INODES_FEW = 100 * 1024**2, 1024**3, 100
FSYNCS, FSYNC_BYTES, FSYNC_US_SLOW, FSYNC_US_NO_DISK = 64, 4096, 20_000, 15
FAR_FILE_SYSTEMS = frozenset({"nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "afs"})
PASSING_FILE_SYSTEMS = frozenset({"tmpfs", "ramfs"})


def versions() -> Iterator[Finding]:
    running = sys.version_info[:2]
    if running not in PYTHONS:
        mend = "make the environment with Python 3.13"
        yield problem("versions", f"Python {running[0]}.{running[1]} is not one that Interlock is made for", mend)
        return
    found: dict[str, str] = {}
    for name in ("interlock", *libraries()):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            yield problem("versions", f"the package {name} is not installed", "install Interlock anew")
    said = ", ".join(f"{name} {found[name]}" for name in TOLD if name in found)
    yield ok("versions", f"Python {sys.version.split()[0]}, {said}", python=sys.version.split()[0], **found)


def libraries() -> list[str]:
    """What Interlock says that it needs here, by the names of packages."""
    needs = [one.partition(";") for one in requires("interlock") or ()]
    names = [re.match(r"[A-Za-z0-9._-]+", one) for one, _, marker in needs if "extra" not in marker]
    return sorted(found[0].lower() for found in names if found is not None)


def package_names() -> Iterator[Finding]:
    """Each of our import packages is ours, and not another distribution's of the same name."""
    home = Path(__file__).resolve().parents[2]
    strangers = []
    for name in PACKAGES:
        spec = PathFinder.find_spec(name)
        origin = Path(spec.origin).resolve().parent if spec is not None and spec.origin else None
        if origin != home / name:
            strangers.append(f"'{name}' is taken from {origin or 'nowhere'}")
    if strangers:
        mend = "install Interlock into an environment of its own"
        yield problem("package names", f"another distribution owns names of ours: {'; '.join(strangers)}", mend)
    else:
        yield ok("package names", f"all {len(PACKAGES)} packages are Interlock's own, in {home}", home=str(home))


def open_files(subject: Subject) -> Iterator[Finding]:
    """The gate raises its limit as far as it may; what it may is the hard limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    may = OPEN_FILES_WANTED if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES_WANTED)
    limits, parking = subject.config.limits, subject.config.parking
    needs = 2 * limits.connections_max + min(limits.connections_max, parking.held_responses_max) + 256
    if may < needs:
        mend = f"raise it to {needs} (systemd: LimitNOFILE={needs}), or lower limits.connections_max"
        yield warning(
            "open files", f"it may open {may} files, and {needs} could be wanted", mend, limit=may, wants=needs
        )
    else:
        yield ok("open files", f"it may open {may} files; at most about {needs} are wanted", limit=may, wants=needs)


def clock(now: float, last_entry_at: float | None) -> Iterator[Finding]:
    """Against what is certainly past: our own files, and the last entry of the record."""
    installed_at = Path(__file__).stat().st_mtime
    if now < installed_at - 86_400:
        yield problem("clock", "this machine's clock is before the time Interlock was installed", "set it (NTP)")
    elif last_entry_at is not None and now < last_entry_at - 1:
        behind = round(last_entry_at - now)
        mend = "set it (NTP): questions and approvals would stand too long"
        yield problem("clock", f"this machine's clock is {behind} s before the record's last entry", mend)
    else:
        yield ok("clock", "the clock is not behind the record", record_last_at=last_entry_at)


def disk(subject: Subject) -> Iterator[Finding]:
    place = nearest(subject.data_dir)
    usage, inodes = shutil.disk_usage(place), os.statvfs(place)
    said = f"{usage.free / 1024**3:.1f} GiB are free at {place}"
    facts = {"free_bytes": usage.free, "place": str(place)}
    if usage.free < FREE_BYTES_FEW or (inodes.f_files > 0 and inodes.f_favail < INODES_FEW):
        yield problem("disk space", said, "make room: with a full disk every call is refused", **facts)
    elif usage.free < FREE_BYTES_LOW:
        yield warning("disk space", said, "make room: a million small calls take 3 to 6 GB", **facts)
    else:
        yield ok("disk space", said, **facts)


def nearest(path: Path) -> Path:
    """The folder itself, or the nearest above it that is there."""
    return next(folder for folder in (path, *path.parents) if folder.is_dir())


def fsync_speed(subject: Subject) -> Iterator[Finding]:
    """Every allowed call waits for the disk once, so this is what each costs at least."""
    place = nearest(subject.data_dir)
    kind = file_system(place)
    try:
        took = sorted(_fsyncs(place))
    except OSError as error:
        mend = "run doctor as the gate's user (sudo -u …)"
        yield unreachable("fsync", f"the disk at {place} could not be measured: {error.strerror}", mend)
        return
    p50, p99 = round(took[len(took) // 2]), round(took[-1 - len(took) // 100])
    said = f"a write reaches the disk in {p50:,} µs (p50), {p99:,} µs (p99), at {place} ({kind})"
    facts = {"p50_us": p50, "p99_us": p99, "file_system": kind}
    if kind in PASSING_FILE_SYSTEMS:
        yield problem("fsync", f"{said}: this is memory, and gone with the power", "put data_dir on a disk", **facts)
    elif kind in FAR_FILE_SYSTEMS:
        mend = "put data_dir on a local disk: SQLite's locks and syncs are not certain over a network"
        yield problem("fsync", said, mend, **facts)
    elif p50 < FSYNC_US_NO_DISK:
        mend = "a power cut could lose the last entries; look whether this is a disk, and how it is mounted"
        yield warning("fsync", f"{said}: too fast for a disk that keeps its word", mend, **facts)
    elif p50 > FSYNC_US_SLOW:
        mend = "each call with its own commit waits that long; a local SSD takes under 2,000 µs"
        yield warning("fsync", said, mend, **facts)
    else:
        yield ok("fsync", said, **facts)


def _fsyncs(place: Path) -> Iterator[float]:
    with _nameless(place) as descriptor:
        for number in range(FSYNCS):
            began = time.perf_counter_ns()
            os.pwrite(descriptor, b"\0" * FSYNC_BYTES, number * FSYNC_BYTES)
            os.fsync(descriptor)
            yield (time.perf_counter_ns() - began) / 1000


@contextlib.contextmanager
def _nameless(place: Path) -> Iterator[int]:
    """A file in `place` that has no name, or had one for a moment where the file system knows no other way."""
    try:
        descriptor = os.open(place, os.O_TMPFILE | os.O_RDWR, stat.S_IRUSR | stat.S_IWUSR)
    except OSError as error:
        if error.errno not in (errno.EISDIR, errno.EOPNOTSUPP):  # open(2): what a file system without them says
            raise
        with tempfile.TemporaryFile(dir=place) as file:
            yield file.fileno()
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def file_system(place: Path, mounts: Path = Path("/proc/self/mounts")) -> str:
    """The kind of file system that a folder is on."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return "unknown"
    best = ("", "unknown")
    for line in lines:
        _, where, kind, *_ = line.split(" ")
        where = where.replace("\\040", " ")
        if place.is_relative_to(where) and len(where) >= len(best[0]):
            best = (where, kind)
    return best[1]
