"""What can never be equal is found when a condition loads, wherever in it the two sides stand (traps T13)."""

from __future__ import annotations

import pytest

from policies.condition_tokens import BadCondition, tokens_of
from policies.condition_types import check_types
from policies.facts import FactType

TYPES = {
    "amount": FactType.NUMBER,
    "count": FactType.INTEGER,
    "env": FactType.STRING,
    "dry": FactType.BOOLEAN,
}


@pytest.mark.parametrize(
    ("text", "at", "message"),
    [
        ("(amount) == '7'", 0, "a number is compared with a string"),
        ("dry AND size(env) == '4'", 8, "a number is compared with a string"),
        ("int(amount) != '7'", 0, "a number is compared with a string"),
        ("string(count) == 7", 0, "a string is compared with a number"),
        ("amount + 1.0 == '7'", 0, "a number is compared with a string"),
        ("env + 'x' == 7", 0, "a string is compared with a number"),
        ("(env) in [1]", 0, "a string is compared with a number"),
        ("env in (['a', 1])", 0, "a string is compared with a number"),
        ("7 in [env]", 0, "a number is compared with a string"),
        ("[env] == [7]", 0, "a string is compared with a number"),
        ("[1] == 3", 0, "a list is compared with a number"),
        ("env == null", 0, "a string is compared with null"),
        ("(dry) == 'true'", 0, "a boolean is compared with a string"),
        ("(amount > 1.0) == 'true'", 0, "a boolean is compared with a string"),
        ("NOT dry == 'x'", 0, "a boolean is compared with a string"),
        ("(env == 'a' ? 1 : 2) == '1'", 0, "a number is compared with a string"),
        ("dry ? env == (1) : true", 6, "a string is compared with a number"),
        ("size(env == (1) ? 'a' : 'b') > 1", 5, "a string is compared with a number"),
        ("env.startsWith('a') == 'true'", 0, "a boolean is compared with a string"),
        ("-amount == ('7')", 0, "a number is compared with a string"),
    ],
)
def test_p10_two_sides_that_are_never_equal_do_not_load(text: str, at: int, message: str) -> None:
    with pytest.raises(BadCondition) as bad:
        check_types(tokens_of(text), TYPES)
    assert (bad.value.message, bad.value.at) == (message, at)
    assert bad.value.hint == "such values are never equal"


@pytest.mark.parametrize(
    "text",
    [
        "amount == count",
        "(amount) == 7 AND size(env) == 4",
        "env in ['a', 'b'] OR env in []",
        "dry == (env == 'x')",
        "(dry ? 'a' : env) == 'a'",
        "(dry ? 1 : 'a') == 'a'",  # not known which
        "env.contains('==') == true",
        "string(amount) + env == 'x'",
        "NOT (env == 'x') AND -count * 2 == 4",
        "size(env + 'x') == count % 2",
        "[amount] == [1.5]",
        "unheard == 'x'",
        "null == null",
    ],
)
def test_what_may_be_equal_loads(text: str) -> None:
    check_types(tokens_of(text), TYPES)
