"""One's own account: who the console thinks one is, and one's password."""

from __future__ import annotations

from starlette.responses import Response
from starlette.routing import BaseRoute

from review.console.pages.login import come_in, source
from review.console.visits import Console, Page, Visit, done_at, shown_at
from review.identity import LoginRefused
from review.passwords import CHARS_MIN, PasswordUnfit
from review.refusals import RefusalCode, Unacceptable
from review.throttle import TooManyTries


def routes(console: Console) -> list[BaseRoute]:
    return [
        done_at(console, "/account/password", set_password, shows=show),
        *shown_at(console, "/account", show),
    ]


async def show(visit: Visit) -> Page:
    me = visit.who.reviewer
    data = {
        "name": me.name,
        "roles": sorted(me.roles),
        "teams": sorted(me.teams),
        "owns_agents": sorted(me.owns_agents),
        "login": me.login,
        "session_expires_at": visit.who.session.expires_at,
    }
    context = {"me": me, "chars_min": CHARS_MIN, "did": visit.request.query_params.get("did", "")}
    return Page("account.html", context, data)


async def set_password(visit: Visit) -> Response:
    new = visit.form.get("password", "")
    if new != visit.form.get("again", ""):
        raise Unacceptable(RefusalCode.NOT_POSSIBLE, "The two new passwords are not the same.")
    try:
        here = await visit.console.accounts.change_password(
            visit.who, visit.form.get("present", ""), new, source=source(visit.request)
        )
    except (LoginRefused, PasswordUnfit, TooManyTries) as refusal:
        raise Unacceptable(RefusalCode.NOT_POSSIBLE, str(refusal)) from refusal
    return come_in(visit.console, here, "/account?did=password")
