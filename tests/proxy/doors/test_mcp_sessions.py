"""Sessions: bound to one agent and one server, bounded, forgotten when idle; ids that are nobody's are not found."""

from __future__ import annotations

import itertools

import pytest

from policies.model import Agent, ToolCall
from proxy.doors.mcp_sessions import (
    ANSWERED_KEPT_MAX,
    SEEN_KEPT_MAX,
    Answered,
    NoSession,
    Seen,
    Session,
    Sessions,
    TooManySessions,
)
from proxy.wire.mcp_methods import Revision

DEMO, OTHER = Agent("demo"), Agent("other")
PARAMS = {"clientInfo": {"name": "tester", "version": "1"}}


class Clock:
    now = 1_000.0


def sessions(**limits: float) -> Sessions:
    count = itertools.count()
    return Sessions(b"k" * 32, lambda: f"token-{next(count)}", lambda: Clock.now, **limits)  # type: ignore[arg-type]


def opened(within: Sessions, agent: Agent = DEMO, server: str = "payments") -> Session:
    return within.open(agent, server, PARAMS, Revision.R2025_11_25, "upstream-1")


def test_a_session_is_found_by_its_agent_at_its_server() -> None:
    known = sessions()
    session = opened(known)
    assert known.find(session.id, DEMO, "payments") is session
    assert (session.client_name, session.client_version, session.upstream_id) == ("tester", "1", "upstream-1")


@pytest.mark.parametrize(("agent", "server"), [(OTHER, "payments"), (DEMO, "files")])
def test_for_anybody_else_and_anywhere_else_it_is_foreign(agent: Agent, server: str) -> None:
    known = sessions()
    with pytest.raises(NoSession) as unknown:
        known.find(opened(known).id, agent, server)
    assert unknown.value.is_foreign


@pytest.mark.parametrize("guess", ["", ".", "token-0", "token-0.", "token-0.xxxx", "upstream-1"])
def test_a_guess_is_foreign(guess: str) -> None:
    known = sessions()
    opened(known)
    with pytest.raises(NoSession) as unknown:
        known.find(guess, DEMO, "payments")
    assert unknown.value.is_foreign


def test_one_that_has_ended_was_ours() -> None:
    known = sessions()
    session = opened(known)
    known.end(session)
    with pytest.raises(NoSession) as unknown:
        known.find(session.id, DEMO, "payments")
    assert not unknown.value.is_foreign
    assert session.ended.is_set()
    known.end(session)  # again: nothing happens
    assert len(known) == 0


def test_there_are_so_many_in_all_and_for_one_agent() -> None:
    known = sessions(sessions_max=3, per_agent_max=2)
    first = opened(known)
    opened(known)
    with pytest.raises(TooManySessions):
        opened(known)
    opened(known, OTHER)
    with pytest.raises(TooManySessions):
        opened(known, OTHER)
    known.end(first)
    known.admit(DEMO)
    opened(known)


def test_an_idle_session_is_named_unless_somebody_waits_in_it() -> None:
    known = sessions(idle_sec_max=10)
    Clock.now = 0
    idle, waiting = opened(known), opened(known)
    waiting.awaited["1"] = object()  # type: ignore[assignment]
    Clock.now = 5
    used = opened(known)
    Clock.now = 12
    assert known.idle() == [idle]
    known.find(used.id, DEMO, "payments")
    Clock.now = 20
    assert known.idle() == [idle]
    assert known.all() == [idle, waiting, used]


def test_only_the_last_answered_calls_are_remembered() -> None:
    session = opened(sessions())
    call = ToolCall("payments", "refund", {}, DEMO)
    for number in range(ANSWERED_KEPT_MAX + 5):
        session.remember(Answered(call, number))
    assert len(session.answered) == ANSWERED_KEPT_MAX
    assert "4" not in session.answered
    assert "5" in session.answered


def test_of_opaque_values_the_last_are_known_each_as_what_it_is() -> None:
    seen = Seen()
    for number in range(SEEN_KEPT_MAX + 1):
        seen.add(number)
    assert [value in seen for value in (0, 1, SEEN_KEPT_MAX, "1", 1.0, None)] == [
        False,
        True,
        True,
        False,
        False,
        False,
    ]


def test_an_opaque_value_that_comes_again_is_as_young_as_when_it_last_came() -> None:
    seen = Seen()
    for number in range(2 * SEEN_KEPT_MAX):
        seen.add("the same")
        seen.add(number)
    assert "the same" in seen


@pytest.mark.parametrize("info", [None, 3, {"name": "x" * 1_000}, {"name": 7}])
def test_what_a_client_says_it_is_is_short_text(info: object) -> None:
    session = sessions().open(DEMO, "payments", {"clientInfo": info}, Revision.R2025_11_25, None)
    assert len(session.client_name) <= 200


def test_a_session_without_waits_belongs_to_no_event() -> None:
    assert opened(sessions()).awaited_by_event("e1") is None
