"""A ticket is one agent's, for one call, and cannot be made up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy import tickets

KEY = b"k" * 32


def test_a_ticket_names_its_call_to_its_agent() -> None:
    assert tickets.read(KEY, tickets.issue(KEY, "call_1", "demo"), "demo") == "call_1"


def test_another_agents_ticket_is_worthless() -> None:
    assert tickets.read(KEY, tickets.issue(KEY, "call_1", "demo"), "other") is None


def test_a_ticket_of_another_installation_is_worthless() -> None:
    assert tickets.read(b"x" * 32, tickets.issue(KEY, "call_1", "demo"), "demo") is None


@pytest.mark.parametrize("ticket", ["", "ilt_", "ilt_call_1", "call_1", "ilt_call_1_", "ilt_" + "x" * 300, "ilt_é_é"])
def test_what_is_not_a_ticket_is_not_read(ticket: str) -> None:
    assert tickets.read(KEY, ticket, "demo") is None


@given(st.integers(min_value=0, max_value=70), st.characters())
def test_a_ticket_with_any_character_changed_is_worthless(position: int, character: str) -> None:
    ticket = tickets.issue(KEY, "call_1", "demo")
    if position >= len(ticket) or ticket[position] == character:
        return
    changed = ticket[:position] + character + ticket[position + 1 :]
    assert tickets.read(KEY, changed, "demo") is None
