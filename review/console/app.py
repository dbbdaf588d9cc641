"""The console, put together: one Starlette application over the ports it is given.

Rules of this module:
* Everything is an argument: inbox, accounts, who waits, live changes, clock, the strict JSON reader, readiness.
* The guard stands outside everything; even an error of ours goes out with its headers, and says nothing of itself.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from policies.snapshot import PolicySnapshot
from review.console import api, assets, events, health, tail
from review.console import figures as figures_page
from review.console.figures import Figures
from review.console.guard import Guard, add_headers
from review.console.pages import account, agents, call, login, people, quarantine, stops, tools
from review.console.pages import inbox as inbox_page
from review.console.render import Renderer
from review.console.settings import ConsoleSettings
from review.console.visits import Console, Page, Ready, answer, error_data, logged_in
from review.identity import Accounts
from review.inbox import Inbox
from review.ports import Ledger, Live, ReadJson, Waiting

type _Answers = Callable[[Request, Exception], Awaitable[Response]]


def _no_policies() -> None:
    """Where nobody says what the policies are."""


def build(
    *,
    inbox: Inbox,
    accounts: Accounts,
    waiting: Waiting,
    live: Live,
    ledger: Ledger,
    read_json: ReadJson,
    clock: Callable[[], float],
    ready: Ready,
    settings: ConsoleSettings | None = None,
    snapshot: Callable[[], PolicySnapshot | None] = _no_policies,
    figures: Figures | None = None,
) -> Starlette:
    """The application for the reviewers' listener.

    `read_json` is the strict reader (`proxy.wire.strict_json.read`). `ready` answers None, or why the gate cannot work.
    `snapshot` is the policies in force, for saying what goes without a person. `figures` is what `/metrics` answers.
    """
    settings = settings or ConsoleSettings()
    files = assets.load()
    addresses = {name: asset.address for name, asset in files.items()}
    console = Console(
        inbox=inbox,
        accounts=accounts,
        waiting=waiting,
        live=live,
        ledger=ledger,
        settings=settings,
        clock=clock,
        read_json=read_json,
        ready=ready,
        renderer=Renderer(addresses, arming_ms=settings.arming_ms),
        snapshot=snapshot,
    )
    pages = (
        inbox_page.routes,
        call.routes,
        quarantine.routes,
        login.routes,
        account.routes,
        people.routes,
        tools.routes,
        stops.routes,
        agents.routes,
    )
    return Starlette(
        routes=[
            *assets.routes(files),
            *health.routes(console),
            *figures_page.routes(console, figures),
            *events.routes(console),
            *tail.routes(console),
            *api.routes(console),
            *(route for page in pages for route in page(console)),
        ],
        middleware=[Middleware(Guard, settings=settings)],
        exception_handlers={HTTPException: _not_done(console), Exception: _broken},
    )


def _not_done(console: Console) -> _Answers:
    """An address that is not, a method that is not, a body that cannot be read."""

    async def handler(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # registered for nothing else
        status = HTTPStatus(error.status_code)
        message = "There is no such page." if status is HTTPStatus.NOT_FOUND else error.detail
        who = await logged_in(console, request) if status is not HTTPStatus.SERVICE_UNAVAILABLE else None
        context = {"title": status.phrase, "message": message}
        page = Page("message.html", context, error_data("http_error", message), status)
        response = answer(console, request, who, page)
        response.headers.update(error.headers or {})
        return response

    return handler


async def _broken(_: Request, __: Exception) -> Response:
    """An error of ours: the server logs it, the reader learns only that nothing more is known."""
    response = PlainTextResponse("The console failed. Nothing more was done.\n", HTTPStatus.INTERNAL_SERVER_ERROR)
    add_headers(response.headers)
    return response
