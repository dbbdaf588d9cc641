from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from review.lifecycle import (
    FIRST_STATES,
    TABLE,
    IllegalMove,
    ReviewEvent,
    after,
    diagram,
    follow,
    is_final,
    states_allowing,
)
from review.model import ReviewState as S

E = ReviewEvent

# SEMANTICS §2, written down again by hand: the table must say this and nothing else.
LEGAL = {
    (S.PARKED, E.VOTED): S.APPROVING,
    (S.PARKED, E.AGREED): S.APPROVED,
    (S.PARKED, E.REJECTED): S.REJECTED,
    (S.PARKED, E.EDITED): S.PARKED,
    (S.PARKED, E.CLAIMED): S.PARKED,
    (S.PARKED, E.ESCALATED): S.PARKED,
    (S.PARKED, E.STAGE_PASSED): S.PARKED,
    (S.PARKED, E.EXPIRED): S.EXPIRED,
    (S.PARKED, E.SUPERSEDED): S.SUPERSEDED,
    (S.PARKED, E.STOPPED): S.STOPPED,
    (S.APPROVING, E.VOTED): S.APPROVING,
    (S.APPROVING, E.AGREED): S.APPROVED,
    (S.APPROVING, E.REJECTED): S.REJECTED,
    (S.APPROVING, E.EDITED): S.PARKED,
    (S.APPROVING, E.CLAIMED): S.APPROVING,
    (S.APPROVING, E.ESCALATED): S.APPROVING,
    (S.APPROVING, E.STAGE_PASSED): S.PARKED,
    (S.APPROVING, E.EXPIRED): S.EXPIRED,
    (S.APPROVING, E.SUPERSEDED): S.SUPERSEDED,
    (S.APPROVING, E.STOPPED): S.STOPPED,
    (S.APPROVED, E.UNDONE): S.PARKED,
    (S.APPROVED, E.UNDO_PASSED): S.SPENDABLE,
    (S.APPROVED, E.STOPPED): S.STOPPED,
    (S.SPENDABLE, E.SPENT): S.SPENT,
    (S.SPENDABLE, E.UNDONE): S.PARKED,
    (S.SPENDABLE, E.LAPSED): S.LAPSED,
    (S.SPENDABLE, E.SUPERSEDED): S.SUPERSEDED,
    (S.SPENDABLE, E.STOPPED): S.STOPPED,
    (S.SPENT, E.SEND_FAILED): S.SPENDABLE,
    (S.VETOABLE, E.WINDOW_PASSED): S.SPENDABLE,
    (S.VETOABLE, E.UNWATCHED): S.PARKED,
    (S.VETOABLE, E.VETOED): S.VETOED,
    (S.VETOABLE, E.STOPPED): S.STOPPED,
    (S.SPENDABLE, E.VETOED): S.VETOED,
    (S.UNJUDGED, E.FOUND_OK): S.JUDGED_OK,
    (S.UNJUDGED, E.FOUND_WRONG): S.JUDGED_WRONG,
    (S.UNJUDGED, E.FOUND_HARMFUL): S.JUDGED_HARMFUL,
    (S.QUARANTINED, E.VOTED): S.QUARANTINED,
    (S.QUARANTINED, E.CLAIMED): S.QUARANTINED,
    (S.QUARANTINED, E.ESCALATED): S.QUARANTINED,
    (S.QUARANTINED, E.RELEASED): S.RELEASED,
    (S.QUARANTINED, E.DESTROYED): S.DESTROYED,
}
ILLEGAL = [pair for pair in product(S, E) if pair not in LEGAL]


@pytest.mark.parametrize(("state", "event"), LEGAL, ids=lambda value: value.name)
def test_every_legal_move_leads_where_the_semantics_say(state: S, event: ReviewEvent) -> None:
    assert after(state, event) is LEGAL[state, event]


@pytest.mark.parametrize(("state", "event"), ILLEGAL, ids=lambda value: value.name)
def test_every_other_pair_is_illegal(state: S, event: ReviewEvent) -> None:
    with pytest.raises(IllegalMove) as raised:
        after(state, event)
    assert (raised.value.state, raised.value.event) == (state, event)
    assert state.value in str(raised.value)


def test_the_table_has_a_row_for_every_state() -> None:
    assert set(TABLE) == set(S)


def test_final_states_are_those_in_which_nothing_can_happen() -> None:
    assert {state for state in S if is_final(state)} == {
        S.REJECTED,
        S.EXPIRED,
        S.SUPERSEDED,
        S.STOPPED,
        S.LAPSED,
        S.RELEASED,
        S.DESTROYED,
        S.VETOED,
        S.JUDGED_OK,
        S.JUDGED_WRONG,
        S.JUDGED_HARMFUL,
    }


def test_p04_only_a_spendable_grant_can_be_spent() -> None:
    assert states_allowing(E.SPENT) == {S.SPENDABLE}


def test_without_an_undo_window_agreeing_makes_the_grant_spendable_in_one_change() -> None:
    assert follow(S.PARKED, E.AGREED, E.UNDO_PASSED) is S.SPENDABLE


def test_every_state_can_be_reached_from_a_first_state() -> None:
    reached = set(FIRST_STATES)
    while grown := {after(s, e) for s in reached for e in TABLE[s]} - reached:
        reached |= grown
    assert reached == set(S)


def test_the_diagram_in_the_docs_is_the_table() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reviewing.md").read_text()
    assert f"```mermaid\n{diagram()}```" in page
