"""Facts as criteria: above, below, equal; types checked at load; what is not known is said as such."""

from __future__ import annotations

from typing import Any

import pytest

from policies.criteria.base import YES, Answer, Truth
from policies.facts import Fact, FactType
from policies.json_path import parse
from policies.patterns import parse as pattern
from tests.policies.match_builders import answer, mistakes, read

EVERY = (pattern("**"),)
FACTS = {
    "amount": Fact("amount", path=parse("$.args.amount"), tools=EVERY),
    "port": Fact("port", FactType.INTEGER, path=parse("$.args.port"), tools=EVERY),
    "env": Fact("env", FactType.STRING, path=parse("$.args.env"), tools=EVERY),
    "dry": Fact("dry", FactType.BOOLEAN, path=parse("$.args.dry"), tools=EVERY),
    "users": Fact("users", FactType.INTEGER),
}


@pytest.mark.parametrize(
    ("text", "arguments", "expected"),
    [
        ("amount_above: 100", {"amount": 100.5}, YES),
        ("amount_above: 100", {"amount": 100}, Answer(Truth.NO, "amount is not above 100")),
        ("amount_below: 0.7", {"amount": 0.3}, YES),
        ("amount_below: 0.7", {"amount": 0.7}, Answer(Truth.NO, "amount is not below 0.7")),
        ("amount: 5", {"amount": 5.0}, YES),
        ("port: [22, 23]", {"port": 23}, YES),
        ("port: 22", {"port": 80}, Answer(Truth.NO, "port is not what the rule names")),
        ("env: prod", {"env": "prod"}, YES),
        ("dry: false", {"dry": False}, YES),
        ("amount_above: 100", {}, Answer(Truth.MISSING, "amount: missing in the call")),
        ("amount_below: 100", {"amount": "5"}, Answer(Truth.ERROR, "amount: not a number")),
        ("port: 22", {"port": "22"}, Answer(Truth.ERROR, "port: not a number")),
        ("dry: false", {"dry": 0}, Answer(Truth.ERROR, "dry: not true or false")),
        ("users_above: 1", {}, Answer(Truth.UNBOUND, "users: not bound to this tool")),
        ("users_below: 1", {}, Answer(Truth.UNBOUND, "users: not bound to this tool")),
        ("users: 1", {}, Answer(Truth.UNBOUND, "users: not bound to this tool")),
    ],
)
@pytest.mark.parametrize("allowing", [True, False])
def test_a_fact_is_compared(text: str, arguments: dict[str, Any], expected: Answer, allowing: bool) -> None:
    assert answer(text, arguments, allowing=allowing, facts=FACTS) == expected


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ('port: "22"', "f.yaml:1:7: the fact 'port' is an integer, and this is not"),
        ("port: 2.5", "the fact 'port' is an integer, and this is not"),
        ("port: [22, x]", "f.yaml:1:12: the fact 'port' is an integer, and this is not"),
        ("port: []", "port must be a list with at least one item"),
        ("amount: true", "the fact 'amount' is a number, and this is not"),
        ("env: 5", "the fact 'env' is a string, and this is not"),
        ("dry: 1", "the fact 'dry' is a boolean, and this is not"),
        ("env_above: 5", "f.yaml:1:1: 'env_above' compares numbers, and the fact 'env' is a string"),
        ('amount_above: "5"', "f.yaml:1:15: amount_above must be a number, not '5'"),
        ("amuont_above: 5", "f.yaml:1:1: there is no fact 'amuont' (did you mean 'amount_above'?)"),
        ("topic: [a]", "f.yaml:1:1: unknown key 'topic' in match (did you mean 'topics'?)"),
    ],
)
def test_a_comparison_that_could_never_hold_does_not_load(text: str, mistake: str) -> None:
    assert mistake in mistakes(text, facts=FACTS)[0]


def test_the_facts_a_match_reads_are_known_each_once() -> None:
    assert read("{amount_above: 1, amount_below: 9, env: x}", facts=FACTS)[0].facts == ("amount", "env")
