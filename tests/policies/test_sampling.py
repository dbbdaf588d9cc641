"""How likely a finished call is to be judged, and by whom."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.facts import FactType
from policies.model import Json
from policies.sampling import Chance, chance_of
from tests.policies.builders import NOON, call, snapshot
from tests.policies.test_schema_audit import SEED

LABELS = """
    facts:
      amount_usd: {path: $.args.amount, tools: [pay/*]}
    classify:
      - {tools: [files/read_file], topics: [job.files.read], risk_tags: [read]}
      - {tools: [files/look], topics: [job.files.look], risk_tags: []}
      - {tools: [pay/send], topics: [job.pay.send], risk_tags: [financial, write]}
      - {tools: [deploy/prod], topics: [job.deploy.prod], risk_tags: [prod, write, security]}
"""


def chance(name: str, arguments: dict[str, Any] | None = None, text: str = SEED, **gate_facts: Json) -> Chance | None:
    one = snapshot(LABELS, text, gate_facts={"first_time_action": FactType.BOOLEAN})
    asked = call(name, arguments)
    labels = one.profile(asked.server, asked.tool, asked.method, asked.direction).labels
    return chance_of(asked, one.sampling, labels, one.facts, {"first_time_action": False, **gate_facts}, at=NOON)


@pytest.mark.parametrize(
    ("name", "arguments", "share"),
    [
        ("files/read_file", {}, 0.05),  # a fact of other tools makes it none of those that are always judged
        ("files/look", {}, 0.1),  # no weight fits
        ("pay/send", {"amount": 10}, 0.2),
        ("deploy/prod", {}, 0.3),  # the highest weight that fits
        ("pay/send", {"amount": 6_000}, 1.0),
        ("pay/send", {}, 1.0),  # bound, and not to be known
        ("pay/send", {"amount": "6000"}, 1.0),
    ],
)
def test_the_seed_s_plan_does_what_it_says(name: str, arguments: dict[str, Any], share: float) -> None:
    found = chance(name, arguments)
    assert found is not None
    assert found.share == pytest.approx(share)


def test_the_first_time_is_always_judged() -> None:
    found = chance("files/read_file", first_time_action=True)
    assert found == Chance(1.0, ("p2.yaml#audit:14",), ("ops-review",))


@pytest.mark.parametrize(
    ("name", "teams"),
    [
        ("files/read_file", ("ops-review",)),
        ("pay/send", ("finance-approvers",)),
        ("deploy/prod", ("security-team",)),
    ],
)
def test_those_are_asked_whose_tag_the_call_has_else_the_default(name: str, teams: tuple[str, ...]) -> None:
    found = chance(name, {"amount": 1})
    assert found is not None
    assert found.teams == teams


def test_without_a_plan_nothing_is_judged_and_without_a_rate_only_what_must_be() -> None:
    only = "audit: {mandatory: [{match: {tools: 'pay/*'}}]}"
    assert chance("files/look", text="version: v1\nrules: [{decision: deny}]") is None
    assert chance("files/look", text=only) is None
    found = chance("pay/send", text=only)
    assert found is not None
    assert (found.share, found.teams) == (1.0, ())


def test_systematic_says_every_how_many() -> None:
    found = chance("files/look", text="audit: {sampling: {rate: 0.3, strategy: systematic}}")
    assert found == Chance(0.3, ("p2.yaml#audit",), (), every=3)


def test_the_highest_chance_of_several_files_holds_and_all_they_name_are_asked() -> None:
    files = [
        LABELS,
        "audit: {sampling: {rate: 0.2}, routing: {default: a}}",
        "audit: {sampling: {rate: 0.7}, routing: {default: b}}",
    ]
    one = snapshot(*files)
    asked = call("files/look")
    labels = one.profile(asked.server, asked.tool, asked.method, asked.direction).labels
    assert chance_of(asked, one.sampling, labels, one.facts, {}, at=NOON) == Chance(0.7, ("p3.yaml#audit",), ("a", "b"))


@given(st.floats(0.001, 1), st.lists(st.tuples(st.sampled_from(["read", "x", "r*"]), st.floats(0, 50)), max_size=3))
def test_a_chance_is_never_above_one_and_never_negative(rate: float, weights: list[tuple[str, float]]) -> None:
    said = ", ".join(f"'{tag}': {weight}" for tag, weight in dict(weights).items())
    text = f"audit: {{sampling: {{rate: {rate}{f', weights: {{risk_tags: {{{said}}}}}' if said else ''}}}}}"
    found = chance("files/read_file", text=text)
    assert found is not None
    assert 0 <= found.share <= 1
