"""All that is said with one child: streams, giving up, breaking, and what nobody asked for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from proxy.tasks import spawn
from proxy.upstreams.base import Reply, Sent, UpstreamFailed
from proxy.upstreams.child import ChildLimits
from proxy.upstreams.conversation import Conversation, ConversationLimits
from tests.proxy.upstreams.builders import everything, tool_command, value_of


class Said:
    """A conversation with the scripted tool."""

    def __init__(self, *, is_shared: bool = False, is_modern: bool = False, **limits: float) -> None:
        self.ends: list[str] = []
        self.changes = 0
        self.conversation = Conversation(
            "tool",
            is_shared=is_shared,
            is_modern=is_modern,
            limits=ConversationLimits(child=ChildLimits(grace_sec=0.2), **{"silence_sec_max": 10, **limits}),
            clock=time.monotonic,
            on_end=lambda _conversation, why: self.ends.append(why),
            on_tools_changed=self._changed,
        )

    def _changed(self) -> None:
        self.changes += 1

    async def ask(
        self, tool: str, /, request_id: Any = "x", owner: str = "ada", meta: Any = None, **args: Any
    ) -> Reply:
        params = {"name": tool, "arguments": args} | ({"_meta": meta} if meta else {})
        message = {"jsonrpc": "2.0", "id": request_id, "method": "tools/call", "params": params}
        return await self.conversation.ask(message, owner=owner, sent=Sent())

    async def call(self, tool: str, /, **args: Any) -> Any:
        return value_of((await everything(await self.ask(tool, **args)))[-1])

    async def cancellations(self) -> list[Any]:
        """What the tool was told to stop, once all that was written before has reached it."""
        await self.call("echo")
        received = await self.call("received")
        return [message["params"] for message in received if message.get("method") == "notifications/cancelled"]


type Begin = Callable[..., Any]


@pytest.fixture
async def begin() -> AsyncIterator[Begin]:
    made: list[Said] = []

    async def make(**options: Any) -> Said:
        said = Said(**options)
        made.append(said)
        await said.conversation.begin(tool_command())
        return said

    yield make
    for said in made:
        await said.conversation.end("the test is over")


async def test_an_answer_alone_is_a_body_under_the_senders_id(begin: Begin) -> None:
    said = await begin()
    reply = await said.ask("echo", request_id="mine", text="hello")
    assert (reply.status, reply.is_stream, reply.body["id"]) == (200, False, "mine")
    assert value_of(reply.body)["arguments"] == {"text": "hello"}


async def test_what_comes_before_the_answer_makes_it_a_stream(begin: Begin) -> None:
    said = await begin()
    reply = await said.ask("progress", meta={"progressToken": "p"}, count=2)
    assert reply.is_stream
    first, second, last = await everything(reply)
    assert [first["params"], second["params"]] == [
        {"progressToken": "p", "progress": 0},
        {"progressToken": "p", "progress": 1},
    ]
    assert (last["id"], value_of(last)) == ("x", "progressed")


async def test_t21_parallel_requests_with_one_id_each_get_their_own_answer(begin: Begin) -> None:
    said = await begin()
    replies = await asyncio.gather(*(said.ask("echo", request_id=7, number=number) for number in range(50)))
    assert [value_of(reply.body)["arguments"]["number"] for reply in replies] == list(range(50))
    assert {reply.body["id"] for reply in replies} == {7}


async def test_a_tool_that_dies_fails_every_request_in_flight_as_sent(begin: Begin) -> None:
    said = await begin()
    silent = spawn(said.ask("stay_silent"), name="silent")
    dying = spawn(said.ask("die", status=5), name="dying")
    for task in (silent, dying):
        with pytest.raises(UpstreamFailed, match="the process has ended: it exited with status 5") as failed:
            await task
        assert failed.value.sent
    assert said.ends == ["it exited with status 5"]


async def test_asking_a_dead_child_fails_as_not_sent(begin: Begin) -> None:
    said = await begin()
    await said.conversation.end("enough")
    sent = Sent()
    with pytest.raises(UpstreamFailed) as failed:
        await said.conversation.ask({"jsonrpc": "2.0", "id": 1, "method": "ping"}, owner="ada", sent=sent)
    assert (failed.value.sent, sent.happened) == (False, False)


async def test_a_tool_that_stays_silent_fails_as_sent_and_is_told_to_stop(begin: Begin) -> None:
    said = await begin(silence_sec_max=0.2)
    with pytest.raises(UpstreamFailed, match=r"it said nothing for 0\.2 s about tools/call") as failed:
        await said.ask("stay_silent")
    assert failed.value.sent
    assert (await said.cancellations())[0]["requestId"] == 1


async def test_giving_a_stream_up_tells_the_tool_and_drops_its_late_answer(begin: Begin) -> None:
    said = await begin()
    reply = await said.ask("ask", method="sampling/createMessage")
    assert reply.is_stream
    await reply.close()
    await reply.close()
    assert await said.cancellations() == [{"requestId": 1, "reason": "nobody waits for it any more"}]
    assert [incoming async for incoming in reply.incoming][1:] == []


async def test_closing_ends_a_read_that_is_under_way(begin: Begin) -> None:
    said = await begin()
    reply = await said.ask("ask", method="sampling/createMessage")
    reading = spawn(everything_of(reply), name="reading")
    await asyncio.sleep(0.05)
    await reply.close()
    assert len(await reading) == 1


async def everything_of(reply: Reply) -> list[Any]:
    assert reply.incoming is not None
    return [incoming async for incoming in reply.incoming]


async def test_a_cancelled_caller_gives_its_request_up(begin: Begin) -> None:
    said = await begin()
    waiting = spawn(said.ask("stay_silent"), name="waiting")
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert [params["requestId"] for params in await said.cancellations()] == [1]
    assert not said.conversation.is_busy


async def test_a_request_of_the_tool_is_answered_through_the_conversation(begin: Begin) -> None:
    said = await begin()
    reply = await said.ask("ask", method="elicitation/create")
    messages = aiter(reply.incoming)
    asked = (await anext(messages)).message
    assert (asked["id"], asked["method"]) == ("mine-1", "elicitation/create")
    answer = {"jsonrpc": "2.0", "id": "mine-1", "result": {"action": "accept"}}
    await said.conversation.tell(answer, owner="ada", sent=Sent())
    last = (await anext(messages)).message
    assert value_of(last) == {"result": {"action": "accept"}}


@pytest.mark.parametrize("kind", ["is_shared", "is_modern"])
async def test_t22_a_request_of_the_tool_is_refused_with_an_error_where_nobody_can_be_asked(
    begin: Begin, kind: str
) -> None:
    said = await begin(**{kind: True})
    answered = await said.call("ask", method="sampling/createMessage")
    assert answered["error"]["code"] == -32601


async def test_a_ping_of_the_tool_is_answered(begin: Begin) -> None:
    said = await begin()
    assert await said.call("ask", method="ping") == {"result": {}}


async def test_a_tool_that_asks_while_it_does_not_read_is_not_waited_for(begin: Begin) -> None:
    """Both pipes full: we read on although our own answers cannot be written yet."""
    said = await begin(is_modern=True)
    asking = '{"jsonrpc": "2.0", "id": "q", "method": "sampling/createMessage", "params": {"text": "%s"}}' % (
        "x" * 9000
    )
    large = spawn(said.ask("echo", text="y" * 1_000_000), name="large")
    reply = await asyncio.wait_for(said.ask("say", lines=[asking] * 200), 10)
    assert value_of(reply.body) == "said"
    assert (await large).status == 200


async def test_cancelling_reaches_the_tool_under_the_id_it_knows(begin: Begin) -> None:
    said = await begin()
    waiting = spawn(said.ask("stay_silent", request_id="slow"), name="waiting")
    await asyncio.sleep(0)
    cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "slow"}}
    await said.conversation.tell(cancel, owner="eve", sent=Sent())
    await said.conversation.tell(cancel, owner="ada", sent=Sent())
    assert await said.cancellations() == [{"requestId": 1}]
    waiting.cancel()


async def test_a_broken_message_fails_what_is_in_flight_and_the_child_lives_on(begin: Begin) -> None:
    said = await begin()
    with pytest.raises(UpstreamFailed, match="not strict JSON") as failed:
        await said.ask("say", lines=['{"jsonrpc": "2.0", "id": 1, "result": {}, "result": {"evil": true}}'])
    assert failed.value.sent
    assert (await said.call("echo"))["calls"] == 2


@pytest.mark.parametrize(
    "line",
    [
        '{"jsonrpc": "1.0", "id": 1, "result": {}}',
        '{"jsonrpc": "2.0", "id": 1, "result": []}',
        '{"jsonrpc": "2.0", "id": 1, "result": {}, "error": {"code": 1, "message": ""}}',
        '{"jsonrpc": "2.0", "id": 1.0, "result": {}}',
        '{"id": 1, "result": {}}',
        "[1]",
    ],
)
async def test_what_is_no_json_rpc_fails_what_is_in_flight(begin: Begin, line: str) -> None:
    said = await begin()
    with pytest.raises(UpstreamFailed, match="no JSON-RPC message") as failed:
        await said.ask("say", lines=[line])
    assert failed.value.sent


async def test_a_batch_of_the_tool_is_taken_apart(begin: Begin) -> None:
    said = await begin()
    line = '[{"jsonrpc":"2.0","method":"notifications/message","params":{}},{"jsonrpc":"2.0","id":1,"result":{"a":1}}]'
    log, answer = await everything(await said.ask("say", lines=[line]))
    assert log["method"] == "notifications/message"
    assert answer == {"jsonrpc": "2.0", "id": "x", "result": {"a": 1}}


async def test_answers_to_ids_nobody_asked_are_dropped(begin: Begin) -> None:
    said = await begin()
    reply = await said.ask("say", lines=['{"jsonrpc": "2.0", "id": 99, "result": {"forged": true}}'])
    assert value_of(reply.body) == "said"


async def test_a_slow_reader_slows_the_tool_down_and_loses_nothing(begin: Begin) -> None:
    said = await begin(stall_sec_max=10)
    messages = await everything(await said.ask("flood", count=1_500))
    assert [m["params"]["data"].rstrip("x") for m in messages[:-1]] == [str(number) for number in range(1_500)]


async def test_a_reader_that_takes_nothing_fails_and_frees_the_child(begin: Begin) -> None:
    said = await begin(stall_sec_max=0.2)
    reply = await said.ask("progress", meta={"progressToken": "p"}, count=1_500)
    assert (await said.call("echo"))["calls"] == 2
    with pytest.raises(UpstreamFailed, match=r"were not read for 0\.2 s"):
        await everything(reply)


async def test_what_is_said_unasked_waits_for_a_reader(begin: Begin) -> None:
    said = await begin()
    said.conversation.join("ada")
    other = spawn(said.ask("stay_silent"), name="other")
    another = spawn(said.ask("stay_silent"), name="another")
    listening = said.conversation.listen("ada")
    await said.call("tell", method="notifications/resources/updated", params={"uri": "a:b"})
    told = (await anext(aiter(listening.incoming))).message
    assert told["params"] == {"uri": "a:b"}
    await listening.close()
    other.cancel()
    another.cancel()


async def test_a_changed_list_of_tools_is_noticed_wherever_it_goes(begin: Begin) -> None:
    said = await begin()
    await said.call("tell", method="notifications/tools/list_changed")
    assert said.changes == 1


async def test_a_subscription_may_be_silent_and_keeps_its_own_id(begin: Begin) -> None:
    said = await begin(is_modern=True, silence_sec_max=0.1)
    listen = {"jsonrpc": "2.0", "id": "sub", "method": "subscriptions/listen", "params": {}}
    reply = await said.conversation.ask(listen, owner="ada", sent=Sent())
    messages = aiter(reply.incoming)
    key = "io.modelcontextprotocol/subscriptionId"
    assert [(await anext(messages)).message["params"]["_meta"][key] for _ in range(2)] == ["sub", "sub"]
    silent = asyncio.ensure_future(anext(messages))
    await asyncio.sleep(0.3)
    assert not silent.done()
    await reply.close()
    with pytest.raises(StopAsyncIteration):
        await silent


async def test_a_modern_error_has_the_status_it_has_over_http(begin: Begin) -> None:
    for is_modern, status in ((True, 404), (False, 200)):
        said = await begin(is_modern=is_modern)
        message = {"jsonrpc": "2.0", "id": 1, "method": "no/such", "params": {}}
        reply = await said.conversation.ask(message, owner="ada", sent=Sent())
        assert (reply.status, reply.body["error"]["code"]) == (status, -32601)


async def test_a_session_that_leaves_ends_its_own_streams_only(begin: Begin) -> None:
    said = await begin(is_shared=True)
    for owner in ("ada", "bob"):
        said.conversation.join(owner)
    hers = said.conversation.listen("ada")
    waiting = spawn(said.ask("stay_silent", owner="ada"), name="waiting")
    await said.call("echo", owner="bob")
    said.conversation.leave("ada")
    with pytest.raises(UpstreamFailed, match="its session was ended"):
        await waiting
    assert [incoming async for incoming in hers.incoming] == []
    assert (await said.ask("echo", owner="bob")).status == 200
