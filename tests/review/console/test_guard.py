from __future__ import annotations

from typing import Any

import pytest

from review.console.guard import HEADERS, POLICY
from review.console.settings import ConsoleSettings
from tests.review.console.builders import BASE, SAME, House

LOGIN = {"name": "anna", "password": "correct horse battery"}


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8611", 200),
        ("localhost:8611", 200),
        ("LOCALHOST:8611", 200),
        ("[::1]:8611", 200),
        ("127.0.0.1", 421),
        ("127.0.0.1:8610", 421),
        ("evil.example", 421),
        ("127.0.0.1:8611.evil.example", 421),
        ("127.0.0.1:8611@evil.example", 421),
        ("", 400),
    ],
)
def test_a14_only_our_own_hosts_are_answered(house: House, host: str, status: int) -> None:
    assert house.browser().get("/login", host=host).status_code == status


@pytest.mark.parametrize(("proxy", "status"), [("testclient", 200), ("10.9.9.9", 403)])
def test_p12_with_configured_proxies_only_their_connections_are_answered(proxy: str, status: int) -> None:
    house = House(settings=ConsoleSettings(takes_peer=lambda peer: peer == proxy))
    for path in ("/login", "/-/health"):
        answered = house.browser().get(path)
        assert answered.status_code == status
        assert answered.headers["content-security-policy"] == POLICY


@pytest.mark.parametrize("hosts", [[], [b"127.0.0.1:8611", b"127.0.0.1:8611"], [b"127.0.0.1:8611", b"evil.example"]])
async def test_a14_a_missing_or_doubled_host_is_refused(house: House, hosts: list[bytes]) -> None:
    assert await _status(house, [(b"host", host) for host in hosts]) == 400


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"sec-fetch-site": "same-origin"}, 303),
        ({"sec-fetch-site": "same-origin", "origin": "null"}, 303),
        ({"sec-fetch-site": "same-origin", "origin": BASE}, 303),
        ({"origin": BASE}, 303),
        ({"origin": "http://localhost:8611"}, 303),
        ({}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "https://127.0.0.1:8611"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "none"}, 403),
        ({"sec-fetch-site": "same-origin", "origin": "http://evil.example"}, 403),
        ({"sec-fetch-site": "cross-site", "origin": BASE}, 403),
    ],
    ids=str,
)
def test_a04_only_our_own_pages_can_send_forms(house: House, headers: dict[str, str], status: int) -> None:
    assert house.browser().client.post("/login", data=LOGIN, headers=headers).status_code == status


def test_a_program_sends_no_origin_and_a_foreign_page_is_refused_at_the_api_too(house: House) -> None:
    client = house.browser().client
    assert client.post("/api/v1/login", json=LOGIN).status_code == 200
    for headers in ({"origin": "http://evil.example"}, {"sec-fetch-site": "cross-site"}, {"origin": "null"}):
        assert client.post("/api/v1/login", json=LOGIN, headers=headers).status_code == 403


@pytest.mark.parametrize("name", ["origin", "sec-fetch-site"])
async def test_a_doubled_origin_is_nobodys(house: House, name: str) -> None:
    value = BASE.encode() if name == "origin" else b"same-origin"
    headers = [(b"host", b"127.0.0.1:8611"), (name.encode(), value), (name.encode(), value)]
    assert await _status(house, headers, method="POST") == 403


@pytest.mark.parametrize("method", ["DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT"])
def test_other_methods_are_not_known(house: House, method: str) -> None:
    assert house.browser().client.request(method, "/", headers=SAME).status_code == 405


@pytest.mark.parametrize(
    ("path", "status"),
    [("/login", 200), ("/", 303), ("/nowhere", 404), ("/-/health", 200), ("/api/v1/me", 401), ("/login/link/x", 200)],
)
def test_a06_a07_every_answer_carries_the_strict_headers(house: House, path: str, status: int) -> None:
    response = house.browser().get(path)
    assert response.status_code == status
    assert {name: response.headers[name] for name in HEADERS} == dict(HEADERS)
    assert response.headers["cache-control"] == "no-store"


def test_a06_the_policy_is_the_strictest_that_works() -> None:
    assert POLICY == (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'; "
        "require-trusted-types-for 'script'; trusted-types console"
    )
    assert HEADERS["x-frame-options"] == "DENY"


def test_a_refusal_and_a_failure_of_ours_carry_the_headers_too(house: House) -> None:
    foreign = house.browser().get("/", host="evil.example")
    assert foreign.headers["content-security-policy"] == POLICY

    async def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("the details nobody should read")

    browser = house.logged_in()
    browser.client = type(browser.client)(
        house.app, base_url=BASE, cookies=browser.client.cookies, raise_server_exceptions=False
    )
    house.world.records.live_reviews = broken  # type: ignore[method-assign, assignment]
    response = browser.get("/")
    assert (response.status_code, response.headers["content-security-policy"]) == (500, POLICY)
    assert "details" not in response.text


async def test_there_are_no_web_sockets(house: House) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    await house.app({"type": "websocket", "path": "/", "headers": []}, receive, send)
    assert sent == []


async def _status(house: House, headers: list[tuple[bytes, bytes]], method: str = "GET") -> int:
    """The answer to headers that no well-behaved client sends."""
    statuses: list[int] = []

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope = {
        "type": "http",
        "method": method,
        "path": "/login",
        "raw_path": b"/login",
        "root_path": "",
        "query_string": b"",
        "headers": headers,
        "scheme": "http",
        "server": ("127.0.0.1", 8611),
        "client": ("127.0.0.1", 5),
        "http_version": "1.1",
    }
    await house.app(scope, receive, send)
    return statuses[0]


async def test_the_servers_lifespan_passes() -> None:
    received = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message["type"])

    async def receive() -> Any:
        return next(received)

    await House().app({"type": "lifespan", "state": {}}, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
