"""`interlock demo`: the main job on real MCP servers, in plain words; with `--auto` it plays the reviewer and checks.

Rules of this module:
* Every step is a claim that can fail: with `--auto` the demo ends with exit code 0 only if each came out right.
* The reviewer of `--auto` decides through the public API, as anybody's program would.
* Everything is written under one temporary folder and removed at the end, also when it is told to stop half-way
  (Ctrl-C, SIGTERM, a terminal that closes); ports are loopback.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from mcp.shared.exceptions import MCPError

from proxy import logs
from proxy.app import STORE_FILE, App
from proxy.demo.agent import DemoAgent, NotReached
from proxy.demo.scene import APPROVERS, SceneFailed, demo_config, left_out, make_repository
from proxy.demo.steps import Failed, Scene, auto_steps, show_steps, wait_for_you
from proxy.reviewer_client import Refused, Unreachable
from proxy.serving import CANNOT_START
from proxy.wire.http_server import run, stop_on_signals

PAYMENTS_START_SEC = 20
AUTO_HOLD_SEC = 4.0
SHOW_HOLD_SEC = 50.0
STEP_SEC_MAX = 30
REVIEWER = "you"


def run_demo(*, auto: bool, port: int, review_port: int) -> int:
    """The exit code: 0 if every step came out right, 1 if one did not or was not reached, 2 if it could not start."""
    if not auto and port == review_port != 0:
        print("interlock demo: agents and reviewers need different ports", file=sys.stderr)
        return 2
    logs.configure(level=logging.WARNING)
    ports = (0, 0) if auto else (port, review_port)
    try:
        with tempfile.TemporaryDirectory(prefix="interlock-demo-") as folder:
            return run(_demo(Path(folder), auto=auto, ports=ports))
    except (SceneFailed, NotReached) as problem:
        print(f"interlock demo: {problem}", file=sys.stderr)
    except CANNOT_START as problem:
        print(f"interlock demo: {problem}\nOther ports: interlock demo --port N --review-port M", file=sys.stderr)
    return 2


async def _demo(folder: Path, *, auto: bool, ports: tuple[int, int]) -> int:
    stop = stop_on_signals(signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    playing = asyncio.ensure_future(_play(folder, auto=auto, ports=ports))
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait({playing, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if playing.done():
        return playing.result()
    print("Stopping.", flush=True)
    playing.cancel()
    await asyncio.gather(playing, return_exceptions=True)
    return 1 if auto else 0  # a check that did not come to its end has not passed


async def _play(folder: Path, *, auto: bool, ports: tuple[int, int]) -> int:
    absent = left_out()
    for server, why in absent.items():
        print(f"Without the server '{server}': {why}.", flush=True)
    if "git" not in absent:
        await asyncio.to_thread(make_repository, folder / "repository")
    async with _payments() as payments_port:
        hold_sec = AUTO_HOLD_SEC if auto else SHOW_HOLD_SEC
        config = demo_config(
            folder,
            payments_port,
            agents_port=ports[0],
            reviewers_port=ports[1],
            hold_sec=hold_sec,
            has_undo=not auto,
        )
        gate = App(config, base=folder)
        await gate.start()
        try:
            scene = await _scene(gate, folder)
            return await (_auto(scene) if auto else _show(scene))
        finally:
            await gate.stop()


async def _scene(gate: App, folder: Path) -> Scene:
    """A reviewer with an account, and the agent's clients yet to be opened."""
    await gate.accounts.put(REVIEWER, roles=["reviewer", "security"], teams=[APPROVERS], by="demo")
    link = await gate.accounts.link(REVIEWER, by="demo")
    return Scene(
        gate_url=gate.agents_url,
        review_url=gate.reviewers_url,
        link=link,
        store=folder / "data" / STORE_FILE,
        servers=sorted(gate.upstreams),
    )


async def _auto(scene: Scene) -> int:
    async with DemoAgent(scene.gate_url, scene.servers) as agent:
        return await _perform(auto_steps(scene, agent))


async def _perform(steps: list[tuple[str, Callable[[], Awaitable[str]]]]) -> int:
    failed = 0
    for number, (claim, step) in enumerate(steps, 1):
        try:
            async with asyncio.timeout(STEP_SEC_MAX):
                said = await step()
        except (Failed, TimeoutError, Refused, Unreachable, MCPError) as problem:
            failed += 1
            print(f"{number:2}. FAILED  {claim}: {problem or 'it took too long'}", flush=True)
        else:
            print(f"{number:2}. ok  {claim}: {said}", flush=True)
    print(f"{len(steps) - failed} of {len(steps)} steps came out right.", flush=True)
    return 1 if failed else 0


async def _show(scene: Scene) -> int:
    """Until it is cancelled: whoever watches it looks around for as long as they like."""
    print(_WELCOME.format(scene=scene, link=f"{scene.review_url}/login/link/{scene.link}"), flush=True)
    async with DemoAgent(scene.gate_url, scene.servers) as agent:
        code = await _perform(show_steps(scene, agent))
        if code:
            return code
        print(_WAITING.format(scene=scene, link=f"{scene.review_url}/login/link/{scene.link}"), flush=True)
        print(await wait_for_you(agent), flush=True)
        print(_AFTERWARDS.format(scene=scene, more=_more(scene)), flush=True)
        await asyncio.Event().wait()
    return 0


def _more(scene: Scene) -> str:
    others = ", ".join(f"/mcp/{server}" for server in scene.servers if server != "payments")
    return f"   (also {others})" if others else ""


@asynccontextmanager
async def _payments() -> AsyncIterator[int]:
    """The payments server as a process of its own; ended by its own process id. Raises: SceneFailed.

    In a session of its own, so that a terminal's Ctrl-C comes to the gate alone, which sees the rest to its end.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "proxy.demo.payments", "--until-stdin-ends"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        try:
            async with asyncio.timeout(PAYMENTS_START_SEC):
                address = (await process.stdout.readline()).decode().strip()
        except TimeoutError as error:
            raise SceneFailed(f"the payments server did not start within {PAYMENTS_START_SEC} s") from error
        if not address:
            raise SceneFailed("the payments server ended before it said its address")
        yield int(address.rsplit(":", 1)[1].split("/")[0])
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


_WELCOME = """
Interlock is running between an agent and real MCP servers ({scene.server_list}).
An unmodified MCP client now works through it:
"""

_WAITING = """
The agent now asks to refund 250. That is over 100, so the call is parked and waits for you:

  Open   {link}
         (once, within ten minutes: choose a password, then approve, edit or reject the refund)

The agent's own connection is held meanwhile. If you take longer than its patience it gets a ticket and asks again.
"""

_AFTERWARDS = """
The gate keeps running for you to look around (Ctrl-C ends it):

  Console   {scene.review_url}/
  Your own MCP client can use   {scene.gate_url}/mcp/payments{more}, for example:
            {{"mcpServers": {{"payments": {{"type": "http", "url": "{scene.gate_url}/mcp/payments"}}}}}}
"""
