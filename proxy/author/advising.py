"""`interlock policy lint`: advice on a set of files that loads.

Rules of this module:
* Exit codes: 0 no warning (with `--strict`: no note either), 1 there is one, or the set does not load.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from policies.errors import PolicyErrors
from policies.lint import Level, lint
from proxy.author.reading import DONE, FINDINGS, does_not_load, read_set, say, say_json


def run(paths: Sequence[Path], *, strict: bool, as_json: bool) -> int:
    """`policy lint`; the exit code."""
    try:
        snapshot = read_set(paths).snapshot
    except PolicyErrors as bad:
        return does_not_load(bad, as_json=as_json)
    found = lint(snapshot)
    counted = [one for one in found if strict or one.level is Level.WARNING]
    if as_json:
        advice = [
            {
                "level": one.level.value,
                "code": one.code,
                "file": one.file,
                "line": one.line,
                "rule": one.rule or None,
                "message": one.message,
                "hint": one.hint,
            }
            for one in found
        ]
        say_json({"ok": not counted, "snapshot": snapshot.id, "advice": advice})
        return FINDINGS if counted else DONE
    for one in found:
        say(f"{one.level}: {one} [{one.code}]")
    warnings = sum(one.level is Level.WARNING for one in found)
    say(f"{warnings} warning{'' if warnings == 1 else 's'}, {len(found) - warnings} notes" if found else "nothing")
    return FINDINGS if counted else DONE
