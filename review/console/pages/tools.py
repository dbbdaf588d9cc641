"""Tools whose definition is new or changed: what changed, and accepting exactly that (SEMANTICS §1.17)."""

from __future__ import annotations

from starlette.responses import Response
from starlette.routing import BaseRoute

from review import shape
from review.console import views
from review.console.visits import Console, Page, Visit, back_to, done_at, shown_at


def routes(console: Console) -> list[BaseRoute]:
    return [done_at(console, "/tools/accept", accept, shows=show), *shown_at(console, "/tools", show)]


async def show(visit: Visit) -> Page:
    drifted = await visit.console.inbox.drifted()
    changes = {
        (seen.server, seen.tool): shape.differences(seen.accepted_definition, seen.definition)
        for seen in drifted
        if seen.accepted_definition is not None
    }
    context = {
        "drifted": drifted,
        "changes": changes,
        "may_accept": views.may_release(visit.who.reviewer),
        "did": visit.request.query_params.get("did", ""),
    }
    return Page("tools.html", context, {"drifted": [views.tool_data(seen) for seen in drifted]})


async def accept(visit: Visit) -> Response:
    form = visit.form
    await visit.console.inbox.accept_definition(
        form.get("server", ""),
        form.get("tool", ""),
        visit.who.reviewer,
        digest=form.get("digest", ""),
        comment=form.get("comment", ""),
    )
    return back_to("/tools", "accepted")
