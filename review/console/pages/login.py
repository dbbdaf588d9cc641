"""Coming in and going out: password, one-time link, logout.

Rules of this module:
* Looking at a link's page does not use it: mail scanners and previews fetch addresses. Only its form does, by POST.
* After login one goes where one wanted, and only to a path of our own.
* Refusals say the same for a wrong name and a wrong password.
"""

from __future__ import annotations

from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from review.console import bodies
from review.console.visits import (
    Console,
    Page,
    Visit,
    answer,
    done_at,
    logged_in,
    store_down,
)
from review.identity import LoggedIn, LoginRefused
from review.passwords import CHARS_MIN, PasswordUnfit
from review.ports import StoreDown
from review.throttle import TooManyTries


def routes(console: Console) -> list[BaseRoute]:
    async def login(request: Request) -> Response:
        if request.method != "POST":
            if await logged_in(console, request) is not None:
                return RedirectResponse(own_path(request.query_params.get("next", "/")), HTTPStatus.SEE_OTHER)
            return _login_page(console, request, next_path=own_path(request.query_params.get("next", "/")))
        form = await bodies.form(request, bytes_max=console.settings.form_bytes_max)
        next_path, name = own_path(form.get("next", "/")), form.get("name", "")
        try:
            here = await console.accounts.login(name, form.get("password", ""), source=source(request))
        except (LoginRefused, TooManyTries) as refusal:
            return _login_page(console, request, next_path=next_path, name=name, refusal=refusal)
        except StoreDown:
            return answer(console, request, None, store_down())
        return come_in(console, here, next_path)

    async def link(request: Request) -> Response:
        token = str(request.path_params["token"])
        if request.method != "POST":
            return _link_page(console, request, token)
        form = await bodies.form(request, bytes_max=console.settings.form_bytes_max)
        password = form.get("password", "")
        if password != form.get("again", ""):
            return _link_page(console, request, token, refusal=PasswordUnfit("The two passwords are not the same."))
        try:
            here = await console.accounts.use_link(token, password, source=source(request))
        except (LoginRefused, TooManyTries, PasswordUnfit) as refusal:
            return _link_page(console, request, token, refusal=refusal)
        except StoreDown:
            return answer(console, request, None, store_down())
        return come_in(console, here, "/")

    return [
        Route("/login", login, methods=["GET", "POST"]),
        Route("/login/link/{token}", link, methods=["GET", "POST"]),
        done_at(console, "/logout", _logout),
    ]


def come_in(console: Console, here: LoggedIn, path: str) -> Response:
    """Set the session's cookie and go on."""
    response = RedirectResponse(path, HTTPStatus.SEE_OTHER)
    response.set_cookie(
        console.settings.cookie,
        here.token,
        max_age=int(console.accounts.settings.session_sec),
        path="/",
        secure=console.settings.is_secure,
        httponly=True,
        samesite="strict",
    )
    return response


def own_path(path: str) -> str:
    """The path if it is one of ours; else the inbox. No scheme, host or backslash gets through."""
    is_ours = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable() and "\\" not in path
    return path if is_ours else "/"


def source(request: Request) -> str:
    """Where a login comes from, for slowing guesses down."""
    return request.client.host if request.client is not None else "unknown"


async def _logout(visit: Visit) -> Response:
    await visit.console.accounts.logout(visit.who.session)
    response = RedirectResponse("/login", HTTPStatus.SEE_OTHER)
    response.delete_cookie(
        visit.console.settings.cookie,
        path="/",
        secure=visit.console.settings.is_secure,
        httponly=True,
        samesite="strict",
    )
    return response


def _login_page(
    console: Console, request: Request, *, next_path: str, name: str = "", refusal: Exception | None = None
) -> Response:
    context = {"next": next_path, "name": name[:64], "refusal": str(refusal) if refusal is not None else None}
    return _with_wait(answer(console, request, None, Page("login.html", context, status=_status(refusal))), refusal)


def _link_page(console: Console, request: Request, token: str, *, refusal: Exception | None = None) -> Response:
    context = {"token": token, "chars_min": CHARS_MIN, "refusal": str(refusal) if refusal is not None else None}
    return _with_wait(answer(console, request, None, Page("link.html", context, status=_status(refusal))), refusal)


def _status(refusal: Exception | None) -> HTTPStatus:
    match refusal:
        case None:
            return HTTPStatus.OK
        case TooManyTries():
            return HTTPStatus.TOO_MANY_REQUESTS
        case PasswordUnfit():
            return HTTPStatus.UNPROCESSABLE_ENTITY
        case _:
            return HTTPStatus.FORBIDDEN


def _with_wait(response: Response, refusal: Exception | None) -> Response:
    if isinstance(refusal, TooManyTries):
        response.headers["retry-after"] = str(refusal.retry_after_sec)
    return response
