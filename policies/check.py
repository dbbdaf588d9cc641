"""`interlock policy check FILE…`: does a set of files load, do its cases hold, and what in it looks unintended.

Rules of this module:
* Errors are what keeps a set from loading, or a case that comes out otherwise; advice never is. The exit code is 0 if
  there are none, 1 if not.
* Advice (`lint.py`) is about rules that can do nothing, or more than their author may think.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from policies.cases import failures, policies_of, read_cases
from policies.errors import PolicyErrors
from policies.lint import warnings
from policies.loader import read_named
from policies.schema import load_snapshot
from policies.snapshot import Policy


def check_paths(paths: Sequence[Path]) -> tuple[str, int]:
    """`check`, for files on disk."""
    try:
        return check(read_named(paths))
    except PolicyErrors as bad:
        return _failed(bad), 1


def check(files: Mapping[str, str]) -> tuple[str, int]:
    """The report on a file set (name -> text), and the exit code."""
    try:
        cases = read_cases(files)
        snapshot = load_snapshot(policies_of(files))
    except PolicyErrors as bad:
        return _failed(bad), 1
    lines = [_summary(policy) for policy in snapshot.all_policies]
    lines += [f"advice: {one}" for one in warnings(snapshot)]
    wrong = list(failures(cases, snapshot))
    lines += wrong
    if cases:
        failed = len({line.split(": ", 1)[0] for line in wrong})
        lines.append(f"cases: {len(cases) - failed} of {len(cases)} come out as wanted")
    lines.append("failed: cases come out otherwise" if wrong else f"ok: snapshot {snapshot.id}")
    return "\n".join(lines), 1 if wrong else 0


def _failed(bad: PolicyErrors) -> str:
    count = len(bad.errors)
    return "\n".join([*(str(error) for error in bad.errors), f"failed: {count} error{'s' if count > 1 else ''}"])


def _summary(policy: Policy) -> str:
    counts: dict[str, int] = {}
    for rule in policy.rules:
        counts[rule.effect.value] = counts.get(rule.effect.value, 0) + 1
    rules = ", ".join(f"{number} {effect}" for effect, number in counts.items()) or "no rules"
    default = f", default {policy.default.effect}" if policy.default else ""
    name = "" if policy.name == policy.file else f" ({policy.name})"
    return f"{policy.file}{name}: {rules}{default}"
