"""Boundary rows of what agents and tool servers send: messages, heads, streams, sessions, processes' output."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, cast

from policies.model import ToolCall
from proxy.agents import Agents, NotAuthenticated
from proxy.config import Config
from proxy.doors.mcp_exchange import McpExchange
from proxy.doors.mcp_places import StreamPlaces, TooManyStreams
from proxy.doors.mcp_questions import Asker, Question
from proxy.doors.mcp_reply import AgentReply
from proxy.doors.mcp_resume import Resumption
from proxy.doors.mcp_sessions import Answered, Seen, TooManySessions
from proxy.inspector_queue import QueueFull, WaitingJobs
from proxy.upstreams import definitions, http_rules, reading
from proxy.upstreams.base import Incoming, Reply
from proxy.upstreams.child import Child, ChildLimits
from proxy.upstreams.conversation import Conversation
from proxy.upstreams.http import HttpLimits
from proxy.upstreams.listing import ListingLimits, ListingRefused
from proxy.upstreams.mailbox import Mailbox
from proxy.wire import body, jsonrpc, opaque, sse, strict_json
from proxy.wire.http_protocol import ServerLimits
from proxy.wire.refusals import WireRefusal
from tests.limits.rows import Row, loads
from tests.proxy.doors.test_mcp_sessions import DEMO, opened, sessions
from tests.proxy.test_inspector_queue import _Job
from tests.proxy.upstreams.fake import FakeToolServer
from tests.proxy.upstreams.test_listing import names, tools
from tests.proxy.upstreams.test_stderr import drained
from tests.proxy.wire.test_body import encode, under
from tests.proxy.wire.test_http_protocol import connect, turn
from tests.proxy.wire.test_http_response import HEAD, BadResponse, read

CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}


def _json(text: str, **limits: int) -> bool:
    return loads(lambda: strict_json.read(text.encode(), strict_json.JsonLimits(**limits)), strict_json.StrictJsonError)


def _message(message: dict[str, Any], check: Callable[[jsonrpc.Message], None] = lambda _: None) -> bool:
    return loads(lambda: check(jsonrpc.parse(message)), WireRefusal)


def _key(length: int) -> bool:
    """Whether a key so long is looked up at all: then the answer is that it is not known."""
    try:
        Agents(Config()).authenticate({b"authorization": b"Bearer ilk_" + b"x" * (length - 4)}, "127.0.0.1")
    except NotAuthenticated as unknown:
        return "is not known here" in str(unknown)
    return False


def _streams(count: int, agents: int) -> bool:
    places, held = StreamPlaces(), ExitStack()
    with held:
        return loads(
            lambda: [held.enter_context(places.place("s", f"agent {n % agents}")) for n in range(count)], TooManyStreams
        )


def _sessions(count: int, **limits: int) -> bool:
    known = sessions(**limits)
    return loads(lambda: [opened(known) for _ in range(count)], TooManySessions)


def _answered(count: int) -> bool:
    session = opened(sessions())
    for number in range(count):
        session.remember(Answered(ToolCall("s", "t", {}, DEMO), number))
    return "0" in session.answered


def _seen(count: int) -> bool:
    seen = Seen()
    for number in range(count):
        seen.add(number)
    return 0 in seen


def _response(lines: bytes, **limits: int) -> bool:
    return loads(lambda: read(HEAD + b"Content-Length: 0\r\n" + lines + b"\r\n", **limits), BadResponse)


def _body(size: int, **limits: int) -> bool:
    return loads(
        lambda: body.decode(encode("gzip", b"0" * size), under("gzip"), body.BodyLimits(**limits)), body.BodyRefused
    )


def _sse(data: bytes, **limits: int) -> bool:
    return loads(lambda: sse.Parser(sse.SseLimits(**limits)).feed(data), sse.SseError)


def _event_id(chars: int) -> bool:
    reader = reading.EventReader(1, strict_json.JsonLimits(), 0)
    return loads(lambda: [*reader.feed(b"id: " + b"x" * chars + b"\ndata:\n\n")], reading.Malformed)


async def _pages(pages: int) -> bool:
    return await _lists(FakeToolServer(tools=tools(pages, page_size=1)), ListingLimits(pages_max=3))


async def _tools(count: int) -> bool:
    return await _lists(FakeToolServer(tools=tools(count)), ListingLimits(tools_max=4))


async def _lists(server: FakeToolServer, limits: ListingLimits) -> bool:
    try:
        await names(server, limits)
    except ListingRefused:
        return False
    return True


def _tool_name(chars: int) -> bool:
    entry = {"name": "x" * chars, "inputSchema": {}}
    return loads(lambda: definitions.pinned_form(entry), definitions.ListingRefused)


def _header(chars: int) -> bool:
    given = {"mcp-name": "x" * chars}
    out = loads(lambda: http_rules.outgoing(given, accept="*/*", session=None, configured={}), http_rules.HeaderRefused)
    back = loads(lambda: http_rules.passed_out([("retry-after", "1" * chars)]), http_rules.HeaderRefused)
    assert out is back
    return out


def _mailbox(messages: int, size: int = 1, **limits: int) -> bool:
    box = Mailbox(**limits)
    return not any(box.offer({"n": number}, size) for number in range(messages))


def _event_ids(count: int) -> bool:
    resumption = Resumption(cast(McpExchange, None))
    for number in range(count):
        resumption.note(Incoming(None, None, None), str(number))
    return "0" in resumption.event_ids


async def _questions(open_ones: int) -> bool:
    """The last of so many questions is put to the agent, and not refused."""
    put: list[str] = []

    class Noting(Asker):
        async def _put(self, request: Any, reply: Any, event_id: Any) -> None:
            put.append(request["id"])

        async def _refuse(self, request: Any) -> None:
            put.clear()

    session = opened(sessions())
    session.questions.update({str(number): cast(Question, object()) for number in range(open_ones - 1)})
    asker = Noting(cast(Any, None), session, cast(Any, None), asyncio.Event())
    asker._known = lambda _id: None  # type: ignore[method-assign]
    asker({"id": "new", "method": "elicitation/create"}, cast(AgentReply, None), None)
    for _ in range(3):
        await asyncio.sleep(0)
    return put == ["new"]


async def _unwritten(count: int) -> bool:
    """A process that reads nothing is still told so many things of ours."""

    class Stuck:
        async def write(self, message: Any) -> None:
            await asyncio.Event().wait()

    conversation = object.__new__(Conversation)
    conversation._unwritten, conversation._has_lost, conversation.name = 0, False, "tool"
    conversation._require_child = lambda: cast(Child, Stuck())  # type: ignore[method-assign]
    for _ in range(count):
        conversation._answer({})
    return not conversation._has_lost


def _read(text: str, limits: strict_json.JsonLimits) -> bool:
    return loads(lambda: strict_json.read(text.encode(), limits), strict_json.StrictJsonError)


def _keys(count: int) -> str:
    return json.dumps({f"{key}": 1 for key in range(count)})


def _stream(size: int, limits: HttpLimits) -> bool:
    reader = reading.EventReader(1, limits.json, limits.stream_bytes_max)
    return loads(lambda: [*reader.feed(b"\n" * size)], reading.Malformed)


async def _cursor(chars: int) -> bool:
    cursors = iter(["x" * chars, None])

    def page(message: dict[str, Any]) -> Reply | None:
        if message.get("method") != "tools/list":
            return None
        more = {} if (cursor := next(cursors)) is None else {"nextCursor": cursor}
        return Reply(200, {}, body={"jsonrpc": "2.0", "id": message["id"], "result": {"tools": []} | more})

    server = FakeToolServer(tools=tools(0))
    server.before = page
    return await _lists(server, ListingLimits(cursor_chars_max=9))


async def _head_lines(count: int) -> bool:
    one = await connect(ServerLimits(head_lines_max=9))
    lines = b"".join(b"x%d: y\r\n" % number for number in range(count - 1))
    one.protocol.data_received(b"GET / HTTP/1.1\r\nHost: a\r\n" + lines + b"\r\n")
    await turn()
    answered = one.transport.written
    one.protocol.connection_lost(None)
    return not answered.startswith(b"HTTP/1.1 431 ")


def _stderr_line(chars: int) -> bool:
    _, logs = asyncio.run(drained(b"x" * chars + b"\n"))
    return len(logs[0]["text"]) == chars


def _stderr_lines(count: int) -> bool:
    _, logs = asyncio.run(drained(b"again\n" * count))
    return all(entry["event"] == "tool_stderr" for entry in logs)


def _jobs(sizes: list[int]) -> bool:
    queue: WaitingJobs[Any] = WaitingJobs()
    return loads(lambda: [queue.add(_Job(b"x" * size)) for size in sizes], QueueFull)


U, W, D = "proxy.upstreams.", "proxy.wire.", "proxy.doors."
ROWS = (
    Row(W + "strict_json.JsonLimits.number_chars_max", lambda n: _json("1." + "0" * (n - 2), number_chars_max=9), at=9),
    Row(W + "jsonrpc.METHOD_CHARS_MAX", lambda n: _message({**CALL, "method": "x" * n})),
    Row(
        "limits.opaque_bytes_max",
        lambda n: _message({**CALL, "id": "x" * n}, lambda m: opaque.check_opaque(m, bytes_max=9)),
        at=9,
    ),
    Row("limits.body_bytes_max", lambda n: _json(json.dumps("x" * (n - 2)), bytes_max=9), at=9),
    Row("limits.json_depth_max", lambda n: _json("[" * n + "]" * n, depth_max=9), at=9),
    Row("limits.json_keys_max", lambda n: _json(json.dumps({f"{k}": 1 for k in range(n)}), keys_max=9), at=9),
    Row("limits.json_key_bytes_max", lambda n: _json(json.dumps({"k" * n: 1}), key_bytes_max=9), at=9),
    Row("proxy.agents.KEY_LENGTH_MAX", _key),
    Row(D + "mcp_places.STREAMS_PER_AGENT_MAX", lambda n: _streams(n, 1)),
    Row(D + "mcp_places.STREAMS_PER_SERVER_MAX", lambda n: _streams(n, 3)),
    Row(D + "mcp_sessions.SESSIONS_MAX", lambda n: _sessions(n, sessions_max=4), at=4),
    Row(D + "mcp_sessions.SESSIONS_PER_AGENT_MAX", lambda n: _sessions(n, per_agent_max=4), at=4),
    Row(D + "mcp_sessions.ANSWERED_KEPT_MAX", _answered),
    Row(D + "mcp_sessions.SEEN_KEPT_MAX", _seen),
    Row(
        W + "http_response.ResponseLimits.head_lines_max",
        lambda n: _response(b"a: b\r\n" * (n - 2), head_lines_max=9),
        at=9,
    ),
    Row(
        W + "http_response.ResponseLimits.line_bytes_max",
        lambda n: _response(b"a" * (n - 1) + b": b\r\n", line_bytes_max=30),
        at=30,
    ),
    Row(W + "body.BodyLimits.bytes_max", lambda n: _body(n, bytes_max=999), at=999),
    Row(W + "sse.SseLimits.line_bytes_max", lambda n: _sse(b":" * n + b"\n", line_bytes_max=9), at=9),
    Row(
        W + "sse.SseLimits.event_bytes_max",
        lambda n: _sse(b"data: " + b"x" * (n - 6) + b"\n\n", event_bytes_max=9),
        at=9,
    ),
    Row(W + "sse.SseLimits.stream_bytes_max", lambda n: _sse(b"\n" * n, stream_bytes_max=9), at=9),
    Row(
        W + "sse.SseLimits.retry_digits_max",
        lambda n: (
            sse.Parser(sse.SseLimits(retry_digits_max=4)).feed(b"retry: " + b"1" * n + b"\ndata: x\n\n")[0].retry_ms
            is not None
        ),
        at=4,
    ),
    Row(U + "http_rules.VALUE_CHARS_MAX", _header),
    Row(U + "reading.EVENT_ID_CHARS_MAX", _event_id),
    Row(U + "listing.ListingLimits.pages_max", _pages, at=3),
    Row(U + "listing.ListingLimits.tools_max", _tools, at=4),
    Row(U + "definitions.NAME_CHARS_MAX", _tool_name),
    Row(D + "mcp_sessions.QUESTIONS_MAX", _questions),
    Row(D + "mcp_resume.EVENT_IDS_MAX", _event_ids),
    Row(U + "conversation.UNWRITTEN_MAX", _unwritten),
    Row(
        U + "http.HttpLimits.json_depth_max",
        lambda n: _read("[" * n + "]" * n, HttpLimits(json_depth_max=9).json),
        at=9,
    ),
    Row(U + "http.HttpLimits.json_keys_max", lambda n: _read(_keys(n), HttpLimits(json_keys_max=9).json), at=9),
    Row(
        U + "child.ChildLimits.json_depth_max",
        lambda n: _read("[" * n + "]" * n, ChildLimits(json_depth_max=9).json),
        at=9,
    ),
    Row(U + "child.ChildLimits.json_keys_max", lambda n: _read(_keys(n), ChildLimits(json_keys_max=9).json), at=9),
    Row(U + "http.HttpLimits.stream_bytes_max", lambda n: _stream(n, HttpLimits(stream_bytes_max=9)), at=9),
    Row(U + "listing.ListingLimits.cursor_chars_max", _cursor, at=9),
    Row(W + "http_protocol.ServerLimits.head_lines_max", _head_lines, at=9),
    Row(U + "mailbox.MESSAGES_MAX", lambda n: _mailbox(n)),
    Row(U + "mailbox.BYTES_MAX", lambda n: _mailbox(2, n // 2 + 1 if n % 2 else n // 2, bytes_max=10), at=10),
    Row(U + "stderr.LINE_CHARS_MAX", _stderr_line),
    Row(U + "stderr.LINES_PER_WINDOW_MAX", _stderr_lines),
    Row("proxy.inspector_queue.WAITING_MAX", lambda n: _jobs([0] * n)),
    Row("proxy.inspector_queue.WAITING_BYTES_MAX", lambda n: _jobs([4, n - 4]), at=10),
)
