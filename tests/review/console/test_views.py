from __future__ import annotations

import pytest

from policies.model import Approval
from review.console import views
from review.model import CallState, ReviewState
from review.ports import Listed
from tests.review.builders import NOW, held_output, question, refund
from tests.review.console.builders import Holds


@pytest.mark.parametrize(
    ("risk", "word", "glyph"),
    [
        ("high", "High risk", "▲"),
        ("medium", "Medium risk", "◆"),
        ("low", "Low risk", "●"),
        (None, "Risk not rated", "○"),
    ],
)
def test_risk_has_a_word_and_a_shape_of_its_own(risk: str | None, word: str, glyph: str) -> None:
    badge = views.risk(refund(decision={"risk": risk}))
    assert (badge.word, badge.glyph) == (word, glyph)


@pytest.mark.parametrize(("stated", "word"), [(True, "Can be"), (False, "Cannot be"), (None, "Not known")])
def test_what_can_be_undone_is_said_only_where_it_is_known(stated: bool | None, word: str) -> None:
    assert views.reversible(refund(decision={"reversible": stated})).startswith(word)


def test_every_state_has_words() -> None:
    for call_state in CallState:
        for review_state in ReviewState:
            call = refund(state=call_state)
            assert views.state(call, question(refund(), state=review_state))
            assert views.state(call, None)


def test_what_is_done_to_a_method_is_said_as_it_is() -> None:
    assert views.act(refund()) == "run"
    assert views.act(refund(method="resources/read")) == "send resources/read to"


@pytest.mark.parametrize(
    ("sec", "said"),
    [
        (0, "time is up"),
        (1, "1 s left"),
        (59.9, "59 s left"),
        (60, "1 min left"),
        (3600, "1 h 0 min left"),
        (200_000, "2 days left"),
    ],
)
def test_times_left_are_said_roughly(sec: float, said: str) -> None:
    assert views.left(NOW + sec, NOW) == said


@pytest.mark.parametrize(("sec", "said"), [(0, "just now"), (5, "5 s ago"), (7300, "2 h 1 min ago")])
def test_times_past_are_said_roughly(sec: float, said: str) -> None:
    assert views.ago(NOW - sec, NOW) == said


@pytest.mark.parametrize(("sec", "word"), [(-1, "over"), (0, "over"), (599, "soon"), (600, "later")])
def test_what_is_due_soon_is_marked(sec: float, word: str) -> None:
    assert views.urgency(NOW + sec, NOW) == word


def test_whether_the_agent_waits_is_said_with_what_approving_does() -> None:
    holds, call = Holds(), refund()
    assert "runs nothing by itself" in views.waits(call, question(call), holds, NOW).words
    executes = question(call, Approval(on_disconnect_execute=True))
    assert "runs the call without it" in views.waits(call, executes, holds, NOW).words
    holds.since_by_call["c-1"], holds.until_by_call["c-1"] = NOW - 70, NOW + 30
    waits = views.waits(call, question(call), holds, NOW)
    assert (waits.since, waits.until, waits.words) == (NOW - 70, NOW + 30, "The agent has been waiting for 1 min.")


@pytest.mark.parametrize(
    ("approval", "more", "said"),
    [
        (Approval(), {}, "any reviewer"),
        (Approval(quorum={"": 2}), {}, "2 reviewers"),
        (Approval(teams=("finance",)), {}, "finance"),
        (Approval(teams=("finance", "legal"), quorum={"finance": 2}), {}, "2 of finance and legal"),
        (Approval(teams=("finance",)), {"escalated_to": "leads"}, "finance, or leads in their place"),
    ],
)
def test_who_is_asked_is_said(approval: Approval, more: dict[str, str], said: str) -> None:
    assert views.asked(question(refund(), approval, **more)) == said


@pytest.mark.parametrize(("path", "said"), [("$.a.b", "a.b"), ('$["a b"]', '["a b"]'), ("$[0]", "[0]"), ("$", "$")])
def test_a_field_is_named_without_the_root(path: str, said: str) -> None:
    assert views.field(path) == said


def test_outputs_are_looked_at_elsewhere_than_calls() -> None:
    assert views.page_of(Listed(question(refund()), refund())) == "/c/c-1"
    assert views.page_of(Listed(question(held_output()), held_output())) == "/q/c-1"


def test_data_of_a_review_has_no_nonce_and_data_of_a_call_no_output() -> None:
    assert "nonce" not in views.review_data(question(refund(), Approval(teams=("a",), quorum={"a": 2})))
    assert "outcome" not in views.call_data(held_output())
