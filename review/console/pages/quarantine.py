"""One held output: its shape and what was found in it, to be released or destroyed.

Rules of this module:
* The page shows paths, kinds and lengths, never values. Looking in clear is a POST with a reason, recorded before the
  values are in the answer; they are in that one answer only.
"""

from __future__ import annotations

import json
from typing import Any

from starlette.responses import Response
from starlette.routing import BaseRoute

from review import shape
from review.console import views
from review.console.pages.call import check_armed, seen
from review.console.visits import Console, Page, Visit, back_to, done_at, shown_at
from review.inbox import Shown
from review.model import ReviewKind, ReviewState
from review.refusals import NotFound


def routes(console: Console) -> list[BaseRoute]:
    return [
        done_at(console, "/q/{id}/release", release, shows=show),
        done_at(console, "/q/{id}/destroy", destroy, shows=show),
        done_at(console, "/q/{id}/reveal", reveal, shows=show),
        *shown_at(console, "/q/{id}", show),
    ]


async def show(visit: Visit) -> Page:
    return _page(visit, await _held(visit))


def _page(visit: Visit, shown: Shown, revealed: Any = None) -> Page:
    call, review = shown.call, shown.review
    assert review is not None  # _held saw to it
    context = {
        "shown": shown,
        "call": call,
        "review": review,
        "masked": shape.rows(call.outcome) if call.outcome is not None else None,
        "findings": list(call.inspection.get("findings") or ()),
        "found_at": _found_at(call.inspection, call.outcome),
        "why": str(call.inspection.get("why") or review.comment),
        "revealed": revealed,
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
    return _page(visit, await _held(visit), revealed={"outcome": revealed.outcome, "until": revealed.until})


async def _held(visit: Visit) -> Shown:
    call_id = str(visit.request.path_params["id"])
    shown = await visit.console.inbox.show(call_id, visit.who.reviewer)
    if shown.review is None or shown.review.kind is not ReviewKind.RELEASE:
        raise NotFound(f"held output of call {call_id}")
    return shown


def _review(shown: Shown) -> str:
    assert shown.review is not None  # _held saw to it
    return shown.review.id


def _found_at(inspection: dict[str, Any], outcome: Any) -> dict[str, list[str]]:
    """Kinds found, by path as this page writes it; findings write theirs in ASCII."""
    paths = {_in_ascii(leaf.path): leaf.path for leaf in shape.leaves(outcome)}
    found: dict[str, list[str]] = {}
    for finding in inspection.get("findings") or ():
        path = str(finding.get("path", "$"))
        found.setdefault(paths.get(_in_ascii(path), path), []).append(str(finding.get("kind", "?")))
    return found


def _in_ascii(path: str) -> str:
    return "".join(char if char.isascii() else json.dumps(char)[1:-1] for char in path)
