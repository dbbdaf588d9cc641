"""One held output: its shape and what was found in it, to be released or destroyed.

Rules of this module:
* The page shows paths, kinds and lengths, never values. Looking in clear is a POST with a reason, recorded before the
  values are in the answer; they are in that one answer only.
"""

from __future__ import annotations

from typing import Any

from starlette.responses import Response
from starlette.routing import BaseRoute

from review import shape
from review.board import QueueName
from review.console import listing, views
from review.console.pages.call import check_armed, seen
from review.console.strips import strips
from review.console.visits import Console, Page, Visit, back_to, done_at, shown_at
from review.inbox import Shown
from review.model import ReviewKind, ReviewState
from review.refusals import NotFound


def routes(console: Console) -> list[BaseRoute]:
    return [
        done_at(console, "/q/{id}/release", release, shows=show),
        done_at(console, "/q/{id}/destroy", destroy, shows=show),
        done_at(console, "/q/{id}/reveal", reveal, shows=show),
        done_at(console, "/q/{id}/comment", comment, shows=show),
        *shown_at(console, "/q/{id}", show),
    ]


async def show(visit: Visit) -> Page:
    return await _page(visit, await _held(visit))


async def _page(visit: Visit, shown: Shown, revealed: Any = None) -> Page:
    call, review = shown.call, shown.review
    assert review is not None  # _held saw to it
    outcome = call.outcome if revealed is None else revealed["outcome"]
    rows = shape.rows(outcome) if outcome is not None else shape.Rows(())
    findings = list(call.inspection.get("findings") or ())
    inbox, me = visit.console.inbox, visit.who.reviewer
    context = {
        "shown": shown,
        "call": call,
        "review": review,
        "strips": strips((*rows.head, *rows.tail), findings, in_clear=revealed is not None),
        "left_out": rows.left_out,
        "findings": findings,
        "redacted": None,
        "why": str(call.inspection.get("why") or review.comment),
        "is_revealed": revealed is not None,
        "wanting": listing.wanting(await inbox.counts(me)),
        "beside": await inbox.beside(me, QueueName.QUARANTINE, review.id),
        "path": "/q/",
        "is_open": review.state is ReviewState.QUARANTINED,
        "seen_at": int(visit.now * 1000),
        "did": visit.request.query_params.get("did", ""),
    }
    return Page("quarantine.html", context, views.shown_data(shown, visit.console.waiting))


async def release(visit: Visit) -> Response:
    shown = await _held(visit)
    check_armed(visit)
    comment = visit.form.get("comment", "")
    acted = await visit.console.inbox.release(_review(shown), visit.who.reviewer, seen(visit), comment)
    return back_to(f"/q/{shown.call.id}", "released" if acted.state is ReviewState.RELEASED else "agreed")


async def destroy(visit: Visit) -> Response:
    shown = await _held(visit)
    await visit.console.inbox.destroy(_review(shown), visit.who.reviewer, seen(visit), visit.form.get("comment", ""))
    return back_to(f"/q/{shown.call.id}", "destroyed")


async def reveal(visit: Visit) -> Page:
    shown = await _held(visit)
    revealed = await visit.console.inbox.reveal(
        _review(shown), visit.who.reviewer, seen(visit), visit.form.get("why", "")
    )
    return await _page(visit, await _held(visit), revealed={"outcome": revealed.outcome, "until": revealed.until})


async def comment(visit: Visit) -> Response:
    shown = await _held(visit)
    await visit.console.inbox.comment(_review(shown), visit.who.reviewer, visit.form.get("said", ""))
    return back_to(f"/q/{shown.call.id}", "commented")


async def _held(visit: Visit) -> Shown:
    call_id = str(visit.request.path_params["id"])
    shown = await visit.console.inbox.show(call_id, visit.who.reviewer)
    if shown.review is None or shown.review.kind is not ReviewKind.RELEASE:
        raise NotFound(f"held output of call {call_id}")
    return shown


def _review(shown: Shown) -> str:
    assert shown.review is not None  # _held saw to it
    return shown.review.id
