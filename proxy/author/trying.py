"""`interlock policy test`: run the cases of a set and say, case by case, what came of them.

Rules of this module:
* Exit codes: 0 all cases come out as wanted (and coverage is enough), 1 not so, or the set does not load, or it has no
  case at all: a test run that tests nothing must not look like one that passed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from policies.case_run import Coverage, Outcome, coverage, junit, run_cases
from policies.errors import PolicyErrors
from policies.explain import explain
from proxy.author.reading import DONE, FINDINGS, USAGE, does_not_load, read_set, say, say_json


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to run and how to tell it. `coverage_min` is a percentage; None: coverage never fails the run."""

    paths: tuple[Path, ...]
    junit: Path | None = None
    shows_coverage: bool = False
    coverage_min: float | None = None
    as_json: bool = False


def run(wanted: Wanted, clock: Callable[[], float]) -> int:
    """`policy test`; the exit code."""
    try:
        policies = read_set(wanted.paths)
    except PolicyErrors as bad:
        return does_not_load(bad, as_json=wanted.as_json)
    outcomes = run_cases(policies.cases, policies.snapshot, clock)
    covered = coverage(policies.snapshot, outcomes)
    failed = [outcome for outcome in outcomes if not outcome.passed]
    too_few = wanted.coverage_min is not None and covered.percent < wanted.coverage_min
    if wanted.as_json:
        say_json(_data(outcomes, covered, ok=bool(outcomes) and not failed and not too_few))
    else:
        _tell(wanted, outcomes, covered)
    if wanted.junit is not None:
        try:
            wanted.junit.write_text(junit(outcomes), encoding="utf-8")
        except OSError as error:
            say(f"{wanted.junit} cannot be written: {error.strerror}")
            return USAGE
    return DONE if outcomes and not failed and not too_few else FINDINGS


def _tell(wanted: Wanted, outcomes: Sequence[Outcome], covered: Coverage) -> None:
    for outcome in outcomes:
        case = outcome.case
        mark = "PASS" if outcome.passed else "FAIL"
        say(f"{mark} {case.file}:{case.line}: {case.note} ({outcome.seconds * 1000:.2f} ms)")
        for miss in outcome.misses:
            say(f"     {miss}")
        if not outcome.passed:
            for line in explain(outcome.decision):
                say(f"     | {line}")
    if wanted.shows_coverage or wanted.coverage_min is not None:
        for rule in covered.unreached:
            say(f"no case reaches {rule.file}:{rule.line}: {rule.ref} ({rule.effect})")
        rules = len(covered.reached) + len(covered.unreached)
        least = "" if wanted.coverage_min is None else f"; at least {wanted.coverage_min:g} % are wanted"
        say(f"coverage: {len(covered.reached)} of {rules} rules, {covered.percent:.0f} %{least}")
    passed = sum(outcome.passed for outcome in outcomes)
    if not outcomes:
        say("FAIL: there are no cases; write them into a file named *_test.yaml, and name it (or its folder) too")
        return
    say(f"{'PASS' if passed == len(outcomes) else 'FAIL'} {passed}/{len(outcomes)}")


def _data(outcomes: Sequence[Outcome], covered: Coverage, *, ok: bool) -> dict[str, Any]:
    return {
        "ok": ok,
        "passed": sum(outcome.passed for outcome in outcomes),
        "cases": [
            {
                "file": outcome.case.file,
                "line": outcome.case.line,
                "note": outcome.case.note,
                "passed": outcome.passed,
                "seconds": outcome.seconds,
                "effect": outcome.decision.effect.value,
                "rules": list(outcome.decision.determining),
                "misses": list(outcome.misses),
            }
            for outcome in outcomes
        ],
        "coverage": {
            "percent": covered.percent,
            "reached": [rule.ref for rule in covered.reached],
            "unreached": [{"rule": rule.ref, "file": rule.file, "line": rule.line} for rule in covered.unreached],
        },
    }
