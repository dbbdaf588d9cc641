"""`constraints` of rules: what loads, and that what nobody could enforce does not."""

from __future__ import annotations

import pytest

from policies.check import check
from policies.constraints import DEFAULTS
from policies.model import Effect
from tests.policies.builders import errors_of, snapshot

FACTS = "facts: {amount: {path: $.args.amount}, env: {path: $.args.env, type: string}}"


def wrong(constraints: str, rest: str = "decision: allow_with_constraints") -> list[str]:
    return errors_of(f"{FACTS}\nrules: [{{{rest}, constraints: {constraints}}}]\n")


@pytest.mark.parametrize(
    ("constraints", "error"),
    [
        ("{max_runtime: 5}", "no constraint is called 'max_runtime' (did you mean 'max_runtime_sec'?)"),
        ("{max_amout: 5}", "no constraint is called 'max_amout' (did you mean 'max_amount'?)"),
        ("{network_allow: [a.example]}", "(did you mean 'network_allowlist'?)"),
        ("{amount: 5}", "no constraint is called 'amount'"),
        ("{max_env: 5}", "'max_env' caps a number, and the fact 'env' is a string"),
        ("{max_amount: many}", "max_amount must be a number, not 'many'"),
        ("{max_runtime_sec: 0}", "max_runtime_sec must be a whole number from 1 to 86400, not 0"),
        ("{max_response_bytes: 1.5}", "max_response_bytes must be a whole number"),
        ("{}", "constraints without any constraint"),
        ("[]", "constraints must be a map of keys"),
        ("{network_allowlist: []}", "network_allowlist must be a list with at least one item"),
        ("{network_allowlist: ['https://a.example']}", "'https://a.example' is no host"),
        ("{network_allowlist: ['a.example:443']}", "'a.example:443' is no host"),
        ("{network_allowlist: [A.example]}", "'A.example' is no host"),
        ("{network_allowlist: [ä.example]}", "'ä.example' is no host"),
        ("{network_allowlist: ['a?.example']}", "only * and ** are wildcards"),
        ("{network_allowlist: ['*example.com']}", "'*example.com' lets through hosts of anybody"),
        ("{network_allowlist: ['*']}", "'*' lets through hosts of anybody"),
        ("{network_allowlist: {hosts: [a.example]}}", "network_allowlist as a map needs 'in'"),
        ("{network_allowlist: {hosts: [a.example], in: [url]}}", "'url': a path begins with $"),
        ("{network_allowlist: {hosts: [a.example], at: [$.args.a]}}", "unknown key 'at' in network_allowlist"),
        ("{pin: {}}", "pin without any argument"),
        ("{pin: [$.args.a]}", "pin must be a map of keys"),
        ("{pin: {a: 1}}", "'a': a path begins with $"),
        ("{pin: {$.args: 1}}", "'$.args' leads to no argument"),
        ("{forbid: [$.tool.name]}", "'$.tool.name' leads to no argument"),
        ("{forbid: [5]}", "item 1 of forbid is no path"),
    ],
)
def test_p01_a_constraint_nobody_could_enforce_does_not_load(constraints: str, error: str) -> None:
    assert any(error in one for one in wrong(constraints)), wrong(constraints)


@pytest.mark.parametrize(
    ("rest", "error"),
    [
        ("decision: deny", "constraints in a rule that denies"),
        ("decision: allow, on_violation: park", "on_violation cannot be 'park'"),
        ("decision: allow, approval: {team: x}", "an approval in a rule that does not ask"),
    ],
)
def test_what_cannot_be_meant_beside_constraints_does_not_load(rest: str, error: str) -> None:
    assert any(error in one for one in wrong("{max_runtime_sec: 5}", rest))


def test_on_violation_needs_constraints() -> None:
    assert "'on_violation' in a rule without" in errors_of("rules: [{decision: allow, on_violation: ask}]")[0]
    assert errors_of("rules: [{decision: allow_with_constraints, on_violation: ask}]") == []


def test_a_rule_that_asks_on_violation_says_how_its_review_is_held() -> None:
    rest = "decision: allow, on_violation: ask, approval: {team: x}"
    assert wrong("{max_amount: 5}", rest) == []


def test_a_rule_that_allows_with_constraints_is_one_that_says_so() -> None:
    rule = snapshot("rules: [{decision: allow, constraints: {max_runtime_sec: 5}}]").policies[0].rules[0]
    assert rule.effect is Effect.ALLOW_WITH_CONSTRAINTS
    assert [(bound.kind, bound.value) for bound in rule.constraints] == [("max_runtime_sec", 5)]


def test_default_constraints_are_the_whole_set_s_and_said_once() -> None:
    assert snapshot("default: allow_with_constraints").default_constraints == DEFAULTS
    one = snapshot("default_constraints: {max_response_bytes: 5}", "default: allow_with_constraints")
    assert [(bound.kind, bound.value) for bound in one.default_constraints] == [("max_response_bytes", 5)]
    twice = errors_of(*["default_constraints: {max_response_bytes: 5}"] * 2)
    assert twice == ["p2.yaml:1:1: a second 'default_constraints' in this set (the first is in p1.yaml)"]


def test_the_check_says_where_the_defaults_apply_and_where_a_cap_never_does() -> None:
    rule = "{{id: {0}, match: {{tools: a/b}}, decision: allow_with_constraints{1}}}"
    rules = ", ".join((rule.format("x", ""), rule.format("y", ", constraints: {max_amount_usd: 5}")))
    report, code = check({"p.yaml": f"rules: [{rules}]"})
    assert code == 0
    assert (
        "advice: p.yaml:1: rule 'x' has no constraints: held to max_runtime_sec 60, max_response_bytes 1048576"
        in report
    )
    assert "rule 'y' never holds a call to max_amount_usd: no file says where 'amount_usd' stands" in report
