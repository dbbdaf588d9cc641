"""`interlock doctor`: every check beside the others, what each found, and how to mend it.

Rules of this module:
* Checks are tasks of their own: one that fails, or does not end, is a finding of its own and hides no other.
* It looks and changes nothing: not the store, not the keys, not the configuration; while the gate runs and while not.
* Exit codes: 0 no problem, 1 problems (with `--strict` also warnings), 2 no configuration that loads, 3 nothing worse
  than that something could not be reached or looked at.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from policies.model import JsonObject
from proxy import logs
from proxy.config_file import ConfigErrors, ConfigNotFound, Loaded, load
from proxy.doctor import boundary, inspecting, listeners, machine, modes, record, rules, servers
from proxy.doctor.finding import Finding, Standing, ok, problem
from proxy.doctor.subject import Subject, subject_of
from proxy.serving import places
from proxy.tasks import spawn
from review.inert import marked_json, terminal

CHECK_SEC_MAX = 60.0
HEALTHY, FINDINGS, NO_CONFIG, NOT_REACHED = 0, 1, 2, 3

type Check = Coroutine[Any, Any, Iterable[Finding]]


def run(explicit: Path | None, *, as_json: bool, strict: bool, color: bool) -> int:
    """Look, print, and give the exit code."""
    logs.configure(level=logging.CRITICAL)
    loaded, config = _configuration(explicit)
    findings = asyncio.run(_look(loaded, time.time()))  # noqa: TID251 - a terminal's own clock
    code = _code(loaded, [config, *findings], strict=strict)
    if as_json:
        print(marked_json(_report([config, *findings], loaded, code)))
    else:
        print("\n".join(_lines([config, *findings], color=color)))
    return code


def _configuration(explicit: Path | None) -> tuple[Loaded | None, Finding]:
    """Which file won, and why; or what keeps it from loading."""
    try:
        loaded = load(explicit, places())
    except ConfigErrors as bad:
        return None, problem("configuration", str(bad), "mend it: the gate does not start with it")
    except ConfigNotFound as absent:
        return None, problem("configuration", str(absent), "interlock init writes one")
    facts = {"file": str(loaded.file), "why": loaded.why}
    return loaded, ok("configuration", f"{loaded.file} (found by: {loaded.why})", **facts)


async def _look(loaded: Loaded | None, now: float) -> list[Finding]:
    checks: dict[str, Check] = {
        "versions": _in_thread(machine.versions),
        "package names": _in_thread(machine.package_names),
    }
    if loaded is None:
        return await gathered(checks)
    subject = subject_of(loaded, os.environ)
    looking = spawn(asyncio.to_thread(record.look, subject), name="doctor-record")
    checks |= {
        "store": _store(looking),
        "clock": _clock(looking, now),
        "servers": _servers(subject, looking),
        "inspectors": inspecting.inspectors(subject),
    }
    threads: dict[str, Callable[[], Iterable[Finding]]] = {
        "open files": partial(machine.open_files, subject),
        "disk space": partial(machine.disk, subject),
        "fsync": partial(machine.fsync_speed, subject),
        "policy": partial(rules.policy, subject),
        "ports": partial(listeners.listeners, subject),
        "tls": partial(listeners.tls, subject, now),
        "file modes": partial(modes.file_modes, subject),
        "boundary": partial(boundary.boundary, subject),
    }
    return await gathered(checks | {name: _in_thread(check) for name, check in threads.items()})


async def _in_thread(check: Callable[[], Iterable[Finding]]) -> Iterable[Finding]:
    return await asyncio.to_thread(lambda: list(check()))


async def _store(looking: asyncio.Task[record.Looked]) -> Iterable[Finding]:
    return (await looking).findings


async def _clock(looking: asyncio.Task[record.Looked], now: float) -> Iterable[Finding]:
    return list(machine.clock(now, (await _whatever(looking)).last_entry_at))


async def _servers(subject: Subject, looking: asyncio.Task[record.Looked]) -> Iterable[Finding]:
    return await servers.servers(subject, (await _whatever(looking)).pins)


async def _whatever(looking: asyncio.Task[record.Looked]) -> record.Looked:
    """What the record told, or nothing where looking failed: that is said by the check of the store."""
    await asyncio.wait([looking])
    return record.Looked(()) if looking.cancelled() or looking.exception() else looking.result()


async def gathered(checks: Mapping[str, Check], *, sec_max: float = CHECK_SEC_MAX) -> list[Finding]:
    """What all checks found, in their order; of one that broke or did not end, just that."""
    tasks = {name: spawn(check, name=f"doctor-{name}") for name, check in checks.items()}
    await asyncio.wait(tasks.values(), timeout=sec_max)
    found: list[Finding] = []
    for name, task in tasks.items():
        if not task.done():
            task.cancel()
            mend = "look what is slow there: the disk, or what it has to reach"
            found.append(problem(name, f"this check did not end within {sec_max:g} s", mend))
        elif broke := task.exception():
            mend = "this is a mistake of doctor's: please report it"
            found.append(problem(name, f"this check itself failed: {type(broke).__name__}: {broke}", mend))
        else:
            found += task.result()
    return found


def _code(loaded: Loaded | None, findings: Sequence[Finding], *, strict: bool) -> int:
    standings = {one.standing for one in findings}
    if loaded is None:
        return NO_CONFIG
    if Standing.PROBLEM in standings or (strict and Standing.WARNING in standings):
        return FINDINGS
    return NOT_REACHED if Standing.UNREACHABLE in standings else HEALTHY


def _report(findings: Sequence[Finding], loaded: Loaded | None, code: int) -> JsonObject:
    counts = {standing.value: sum(one.standing is standing for one in findings) for standing in Standing}
    config = None if loaded is None else {"file": str(loaded.file), "why": loaded.why}
    rows: list[Any] = [
        {"check": one.check, "standing": one.standing.value, "says": one.says, "mend": one.mend, "details": one.details}
        for one in findings
    ]
    return {"code": code, "counts": counts, "configuration": config, "findings": rows}


_MARKS = {
    Standing.OK: ("ok", "32"),
    Standing.WARNING: ("warning", "33"),
    Standing.PROBLEM: ("PROBLEM", "31;1"),
    Standing.UNREACHABLE: ("unreachable", "35"),
}


def _lines(findings: Sequence[Finding], *, color: bool) -> Iterator[str]:
    for one in findings:
        word, code = _MARKS[one.standing]
        mark = f"\x1b[{code}m{word:<11}\x1b[0m" if color else f"{word:<11}"
        first, *rest = terminal(one.says, chars_max=4_000).split("\n")
        yield f"{mark}  {one.check:<15}  {first}"
        yield from (f"{'':<30}{line}" for line in rest)
        if one.mend:
            yield f"{'':<30}→ {terminal(one.mend)}"
    counts = [f"{sum(one.standing is each for one in findings)} {_MARKS[each][0].lower()}" for each in Standing]
    yield ", ".join(counts)
