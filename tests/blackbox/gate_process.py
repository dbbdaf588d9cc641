"""A gate as its users run it: `interlock serve` as a process of its own, tool servers that count, a reviewer logged in.

Rules of this module:
* Nothing of the gate is imported into its process but by `python -m interlock`; it is ended by its own process id.
* The first start takes free ports and keeps them: an agent finds a restarted gate where it was.
* Tool servers run in one thread of their own, so that they see, count and hold whatever becomes of gate and test.
* The reviewer begins with the first-login link and acts through the public API, as anybody's program would.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proxy.reviewer_client import ReviewerClient
from tests.blackbox.raw_client import RawAnswer, RawConnection, connection, json_lines, post, request_bytes, send
from tests.blackbox.servers.counting import CountingServer, Recorded, Wire
from tests.blackbox.servers.lenient import LenientTools

ROOT = Path(__file__).resolve().parents[2]
READY_SEC_MAX = 180  # an end to waiting and no promise: other workers use the cores too
END_SEC_MAX = 20
WAIT_SEC_MAX = 10
PASSWORD = "a long enough password"
SCRAPER_TOKEN = "scraper-0123456789"
AGENT_KEYS = {name: f"ilk_{name}-0123456789-0123456789-0123456789" for name in ("anna", "bert")}
LEGACY, MODERN = "2025-11-25", "2026-07-28"
REVISIONS = (LEGACY, MODERN)

_FIRST_LINK = re.compile(r"First login .*/login/link/(\S+)")
_REVIEWERS = re.compile(r"Reviewers: (http\S+)/$")
_AGENTS = re.compile(r"^  (http\S+)/mcp/\S+$")


# ---- the gate ------------------------------------------------------------------------------------------------------


class DidNotStart(Exception):
    """The process ended before it was ready. `code` is its exit code, the text what it said."""

    def __init__(self, code: int, said: str) -> None:
        super().__init__(f"exit {code}: {said}")
        self.code, self.said = code, said


class GateProcess:
    """`interlock serve` over one folder. `start`, `kill`, `stop` and `start` again as often as you like."""

    def __init__(self, base: Path, policy: str, servers: dict[str, Any], **config: Any) -> None:
        self.base = base
        self.config_file = base / "interlock.yaml"
        self.policy_file = base / "policies" / "test.yaml"
        self.policy_file.parent.mkdir(parents=True, exist_ok=True)
        self.policy_file.write_text(policy, encoding="utf-8")
        self.config: dict[str, Any] = {
            "data_dir": "data",
            "keys_dir": "keys",
            "agents_listener": {"port": 0},
            "reviewers_listener": {"port": 0},
            "anonymous": {"enabled": True, "name": "tester"},
            "servers": servers,
            "reviewing": {"undo_sec": {}},  # an approved call goes at once, unless a test says otherwise
        } | config
        self.reviewer = Reviewer()
        self.said: list[str] = []
        self._process: subprocess.Popen[str] | None = None

    @property
    def store(self) -> Path:
        return self.base / "data" / "interlock.db"

    @property
    def process_id(self) -> int:
        assert self._process is not None
        return self._process.pid

    def url(self, server: str) -> str:
        """Where agents reach this server."""
        return f"{self.agents_url}/mcp/{server}"

    def start(self) -> None:
        """Start if it does not run, and log the reviewer in if this is the first time. Raises: DidNotStart."""
        if self._process is not None:
            return
        self.config_file.write_text(json.dumps(self.config), encoding="utf-8")  # JSON is YAML
        self._process = process = self._spawn()
        self.said = []
        is_ready = threading.Event()
        threading.Thread(target=self._read, args=(process, is_ready), daemon=True).start()
        assert is_ready.wait(READY_SEC_MAX), "".join(self.said)
        if not self._matches(_REVIEWERS):
            self._process = None
            raise DidNotStart(process.wait(END_SEC_MAX), "".join(self.said))
        self._keep_addresses()
        if link := self._matches(_FIRST_LINK):
            self.reviewer.client.use_link(link, PASSWORD)

    def _spawn(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            interlock("serve", "--config", str(self.config_file)),
            cwd=self.base,
            env=environment(self.base),
            text=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    def _read(self, process: subprocess.Popen[str], is_ready: threading.Event) -> None:
        assert process.stderr is not None
        is_first = not self.reviewer.client.token
        for line in process.stderr:
            self.said.append(line)
            if (_FIRST_LINK if is_first else _REVIEWERS).search(line):
                is_ready.set()
        process.stderr.close()
        is_ready.set()

    def _matches(self, pattern: re.Pattern[str]) -> str:
        return next((found[1] for line in self.said if (found := pattern.search(line))), "")

    def _keep_addresses(self) -> None:
        self.agents_url, self.reviewers_url = self._matches(_AGENTS), self._matches(_REVIEWERS)
        for name, url in (("agents_listener", self.agents_url), ("reviewers_listener", self.reviewers_url)):
            self.config[name] = {"port": int(url.rsplit(":", 1)[1])}
        self.reviewer.client.url = self.reviewers_url

    def kill(self) -> None:
        """SIGKILL, at once."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """SIGTERM; its exit code."""
        return self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> int:
        process, self._process = self._process, None
        if process is None:
            return 0
        process.send_signal(how)
        try:
            return process.wait(END_SEC_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise


def interlock(*arguments: str) -> list[str]:
    """The command line as a process."""
    return [sys.executable, "-m", "interlock", *arguments]


def environment(home: Path) -> dict[str, str]:
    """What a process of ours gets: this machine's programs, and a home of its own in which nothing is set yet."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    return kept | {"HOME": str(home), "XDG_CONFIG_HOME": str(home / ".config"), "PYTHONPATH": str(ROOT)}


# ---- the reviewer --------------------------------------------------------------------------------------------------


class Reviewer:
    """The product's own client, off the event loop, and what tests ask of the queue."""

    def __init__(self) -> None:
        self.client = ReviewerClient("")

    async def api(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """What the client has no word for yet."""
        return await asyncio.to_thread(self.client._ask, method, path, body)

    async def questions(self, tool: str, /, **arguments: Any) -> list[dict[str, Any]]:
        """Every open question about this call: it waits for people, or its output is held."""
        queue = await asyncio.to_thread(self.client.queue)
        rows = [*queue["waiting"], *queue["held"]]
        return [row for row in rows if is_call(row["call"], tool, arguments)]

    async def waiting(self, tool: str, /, **arguments: Any) -> dict[str, Any]:
        """The one open question about this call, once there is one."""
        async with asyncio.timeout(WAIT_SEC_MAX):
            while not (found := await self.questions(tool, **arguments)):
                await asyncio.sleep(0.01)
        assert len(found) == 1, found
        return found[0]

    async def gone(self, row: dict[str, Any]) -> None:
        """Until the gate has seen that the agent of this question waits no longer."""
        async with asyncio.timeout(WAIT_SEC_MAX):
            while (await self.show(row))["agent_waiting_since"] is not None:
                await asyncio.sleep(0.01)

    async def delivered(self, row: dict[str, Any]) -> None:
        """Until the record says that the agent has the outcome."""
        async with asyncio.timeout(WAIT_SEC_MAX):
            while (await self.show(row))["call"]["delivered_at"] is None:
                await asyncio.sleep(0.01)

    async def show(self, row: dict[str, Any]) -> dict[str, Any]:
        return await asyncio.to_thread(self.client.show, row["call"]["id"])

    async def act(self, act: str, row: dict[str, Any], **more: Any) -> dict[str, Any]:
        """Look at it and do this; returns when the gate has acknowledged. Raises: Refused."""
        shown = await self.show(row)
        return await asyncio.to_thread(self.client.act, act, shown, **({"comment": "as I saw it"} | more))

    async def approve(self, row: dict[str, Any]) -> dict[str, Any]:
        return await self.act("approve", row)

    async def in_doubt(self, tool: str, /, **arguments: Any) -> list[dict[str, Any]]:
        queue = await asyncio.to_thread(self.client.queue)
        return [call for call in queue["in_doubt"] if is_call(call, tool, arguments)]

    async def resolve(self, call: dict[str, Any], found: str, note: str) -> dict[str, Any]:
        body = {"found": found, "note": note, "version": call["version"]}
        return await self.api("POST", f"/calls/{call['id']}/resolve", body)

    async def drifted(self, tool: str) -> list[dict[str, Any]]:
        answer = await self.api("GET", "/tools")
        return [seen for seen in answer["drifted"] if seen["tool"] == tool]

    async def accept(self, seen: dict[str, Any]) -> dict[str, Any]:
        """Accept exactly the definition that `drifted` showed."""
        return await self.api("POST", "/tools/accept", {name: seen[name] for name in ("server", "tool", "digest")})


def is_call(call: dict[str, Any], tool: str, arguments: dict[str, Any]) -> bool:
    return bool(call["tool"] == tool and (call["proposed"] or {}).get("arguments") == arguments)


# ---- the tool servers ----------------------------------------------------------------------------------------------


class ToolHouse:
    """Counting servers by name, in one thread. They can be stopped, and started again on their port."""

    def __init__(self) -> None:
        self.servers: dict[str, CountingServer] = {}
        self._open: set[str] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def run[T](self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(END_SEC_MAX)

    def add(self, name: str, tools: list[dict[str, Any]], **options: Any) -> CountingServer:
        self.servers[name] = CountingServer(tools=LenientTools(tools=[dict(one) for one in tools]), **options)
        self.start(name)
        return self.servers[name]

    def start(self, name: str) -> None:
        self.run(self.servers[name].__aenter__())
        self._open.add(name)

    def stop(self, name: str) -> None:
        if name in self._open:
            self._open.discard(name)
            self.run(self.servers[name].__aexit__())

    def close(self) -> None:
        for name in list(self._open):
            self.stop(name)
        self.run(_cancel_the_rest())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(END_SEC_MAX)
        self._loop.close()

    def held(self) -> Held:
        return Held(self._loop)

    def config(self) -> dict[str, Any]:
        """These servers, for the gate's configuration."""
        return {name: {"url": server.url} for name, server in self.servers.items()}


async def _cancel_the_rest() -> None:
    """Tools that were never to answer."""
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)


class Held:
    """An instruction for a counting server: the tool has read the call and answers when it is let go."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop, self._free = loop, asyncio.Event()
        self.arrived = threading.Event()

    async def __call__(self, request: Recorded, wire: Wire) -> None:
        self.arrived.set()
        await self.is_free()
        await wire.json(result(request.message["id"], "let go"))

    async def is_free(self) -> None:
        await self._free.wait()

    def let_go(self) -> None:
        self._loop.call_soon_threadsafe(self._free.set)


def result(request_id: Any, text: str) -> dict[str, Any]:
    """A plain tool result in a form that fits every revision."""
    content = [{"type": "text", "text": text}]
    return {"jsonrpc": "2.0", "id": request_id, "result": {"resultType": "complete", "content": content}}


def tool(name: str, description: str = "Does it", /, **properties: str) -> dict[str, Any]:
    """A definition; `properties` are argument names with their JSON types."""
    schema = {"type": "object", "properties": {key: {"type": kind} for key, kind in properties.items()}}
    return {"name": name, "description": description, "inputSchema": schema}


def dispatched(server: CountingServer, tool: str, /, **arguments: Any) -> int:
    """How often this very call arrived whole at the tool."""
    return sum(is_dispatch(request, tool, arguments) for request in list(server.requests))


def is_dispatch(request: Recorded, tool: str, arguments: dict[str, Any]) -> bool:
    message = request.message
    if not isinstance(message, dict) or message.get("method") != "tools/call":
        return False
    return bool(message["params"].get("name") == tool and message["params"].get("arguments") == arguments)


# ---- the agent -----------------------------------------------------------------------------------------------------


def call_bytes(
    tool: str,
    arguments: dict[str, Any],
    *,
    revision: str = LEGACY,
    request_id: Any = 1,
    meta: dict[str, Any] | None = None,
    client: str = "",
    **headers: str,
) -> tuple[bytes, list[tuple[str, str]]]:
    """An honest tools/call: its body and its header lines. `client` is what the program calls itself."""
    params: dict[str, Any] = {"name": tool, "arguments": arguments}
    meta = dict(meta or {})
    lines = json_lines(version=revision, **headers)
    if client:
        lines.append(("User-Agent", f"{client}/1"))
    if revision == MODERN:
        lines += [("Mcp-Method", "tools/call"), ("Mcp-Name", tool)]
        meta["io.modelcontextprotocol/protocolVersion"] = MODERN
        meta["io.modelcontextprotocol/clientCapabilities"] = {}
    if meta:
        params["_meta"] = meta
    message = {"jsonrpc": "2.0", "id": request_id, "method": "tools/call", "params": params}
    return json.dumps(message).encode(), lines


async def call(
    url: str, tool: str, /, *, timeout_sec: float = 20, how: dict[str, Any] | None = None, **arguments: Any
) -> RawAnswer:
    """One tools/call on a connection of its own, and its whole answer."""
    body, lines = call_bytes(tool, arguments, **(how or {}))
    return await send(url, body, lines, timeout_sec=timeout_sec)


@asynccontextmanager
async def parked(
    url: str, tool: str, /, *, how: dict[str, Any] | None = None, **arguments: Any
) -> AsyncIterator[RawConnection]:
    """A tools/call that is held: its connection, once the gate has begun to keep it alive."""
    body, lines = call_bytes(tool, arguments, **(how or {}))
    async with asyncio.timeout(20), connection(url) as wire:
        await wire.write(request_bytes(url, body, lines))
        await wire.until(b": keep-alive")
        yield wire


async def session_of(url: str, **capabilities: Any) -> str:
    """A session of the older revisions, where a server wants one."""
    params = {"protocolVersion": LEGACY, "capabilities": capabilities, "clientInfo": {"name": "raw", "version": "1"}}
    opened = await post(url, {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params})
    return opened.headers["mcp-session-id"]


def text(answer: RawAnswer) -> str:
    """What the agent reads."""
    return str(answer.message["result"]["content"][0]["text"])


def told(answer: RawAnswer) -> dict[str, Any]:
    """What the gate says of the call, for programs."""
    return dict(answer.message["result"].get("_meta", {}).get("interlock/call", {}))


@dataclass(frozen=True)
class House:
    """A running gate with the tool servers behind it."""

    gate: GateProcess
    tools: ToolHouse

    @property
    def reviewer(self) -> Reviewer:
        return self.gate.reviewer

    def url(self, server: str) -> str:
        return self.gate.url(server)

    def dispatched(self, server: str, tool: str, /, **arguments: Any) -> int:
        return dispatched(self.tools.servers[server], tool, **arguments)
