"""One held output: what was found in it, what the agent would get of it, and letting it go, whole or without that.

Rules of this module:
* The page shows paths, kinds and lengths, never values. Looking in clear is a POST with a reason, recorded before the
  values are in the answer; they are in that one answer only, and leave the page when their time is up.
* Which kinds of findings a redacted form keeps is chosen by kind; what that form is, the inspector says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from starlette.responses import Response
from starlette.routing import BaseRoute

from policies.model import JsonObject
from review import shape
from review.board import QueueName
from review.console import listing, views
from review.console.pages.call import check_armed, seen
from review.console.strips import Strip, strips
from review.console.visits import Console, Page, Visit, back_to, done_at, shown_at
from review.inbox import Shown
from review.model import ReviewKind, ReviewState
from review.refusals import Conflict, NotFound, Unacceptable

KEEP = "keep_"  # the fields of a form that name the kinds to let through


@dataclass(frozen=True, slots=True)
class InClear:
    """What looking shows: the output, what a redacted form of it would be or why there is none, and until when."""

    outcome: Any
    redacted: Any
    why_not: str
    until: float


def routes(console: Console) -> list[BaseRoute]:
    return [
        done_at(console, "/q/{id}/release", release, shows=show),
        done_at(console, "/q/{id}/release_redacted", release_redacted, shows=show),
        done_at(console, "/q/{id}/destroy", destroy, shows=show),
        done_at(console, "/q/{id}/reveal", reveal, shows=show),
        done_at(console, "/q/{id}/comment", comment, shows=show),
        *shown_at(console, "/q/{id}", show),
    ]


async def show(visit: Visit) -> Page:
    return await _page(visit, await _held(visit))


async def _page(visit: Visit, shown: Shown, clear: InClear | None = None) -> Page:
    call, review = shown.call, shown.review
    assert review is not None  # _held saw to it
    findings: list[JsonObject] = list(call.inspection.get("findings") or ())
    withheld, left_out = _strips(call.outcome if clear is None else clear.outcome, findings, in_clear=clear is not None)
    is_alone = shown.tally is not None and shown.tally.wanted == 1
    inbox, me = visit.console.inbox, visit.who.reviewer
    context = {
        "shown": shown,
        "call": call,
        "review": review,
        "withheld": withheld,
        "left_out": left_out,
        "findings": findings,
        "kinds": list(dict.fromkeys(str(one.get("kind", "?")) for one in findings)),
        "kept": _kept(visit),
        "clear": clear,
        "redacted": _strips(clear.redacted, (), in_clear=True)[0] if clear is not None and not clear.why_not else (),
        "may_redact": bool(findings) and is_alone,
        "why": str(call.inspection.get("why") or review.comment),
        "wanting": listing.wanting(await inbox.counts(me)),
        "beside": await inbox.beside(me, QueueName.QUARANTINE, review.id),
        "path": "/q/",
        "is_open": review.state is ReviewState.QUARANTINED,
        "seen_at": int(visit.now * 1000),
        "did": visit.request.query_params.get("did", ""),
    }
    return Page("quarantine.html", context, views.shown_data(shown, visit.console.waiting))


def _strips(outcome: Any, findings: list[JsonObject] | tuple[()], *, in_clear: bool) -> tuple[list[Strip], int]:
    if outcome is None:
        return [], 0
    rows = shape.rows(outcome)
    return strips((*rows.head, *rows.tail), findings, in_clear=in_clear), rows.left_out


async def release(visit: Visit) -> Response:
    shown = await _held(visit)
    check_armed(visit)
    acted = await visit.console.inbox.release(_review(shown), visit.who.reviewer, seen(visit), _reason(visit))
    return back_to(f"/q/{shown.call.id}", "released" if acted.state is ReviewState.RELEASED else "agreed")


async def release_redacted(visit: Visit) -> Response:
    shown = await _held(visit)
    check_armed(visit)
    await visit.console.inbox.release_redacted(
        _review(shown), visit.who.reviewer, seen(visit), _reason(visit), _kept(visit)
    )
    return back_to(f"/q/{shown.call.id}", "redacted")


async def destroy(visit: Visit) -> Response:
    shown = await _held(visit)
    await visit.console.inbox.destroy(_review(shown), visit.who.reviewer, seen(visit), _reason(visit))
    return back_to(f"/q/{shown.call.id}", "destroyed")


async def reveal(visit: Visit) -> Page:
    """Both sides in clear: what is withheld, and what a redacted release would give."""
    shown, why = await _held(visit), visit.form.get("why", "")
    inbox, me = visit.console.inbox, visit.who.reviewer
    whole = await inbox.reveal(_review(shown), me, seen(visit), why)
    redacted, why_not = None, ""
    if shown.call.inspection.get("findings"):
        try:
            form = await inbox.reveal(_review(shown), me, seen(visit), why, redacted_but=_kept(visit))
            redacted = form.outcome
        except (Unacceptable, Conflict) as refusal:
            why_not = refusal.message
    else:
        why_not = "Nothing was found in it that could be taken out."
    return await _page(visit, await _held(visit), InClear(whole.outcome, redacted, why_not, whole.until))


async def comment(visit: Visit) -> Response:
    shown = await _held(visit)
    await visit.console.inbox.comment(_review(shown), visit.who.reviewer, visit.form.get("said", ""))
    return back_to(f"/q/{shown.call.id}", "commented")


def _reason(visit: Visit) -> str:
    return visit.form.get("comment", "")


def _kept(visit: Visit) -> frozenset[str]:
    """The kinds of findings that the form lets through."""
    return frozenset(kind for name, kind in visit.form.items() if name.startswith(KEEP))


async def _held(visit: Visit) -> Shown:
    call_id = str(visit.request.path_params["id"])
    shown = await visit.console.inbox.show(call_id, visit.who.reviewer)
    if shown.review is None or shown.review.kind is not ReviewKind.RELEASE:
        raise NotFound(f"held output of call {call_id}")
    return shown


def _review(shown: Shown) -> str:
    assert shown.review is not None  # _held saw to it
    return shown.review.id
