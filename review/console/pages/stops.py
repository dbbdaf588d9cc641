"""The kill switch: what is stopped, stopping more, and, for admins, letting go again.

Rules of this module:
* Everybody who is logged in sees what is stopped; who may do what is decided at the act (`review/stops.py`).
* A name is typed, with the known ones offered: a pattern is a name too.
"""

from __future__ import annotations

from starlette.responses import Response
from starlette.routing import BaseRoute

from policies.model import JsonObject
from review.console.visits import Console, Page, Visit, back_to, done_at, shown_at
from review.model import Standing, StopScope
from review.refusals import RefusalCode, Unacceptable
from review.stops import MAY_LIFT, MAY_STOP


def routes(console: Console) -> list[BaseRoute]:
    return [
        done_at(console, "/stops/order", order, shows=show),
        done_at(console, "/stops/{id}/lift", lift, shows=show),
        *shown_at(console, "/stops", show),
    ]


async def show(visit: Visit) -> Page:
    inbox, roles = visit.console.inbox, visit.who.reviewer.roles
    context = {
        "standing": inbox.stops(),
        "agents": inbox.stoppable(StopScope.AGENT),
        "servers": inbox.stoppable(StopScope.SERVER),
        "may_stop": bool(roles & MAY_STOP),
        "may_lift": bool(roles & MAY_LIFT),
        "did": visit.request.query_params.get("did", ""),
    }
    return Page("stops.html", context, stops_data(visit.console))


async def order(visit: Visit) -> Response:
    """Stop."""
    form = visit.form
    scope = scope_of(form.get("scope", ""))
    standing = await visit.console.inbox.stop(
        scope, form.get(f"target_{scope.value}", "").strip(), visit.who.reviewer, form.get("why", "")
    )
    return back_to("/stops", "stopped" if standing.is_recorded else "stopped_unrecorded")


async def lift(visit: Visit) -> Response:
    """Let go again."""
    stop_id = str(visit.request.path_params["id"])
    await visit.console.inbox.lift_stop(stop_id, visit.who.reviewer, visit.form.get("why", ""))
    return back_to("/stops", "lifted")


def scope_of(text: str) -> StopScope:
    """Raises: Unacceptable."""
    try:
        return StopScope(text)
    except ValueError:
        raise Unacceptable(RefusalCode.NOT_POSSIBLE, f"Say what to stop: one of {', '.join(StopScope)}.") from None


def stops_data(console: Console) -> JsonObject:
    return {"stops": [stop_data(standing) for standing in console.inbox.stops()]}


def stop_data(standing: Standing) -> JsonObject:
    stop, reached = standing.stop, standing.reached
    return {
        "id": stop.id,
        "scope": stop.scope.value,
        "target": stop.target,
        "ordered_by": stop.ordered_by,
        "why": stop.why,
        "at": stop.at,
        "login": stop.login,
        "is_recorded": standing.is_recorded,
        "is_kept": standing.is_kept,
        "reached": {
            "questions_stopped": reached.questions_stopped,
            "calls_cut": reached.calls_cut,
            "streams_cut": reached.streams_cut,
            "processes_ended": reached.processes_ended,
        },
    }
