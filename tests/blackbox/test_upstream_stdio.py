"""Upstreams over real servers: third-party ones on stdio, the SDK's over HTTP; killed, restarted, found again.

Scripted stdio servers are in tests/proxy/upstreams/test_stdio.py (traps T21, T22).
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import uvloop

from proxy.store.base import PinnedTool
from proxy.upstreams.base import UpstreamFailed
from proxy.upstreams.child import Command
from proxy.upstreams.environment import child_environment
from proxy.upstreams.era import modern_headers, modern_meta
from proxy.upstreams.http import HttpUpstream
from proxy.upstreams.inventory import Inventory
from proxy.upstreams.stdio import StdioUpstream
from tests.proxy.upstreams.builders import Talk, everything, gone_within, quick, tool_command

SERVERS = Path(__file__).parent / "servers"
BIN = Path(sys.executable).parent


class NoPins:
    """A store that has seen nothing yet."""

    async def pins(self, server: str) -> list[PinnedTool]:
        return []

    async def put_pins(self, pins: Any, entries: Any) -> None: ...


def inventory_of(upstream: Any) -> Inventory:
    return Inventory({upstream.name: upstream}, NoPins(), clock=time.time, monotonic=time.monotonic)


def stdio(name: str, *command: str) -> StdioUpstream:
    names = iter(range(1_000))
    return StdioUpstream(
        name,
        Command(command, child_environment(os.environ, {})),
        ids=lambda: f"session-{next(names)}",
        clock=time.monotonic,
        limits=quick(silence_sec_max=30),
    )


@pytest.fixture
async def repository(tmp_path: Path) -> Path:
    for arguments in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "The first of all commits"]):
        identity = ["-c", "user.name=ada", "-c", "user.email=ada@example.com"]
        git = await asyncio.create_subprocess_exec("git", "-C", str(tmp_path), *identity, *arguments)
        assert await git.wait() == 0
    return tmp_path


async def call(talk: Talk, tool: str, /, **arguments: Any) -> str:
    """The text of a tool's result, in the era the session is in."""
    params = {"name": tool, "arguments": arguments}
    headers = {}
    if talk.session is None:
        params["_meta"], headers = modern_meta(), modern_headers("tools/call") | {"mcp-name": tool}
    reply = await talk.post({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params}, headers)
    assert reply.status == 200, reply
    answer = (await everything(reply))[-1]
    assert answer["id"] == 7
    return str(answer["result"]["content"][0]["text"])


async def test_mcp_server_time_lists_and_answers_in_both_eras() -> None:
    upstream = stdio("time", str(BIN / "mcp-server-time"))
    try:
        inventory = inventory_of(upstream)
        definition = await inventory.definition("time", "convert_time")
        assert definition is not None
        assert "source_timezone" in definition.input_schema["properties"]
        talk = Talk(upstream)
        assert "Europe/Berlin" in await call(talk, "get_current_time", timezone="Europe/Berlin")
        assert (await talk.initialize())["result"]["protocolVersion"] == "2025-11-25"
        assert "Asia/Tokyo" in await call(talk, "get_current_time", timezone="Asia/Tokyo")
    finally:
        await upstream.close()


async def test_mcp_server_git_lists_and_answers(repository: Path) -> None:
    upstream = stdio("git", str(BIN / "mcp-server-git"), "--repository", str(repository))
    try:
        assert "git_log" in (await listed(upstream))["git"]
        talk = Talk(upstream)
        await talk.initialize()
        assert "The first of all commits" in await call(talk, "git_log", repo_path=str(repository))
    finally:
        await upstream.close()


async def listed(upstream: Any) -> Any:
    inventory = inventory_of(upstream)
    await inventory.refresh(upstream.name)
    return inventory.names()


def test_stdio_servers_run_on_uvloop_as_they_do_on_asyncio() -> None:
    async def all_of_it() -> tuple[Any, int]:
        upstream = stdio("tool", *tool_command().argv)
        talk = Talk(upstream)
        await talk.initialize()
        answers = await asyncio.gather(*(talk.call("echo", number=number) for number in range(20)))
        pid = answers[0]["pid"]
        os.kill(pid, signal.SIGKILL)
        await asyncio.to_thread(gone_within, pid, 5)
        await talk.initialize()
        pid = await talk.call("ignore_the_end")
        await upstream.close()
        return [answer["arguments"]["number"] for answer in answers], pid

    numbers, pid = uvloop.run(all_of_it())
    assert numbers == list(range(20))
    assert gone_within(pid, 2)


# ---- a server over HTTP that is killed and comes back ------------------------------------------------------------


class SdkServer:
    """The SDK's server in a process of its own, always on the same port."""

    def __init__(self) -> None:
        self.port = 0
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, str(SERVERS / "sdk_server.py"), str(self.port), stdout=asyncio.subprocess.PIPE
        )
        assert self.process.stdout is not None
        line = await asyncio.wait_for(self.process.stdout.readline(), 30)
        assert line.startswith(b"ready"), line
        self.port = int(line.split()[1])

    async def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            await self.process.communicate()
            self.process = None


@pytest.fixture
async def sdk_server() -> AsyncIterator[SdkServer]:
    server = SdkServer()
    await server.start()
    yield server
    await server.kill()


async def test_a_killed_and_restarted_http_server_needs_no_restart_of_ours(sdk_server: SdkServer) -> None:
    changed: list[str] = []
    upstream = HttpUpstream("sdk", f"http://127.0.0.1:{sdk_server.port}/mcp", on_change=changed.append)
    inventory = inventory_of(upstream)
    talk: Talk = Talk(upstream)
    try:
        assert (await inventory.definition("sdk", "whoami")) is not None
        await talk.initialize()
        first = int(await call(talk, "whoami"))
        await sdk_server.kill()
        with pytest.raises(UpstreamFailed) as failed:
            await call(talk, "whoami")
        assert failed.value.why.startswith("sdk: no ")
        with pytest.raises(UpstreamFailed) as failed:
            await call(talk, "whoami")
        assert not failed.value.sent  # by now there is nobody to connect to
        await sdk_server.start()
        stale = await talk.ask("whoami")
        assert (stale.status, set(changed)) == (404, {"sdk"})
        await talk.initialize()
        assert int(await call(talk, "whoami")) not in (0, first)
        inventory.changed("sdk")
        assert (await inventory.definition("sdk", "whoami")) is not None
    finally:
        await upstream.close()


async def test_progress_of_a_real_server_comes_before_its_answer(sdk_server: SdkServer) -> None:
    upstream = HttpUpstream("sdk", f"http://127.0.0.1:{sdk_server.port}/mcp")
    talk = Talk(upstream)
    try:
        await talk.initialize()
        messages = await everything(await talk.ask("count", meta={"progressToken": "p"}, to=3))
        assert [message.get("method") for message in messages] == ["notifications/progress"] * 3 + [None]
        assert {message["params"]["progressToken"] for message in messages[:-1]} == {"p"}
        assert messages[-1]["result"]["content"][0]["text"] == "counted to 3"
    finally:
        await upstream.close()
