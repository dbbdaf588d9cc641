"""The same acts for programs: the command line decides as a logged-in reviewer, through this listener and no other way.

Rules of this module:
* JSON in, JSON out; a bearer token of a session that was begun here. Cookies are not looked at.
* A refusal is `{"error": {"code", "message"}}` with the status its kind has everywhere in the console.
* An act names the version and digest that were shown, as a form does: `show` first, then decide.
* Values are as they were sent. Whoever prints them to a terminal makes them inert (`review.inert.terminal`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from policies.model import JsonObject
from review.board import PAGE_ROWS_MAX
from review.console import bodies, queues, views
from review.console.pages.agents import progress_data
from review.console.pages.login import source
from review.console.pages.people import account_data
from review.console.pages.stops import scope_of, stop_data, stops_data
from review.console.visits import Console, error_data, json_answer, status_of
from review.desk import Acted, Seen
from review.doubts import Found
from review.identity import AccountUnfit, LoggedIn, LoginRefused
from review.model import Reviewer
from review.passwords import PasswordUnfit
from review.ports import StoreDown
from review.refusals import NotAllowed, NotFound, Refusal, RefusalCode, Unacceptable
from review.throttle import TooManyTries

CLI = frozenset({"cli"})


@dataclass(frozen=True, slots=True)
class Asked:
    """One request of a program; `who` is None only where a route is open to all."""

    console: Console
    request: Request
    who: LoggedIn | None
    body: JsonObject

    @property
    def me(self) -> Reviewer:
        assert self.who is not None  # `_route` let nobody else through
        return self.who.reviewer

    def text(self, name: str, default: str | None = None) -> str:
        value = self.body.get(name, default)
        if not isinstance(value, str):
            raise Unacceptable(RefusalCode.NOT_POSSIBLE, f"{name!r} must be text.")
        return value

    def whole(self, name: str, default: int | None = None) -> int:
        value = self.body.get(name, default)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise Unacceptable(RefusalCode.NOT_POSSIBLE, f"{name!r} must be a whole number.")
        return value

    def flag(self, name: str) -> bool:
        value = self.body.get(name, False)
        if not isinstance(value, bool):
            raise Unacceptable(RefusalCode.NOT_POSSIBLE, f"{name!r} must be true or false.")
        return value

    def texts(self, name: str) -> list[str]:
        value = self.body.get(name, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise Unacceptable(RefusalCode.NOT_POSSIBLE, f"{name!r} must be a list of texts.")
        return value

    def seen(self) -> Seen:
        return Seen(self.whole("version"), self.text("shown"), self.whole("looked_ms", 0))


type Answers = Callable[[Asked], Awaitable[JsonObject]]


def routes(console: Console) -> list[BaseRoute]:
    def route(method: str, path: str, answers: Answers, *, is_open: bool = False) -> Route:
        return _route(console, method, f"/api/v1{path}", answers, is_open=is_open)

    return [
        route("POST", "/login", _login, is_open=True),
        route("POST", "/login/link", _use_link, is_open=True),
        route("POST", "/logout", _logout),
        route("GET", "/me", _me),
        route("GET", "/queue", _queue),
        route("GET", "/counts", _counts),
        route("GET", "/doubts", _doubts),
        route("GET", "/afterwards", _afterwards),
        route("GET", "/approvals", _list),
        route("GET", "/approvals/{id}", _show),
        route("POST", "/approvals/{id}/reveal", _reveal),
        route("POST", "/approvals/{id}/{act}", _act),
        route("POST", "/calls/{id}/resolve", _resolve),
        route("GET", "/tools", _tools),
        route("POST", "/tools/accept", _accept),
        route("GET", "/stops", _stops),
        route("POST", "/stops", _stop),
        route("POST", "/stops/{id}/lift", _lift),
        route("GET", "/agents", _agents),
        route("GET", "/agents/{agent}", _agents),
        route("POST", "/agents/{agent}/{way}", _move_agent),
        route("POST", "/incidents", _incident),
        route("GET", "/accounts", _accounts),
        route("PUT", "/accounts/{name}", _put_account),
        route("POST", "/accounts/{name}/link", _account_link),
    ]


def _route(console: Console, method: str, path: str, answers: Answers, *, is_open: bool) -> Route:
    async def endpoint(request: Request) -> Response:
        try:
            who = None if is_open else await bearer(console, request)
            if who is None and not is_open:
                data = error_data("not_logged_in", "A bearer token of a session begun at /api/v1/login is needed.")
                return json_answer(data, HTTPStatus.UNAUTHORIZED)
            body: JsonObject = {}
            if request.method in ("POST", "PUT"):
                bytes_max = console.settings.edit_bytes_max
                body = await bodies.json_object(request, console.read_json, bytes_max=bytes_max)
            return json_answer(await answers(Asked(console, request, who, body)))
        except Refusal as refusal:
            return json_answer(error_data(refusal.code, refusal.message), status_of(refusal))
        except LoginRefused as refusal:
            return json_answer(error_data("login_refused", str(refusal)), HTTPStatus.FORBIDDEN)
        except (PasswordUnfit, AccountUnfit) as unfit:
            return json_answer(error_data("unfit", str(unfit)), HTTPStatus.UNPROCESSABLE_ENTITY)
        except TooManyTries as wait:
            response = json_answer(error_data("too_many_tries", str(wait)), HTTPStatus.TOO_MANY_REQUESTS)
            response.headers["retry-after"] = str(wait.retry_after_sec)
            return response
        except StoreDown:
            data = error_data("store_down", "The record cannot be written just now; nothing was decided.")
            return json_answer(data, HTTPStatus.SERVICE_UNAVAILABLE)
        except HTTPException as error:
            return json_answer(error_data("bad_request", error.detail), error.status_code)

    return Route(path, endpoint, methods=[method])


def token_of(request: Request) -> str:
    """The bearer token that came with it; empty where there is none."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token if scheme.lower() == "bearer" else ""


async def bearer(console: Console, request: Request) -> LoggedIn | None:
    """Whoever the token belongs to. Raises: StoreDown."""
    token = token_of(request)
    return await console.accounts.session(token, of=CLI) if token else None


async def _login(asked: Asked) -> JsonObject:
    name, password = asked.text("name"), asked.text("password")
    here = await asked.console.accounts.login(name, password, source=source(asked.request), login="cli")
    return _session(here)


async def _use_link(asked: Asked) -> JsonObject:
    token, password = asked.text("token"), asked.text("password")
    return _session(await asked.console.accounts.use_link(token, password, source=source(asked.request), login="cli"))


def _session(here: LoggedIn) -> JsonObject:
    return {"token": here.token, "expires_at": here.session.expires_at, "reviewer": _reviewer(here.reviewer)}


async def _logout(asked: Asked) -> JsonObject:
    assert asked.who is not None  # `_route` let nobody else through
    await asked.console.accounts.logout(asked.who.session)
    return {"logged_out": True}


async def _me(asked: Asked) -> JsonObject:
    return {"reviewer": _reviewer(asked.me)}


def _reviewer(reviewer: Reviewer) -> JsonObject:
    return {
        "name": reviewer.name,
        "roles": sorted(reviewer.roles),
        "teams": sorted(reviewer.teams),
        "owns_agents": sorted(reviewer.owns_agents),
    }


async def _list(asked: Asked) -> JsonObject:
    return views.queue_data(await asked.console.inbox.queue())


async def _queue(asked: Asked) -> JsonObject:
    page = await asked.console.inbox.page(asked.me, queues.sought(asked.request.query_params))
    return queues.page_data(page)


async def _counts(asked: Asked) -> JsonObject:
    return queues.counts_data(await asked.console.inbox.counts(asked.me))


async def _doubts(asked: Asked) -> JsonObject:
    """The oldest, without what they would send: each is shown under its own id."""
    inbox, kept = asked.console.inbox, ("id", "agent", "server", "tool", "method", "dispatched_at", "version")
    items = [{name: getattr(call, name) for name in kept} for call in await inbox.doubtful()]
    return {"items": items, "total": (await inbox.counts(asked.me)).in_doubt.count}


async def _afterwards(asked: Asked) -> JsonObject:
    """Calls to be judged that are over, the oldest first."""
    items = await asked.console.inbox.unjudged(limit=PAGE_ROWS_MAX)
    total = (await asked.console.inbox.count_unjudged()).count
    return {"items": [views.listed_data(item) for item in items], "total": total}


async def _show(asked: Asked) -> JsonObject:
    shown = await asked.console.inbox.show(_id(asked), asked.me)
    background = await asked.console.inbox.background(shown)
    return {**views.shown_data(shown, asked.console.waiting), **views.background_data(background)}


async def _reveal(asked: Asked) -> JsonObject:
    """A held output in clear; with `redacted`, what releasing it redacted would give the agent."""
    shown = await asked.console.inbox.show(_id(asked), asked.me)
    if shown.review is None:
        raise NotFound(f"held output of call {_id(asked)}")
    redacted_but = frozenset(asked.texts("let_through")) if asked.flag("redacted") else None
    revealed = await asked.console.inbox.reveal(
        shown.review.id, asked.me, asked.seen(), asked.text("comment", ""), redacted_but=redacted_but
    )
    return {"outcome": revealed.outcome, "until": revealed.until, "inspection": revealed.inspection}


async def _act(asked: Asked) -> JsonObject:
    act = _ACTS.get(str(asked.request.path_params["act"]))
    if act is None:
        raise NotFound(f"act {asked.request.path_params['act']!r}; there are {', '.join(_ACTS)}")
    shown = await asked.console.inbox.show(_id(asked), asked.me)
    if shown.review is None:
        raise NotFound(f"question about call {_id(asked)}")
    acted = await act(asked, shown.review.id)
    return {
        "call_id": acted.call_id,
        "review_id": acted.review_id,
        "state": acted.state.value,
        "agree": acted.given,
        "needed": acted.wanted,
        "undo_until": acted.undo_until,
    }


async def _approve(asked: Asked, review_id: str) -> Acted:
    return await asked.console.inbox.approve(review_id, asked.me, asked.seen(), asked.text("comment", ""))


async def _reject(asked: Asked, review_id: str) -> Acted:
    return await asked.console.inbox.reject(review_id, asked.me, asked.seen(), asked.text("comment", ""))


async def _edit(asked: Asked, review_id: str) -> Acted:
    arguments = asked.body.get("arguments")
    if not isinstance(arguments, dict):
        raise Unacceptable(RefusalCode.ARGUMENTS_INVALID, "'arguments' must be a JSON object.")
    return await asked.console.inbox.edit(review_id, asked.me, asked.seen(), arguments, asked.text("comment", ""))


async def _escalate(asked: Asked, review_id: str) -> Acted:
    return await asked.console.inbox.escalate(review_id, asked.me, asked.seen(), asked.text("comment", ""))


async def _veto(asked: Asked, review_id: str) -> Acted:
    return await asked.console.inbox.veto(review_id, asked.me, asked.seen(), asked.text("comment", ""))


async def _judge(asked: Asked, review_id: str) -> Acted:
    verdict, note = asked.text("verdict"), asked.text("comment", "")
    return await asked.console.inbox.judge(review_id, asked.me, asked.seen(), verdict, note)


async def _undo(asked: Asked, review_id: str) -> Acted:
    return await asked.console.inbox.undo(review_id, asked.me, asked.seen(), asked.text("comment", ""))


async def _claim(asked: Asked, review_id: str) -> Acted:
    return await asked.console.inbox.claim(review_id, asked.me, asked.seen())


async def _unclaim(asked: Asked, review_id: str) -> Acted:
    return await asked.console.inbox.unclaim(review_id, asked.me, asked.seen())


async def _comment(asked: Asked, review_id: str) -> Acted:
    return await asked.console.inbox.comment(review_id, asked.me, asked.text("comment"))


async def _release(asked: Asked, review_id: str) -> Acted:
    return await asked.console.inbox.release(review_id, asked.me, asked.seen(), asked.text("comment", ""))


async def _release_redacted(asked: Asked, review_id: str) -> Acted:
    comment, let_through = asked.text("comment", ""), frozenset(asked.texts("let_through"))
    return await asked.console.inbox.release_redacted(review_id, asked.me, asked.seen(), comment, let_through)


async def _destroy(asked: Asked, review_id: str) -> Acted:
    return await asked.console.inbox.destroy(review_id, asked.me, asked.seen(), asked.text("comment", ""))


_ACTS: Mapping[str, Callable[[Asked, str], Awaitable[Acted]]] = {
    "approve": _approve,
    "reject": _reject,
    "edit": _edit,
    "escalate": _escalate,
    "veto": _veto,
    "judge": _judge,
    "undo": _undo,
    "claim": _claim,
    "unclaim": _unclaim,
    "comment": _comment,
    "release": _release,
    "release_redacted": _release_redacted,
    "destroy": _destroy,
}


async def _resolve(asked: Asked) -> JsonObject:
    try:
        found = Found(asked.text("found"))
    except ValueError:
        raise Unacceptable(RefusalCode.NOT_POSSIBLE, f"'found' is one of {', '.join(Found)}.") from None
    version = asked.whole("version")
    await asked.console.inbox.resolve(_id(asked), asked.me, found, asked.text("note", ""), version=version)
    return {"call_id": _id(asked), "state": "resolved"}


async def _tools(asked: Asked) -> JsonObject:
    return {"drifted": [views.tool_data(seen) for seen in await asked.console.inbox.drifted()]}


async def _accept(asked: Asked) -> JsonObject:
    server, tool, digest = asked.text("server"), asked.text("tool"), asked.text("digest")
    comment = asked.text("comment", "")
    await asked.console.inbox.accept_definition(server, tool, asked.me, digest=digest, comment=comment)
    return {"server": server, "tool": tool, "accepted": digest}


async def _stops(asked: Asked) -> JsonObject:
    return stops_data(asked.console)


async def _stop(asked: Asked) -> JsonObject:
    scope = scope_of(asked.text("scope"))
    return stop_data(await asked.console.inbox.stop(scope, asked.text("target", ""), asked.me, asked.text("why", "")))


async def _lift(asked: Asked) -> JsonObject:
    lifted = await asked.console.inbox.lift_stop(_id(asked), asked.me, asked.text("why", ""))
    return {"id": lifted.id, "scope": lifted.scope.value, "target": lifted.target, "lifted_at": lifted.lifted_at}


async def _agents(asked: Asked) -> JsonObject:
    agent = asked.request.path_params.get("agent")
    return {"agents": [progress_data(one) for one in asked.console.inbox.autonomy(agent)]}


async def _move_agent(asked: Asked) -> JsonObject:
    agent, way = (str(asked.request.path_params[key]) for key in ("agent", "way"))
    if way not in ("promote", "demote"):
        raise NotFound(f"act {way}")
    level = asked.whole("level") if "level" in asked.body else None
    domain, why = asked.text("domain"), asked.text("why", "")
    moved = await asked.console.inbox.move_agent(agent, domain, asked.me, why, up=way == "promote", level=level)
    return progress_data(moved)


async def _incident(asked: Asked) -> JsonObject:
    domain = asked.text("domain", "") or None
    found = await asked.console.inbox.report_incident(asked.text("agent"), domain, asked.me, asked.text("why", ""))
    return {"agents": [progress_data(one) for one in found]}


async def _accounts(asked: Asked) -> JsonObject:
    _check_admin(asked)
    return {"accounts": [account_data(account) for account in await asked.console.accounts.accounts()]}


async def _put_account(asked: Asked) -> JsonObject:
    _check_admin(asked)
    account = await asked.console.accounts.put(
        str(asked.request.path_params["name"]),
        roles=asked.texts("roles"),
        teams=asked.texts("teams"),
        owns_agents=asked.texts("owns_agents"),
        disabled=asked.flag("disabled"),
        by=asked.me.name,
    )
    return account_data(account)


async def _account_link(asked: Asked) -> JsonObject:
    _check_admin(asked)
    token = await asked.console.accounts.link(str(asked.request.path_params["name"]), by=asked.me.name)
    return {"link": f"{asked.console.settings.public_url}/login/link/{token}", "token": token}


def _check_admin(asked: Asked) -> None:
    if "admin" not in asked.me.roles:
        raise NotAllowed(RefusalCode.ROLE, "Accounts are managed by admins.")


def _id(asked: Asked) -> str:
    return str(asked.request.path_params["id"])
