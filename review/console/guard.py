"""The console's outermost layer: which requests are looked at at all, and the headers on every answer.

Rules of this module:
* Where proxies are configured, only connections from them are answered: what came round them came without their TLS.
* Only fixed hosts are answered, so that no foreign name can be pointed at us (DNS rebinding): a missing or doubled Host
  is 400, a foreign one 421 (RFC 9110 §7.4, §15.5.20).
* What changes something comes from our own pages: where they are sent, Sec-Fetch-Site must say same-origin and Origin
  must be ours. A request with neither is no browser's form; only the API, which needs a bearer token, takes it.
* GET and HEAD change nothing; methods other than these, POST and PUT are not known here.
* Every answer, also an error, carries the same strict headers: nothing is framed, sniffed, cached or referred, and only
  our own files are loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from review.console.settings import ConsoleSettings

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'; "
    "require-trusted-types-for 'script'; trusted-types console"
)
HEADERS: Mapping[str, str] = {
    "content-security-policy": POLICY,
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
API = "/api/"
SAFE_METHODS = frozenset({"GET", "HEAD"})
METHODS = SAFE_METHODS | {"POST", "PUT"}


class Guard:
    """ASGI middleware; refuses before anything else is asked."""

    def __init__(self, app: ASGIApp, *, settings: ConsoleSettings) -> None:
        self._app, self._settings = app, settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return  # there are no WebSockets here: unanswered, the server refuses the handshake

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                add_headers(MutableHeaders(raw=message["headers"]))
            await send(message)

        peer = scope["client"][0] if scope.get("client") else None
        if self._settings.takes_peer(peer):
            refused = self._refusal(scope["method"], scope["path"], Headers(scope=scope))
        else:
            refused = _said(HTTPStatus.FORBIDDEN, "This listener takes connections from its configured proxies only.")
        await (refused or self._app)(scope, receive, guarded)

    def _refusal(self, method: str, path: str, headers: Headers) -> Response | None:
        if method not in METHODS:
            return _said(HTTPStatus.METHOD_NOT_ALLOWED, "This method is not known here.")
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not hosts[0]:
            return _said(HTTPStatus.BAD_REQUEST, "One Host header is needed.")
        if hosts[0].lower() not in self._settings.hosts:
            return _said(HTTPStatus.MISDIRECTED_REQUEST, "This console is not reached under that name.")
        if method not in SAFE_METHODS and not self._is_ours(path, headers):
            return _said(HTTPStatus.FORBIDDEN, "This request does not come from the console's own pages.")
        return None

    def _is_ours(self, path: str, headers: Headers) -> bool:
        origins, sites = headers.getlist("origin"), headers.getlist("sec-fetch-site")
        if len(origins) > 1 or len(sites) > 1:
            return False
        origin, site = next(iter(origins), None), next(iter(sites), None)
        if site not in (None, "same-origin"):
            return False
        if origin == "null":  # what browsers send beside `Referrer-Policy: no-referrer`: then the site must vouch
            return site == "same-origin"
        if origin is not None:
            return origin in self._settings.origins
        return site is not None or path.startswith(API)


def add_headers(headers: MutableHeaders) -> None:
    """Put the strict headers on an answer; `no-store` unless it says how long it may be kept."""
    for name, value in HEADERS.items():
        headers[name] = value
    headers.setdefault("cache-control", "no-store")


def _said(status: HTTPStatus, text: str) -> Response:
    return PlainTextResponse(text + "\n", status_code=status)
