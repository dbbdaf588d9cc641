"""Agents' autonomy: each agent's level in each domain with the evidence for the next one, and setting levels by hand.

Rules of this module:
* Everybody who is logged in sees where agents stand; who may do what is decided at the act (`review/autonomy.py`).
* A promotion that people are asked about is decided in the Inbox; this page leads there.
"""

from __future__ import annotations

from starlette.responses import Response
from starlette.routing import BaseRoute

from policies.model import JsonObject
from review.autonomy import MAY_REPORT, MAY_SET
from review.console.visits import Console, Page, Visit, back_to, done_at, shown_at
from review.ports import Progress


def routes(console: Console) -> list[BaseRoute]:
    return [
        done_at(console, "/agents/promote", promote, shows=show),
        done_at(console, "/agents/demote", demote, shows=show),
        done_at(console, "/agents/incident", incident, shows=show),
        *shown_at(console, "/agents", show),
    ]


async def show(visit: Visit) -> Page:
    found, roles = visit.console.inbox.autonomy(), visit.who.reviewer.roles
    context = {
        "progress": found,
        "agents": sorted({one.agent for one in found}),
        "domains": sorted({one.domain for one in found}),
        "may_set": bool(roles & MAY_SET),
        "may_report": bool(roles & MAY_REPORT),
        "did": visit.request.query_params.get("did", ""),
    }
    return Page("agents.html", context, {"agents": [progress_data(one) for one in found]})


async def promote(visit: Visit) -> Response:
    return await _move(visit, up=True)


async def demote(visit: Visit) -> Response:
    return await _move(visit, up=False)


async def incident(visit: Visit) -> Response:
    """A safety incident: to level 0."""
    agent, domain, why = (visit.form.get(key, "").strip() for key in ("agent", "domain", "why"))
    await visit.console.inbox.report_incident(agent, domain or None, visit.who.reviewer, why)
    return back_to("/agents", "reported")


async def _move(visit: Visit, *, up: bool) -> Response:
    agent, domain, why = (visit.form.get(key, "").strip() for key in ("agent", "domain", "why"))
    await visit.console.inbox.move_agent(agent, domain, visit.who.reviewer, why, up=up)
    return back_to("/agents", "promoted" if up else "demoted")


def progress_data(one: Progress) -> JsonObject:
    """What programs are told of an agent in a domain."""
    return {
        "agent": one.agent,
        "domain": one.domain,
        "level": one.level,
        "name": one.name,
        "last_level": one.last,
        "since": one.since,
        "successes": one.successes,
        "successes_wanted": one.wanted,
        "calls": one.calls,
        "errors": one.errors,
        "review": one.review_id,
    }
