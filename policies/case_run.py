"""`interlock policy test`: cases run one by one, what came of each, the rules none of them reached, and JUnit's form.

Rules of this module:
* A case is judged as the gate judges. Its time is how long that took, by a clock that is given.
* A rule is reached when some case makes it match, or a policy's default speak. Output rules are not counted: no case
  has an output.
* The report is made of the authors' own texts; in XML, characters that XML has no place for become visible escapes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from policies.cases import Case, judged, misses
from policies.model import Decision
from policies.snapshot import PolicySnapshot, Rule


@dataclass(frozen=True, slots=True)
class Outcome:
    """One case as it came out. `misses` has a line for each thing that is otherwise than wanted."""

    case: Case
    decision: Decision
    misses: tuple[str, ...]
    seconds: float

    @property
    def passed(self) -> bool:
        return not self.misses


@dataclass(frozen=True, slots=True)
class Coverage:
    """Which rules some case reached."""

    reached: tuple[Rule, ...]
    unreached: tuple[Rule, ...]

    @property
    def percent(self) -> float:
        """100 where there is nothing to reach."""
        rules = len(self.reached) + len(self.unreached)
        return 100.0 * len(self.reached) / rules if rules else 100.0


def run_cases(cases: Iterable[Case], snapshot: PolicySnapshot, clock: Callable[[], float]) -> tuple[Outcome, ...]:
    """Every case, in order. `clock` gives seconds that only go on."""
    outcomes = []
    cases = tuple(cases)
    for case in cases[:1]:  # what is loaded at the first judging is nobody's time
        judged(case, snapshot)
    for case in cases:
        began = clock()
        decision = judged(case, snapshot)
        outcomes.append(Outcome(case, decision, tuple(misses(case, decision)), clock() - began))
    return tuple(outcomes)


def coverage(snapshot: PolicySnapshot, outcomes: Sequence[Outcome]) -> Coverage:
    """The rules of the set, split by whether a case made them match."""
    matched = {(step.policy, step.rule) for outcome in outcomes for step in outcome.decision.trace if step.matched}
    rules = [
        rule
        for policy in snapshot.all_policies
        for rule in (*policy.rules, *((policy.default,) if policy.default is not None else ()))
    ]
    return Coverage(
        tuple(rule for rule in rules if (rule.policy, rule.id) in matched),
        tuple(rule for rule in rules if (rule.policy, rule.id) not in matched),
    )


def junit(outcomes: Sequence[Outcome]) -> str:
    """The outcomes as JUnit's XML: a suite for each file of cases."""
    files: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        files.setdefault(outcome.case.file, []).append(outcome)
    suites = "".join(_suite(file, of_file) for file, of_file in files.items())
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<testsuites {_counts(outcomes)}>\n{suites}</testsuites>\n'


def _suite(file: str, outcomes: Sequence[Outcome]) -> str:
    lines = "".join(_test_case(outcome) for outcome in outcomes)
    return f"  <testsuite name={_attribute(file)} {_counts(outcomes)}>\n{lines}  </testsuite>\n"


def _counts(outcomes: Sequence[Outcome]) -> str:
    failed = sum(not outcome.passed for outcome in outcomes)
    seconds = sum(outcome.seconds for outcome in outcomes)
    return f'tests="{len(outcomes)}" failures="{failed}" errors="0" time="{seconds:.6f}"'


def _test_case(outcome: Outcome) -> str:
    case = outcome.case
    head = (
        f"    <testcase classname={_attribute(case.file)} name={_attribute(case.note)} file={_attribute(case.file)} "
        f'line="{case.line}" time="{outcome.seconds:.6f}"'
    )
    if outcome.passed:
        return f"{head}/>\n"
    text = escape(_xml("\n".join(outcome.misses)))
    return f"{head}>\n      <failure message={_attribute(outcome.misses[0])}>{text}</failure>\n    </testcase>\n"


def _attribute(text: str) -> str:
    return quoteattr(_xml(text))


def _xml(text: str) -> str:
    """Text with what XML 1.0 cannot hold made visible."""
    return "".join(
        one if one in "\t\n" or (one.isprintable() and ord(one) < 0xFFFE) else one.encode("unicode_escape").decode()
        for one in text
    )
