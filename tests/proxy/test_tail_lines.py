"""Entries as lines: the word for each, inert, coloured only where it is wanted, and none hidden for being new."""

from __future__ import annotations

from typing import Any

import pytest

from audit.entry import EntryKind
from proxy.tail_lines import _KINDS, Filter, line, said

CALL = {"agent": "anna", "server": "shop", "tool": "pay"}


def event(kind: str, actor: str = "gate", about: dict[str, Any] | None = CALL, /, **body: Any) -> dict[str, Any]:
    call_id = "call_0123456789ABCDEF" if about is not None else None
    return {"seq": 7, "at": 1_000.0, "kind": kind, "actor": actor, "call_id": call_id, "about": about, "body": body}


@pytest.mark.parametrize(
    ("one", "shown"),
    [
        (event("call_decided", "agent:anna", effect="allow", rules=["p#a"]), "allowed       anna → shop/pay  [p#a]"),
        (event("call_decided", effect="deny", rules=[]), "denied        anna → shop/pay  no rule speaks for it"),
        (event("call_decided", effect="require_approval", rules=["p#b"]), "asks          anna → shop/pay  [p#b]"),
        (event("review_opened", kind="approval", teams=["fin"]), "parked        anna → shop/pay  waits for fin"),
        (event("review_opened", kind="release", teams=[]), "held          anna → shop/pay  waits for any reviewer"),
        (
            event("review_voted", "reviewer:bo", verdict="approve", comment="ok"),
            "approve       anna → shop/pay  by bo: ok",
        ),
        (event("review_settled", "reviewer:bo", to_state="spendable"), "spendable     anna → shop/pay  by bo"),
        (event("grant_spent"), "sent          anna → shop/pay"),
        (event("call_answered", outcome="allow", is_error=True), "answered      anna → shop/pay  with an error"),
        (event("call_answered", outcome="redact", findings=["US_SSN"]), "redacted      anna → shop/pay  US_SSN"),
        (event("call_answered", outcome="quarantine", why="late"), "quarantined   anna → shop/pay  late"),
        (event("call_in_doubt", why="it broke"), "in doubt      anna → shop/pay  it broke"),
    ],
)
def test_each_step_of_a_call_has_its_word(one: dict[str, Any], shown: str) -> None:
    assert line(one, color=False) == f"00:16:40  {shown}  …ABCDEF"


def test_what_is_about_no_call_says_whose_and_what_it_was() -> None:
    refused = event("call_refused", "agent:anna", None, server="shop", method="tools/call", why="too deep")
    assert line(refused, color=False) == "00:16:40  refused       anna → shop/tools/call  too deep"
    stop = event("stop_ordered", "reviewer:bo", None, scope="agent", target="anna", why="odd")
    assert line(stop, color=False) == "00:16:40  STOP          agent anna: by bo: odd"


def test_kinds_that_are_not_known_here_are_shown_by_their_name() -> None:
    assert line(event("call_teleported", "gate", None), color=False) == "00:16:40  call teleported"
    for kind in EntryKind:
        assert said(event(kind.value)).word
    assert set(_KINDS) <= {kind.value for kind in EntryKind}


def test_colour_only_adds() -> None:
    one = event("call_decided", effect="deny", rules=["p#a"])
    colored = line(one, color=True)
    assert "\x1b[31mdenied" in colored
    plain = colored.replace("\x1b[31m", "").replace("\x1b[2m", "").replace("\x1b[0m", "")
    assert plain == line(one, color=False)


def test_what_others_wrote_cannot_move_the_terminal_or_begin_a_line() -> None:
    hostile = "a\x1b[2J\u202e\nDENIED  x" + "y" * 5_000
    about = {"agent": hostile, "server": hostile, "tool": hostile}
    shown = line(event("review_voted", f"reviewer:{hostile}", about, verdict=hostile, comment=hostile), color=False)
    assert not set(shown) & set("\x1b\u202e\n\r")
    assert len(shown) < 3_000
    assert "\n" not in line(event(hostile, "gate", None, why=hostile), color=False)


def test_filters_take_what_they_name() -> None:
    asks, noted = (
        event("call_decided", effect="require_approval"),
        event("call_noted", "agent:anna", None, server="shop"),
    )
    assert Filter().takes(asks)
    assert not Filter().takes(noted)
    assert Filter(shows_noted=True).takes(noted)
    assert Filter(frozenset({"anna"}), frozenset({"shop"}), frozenset({"ask"})).takes(asks)
    for wrong in (
        Filter(frozenset({"bo"})),
        Filter(servers=frozenset({"bank"})),
        Filter(decisions=frozenset({"deny"})),
    ):
        assert not wrong.takes(asks)
    assert not Filter(decisions=frozenset({"allow"})).takes(event("grant_spent"))
