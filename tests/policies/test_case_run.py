"""Cases run one by one: what came of each, which rules none reached, and JUnit's form of it."""

from __future__ import annotations

import itertools
from xml.etree import ElementTree

from policies.case_run import coverage, junit, run_cases
from policies.cases import read_cases
from tests.policies.builders import snapshot

POLICY = """
default: require_approval
facts: {amount: {path: $.args.amount, tools: ["shop/*"]}}
classify: [{tools: ["shop/*"], risk_tags: []}]
rules:
  - {id: small, match: {tools: ["shop/*"], amount_below: 100}, decision: allow}
  - {id: night, match: {hours: {from: "22:00", to: "06:00"}}, decision: deny}
"""
CASES = """
cases:
  - {note: small ones run, call: {tool: shop/buy, args: {amount: 5}}, want: {effect: allow, rules: [p1.yaml#small]}}
  - {note: "large ones <ask> \\"\\e[2J", call: {tool: shop/buy, args: {amount: 500}}, want: {effect: deny}}
"""


def test_each_case_has_what_came_of_it_and_how_long_it_took() -> None:
    ticks = itertools.count()
    good, bad = run_cases(read_cases({"p1_test.yaml": CASES}), snapshot(POLICY), lambda: float(next(ticks)))
    assert (good.passed, good.misses, good.seconds) == (True, (), 1.0)
    assert (bad.passed, bad.misses) == (False, ("effect is 'require_approval', and 'deny' is wanted",))
    assert bad.decision.determining == ("p1.yaml#default",)


def test_a_rule_is_reached_when_a_case_makes_it_match_and_a_default_when_it_speaks() -> None:
    one = snapshot(POLICY)
    covered = coverage(one, run_cases(read_cases({"p1_test.yaml": CASES}), one, float))
    assert [rule.id for rule in covered.reached] == ["small", "default"]
    assert [rule.id for rule in covered.unreached] == ["night"]
    assert round(covered.percent) == 67
    assert coverage(snapshot("facts: {a: {path: $.args.a}}"), ()).percent == 100


def test_junit_has_a_suite_for_each_file_and_a_failure_for_each_case_that_failed() -> None:
    text = junit(run_cases(read_cases({"p1_test.yaml": CASES}), snapshot(POLICY), float))
    root = ElementTree.fromstring(text)
    assert (root.tag, root.get("tests"), root.get("failures")) == ("testsuites", "2", "1")
    (suite,) = root
    assert suite.get("name") == "p1_test.yaml"
    good, bad = suite
    assert (good.get("name"), good.get("line"), len(good)) == ("small ones run", "3", 0)
    assert bad.get("name") == 'large ones <ask> "\\x1b[2J'
    assert bad[0].get("message") == "effect is 'require_approval', and 'deny' is wanted"
