"""Two more things only a person can settle: a call in doubt, and a tool definition that changed.

Rules of this module:
* A call in doubt may or may not have happened (P5). Whoever looked at the tool's own records says which, with a note;
  the gate believes them and never sends the call again by itself.
* A definition is accepted by its digest: exactly the one that was shown, or not at all (SEMANTICS §1.17).
"""

from __future__ import annotations

from enum import StrEnum

from audit.entry import EntryDraft, EntryKind
from review.desk import Desk, as_now, check_comment, write
from review.model import CallRecord, CallState, Reviewer
from review.ports import Change, ChangeLost, MoveCall
from review.refusals import Conflict, NotAllowed, NotFound, RefusalCode, Unacceptable


class Found(StrEnum):
    """What a person found out about a call in doubt."""

    HAPPENED = "happened"
    DID_NOT_HAPPEN = "did_not_happen"
    UNKNOWN = "unknown"


def found_of(call: CallRecord) -> Found:
    """What `resolve` was told of this call; the note after it is people's own."""
    found = (call.resolution or "").partition(":")[0]
    return Found(found) if found in Found else Found.UNKNOWN


async def resolve(desk: Desk, call_id: str, reviewer: Reviewer, found: Found, note: str, *, version: int) -> None:
    """Settle a call in doubt. Raises: NotFound, Conflict, NotAllowed, Unacceptable, StoreDown."""
    call = await desk.records.call(call_id)
    if call is None:
        raise NotFound(f"call {call_id}")
    reviewer, now = await as_now(desk, reviewer), desk.clock()
    _check_role(reviewer, frozenset({"reviewer", "security", "admin"}))
    if call.state is not CallState.IN_DOUBT:
        raise Conflict(RefusalCode.OVER, f"This call is {call.state}, not in doubt.")
    said = check_comment(desk, note, needed=True)
    fields = {"resolution": f"{found.value}: {said}", "updated_at": now}
    move = MoveCall(call_id, frozenset({CallState.IN_DOUBT}), CallState.RESOLVED, fields, version)
    body = {"found": found.value, "note": said, "login": reviewer.login}
    entry = EntryDraft(EntryKind.CALL_RESOLVED, now, f"reviewer:{reviewer.name}", call_id, body)
    await write(desk, Change(rows=(move,), entries=(entry,)), call_id)


async def accept_definition(
    desk: Desk, server: str, tool: str, reviewer: Reviewer, *, digest: str, comment: str = ""
) -> None:
    """Accept the definition with this digest. Raises: NotFound, Conflict, NotAllowed, Unacceptable, StoreDown."""
    seen = await desk.inventory.tool(server, tool) if desk.inventory is not None else None
    if desk.inventory is None or seen is None:
        raise NotFound(f"tool {server}/{tool}")
    reviewer, now = await as_now(desk, reviewer), desk.clock()
    _check_role(reviewer, frozenset({"security", "admin"}))
    if seen.digest != digest:
        raise Conflict(RefusalCode.CHANGED, "The definition changed again since you looked. Look again.")
    if not seen.has_drifted:
        raise Unacceptable(RefusalCode.NOTHING_CHANGED, "This definition is accepted already.")
    said = check_comment(desk, comment, needed=False)
    body = {
        "server": server,
        "tool": tool,
        "digest": digest,
        "digest_before": seen.accepted_digest,
        "login": reviewer.login,
        "comment": said,
    }
    entry = EntryDraft(EntryKind.INVENTORY_ACCEPTED, now, f"reviewer:{reviewer.name}", None, body)
    try:
        await desk.inventory.accept(server, tool, digest=digest, by=reviewer.name, at=now, entry=entry)
    except ChangeLost as lost:
        raise Conflict(RefusalCode.LOST_RACE, "The definition changed again since you looked. Look again.") from lost


def _check_role(reviewer: Reviewer, roles: frozenset[str]) -> None:
    if not reviewer.roles & roles:
        raise NotAllowed(RefusalCode.ROLE, f"This needs one of the roles {', '.join(sorted(roles))}.")
