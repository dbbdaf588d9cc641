"""What a call is held to: what each check sees, what is left for the dispatch, and what is tighter than what."""

from __future__ import annotations

from typing import Any

import pytest

from policies.constraints import (
    AtDispatch,
    FactCap,
    Forbidden,
    HostList,
    Pinned,
    at_dispatch,
    is_no_tighter,
    is_same,
    said,
)
from policies.criteria.base import View
from policies.decide import decide
from policies.facts import Fact, FactReader
from policies.json_path import parse
from policies.model import Classification, Constraint, Decision, Effect, Json, ToolCall
from policies.patterns import parse as pattern
from tests.policies.builders import NOON, call, snapshot


def view(one: ToolCall, *tags: str, facts: dict[str, Fact] | None = None) -> View:
    return View(one, Classification(True, risk_tags=frozenset(tags)), FactReader(one, facts or {}, {}), NOON)


def hosts(*texts: str, where: tuple[str, ...] | None = None) -> HostList:
    paths = tuple(map(parse, where)) if where is not None else None
    return HostList(tuple(map(pattern, texts)), paths)


NOT_IN, NONE_FOUND = "a host of the call is not in it", "no host is found in the call"


@pytest.mark.parametrize(
    ("arguments", "tags", "why"),
    [
        ({"url": "https://a.example/x"}, ("egress",), None),
        ({"url": "https://sub.b.example"}, (), None),
        ({"url": "https://b.example"}, (), NOT_IN),
        ({"to": [{"url": "https://a.example"}, "c.example"]}, (), NOT_IN),
        ({"url": "https://user@a.example"}, (), NOT_IN),
        ({"text": "hello"}, (), None),
        ({"text": "hello"}, ("egress",), NONE_FOUND),
    ],
)
def test_every_host_of_a_call_is_in_the_list(arguments: dict[str, Any], tags: tuple[str, ...], why: str | None) -> None:
    seen = hosts("a.example", "*.b.example").look(view(call(arguments=arguments), *tags))
    assert (seen.is_broken, seen.why) == (why is not None, why or "holds, in arguments only")


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"url": "https://a.example", "body": "see evil.example"}, None),
        ({"url": "intranet"}, NOT_IN),
        ({"url": ["https://a.example"]}, NOT_IN),
        ({"body": "a.example"}, NONE_FOUND),
    ],
)
def test_where_hosts_stand_can_be_said_and_then_one_must_stand_there(
    arguments: dict[str, Any], why: str | None
) -> None:
    seen = hosts("a.example", where=("$.args.url",)).look(view(call(arguments=arguments)))
    assert seen.is_broken is (why is not None)
    assert why is None or seen.why == why


def test_what_should_be_a_list_of_hosts_and_is_none_is_a_violation() -> None:
    listed = hosts("a.example", where=("$.args.urls[*]",))
    assert not listed.look(view(call(arguments={"urls": ["a.example"]}))).is_broken
    assert listed.look(view(call(arguments={"urls": "a.example"}))).why == "what stands at $.args.urls[*] is not a list"


def test_a_destination_that_is_a_host_counts_as_one() -> None:
    to = call("a.example/http.GET", {"path": "/"})
    assert not hosts("a.example").look(view(to, "egress")).is_broken
    assert hosts("b.example").look(view(to, "egress")).why == NOT_IN


def test_answers_of_a_retry_are_looked_through_too() -> None:
    one = ToolCall("s", "t", {}, call().agent, input_responses={"r": {"content": {"url": "evil.example"}}})
    assert hosts("a.example").look(view(one)).why == NOT_IN


@pytest.mark.parametrize(
    ("amount", "is_broken"), [(10, False), (10.5, True), (9, False), (None, True), ("9", True), (-1, True)]
)
def test_a_fact_is_at_most_its_cap(amount: Json, is_broken: bool) -> None:
    facts = {"amount": Fact("amount", path=parse("$.args.amount"), tools=(pattern("**"),), minimum=0)}
    seen = FactCap("amount", 10).look(view(call(arguments={"amount": amount}), facts=facts))
    assert seen.is_broken is is_broken


def test_a_cap_on_a_fact_of_another_tool_does_not_apply_and_says_so() -> None:
    seen = FactCap("amount", 10).look(view(call(), facts={"amount": Fact("amount")}))
    assert (seen.is_broken, seen.applies) == (False, False)
    assert seen.why == "does not apply: amount is not bound to this tool"


@pytest.mark.parametrize(
    ("path", "wanted", "is_broken"),
    [
        ("$.args.a", 1, False),
        ("$.args.a", 1.0, False),
        ("$.args.a", True, True),
        ("$.args.b[*].c", "x", False),
        ("$.args.b[*].d", "x", True),
        ("$.args.none[*]", "x", True),
        ("$.args.empty[*]", "x", True),
        ("$.args.a[*]", 1, True),
    ],
)
def test_everything_at_a_pinned_path_is_there_and_is_the_value(path: str, wanted: Json, is_broken: bool) -> None:
    arguments = {"a": 1, "b": [{"c": "x"}, {"c": "x"}], "empty": []}
    assert Pinned(parse(path), wanted).look(view(call(arguments=arguments))).is_broken is is_broken


def test_nothing_stands_at_a_forbidden_path() -> None:
    deep = Forbidden(parse("$.args..token"))
    assert deep.look(view(call(arguments={"x": [{"token": None}]}))).is_broken
    assert not deep.look(view(call(arguments={"x": [{}]}))).is_broken


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"a": [1, {"b": None}]}, {"a": [1.0, {"b": None}]}, True),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        ([1], [1, 2], False),
        ([True], [1], False),
        ({"a": 1}, {"a": True}, False),
        ("1", 1, False),
    ],
)
def test_values_are_the_same_as_json_is(one: Json, other: Json, same: bool) -> None:
    assert is_same(one, other) is same


def made(kind: str, value: Json) -> Constraint:
    return Constraint(kind, value, "p#r")


def test_what_is_held_at_the_dispatch_is_the_lowest_of_each() -> None:
    several = [
        made("max_runtime_sec", 60),
        made("max_runtime_sec", 30),
        made("max_amount", 5),
        made("forbid", "$.args.a"),
    ]
    assert at_dispatch(several) == AtDispatch(30, None)
    assert at_dispatch([made("max_response_bytes", 9)]) == AtDispatch(None, 9)


def test_p01_a_constraint_of_an_unknown_kind_is_not_let_through() -> None:
    assert at_dispatch([made("sandbox", True)]) is None


ONE, TWO = ["a.example"], ["a.example", "b.example"]


@pytest.mark.parametrize(
    ("now", "then", "stands"),
    [
        ([], [made("forbid", "$.args.a")], True),
        ([made("max_runtime_sec", 60)], [made("max_runtime_sec", 60)], True),
        ([made("max_runtime_sec", 60)], [made("max_runtime_sec", 30)], True),
        ([made("max_runtime_sec", 30)], [made("max_runtime_sec", 60)], False),
        ([made("max_runtime_sec", 30)], [], False),
        ([made("network_allowlist", TWO)], [made("network_allowlist", ONE)], True),
        ([made("network_allowlist", ONE)], [made("network_allowlist", TWO)], False),
        ([made("network_allowlist", {"hosts": TWO, "in": ["$.args.u"]})], [made("network_allowlist", ONE)], False),
        ([made("pin", {"$.args.a": 1})], [made("pin", {"$.args.a": 1})], True),
        ([made("pin", {"$.args.a": True})], [made("pin", {"$.args.a": 1})], False),
        ([made("forbid", "$.args.b")], [made("forbid", "$.args.a")], False),
    ],
)
def test_p06_what_is_tighter_than_what(now: list[Constraint], then: list[Constraint], stands: bool) -> None:
    assert is_no_tighter(now, then) is stands


def test_values_are_said_in_words() -> None:
    assert said({"hosts": ONE, "in": ["$.args.u"]}) == "a.example in $.args.u"
    assert said({"$.args.a": [None, True, False, 1.5]}) == "$.args.a = null, true, false, 1.5"


def decided(*rules: str, **arguments: Json) -> Decision:
    files = [f"rules: [{{match: {{tools: payments/refund}}, {rule}}}]" for rule in rules]
    return decide(call(arguments=arguments), snapshot(*files), at=NOON)


def test_a_call_that_is_denied_anyway_is_held_to_nothing_and_its_denial_says_only_why() -> None:
    decision = decided("decision: deny", "decision: allow, constraints: {forbid: [$.args.a]}", a=1)
    assert (decision.determining, decision.constraints) == (("p1.yaml#1",), ())


def test_the_trace_names_the_rule_of_every_violation_and_of_what_does_not_apply() -> None:
    decision = decided("decision: allow, constraints: {forbid: [$.args.a], max_amount_usd: 5}, on_violation: ask", a=1)
    assert decision.effect is Effect.REQUIRE_APPROVAL
    assert [(step.rule, step.matched, step.why) for step in decision.trace[1:]] == [
        ("1", True, "forbid: something stands at $.args.a"),
        ("1", False, "max_amount_usd: does not apply: amount_usd is not bound to this tool"),
    ]
    assert decision.constraints == ()


def test_a_review_that_a_violation_opens_is_held_as_its_rule_says() -> None:
    decision = decided(
        "decision: allow, constraints: {forbid: [$.args.a]}, on_violation: ask, approval: {team: x}",
        "decision: require_approval, approval: {team: y}",
        a=1,
    )
    assert decision.approval is not None
    assert set(decision.approval.teams) == {"x", "y"}
