"""A server the gate starts itself: sessions, eras, caps, crashes (traps T21)."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from proxy.tasks import spawn
from proxy.upstreams.base import INVENTORY_AGENT, UpstreamFailed
from proxy.upstreams.child import Command
from proxy.upstreams.era import MODERN_REVISION, modern_headers, modern_meta
from proxy.upstreams.stdio import StdioUpstream
from tests.proxy.upstreams.builders import Talk, everything, gone_within, quick, tool_command, value_of

type Start = Callable[..., StdioUpstream]


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def modern_call(tool: str, /, request_id: Any = 1, **arguments: Any) -> dict[str, Any]:
    params = {"name": tool, "arguments": arguments, "_meta": modern_meta()}
    return {"jsonrpc": "2.0", "id": request_id, "method": "tools/call", "params": params}


async def modern(talk: Talk, tool: str, /, **arguments: Any) -> Any:
    reply = await talk.post(modern_call(tool, **arguments), modern_headers("tools/call"))
    return value_of((await everything(reply))[-1])


# ---- sessions of revisions with a handshake ----------------------------------------------------------------------


async def test_initialize_opens_a_session_and_its_answer_is_the_servers_own(start: Start) -> None:
    talk = Talk(start())
    body = await talk.initialize("2025-06-18")
    assert body["result"]["serverInfo"]["name"] == "stdio-tool"
    assert body["result"]["protocolVersion"] == "2025-06-18"
    assert talk.session == "session-0"


async def test_t21_every_session_has_a_child_of_its_own(start: Start) -> None:
    upstream = start()
    ada, ada_again, bob = Talk(upstream, "ada"), Talk(upstream, "ada"), Talk(upstream, "bob")
    for talk in (ada, ada_again, bob):
        await talk.initialize()
    answers = [await talk.call("echo") for talk in (ada, ada, ada_again, bob)]
    assert len({answer["pid"] for answer in answers}) == 3
    assert [answer["calls"] for answer in answers] == [1, 2, 1, 1]


async def test_t20_a_session_is_nobody_elses_and_a_lost_one_is_a_404(start: Start) -> None:
    upstream = start()
    ada, eve = Talk(upstream, "ada"), Talk(upstream, "eve")
    await ada.initialize()
    eve.session = ada.session
    reply = await eve.ask("echo")
    assert (reply.status, reply.body["error"]["message"]) == (404, "Session not found: initialize again")
    assert not eve.sent.happened
    assert (await upstream.get(headers={}, session=ada.session, agent="eve")).status == 404
    assert (await upstream.delete(headers={}, session=ada.session, agent="eve")).status == 404
    assert (await ada.call("echo"))["calls"] == 1


async def test_a_request_without_a_session_is_refused(start: Start) -> None:
    talk = Talk(start())
    reply = await talk.ask("echo")
    assert (reply.status, reply.body["id"], talk.sent.happened) == (400, 1, False)


async def test_notifications_and_answers_are_accepted(start: Start) -> None:
    talk = Talk(start())
    await talk.initialize()
    reply = await talk.post({"jsonrpc": "2.0", "method": "notifications/roots/list_changed"})
    assert (reply.status, reply.body) == (202, None)
    assert [m["method"] for m in await talk.call("received")][:3] == [
        "initialize",
        "notifications/initialized",
        "notifications/roots/list_changed",
    ]


async def test_delete_ends_the_session_and_its_child(start: Start) -> None:
    upstream = start()
    talk = Talk(upstream)
    await talk.initialize()
    pid = (await talk.call("echo"))["pid"]
    reply = await upstream.delete(headers={}, session=talk.session or "", agent="ada")
    assert reply.status == 200
    assert (await talk.ask("echo")).status == 404
    assert await asyncio.to_thread(gone_within, pid, 5)


async def test_the_push_stream_is_the_sessions(start: Start) -> None:
    upstream = start()
    talk = Talk(upstream)
    await talk.initialize()
    reply = await upstream.get(headers={}, session=talk.session, agent="ada")
    assert (reply.status, reply.is_stream) == (200, True)
    assert (await upstream.get(headers={}, session=None, agent="ada")).status == 405


async def test_a_server_that_refuses_to_initialize_leaves_no_child_behind(start: Start) -> None:
    upstream = start("--modern-only")
    talk = Talk(upstream)
    body = await talk.initialize()
    assert (body["error"]["code"], talk.session) == (-32022, None)
    assert upstream._sessions == {}


async def test_what_a_server_says_before_it_has_shaken_hands_is_for_nobody(start: Start) -> None:
    talk = Talk(start("--banner", '{"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": "hi"}}'))
    assert (await talk.initialize())["result"]["serverInfo"]["name"] == "stdio-tool"
    assert (await talk.call("echo"))["calls"] == 1


# ---- 2026-07-28 --------------------------------------------------------------------------------------------------


async def test_a_sessionless_agent_has_one_child_kept_warm(start: Start) -> None:
    upstream = start()
    ada, bob = Talk(upstream, "ada"), Talk(upstream, "bob")
    answers = [await modern(talk, "echo") for talk in (ada, ada, bob)]
    assert answers[0]["pid"] == answers[1]["pid"] != answers[2]["pid"]
    assert [answer["calls"] for answer in answers] == [1, 2, 1]


async def test_parallel_first_requests_of_an_agent_start_one_child(start: Start) -> None:
    talk = Talk(start())
    answers = await asyncio.gather(*(modern(talk, "echo") for _ in range(5)))
    assert len({answer["pid"] for answer in answers}) == 1


@pytest.mark.parametrize("option", ["--legacy-only", "--silent-before-initialize"])
async def test_t20_a_command_of_the_other_era_is_answered_so_that_clients_fall_back(start: Start, option: str) -> None:
    talk = Talk(start(option, limits=quick(probe_sec_max=0.5)))
    discover = {"jsonrpc": "2.0", "id": 1, "method": "server/discover", "params": {"_meta": modern_meta()}}
    for _ in range(2):
        reply = await talk.post(discover, modern_headers("server/discover"))
        assert reply.status == 400
        assert reply.body["error"]["code"] not in (-32020, -32021, -32022)
    await talk.initialize()
    assert (await talk.call("echo"))["calls"] == 1


async def test_the_era_is_asked_again_after_a_while(start: Start) -> None:
    clock = Clock()
    upstream = start("--legacy-only", clock=clock)
    talk = Talk(upstream)
    assert (await talk.post(modern_call("echo"))).status == 400
    upstream._command = tool_command()  # as if it had been replaced by a newer one
    assert (await talk.post(modern_call("echo"))).status == 400
    clock.now += 301
    assert (await modern(talk, "echo"))["calls"] == 1


async def test_a_discover_request_is_the_servers_to_answer(start: Start) -> None:
    talk = Talk(start())
    discover = {"jsonrpc": "2.0", "id": "d", "method": "server/discover", "params": {"_meta": modern_meta()}}
    reply = await talk.post(discover, modern_headers("server/discover"))
    assert (reply.status, reply.body["id"]) == (200, "d")
    assert reply.body["result"]["supportedVersions"] == [MODERN_REVISION]


# ---- shared ------------------------------------------------------------------------------------------------------


async def test_t21_a_shared_server_is_one_process_for_all(start: Start) -> None:
    upstream = start(shared=True)
    ada, bob = Talk(upstream, "ada"), Talk(upstream, "bob")
    for talk in (ada, bob):
        assert (await talk.initialize())["result"]["serverInfo"]["name"] == "stdio-tool"
    answers = [await talk.call("echo") for talk in (ada, bob)]
    assert answers[0]["pid"] == answers[1]["pid"]
    assert ada.session != bob.session
    methods = [message.get("method") for message in await bob.call("received")]
    assert methods.count("initialize") == methods.count("notifications/initialized") == 1


async def test_a_shared_server_is_told_of_no_capabilities_and_may_ask_nobody(start: Start) -> None:
    talk = Talk(start(shared=True))
    await talk.initialize()
    assert (await talk.call("received"))[0]["params"]["capabilities"] == {}
    assert (await talk.call("ask", method="sampling/createMessage"))["error"]["code"] == -32601


async def test_a_shared_server_speaks_to_each_in_the_version_it_asked_for(start: Start) -> None:
    upstream = start(shared=True)
    for version, spoken in (("2025-03-26", "2025-03-26"), ("2025-11-25", "2025-11-25"), ("1999-01-01", "2025-11-25")):
        assert (await Talk(upstream).initialize(version))["result"]["protocolVersion"] == spoken


async def test_a_shared_server_that_refuses_to_initialize_leaves_no_child_behind(start: Start) -> None:
    upstream = start("--modern-only", shared=True)
    talk = Talk(upstream)
    body = await talk.initialize()
    assert (body["id"], body["error"]["code"], talk.session) == (0, -32022, None)


async def test_what_a_shared_server_logs_reaches_no_agent(start: Start) -> None:
    upstream = start(shared=True)
    ada, bob = Talk(upstream, "ada"), Talk(upstream, "bob")
    for talk in (ada, bob):
        await talk.initialize()
    listening = await upstream.get(headers={}, session=bob.session, agent="bob")
    messages = await everything(await ada.ask("tell", method="notifications/message", params={"data": "ada's"}))
    assert len(messages) == 1
    await ada.call("tell", method="notifications/tools/list_changed")
    assert (await anext(aiter(listening.incoming))).message["method"] == "notifications/tools/list_changed"


async def test_deleting_a_session_of_a_shared_server_leaves_the_others(start: Start) -> None:
    upstream = start(shared=True)
    ada, bob = Talk(upstream, "ada"), Talk(upstream, "bob")
    for talk in (ada, bob):
        await talk.initialize()
    await upstream.delete(headers={}, session=ada.session or "", agent="ada")
    assert (await ada.ask("echo")).status == 404
    assert (await bob.call("echo"))["calls"] == 1


async def test_sessions_of_a_shared_server_are_capped_the_oldest_goes(start: Start) -> None:
    clock = Clock()
    upstream = start(shared=True, clock=clock, limits=quick(sessions_max=2))
    talks = [Talk(upstream, f"agent-{number}") for number in range(3)]
    for talk in talks:
        await talk.initialize()
        clock.now += 1
    assert [(await talk.ask("echo")).status for talk in talks] == [404, 200, 200]


# ---- crashes -----------------------------------------------------------------------------------------------------


async def test_t20_a_child_killed_in_a_call_fails_it_as_sent_and_the_next_session_works(start: Start) -> None:
    changed: list[str] = []
    upstream = start(on_change=changed.append)
    talk = Talk(upstream)
    await talk.initialize()
    pid = (await talk.call("echo"))["pid"]
    waiting = spawn(talk.ask("stay_silent"), name="waiting")
    await talk.call("echo")
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(UpstreamFailed, match="it was killed by SIGKILL") as failed:
        await waiting
    assert failed.value.sent
    assert changed == ["tool"]
    assert (await talk.ask("echo")).status == 404
    await talk.initialize()
    answer = await talk.call("echo")
    assert (answer["calls"], answer["pid"] != pid) == (1, True)


async def test_a_sessionless_child_that_died_is_started_anew_unseen(start: Start) -> None:
    talk = Talk(start())
    pid = (await modern(talk, "echo"))["pid"]
    os.kill(pid, signal.SIGKILL)
    assert await asyncio.to_thread(gone_within, pid, 5)
    for _ in range(100):
        try:
            answer = await modern(talk, "echo")
        except UpstreamFailed:  # its end has not been noticed yet
            await asyncio.sleep(0.01)
        else:
            break
    assert (answer["calls"], answer["pid"] != pid) == (1, True)


async def test_a_command_that_keeps_ending_is_refused_quickly_with_its_reason(start: Start) -> None:
    clock = Clock()
    talk = Talk(start("--stderr", "no token", "--exit", "3", clock=clock))
    for _ in range(2):
        with pytest.raises(UpstreamFailed) as failed:
            await talk.initialize()
    began = time.monotonic()
    with pytest.raises(UpstreamFailed) as failed:
        await talk.initialize()
    assert time.monotonic() - began < 0.5  # the next start is not waited for
    assert not failed.value.sent
    assert failed.value.why == (
        "tool was not started: it ended by itself 2 times in a row "
        "(it exited with status 3 (what it said on stderr is in the log)); next start in 0.5 s"
    )
    clock.now += 1
    with pytest.raises(UpstreamFailed, match="it exited with status 3"):
        await talk.initialize()


async def test_a_command_that_ends_at_the_probe_fails_as_not_sent(start: Start) -> None:
    talk = Talk(start("--exit", "3"))
    with pytest.raises(UpstreamFailed, match="it exited with status 3") as failed:
        await talk.post(modern_call("echo"))
    assert (failed.value.sent, talk.sent.happened) == (False, False)


async def test_a_command_that_is_not_there_fails_as_not_sent(start: Start) -> None:
    talk = Talk(start(command=Command(("no-such-command",), {})))
    with pytest.raises(UpstreamFailed, match="'no-such-command' could not be started: No such file") as failed:
        await talk.initialize()
    assert not failed.value.sent


# ---- caps and ends -----------------------------------------------------------------------------------------------


async def test_children_are_capped_and_a_busy_one_is_not_ended_for_another(start: Start) -> None:
    upstream = start(limits=quick(children_max=2))
    talks = [Talk(upstream, name) for name in ("ada", "bob", "eve")]
    for talk in talks[:2]:
        await talk.initialize()
    with pytest.raises(UpstreamFailed, match=r"children_max \(2\) processes run and none is idle") as failed:
        await talks[2].initialize()
    assert not failed.value.sent


async def test_an_idle_child_makes_room_the_one_without_a_session_first(start: Start) -> None:
    clock = Clock()
    upstream = start(limits=quick(children_max=2), clock=clock)
    ada, bob, eve = (Talk(upstream, name) for name in ("ada", "bob", "eve"))
    await ada.initialize()
    pid = (await modern(bob, "echo"))["pid"]
    clock.now += 61
    await eve.initialize()
    assert await asyncio.to_thread(gone_within, pid, 5)
    assert [(await talk.ask("echo")).status for talk in (ada, eve)] == [200, 200]


async def test_the_gates_own_listing_needs_none_of_the_agents_children(start: Start) -> None:
    upstream = start(limits=quick(children_max=1))
    ada, inventory = Talk(upstream, "ada"), Talk(upstream, INVENTORY_AGENT)
    await ada.initialize()
    assert (await modern(inventory, "echo"))["calls"] == 1
    await upstream.delete(headers={}, session=ada.session or "", agent="ada")
    await Talk(upstream, "bob").initialize()  # waits for ada's to be gone


async def test_children_nobody_uses_are_ended(start: Start) -> None:
    clock = Clock()
    upstream = start(limits=quick(sweep_sec=0.02), clock=clock)
    ada, bob = Talk(upstream, "ada"), Talk(upstream, "bob")
    await ada.initialize()
    pid = (await modern(bob, "echo"))["pid"]
    clock.now += 301
    assert await asyncio.to_thread(gone_within, pid, 5)
    assert (await ada.call("echo"))["calls"] == 1
    clock.now += 1801
    async with asyncio.timeout(5):
        while (await ada.ask("echo")).status != 404:
            clock.now += 1801
            await asyncio.sleep(0.05)


async def test_a_read_push_stream_keeps_its_child(start: Start) -> None:
    clock = Clock()
    upstream = start(limits=quick(sweep_sec=0.01), clock=clock)
    talk = Talk(upstream)
    await talk.initialize()
    reply = await upstream.get(headers={}, session=talk.session, agent="ada")
    clock.now += 10_000
    await asyncio.sleep(0.1)
    assert (await talk.ask("echo")).status == 200
    await reply.close()


async def test_closing_ends_every_child_and_its_grandchildren(start: Start) -> None:
    upstream = start()
    talks = [Talk(upstream, name) for name in ("ada", "bob")]
    pids = []
    for talk in talks:
        await talk.initialize()
        pids += [(await talk.call("echo"))["pid"], await talk.call("grandchild")]
    await talks[1].call("ignore_the_end")
    await upstream.close()
    assert [pid for pid in pids if not gone_within(pid, 2)] == []
    with pytest.raises(UpstreamFailed, match="the gate is stopping"):
        await talks[0].initialize()


async def test_children_end_when_the_gate_is_killed() -> None:
    program = (
        "import asyncio, sys\n"
        f"sys.path.insert(0, {os.getcwd()!r})\n"
        "import time\n"
        "from proxy.upstreams.stdio import StdioUpstream\n"
        "from tests.proxy.upstreams.builders import Talk, quick, tool_command\n"
        "async def main():\n"
        "    upstream = StdioUpstream('t', tool_command(), ids=lambda: 's', clock=time.monotonic, limits=quick())\n"
        "    talk = Talk(upstream)\n"
        "    await talk.initialize()\n"
        "    pid = await talk.call('ignore_the_end')\n"
        "    print('pids', pid, await talk.call('grandchild'), flush=True)\n"
        "    await asyncio.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    gate = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE)
    assert gate.stdout is not None
    line = b""
    try:
        async with asyncio.timeout(120):  # it imports the product first
            while not line.startswith(b"pids"):
                line = await gate.stdout.readline()
    finally:
        gate.kill()
        await gate.wait()
    pids = [int(word) for word in line.split()[1:]]
    assert [pid for pid in pids if not await asyncio.to_thread(gone_within, pid, 5)] == []


async def test_a_cancelled_opening_leaves_no_child_behind(start: Start) -> None:
    upstream = start()
    talk = Talk(upstream)
    opening = spawn(talk.initialize(), name="opening")
    await asyncio.sleep(0.01)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    await upstream.close()
    assert (upstream._agents, upstream._sessions) == ({}, {})
