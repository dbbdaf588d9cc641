"""`visibility` of a policy file: what it may say, and that it matches only by what is known before a call."""

from __future__ import annotations

import pytest

from policies.schema_visibility import SEEN_BY
from tests.policies.builders import errors_of
from tests.policies.test_schema_editor import SCHEMA, fits


def test_what_it_may_say_loads() -> None:
    assert errors_of("visibility: {hide: [{match: {risk_tags: [delete]}, reason: not for models}]}") == []
    assert errors_of("visibility: {show: [{match: {tools: [a/*]}}], hide_denied: false}") == []


@pytest.mark.parametrize(
    ("visibility", "why"),
    [
        ("{}", "hides nothing"),
        ("{hide_denied: false}", "hides nothing"),
        ("{hide_denied: 1}", "true or false"),
        ("{hide: []}", "at least one item"),
        ("{hide: [{reason: x}]}", "lacks 'match'"),
        ("{hide: [{match: {}}]}", "an empty match"),
        ("{hide: [{match: {hours: {from: '22:00', to: '24:00'}}}]}", "unknown key 'hours'"),
        ("{hide: [{match: {amount_above: 5}}]}", "unknown key 'amount_above'"),
        ("{hidden: [{match: {tools: a}}]}", "unknown key 'hidden'"),
        ("[]", "must be a map"),
    ],
)
def test_what_it_may_not_say_is_a_mistake(visibility: str, why: str) -> None:
    assert why in "\n".join(errors_of(f"visibility: {visibility}"))


def test_the_editor_s_schema_knows_it() -> None:
    entry = SCHEMA["definitions"]["visibility_entry"]["properties"]["match"]["properties"]
    assert set(entry) == set(SEEN_BY)
    assert fits({"visibility": {"hide": [{"match": {"servers": "a"}}]}})
    assert not fits({"visibility": {"hide_denied": False}})
    assert not fits({"visibility": {"hide": [{"match": {"hours": {"from": "22:00", "to": "24:00"}}}]}})
