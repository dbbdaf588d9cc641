from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.model import Approval
from review import agreement
from review.model import Reviewer, Verdict, Vote
from review.refusals import NotAllowed, RefusalCode
from tests.review.builders import NOW, held_output, person, question, refund

TWO_TEAMS = Approval(teams=("finance", "legal"))


def _vote(name: str, verdict: Verdict = Verdict.APPROVE) -> Vote:
    return Vote("r-1", name, verdict, NOW)


def test_a_question_without_teams_needs_one_reviewer() -> None:
    assert agreement.needs(Approval()) == {"": 1}
    assert agreement.needs(Approval(quorum={"": 2})) == {"": 2}


def test_every_named_team_needs_its_own_number() -> None:
    assert agreement.needs(Approval(teams=("a", "b"), quorum={"b": 3})) == {"a": 1, "b": 3}


@pytest.mark.parametrize("order", list(permutations(["anna", "bob"])))
def test_the_order_of_votes_never_decides_whether_teams_are_satisfied(order: tuple[str, ...]) -> None:
    # bob is in both teams, anna in finance only: whoever votes first, bob must end up standing for legal.
    tally = agreement.tally(question(refund(), TWO_TEAMS), [person(name) for name in order])
    assert (tally.is_met, tally.given, tally.wanted) == (True, 2, 2)


def test_one_person_in_two_teams_is_not_two_people() -> None:
    tally = agreement.tally(question(refund(), TWO_TEAMS), [person("bob"), person("bob")])
    assert (tally.is_met, tally.given, tally.missing_teams) == (False, 1, ("legal",))


@given(st.lists(st.frozensets(st.sampled_from("abc")), max_size=6), st.integers(1, 2), st.integers(1, 2))
def test_the_tally_is_the_best_there_is(teams: list[frozenset[str]], of_a: int, of_b: int) -> None:
    review = question(refund(), Approval(teams=("a", "b"), quorum={"a": of_a, "b": of_b}))
    people = [Reviewer(str(number), teams=mine) for number, mine in enumerate(teams)]
    # Hall's condition for two teams, the slow way: enough in each, and enough altogether.
    in_a, in_b = sum("a" in t for t in teams), sum("b" in t for t in teams)
    either = sum(bool(t & {"a", "b"}) for t in teams)
    assert agreement.tally(review, people).is_met == (in_a >= of_a and in_b >= of_b and either >= of_a + of_b)


def test_claims_are_for_questions_one_person_decides() -> None:
    assert agreement.is_claimable(Approval(teams=("finance",)))
    assert not agreement.is_claimable(TWO_TEAMS)
    assert not agreement.is_claimable(Approval(quorum={"": 2}))


@pytest.mark.parametrize(
    ("name", "code"),
    [("anna", None), ("bob", None), ("root", RefusalCode.TEAM), ("carol", RefusalCode.TEAM), ("aud", RefusalCode.ROLE)],
)
def test_a_question_for_a_team_is_decided_by_its_members(name: str, code: RefusalCode | None) -> None:
    review = question(refund(), Approval(teams=("finance",)))
    assert _refusal(name, review) is code


@pytest.mark.parametrize(("name", "code"), [("anna", None), ("root", None), ("sam", RefusalCode.ROLE)])
def test_a_question_for_nobody_in_particular_is_decided_by_reviewers(name: str, code: RefusalCode | None) -> None:
    assert _refusal(name, question(refund())) is code


@pytest.mark.parametrize(("name", "code"), [("sam", None), ("root", None), ("anna", RefusalCode.ROLE)])
def test_outputs_are_released_by_security(name: str, code: RefusalCode | None) -> None:
    assert _refusal(name, question(held_output()), release=True) is code


def test_a_team_named_for_a_release_may_release() -> None:
    review = question(held_output(), Approval(teams=("finance",)))
    assert _refusal("anna", review, release=True) is None
    assert _refusal("carol", review, release=True) is RefusalCode.ROLE


def test_those_a_question_was_escalated_to_stand_in_for_every_team() -> None:
    review = question(refund(), TWO_TEAMS, escalated_to="leads")
    assert _refusal("lea", review) is None
    assert agreement.tally(review, [person("lea"), person("anna")]).is_met
    assert _refusal("root", question(refund(), TWO_TEAMS, escalated_to=agreement.ADMINS)) is None


@pytest.mark.parametrize("four_eyes", [True, False])
def test_p11_nobody_lets_their_own_agents_call_go_under_four_eyes(four_eyes: bool) -> None:
    review = question(refund(), Approval(four_eyes=four_eyes))
    assert _refusal("omar", review) is (RefusalCode.OWN_AGENT if four_eyes else None)


def test_p11_nor_a_call_made_on_their_own_behalf() -> None:
    with pytest.raises(NotAllowed, match="four eyes"):
        agreement.check_may_decide(
            person("anna"), question(refund(), Approval(four_eyes=True)), refund(on_behalf_of="anna")
        )


@pytest.mark.parametrize(
    ("name", "allowed"),
    [("anna", True), ("omar", True), ("sam", True), ("root", True), ("carol", False), ("aud", False)],
)
def test_objecting_is_open_to_the_team_and_to_security_and_admins(name: str, allowed: bool) -> None:
    review = question(refund(), Approval(teams=("finance",), four_eyes=True))
    try:
        agreement.check_may_object(person(name), review)
    except NotAllowed:
        assert not allowed
    else:
        assert allowed


def test_somebody_who_agrees_twice_is_named_once() -> None:
    votes = [_vote("anna"), _vote("bob", Verdict.ESCALATE), _vote("anna"), _vote("sam", Verdict.RELEASE)]
    assert agreement.agreeing(votes) == ("anna", "sam")


def test_an_editor_who_does_not_count_is_barred_and_stays_so_when_votes_are_cleared() -> None:
    counted = [_vote("anna", Verdict.EDIT), _vote("anna")]
    barred = [_vote("anna", Verdict.EDIT), _vote("bob")]
    assert agreement.uncounted_editors(counted) == frozenset()
    assert agreement.uncounted_editors(barred) == {"anna"}
    assert agreement.bars(barred) == (barred[0],)
    assert agreement.bars(counted) == ()


def _refusal(name: str, review: object, *, release: bool = False) -> RefusalCode | None:
    try:
        agreement.check_may_decide(person(name), review, held_output() if release else refund())  # type: ignore[arg-type]
    except NotAllowed as refusal:
        return refusal.code
    return None
