"""The kill switch, for people: what is stopped, by whom and why, and who may stop and who may let go again.

Rules of this module:
* Stopping only tightens, so everybody who may act may stop. Lifting a stop loosens: an admin does it, and says why.
* A stop is for all, for an agent or for a server; the name may hold `*`. A name that nothing known has is refused with
  the nearest one, so that nobody believes to have stopped what goes on under another name.
* Stops add up: a call is stopped while any of them covers it, and each is lifted by itself.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from review.desk import Desk, as_now, check_comment
from review.model import Reviewer, Standing, Stop, StopScope, fits
from review.ports import Switch
from review.refusals import NotAllowed, NotFound, RefusalCode, Unacceptable

TARGET_CHARS_MAX = 200
MAY_STOP = frozenset({"reviewer", "security", "admin"})
MAY_LIFT = frozenset({"admin"})


def check_target(scope: StopScope, target: str, names: Sequence[str]) -> str:
    """The target as a stop holds it. Raises: Unacceptable, naming the nearest name there is."""
    if scope is StopScope.ALL:
        return "*"
    if not target or len(target) > TARGET_CHARS_MAX:
        raise Unacceptable(RefusalCode.NOT_POSSIBLE, f"Name the {scope.value} to stop.")
    if any(fits(target, name) for name in names):
        return target
    near = difflib.get_close_matches(target, names, n=1, cutoff=0.0)
    hint = f"; the nearest is {near[0]!r}" if near else "; none is configured"
    raise Unacceptable(RefusalCode.NOT_POSSIBLE, f"No {scope.value} is named {target!r}{hint}. Nothing was stopped.")


async def order(desk: Desk, reviewer: Reviewer, scope: StopScope, target: str, why: str) -> Standing:
    """Stop, as a person who is logged in. Raises: NotAllowed, Unacceptable."""
    switch = _switch(desk)
    person = await as_now(desk, reviewer)
    _check_role(person, MAY_STOP)
    target = check_target(scope, target, switch.names(scope))
    said = check_comment(desk, why, needed=False)
    return await switch.order(scope, target, by=f"reviewer:{person.name}", login=person.login, why=said)


async def lift(desk: Desk, reviewer: Reviewer, stop_id: str, why: str) -> Stop:
    """Let go again. Raises: NotAllowed, Unacceptable, NotFound, StoreDown."""
    switch = _switch(desk)
    person = await as_now(desk, reviewer)
    _check_role(person, MAY_LIFT)
    said = check_comment(desk, why, needed=True)
    lifted = await switch.lift(stop_id, by=f"reviewer:{person.name}", login=person.login, why=said)
    if lifted is None:
        raise NotFound(f"stop {stop_id}")
    return lifted


def _switch(desk: Desk) -> Switch:
    if desk.switch is None:
        raise NotFound("kill switch")
    return desk.switch


def _check_role(person: Reviewer, roles: frozenset[str]) -> None:
    if not person.roles & roles:
        raise NotAllowed(RefusalCode.ROLE, f"This needs one of the roles {', '.join(sorted(roles))}.")
