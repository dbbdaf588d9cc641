"""What every page of the console works with, and the ways in: who is logged in, and what is answered when nobody is.

Rules of this module:
* A page is open only to those who are logged in; whatever is open to all says so by not being a page.
* A page is built once as template, context and data; the address or Accept header decides whether HTML or JSON goes.
* A POST needs the session's form token. It is answered by a redirect, so that reloading repeats nothing.
* A refusal is shown where the person was, with what they had typed; a program gets its code and words.
* The cookie is SameSite=Strict: a link from chat or mail arrives without it, so such a visit is bounced once through
  our own page, which carries it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from policies.model import JsonObject
from policies.snapshot import PolicySnapshot
from review import exact
from review.console import bodies
from review.console.guard import API
from review.console.render import Renderer
from review.console.settings import ConsoleSettings
from review.identity import Accounts, LoggedIn
from review.inbox import Inbox
from review.ports import Ledger, Live, ReadJson, StoreDown, Waiting
from review.refusals import Conflict, NotAllowed, NotFound, Refusal

BROWSER = frozenset({"password", "link"})
REFRESH_HEADER = "x-interlock-refresh"  # a page refreshing itself keeps no session alive

type Ready = Callable[[], Awaitable[str | None]]
"""None when the gate can do its work, else why not."""


@dataclass(frozen=True, slots=True)
class Console:
    """The ports of the console."""

    inbox: Inbox
    accounts: Accounts
    waiting: Waiting
    live: Live
    ledger: Ledger
    settings: ConsoleSettings
    clock: Callable[[], float]
    read_json: ReadJson
    ready: Ready
    renderer: Renderer
    snapshot: Callable[[], PolicySnapshot | None]


@dataclass(frozen=True, slots=True)
class Page:
    """One page: `data` is its JSON twin."""

    template: str
    context: Mapping[str, Any] = field(default_factory=dict)
    data: JsonObject = field(default_factory=dict)
    status: int = HTTPStatus.OK


@dataclass(frozen=True, slots=True)
class Visit:
    """One request by somebody who is logged in; `form` is empty for a GET."""

    console: Console
    request: Request
    who: LoggedIn
    form: Mapping[str, str] = field(default_factory=dict)

    @property
    def now(self) -> float:
        return self.console.clock()


type Shows = Callable[[Visit], Awaitable[Page]]
type Does = Callable[[Visit], Awaitable[Page | Response]]


def shown_at(console: Console, path: str, shows: Shows) -> list[Route]:
    """Routes of a page and of its JSON twin."""

    async def endpoint(request: Request) -> Response:
        who = await logged_in(console, request)
        if who is None:
            return _ask_to_log_in(console, request)
        try:
            page = await shows(Visit(console, request, who))
        except Refusal as refusal:
            page = refused(refusal)
        except StoreDown:
            page = store_down()
        return answer(console, request, who, page)

    twin = "/index.json" if path == "/" else f"{path}.json"
    return [Route(twin, endpoint, methods=["GET"]), Route(path, endpoint, methods=["GET"])]


def done_at(console: Console, path: str, does: Does, *, shows: Shows | None = None, is_edit: bool = False) -> Route:
    """The route of an act. When it is refused, `shows` is shown again with the refusal and what was typed."""

    async def endpoint(request: Request) -> Response:
        who = await logged_in(console, request)
        if who is None:
            return _ask_to_log_in(console, request)
        bytes_max = console.settings.edit_bytes_max if is_edit else console.settings.form_bytes_max
        visit = Visit(console, request, who, await bodies.form(request, bytes_max=bytes_max))
        if not console.accounts.csrf_holds(who, visit.form.get("csrf", "")):
            raise HTTPException(
                HTTPStatus.FORBIDDEN, "This form is not from your present session: open the page again."
            )
        try:
            result = await does(visit)
        except NotFound as refusal:
            result = refused(refusal)
        except Refusal as refusal:
            result = await _shown_again(visit, shows, refusal) if shows is not None else refused(refusal)
        except StoreDown:
            result = store_down()
        return answer(console, request, who, result) if isinstance(result, Page) else result

    return Route(path, endpoint, methods=["POST"])


async def _shown_again(visit: Visit, shows: Shows, refusal: Refusal) -> Page:
    """The page the person was on, with the refusal and what they had typed; the refusal alone where that page fails."""
    try:
        page = await shows(visit)
    except Refusal:
        return refused(refusal)
    data = error_data(refusal.code, refusal.message)
    return Page(
        page.template, {**page.context, "refusal": refusal.message, "typed": visit.form}, data, status_of(refusal)
    )


async def logged_in(console: Console, request: Request) -> LoggedIn | None:
    """Whoever the cookie belongs to. Raises: HTTPException 503 when the store cannot tell."""
    token = request.cookies.get(console.settings.cookie)
    if not token:
        return None
    is_use = REFRESH_HEADER not in request.headers
    try:
        return await console.accounts.session(token, of=BROWSER, is_use=is_use)
    except StoreDown as error:
        raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, "The record cannot be read just now.") from error


def answer(console: Console, request: Request, who: LoggedIn | None, page: Page) -> Response:
    """The page as HTML, or its data as JSON."""
    if wants_json(request):
        return json_answer(page.data, page.status)
    html = console.renderer.page(
        page.template,
        {
            "who": who,
            "now": console.clock(),
            "stops": console.inbox.stops() if who is not None else (),
            "refusal": None,
            "typed": {},
            **page.context,
        },
    )
    return Response(html, page.status, media_type="text/html")


def json_answer(data: Any, status: int = HTTPStatus.OK) -> Response:
    """Data with numbers as they were sent."""
    return Response(exact.text(data).encode("utf-8"), status, media_type="application/json")


def wants_json(request: Request) -> bool:
    accept, path = request.headers.get("accept", ""), request.url.path
    is_for_programs = path.endswith(".json") or path.startswith(API)
    return is_for_programs or ("application/json" in accept and "text/html" not in accept)


def status_of(refusal: Refusal) -> HTTPStatus:
    match refusal:
        case NotFound():
            return HTTPStatus.NOT_FOUND
        case Conflict():
            return HTTPStatus.CONFLICT
        case NotAllowed():
            return HTTPStatus.FORBIDDEN
        case _:
            return HTTPStatus.UNPROCESSABLE_ENTITY


def error_data(code: str, message: str) -> JsonObject:
    return {"error": {"code": code, "message": message}}


def refused(refusal: Refusal) -> Page:
    context = {"title": "Not found" if isinstance(refusal, NotFound) else "Not done", "message": refusal.message}
    return Page("message.html", context, error_data(refusal.code, refusal.message), status_of(refusal))


def store_down() -> Page:
    message = "The record cannot be written just now, so nothing was decided. Try again in a moment."
    context = {"title": "Nothing was done", "message": message}
    return Page("message.html", context, error_data("store_down", message), HTTPStatus.SERVICE_UNAVAILABLE)


def back_to(path: str, did: str = "") -> Response:
    """See other: the act is done, and reloading shows the page instead of repeating the act."""
    return RedirectResponse(f"{path}?did={did}" if did else path, HTTPStatus.SEE_OTHER)


def _address(request: Request) -> str:
    """The page with its filter, so that a link to a queue leads there also after logging in."""
    return f"{request.url.path}?{request.url.query}" if request.url.query else request.url.path


def _ask_to_log_in(console: Console, request: Request) -> Response:
    if wants_json(request):
        data = error_data("not_logged_in", "Log in first.")
        return json_answer(data, HTTPStatus.UNAUTHORIZED)
    if request.method == "GET" and request.headers.get("sec-fetch-site") == "cross-site":
        return Response(console.renderer.page("bounce.html", {"to": _address(request)}), media_type="text/html")
    # An act is lost with its session; its page, one level up, is where it can be done again.
    next_path = _address(request) if request.method == "GET" else request.url.path.rpartition("/")[0] or "/"
    return RedirectResponse(f"/login?next={quote(next_path)}", HTTPStatus.SEE_OTHER)
