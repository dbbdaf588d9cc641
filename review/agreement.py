"""Who may answer a question, and whether enough have: the pure half of every vote.

Rules of this module:
* Every named team must be satisfied by its own number of people (SEMANTICS §1.6), and one person stands for one team
  only: somebody in two teams is not both pairs of eyes. Teams are filled by matching: the order of votes is no matter.
* Without named teams any reviewer may answer; `quorum[""]` then says how many (1).
* A review escalated to a team may be answered by that team's members in place of any named team.
* Four eyes: not the owner of the agent, nor the person on whose behalf it says it acts (P11).
* People are judged as they are now, not as they were when they logged in: the caller passes fresh `Reviewer`s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from policies.model import Approval
from review.model import Reviewer, ReviewKind, ReviewRecord, Verdict, Vote
from review.refusals import NotAllowed, RefusalCode

ADMINS = "admins"
"""The last stage of every escalation: whoever has the role admin."""

ANYONE = ""
"""The demand of a question that names no team."""

_ROLES = {
    ReviewKind.APPROVAL: frozenset({"reviewer", "admin"}),
    ReviewKind.RELEASE: frozenset({"security", "admin"}),
    ReviewKind.AFTERWARDS: frozenset({"reviewer", "security", "admin"}),
    ReviewKind.PROMOTION: frozenset({"reviewer", "admin"}),
}


class Acting(Protocol):
    """Who acts, and for whom: what four eyes needs to know of a call."""

    @property
    def agent(self) -> str: ...

    @property
    def on_behalf_of(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Tally:
    """How far a question has got: people who agree, and people still needed, by team."""

    have: Mapping[str, int]
    need: Mapping[str, int]

    @property
    def is_met(self) -> bool:
        return all(self.have.get(team, 0) >= count for team, count in self.need.items())

    @property
    def given(self) -> int:
        return sum(self.have.values())

    @property
    def wanted(self) -> int:
        return sum(self.need.values())

    @property
    def missing_teams(self) -> tuple[str, ...]:
        return tuple(team for team, count in self.need.items() if self.have.get(team, 0) < count)


def needs(approval: Approval) -> dict[str, int]:
    """How many people of which team must agree; never fewer than one."""
    if approval.teams:
        return {team: max(1, approval.quorum.get(team, 1)) for team in approval.teams}
    return {ANYONE: max(1, approval.quorum.get(ANYONE, 1))}


def is_claimable(approval: Approval) -> bool:
    """Claims are exclusive only where one person decides (SEMANTICS §2.4)."""
    return sum(needs(approval).values()) == 1


def people_needed(review: ReviewRecord) -> int:
    """How many people must agree in all."""
    return sum(needs(review.approval).values())


def teams_of(reviewer: Reviewer, review: ReviewRecord) -> frozenset[str]:
    """The demands of this review that this person can stand for."""
    wanted = frozenset(needs(review.approval))
    if review.escalated_to is not None and _stands_in_for(reviewer, review.escalated_to):
        return wanted
    if ANYONE in wanted:
        return wanted
    return wanted & reviewer.teams


def _stands_in_for(reviewer: Reviewer, escalated_to: str) -> bool:
    return escalated_to in reviewer.teams or (escalated_to == ADMINS and "admin" in reviewer.roles)


def check_may_decide(reviewer: Reviewer, review: ReviewRecord, call: Acting) -> None:
    """May this person let the call (or output) go? Raises: NotAllowed."""
    if not _has_role(reviewer, review):
        wanted = " or ".join(sorted(_ROLES[review.kind]))
        raise NotAllowed(RefusalCode.ROLE, f"This needs the role {wanted}; you have {_listed(reviewer.roles)}.")
    if not teams_of(reviewer, review):
        named = ", ".join(review.approval.teams)
        raise NotAllowed(RefusalCode.TEAM, f"This question is for {named}; you are in {_listed(reviewer.teams)}.")
    if review.approval.four_eyes and is_own(reviewer, call):
        raise NotAllowed(RefusalCode.OWN_AGENT, f"Somebody else must decide: {call.agent} acts for you (four eyes).")


def check_may_object(reviewer: Reviewer, review: ReviewRecord) -> None:
    """May this person stop it? Objecting only tightens: one's own agent and every admin or security person count too.

    Raises: NotAllowed.
    """
    if reviewer.roles & {"admin", "security"}:
        return
    if not _has_role(reviewer, review) or not teams_of(reviewer, review):
        raise NotAllowed(RefusalCode.TEAM, f"This question is for {', '.join(review.approval.teams) or 'reviewers'}.")


def is_own(reviewer: Reviewer, call: Acting) -> bool:
    """Whether the call is made by or for this person. What an agent states of itself counts: it only tightens (P9)."""
    return call.agent in reviewer.owns_agents or call.on_behalf_of == reviewer.name


def _has_role(reviewer: Reviewer, review: ReviewRecord) -> bool:
    if reviewer.roles & _ROLES[review.kind]:
        return True
    # A team named for the release of an output is trusted with it, whatever the role of its members.
    return review.kind is ReviewKind.RELEASE and bool(review.approval.teams) and bool(teams_of(reviewer, review))


def agreeing(votes: Sequence[Vote]) -> tuple[str, ...]:
    """Names of those who agree, each once, in the order in which they first did."""
    return tuple(dict.fromkeys(vote.reviewer for vote in votes if vote.verdict in (Verdict.APPROVE, Verdict.RELEASE)))


def uncounted_editors(votes: Sequence[Vote]) -> frozenset[str]:
    """Whoever wrote the form in question and does not count for it: another person must agree (SEMANTICS §2.4)."""
    wrote = frozenset(vote.reviewer for vote in votes if vote.verdict is Verdict.EDIT)
    return wrote - frozenset(agreeing(votes))


def bars(votes: Sequence[Vote]) -> tuple[Vote, ...]:
    """The votes that outlive a clearing of votes: those that keep an editor from agreeing to their own form."""
    barred = uncounted_editors(votes)
    return tuple(vote for vote in votes if vote.verdict is Verdict.EDIT and vote.reviewer in barred)


def tally(review: ReviewRecord, people: Sequence[Reviewer]) -> Tally:
    """Fill the teams' places with these people, as many as possible, each in one place only."""
    need = needs(review.approval)
    places = [team for team, count in need.items() for _ in range(count)]
    taken: dict[int, Reviewer] = {}

    def seat(person: Reviewer, tried: set[int]) -> bool:
        mine = teams_of(person, review)
        for index, team in enumerate(places):
            if team not in mine or index in tried:
                continue
            tried.add(index)
            sitting = taken.get(index)
            if sitting is None or seat(sitting, tried):
                taken[index] = person
                return True
        return False

    for person in {person.name: person for person in people}.values():
        seat(person, set())
    have: dict[str, int] = {}
    for index in taken:
        have[places[index]] = have.get(places[index], 0) + 1
    return Tally(have=have, need=need)


def _listed(names: frozenset[str]) -> str:
    return ", ".join(sorted(names)) or "none"
