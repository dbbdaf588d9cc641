"""The parts of the listener that need no socket; the rest is in tests/blackbox/test_http_server.py."""

from __future__ import annotations

import asyncio
import resource
import signal
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvloop

from proxy.wire.http_server import ClientLeft, Server, raise_file_limit, read_body, run, stop_on_signals, tls_context


def receiving(*messages: dict[str, Any]) -> Any:
    waiting: Iterator[dict[str, Any]] = iter(messages)

    async def receive() -> dict[str, Any]:
        return next(waiting)

    return receive


async def test_a_body_is_read_to_its_end() -> None:
    pieces = (
        {"type": "http.request", "body": b"a", "more_body": True},
        {"type": "http.request", "more_body": True},
        {"type": "http.request", "body": b"b"},
    )
    assert await read_body(receiving(*pieces)) == b"ab"
    assert await read_body(receiving({"type": "http.request"})) == b""


async def test_a_client_that_leaves_in_its_body_is_told_of() -> None:
    with pytest.raises(ClientLeft):
        await read_body(
            receiving({"type": "http.request", "body": b"a", "more_body": True}, {"type": "http.disconnect"})
        )


def test_programs_run_on_uvloop() -> None:
    async def main() -> bool:
        return isinstance(asyncio.get_running_loop(), uvloop.Loop)

    assert run(main()) is True


def test_a_signal_sets_the_stop_event_instead_of_killing() -> None:
    async def main() -> bool:
        stop = stop_on_signals(signal.SIGUSR1)
        signal.raise_signal(signal.SIGUSR1)
        await asyncio.wait_for(stop.wait(), 5)
        return stop.is_set()

    assert run(main()) is True


@pytest.mark.parametrize(
    ("limits", "wanted", "holds", "is_set"),
    [
        ((1024, 4096), 2048, 2048, True),
        ((1024, 2000), 65_536, 2000, True),
        ((4096, 8192), 2048, 4096, False),
        ((1024, resource.RLIM_INFINITY), 65_536, 65_536, True),
        ((resource.RLIM_INFINITY, resource.RLIM_INFINITY), 65_536, resource.RLIM_INFINITY, False),
    ],
)
def test_the_file_limit_is_raised_as_far_as_it_may_be(
    monkeypatch: pytest.MonkeyPatch, limits: tuple[int, int], wanted: int, holds: int, is_set: bool
) -> None:
    set_to: list[Any] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits)
    monkeypatch.setattr(resource, "setrlimit", lambda _, value: set_to.append(value))
    assert raise_file_limit(wanted) == holds
    assert set_to == ([(holds, limits[1])] if is_set else [])


def test_a_tls_context_needs_usable_files(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        tls_context(tmp_path / "cert.pem", tmp_path / "key.pem")
    (tmp_path / "cert.pem").write_text("nonsense")
    with pytest.raises(ssl.SSLError):
        tls_context(tmp_path / "cert.pem", tmp_path / "cert.pem")


async def test_t7_nothing_a_proxy_says_is_believed_and_nothing_is_added() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None: ...

    config = Server(app)._config
    assert (config.proxy_headers, config.server_header, config.date_header) == (False, False, False)
    assert config.ws_protocol_class is None
    assert config.loaded_app == config.app  # no middleware of uvicorn's round it


async def test_a_request_cancelled_by_others_than_shutdown_is_not_hushed_up() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise asyncio.CancelledError

    server = Server(app)
    with pytest.raises(asyncio.CancelledError):
        await server._serve_request({}, None, None)
    await server.shutdown(0)
    await server._serve_request({}, None, None)
