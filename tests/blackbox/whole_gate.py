"""A whole gate in this process (policy, durable record, inspection, listeners) and tool servers beside it, on loopback.

Rules of this module:
* The gate is `proxy.app.App` as `interlock serve` starts it; nothing of it is replaced. Policy is text.
* Tool servers run in this loop on free ports; one can be stopped and started again on its port, as a restart.
* A reviewer's act is the inbox's, as the console would call it.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvicorn

from proxy.app import App
from proxy.config import Config

QUIET = {"log_config": None, "access_log": False, "lifespan": "on", "timeout_graceful_shutdown": 1}


class ToolServer:
    """An ASGI tool server that can be restarted: same port, nothing remembered."""

    def __init__(self, build: Callable[[], Any]) -> None:
        self._build = build
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._running: tuple[uvicorn.Server, asyncio.Task[None]] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/mcp"

    async def start(self) -> None:
        if self._socket.fileno() == -1:
            self._socket = socket.create_server(("127.0.0.1", self.port), reuse_port=False)
        # h11, because httptools leaves trailing white space on header values.
        server = uvicorn.Server(uvicorn.Config(self._build(), http="h11", **QUIET))  # type: ignore[arg-type]
        task = asyncio.ensure_future(server._serve(sockets=[self._socket]))  # no signal handlers of its own
        async with asyncio.timeout(10):
            while not server.started:
                await asyncio.sleep(0.005)
        self._running = (server, task)

    async def stop(self) -> None:
        if self._running is None:
            return
        server, task = self._running
        self._running = None
        server.should_exit = True
        await task
        self._socket.close()

    async def restart(self) -> None:
        await self.stop()
        await self.start()


@asynccontextmanager
async def tool_server(build: Callable[[], Any]) -> AsyncIterator[ToolServer]:
    server = ToolServer(build)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@asynccontextmanager
async def whole_gate(base: Path, policy: str, servers: dict[str, Any], **config: Any) -> AsyncIterator[App]:
    """A running gate whose anonymous agents are called `tester`."""
    (base / "policies").mkdir(exist_ok=True)
    (base / "policies" / "test.yaml").write_text(policy, encoding="utf-8")
    settings = {
        "data_dir": "data",
        "keys_dir": "keys",
        "agents_listener": {"port": 0},
        "reviewers_listener": {"port": 0},
        "anonymous": {"enabled": True, "name": "tester"},
        "servers": servers,
        "reviewing": {"undo_sec": {}},  # an approved call goes at once, unless a test says otherwise
    }
    app = App(Config.model_validate(settings | config), base=base)
    await app.start()
    try:
        yield app
    finally:
        await app.stop()


def endpoint(app: App, server: str) -> str:
    """Where agents reach this server."""
    return f"{app.agents_url}/mcp/{server}"
