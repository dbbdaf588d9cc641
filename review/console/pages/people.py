"""The accounts, for admins: who may decide what, and one-time links to come in with.

Rules of this module:
* Only admins see it. A link is shown once, in the answer to the POST that made it.
"""

from __future__ import annotations

from starlette.responses import Response
from starlette.routing import BaseRoute

from review.console.visits import Console, Page, Visit, back_to, done_at, shown_at
from review.identity import ROLES, AccountUnfit
from review.model import Account
from review.refusals import NotAllowed, RefusalCode, Unacceptable


def routes(console: Console) -> list[BaseRoute]:
    return [
        done_at(console, "/people/put", put, shows=show),
        done_at(console, "/people/link", link, shows=show),
        *shown_at(console, "/people", show),
    ]


async def show(visit: Visit) -> Page:
    return await _page(visit)


async def _page(visit: Visit, **more: object) -> Page:
    _check_admin(visit)
    accounts = await visit.console.accounts.accounts()
    context = {
        "accounts": accounts,
        "roles": ROLES,
        "link": None,
        "link_for": None,
        "did": visit.request.query_params.get("did", ""),
        **more,
    }
    return Page("people.html", context, {"accounts": [account_data(account) for account in accounts]})


async def put(visit: Visit) -> Response:
    """Make an account or change one."""
    _check_admin(visit)
    try:
        await visit.console.accounts.put(
            visit.form.get("name", "").strip(),
            roles=[role for role in ROLES if visit.form.get(f"role_{role}")],
            teams=_listed(visit.form.get("teams", "")),
            owns_agents=_listed(visit.form.get("owns_agents", "")),
            disabled=bool(visit.form.get("disabled")),
            is_new=bool(visit.form.get("new")),
            by=visit.who.reviewer.name,
        )
    except AccountUnfit as unfit:
        raise Unacceptable(RefusalCode.NOT_POSSIBLE, str(unfit)) from unfit
    return back_to("/people", "saved")


async def link(visit: Visit) -> Page:
    """A one-time link for somebody."""
    _check_admin(visit)
    name = visit.form.get("name", "")
    try:
        token = await visit.console.accounts.link(name, by=visit.who.reviewer.name)
    except AccountUnfit as unfit:
        raise Unacceptable(RefusalCode.NOT_POSSIBLE, str(unfit)) from unfit
    return await _page(visit, link=f"{visit.console.settings.public_url}/login/link/{token}", link_for=name)


def account_data(account: Account) -> dict[str, object]:
    """An account without its password hash."""
    return {
        "name": account.name,
        "roles": list(account.roles),
        "teams": list(account.teams),
        "owns_agents": list(account.owns_agents),
        "disabled": account.disabled,
        "has_password": account.password_hash is not None,
        "created_at": account.created_at,
    }


def _check_admin(visit: Visit) -> None:
    if "admin" not in visit.who.reviewer.roles:
        raise NotAllowed(RefusalCode.ROLE, "Accounts are managed by admins.")


def _listed(text: str) -> list[str]:
    return [word for word in (part.strip() for part in text.split(",")) if word]
