"""Agents' autonomy, for people: who stands where and on what evidence, and setting levels by hand.

Rules of this module:
* Everybody who is logged in may look. Promoting and demoting is an admin's, with a reason; reporting an incident only
  tightens, so everybody who may act may do it.
* An agent and a domain must be known, so that nobody believes to have tightened what goes on under another name.
"""

from __future__ import annotations

from collections.abc import Sequence

from review.desk import Desk, as_now, check_comment
from review.model import Reviewer
from review.ports import Ladder, Progress
from review.refusals import NotAllowed, NotFound, RefusalCode, Unacceptable

MAY_SET = frozenset({"admin"})
MAY_REPORT = frozenset({"reviewer", "security", "admin"})


def progress(desk: Desk, agent: str | None = None) -> Sequence[Progress]:
    """Where agents stand, or one of them. Raises: NotFound for an agent nobody knows."""
    if agent is None:
        return desk.ladder.progress() if desk.ladder is not None else ()
    ladder = _ladder(desk)
    _check_agent(ladder, agent)
    return [one for one in ladder.progress() if one.agent == agent]


async def move(
    desk: Desk, reviewer: Reviewer, agent: str, domain: str, why: str, *, up: bool, level: int | None = None
) -> Progress:
    """One level up or down, or to a level. Raises: NotAllowed, NotFound, Unacceptable, StoreDown."""
    ladder = _ladder(desk)
    person = await as_now(desk, reviewer)
    _check_role(person, MAY_SET)
    said = check_comment(desk, why, needed=True)
    now = next((one for one in progress(desk, agent) if one.domain == domain), None)
    if now is None:
        raise Unacceptable(RefusalCode.NOT_POSSIBLE, f"No policy has a topic of the domain {domain!r}.")
    wanted = level if level is not None else now.level + (1 if up else -1)
    if not 0 <= wanted <= now.last or (wanted > now.level) is not up or wanted == now.level:
        way = "above" if up else "below"
        raise Unacceptable(RefusalCode.NOT_POSSIBLE, f"{agent} is at level {now.level} of {now.last}: not {way} it.")
    return await ladder.put(agent, domain, wanted, by=f"reviewer:{person.name}", why=said)


async def report(desk: Desk, reviewer: Reviewer, agent: str, domain: str | None, why: str) -> Sequence[Progress]:
    """A safety incident. Raises: NotAllowed, NotFound, Unacceptable, StoreDown."""
    ladder = _ladder(desk)
    person = await as_now(desk, reviewer)
    _check_role(person, MAY_REPORT)
    said = check_comment(desk, why, needed=True)
    domains = {one.domain for one in progress(desk, agent)}
    if not domains or (domain is not None and domain not in domains):
        raise Unacceptable(RefusalCode.NOT_POSSIBLE, f"No policy has levels for {agent} in {domain or 'any domain'}.")
    return await ladder.incident(agent, domain, by=f"reviewer:{person.name}", why=said)


def _ladder(desk: Desk) -> Ladder:
    if desk.ladder is None:
        raise NotFound("autonomy")
    return desk.ladder


def _check_agent(ladder: Ladder, agent: str) -> None:
    if not ladder.is_known(agent):
        raise NotFound(f"agent {agent}")


def _check_role(person: Reviewer, roles: frozenset[str]) -> None:
    if not person.roles & roles:
        raise NotAllowed(RefusalCode.ROLE, f"This needs one of the roles {', '.join(sorted(roles))}.")
