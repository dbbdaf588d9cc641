"""Every wire probe of mcp.md §1.4 and threats.md J1-J10, in every revision, before a tool server that believes all.

Policy denies `delete_all` and allows `echo`. A probe tries to have `delete_all` run, or to have a message run that two
readers read in two ways. Whatever reaches the tool server is executed by it and counted.
"""

from __future__ import annotations

import asyncio
import codecs
import gzip
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from tests.blackbox.raw_client import ACCEPT, connection, request_bytes, send
from tests.blackbox.servers.counting import CountingServer
from tests.blackbox.servers.lenient import TOOLS, LenientTools
from tests.blackbox.whole_gate import endpoint, whole_gate

pytestmark = pytest.mark.asyncio(loop_scope="module")

POLICY = """
version: v1
name: probes
rules:
  - id: never-delete
    match: {tools: ["lenient/delete_all"]}
    decision: deny
    reason: Nothing is deleted here
  - id: echo
    match: {tools: ["lenient/echo", "lenient/region"]}
    decision: allow
    reason: Echoing is harmless
"""
DELETE = {"name": "delete_all", "description": "Deletes everything", "inputSchema": {"type": "object"}}
REGION = {
    "name": "region",
    "description": "Says a region",
    "inputSchema": {"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}},
}
REVISIONS = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28")
MODERN = "2026-07-28"
ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientCapabilities": {},
}


@dataclass
class Probed:
    """The gate's address and the tool server behind it."""

    url: str
    server: CountingServer

    @property
    def executed(self) -> list[Any]:
        return self.server.tools.executed


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def probed(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Probed]:
    tools = LenientTools(tools=[*TOOLS, DELETE, REGION])
    async with CountingServer(tools=tools) as server:
        base = tmp_path_factory.mktemp("probes")
        async with whole_gate(base, POLICY, {"lenient": {"url": server.url}}) as app:
            yield Probed(endpoint(app, "lenient"), server)


def call(revision: str, tool: str = "delete_all", **arguments: Any) -> dict[str, Any]:
    params: dict[str, Any] = {"name": tool, "arguments": arguments}
    if revision == MODERN:
        params["_meta"] = ENVELOPE
    return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}


def lines_of(revision: str, tool: str = "delete_all", method: str = "tools/call") -> list[tuple[str, str]]:
    lines = [("Content-Type", "application/json"), ("Accept", ACCEPT)]
    if revision >= "2025-06-18":
        lines.append(("MCP-Protocol-Version", revision))
    if revision == MODERN:
        lines += [("Mcp-Method", method), ("Mcp-Name", tool)]
    return lines


def replaced(lines: list[tuple[str, str]], name: str, value: str | None) -> list[tuple[str, str]]:
    kept = [line for line in lines if line[0].lower() != name.lower()]
    return kept if value is None else [*kept, (name, value)]


type Sends = tuple[bytes, list[tuple[str, str]]]
type Probe = Callable[[str], Sends]


def text_of(revision: str, **how: Any) -> str:
    return json.dumps(call(revision, **how))


def as_text(change: Callable[[str], str | bytes], **how: Any) -> Probe:
    """The denied call, its text changed, with the headers of the tool it is about."""

    def probe(revision: str) -> Sends:
        text = change(text_of(revision, **how))
        return text if isinstance(text, bytes) else text.encode(), lines_of(revision, how.get("tool", "delete_all"))

    return probe


def as_message(change: Callable[[dict[str, Any]], Any], tool: str = "delete_all") -> Probe:
    def probe(revision: str) -> Sends:
        return json.dumps(change(call(revision, tool=tool))).encode(), lines_of(revision, tool)

    return probe


def with_headers(change: Callable[[list[tuple[str, str]]], list[tuple[str, str]]], tool: str = "delete_all") -> Probe:
    def probe(revision: str) -> Sends:
        return text_of(revision, tool=tool).encode(), change(lines_of(revision, tool))

    return probe


def disguised(revision: str) -> str:
    """An allowed call, into which a probe works the denied one."""
    return text_of(revision, tool="echo", text="hello")


def smuggled(change: Callable[[str], str | bytes], tool: str = "echo") -> Probe:
    """An allowed call with a second meaning for lenient readers, under the headers of the allowed one."""

    def probe(revision: str) -> Sends:
        text = change(disguised(revision))
        return text if isinstance(text, bytes) else text.encode(), lines_of(revision, tool)

    return probe


def deep(levels: int) -> str:
    return "[" * levels + "]" * levels


# What must be refused, and never reach the tool server in any form: name -> probe, and the statuses that refuse it.
REFUSED: dict[str, tuple[Probe, tuple[int, ...]]] = {
    # §1.4: batches; J6
    "batch of one": (as_text(lambda t: f"[{t}]"), (400,)),
    "batch of two": (as_text(lambda t: f"[{t},{t}]"), (400,)),
    "batch of allowed and denied": (
        lambda r: (f"[{disguised(r)},{text_of(r)}]".encode(), lines_of(r, "echo")),
        (400,),
    ),
    "empty batch": (as_text(lambda t: "[]"), (400,)),
    # §1.4: duplicate keys; J1
    "duplicate method": (
        smuggled(lambda t: t.replace('"method": "tools/call"', '"method": "tools/list", "method": "tools/call"')),
        (400,),
    ),
    "duplicate params": (
        smuggled(lambda t: t[:-1] + ', "params": {"name": "delete_all", "arguments": {}}}'),
        (400,),
    ),
    "duplicate name": (smuggled(lambda t: t.replace('"name": "echo"', '"name": "echo", "name": "delete_all"')), (400,)),
    "duplicate name, escaped": (
        smuggled(lambda t: t.replace('"name": "echo"', '"name": "echo", "n\\u0061me": "delete_all"')),
        (400,),
    ),
    "duplicate argument": (smuggled(lambda t: t.replace('"text": "hello"', '"text": "a", "text": "b"')), (400,)),
    "duplicate id": (smuggled(lambda t: t.replace('"id": 1', '"id": 1, "id": 2')), (400,)),
    # §1.4: case variants; J1
    "case variant of method": (smuggled(lambda t: t[:-1] + ', "Method": "tools/call"}'), (400,)),
    "case variant of params": (smuggled(lambda t: t[:-1] + ', "PARAMS": {"name": "delete_all"}}'), (400,)),
    "long s in params": (smuggled(lambda t: t[:-1] + ', "param\u017f": {"name": "delete_all"}}'), (400,)),
    "case variant of name": (smuggled(lambda t: t.replace('"name"', '"Name": "delete_all", "name"')), (400,)),
    "case variant of arguments": (smuggled(lambda t: t.replace('"arguments"', '"Arguments": {}, "arguments"')), (400,)),
    "case variant of an argument": (smuggled(lambda t: t.replace('"text"', '"Text": "b", "text"')), (400,)),
    "full-width name": (smuggled(lambda t: t.replace('"name"', '"ｎａｍｅ": "delete_all", "name"')), (400,)),
    # §1.4: a call without id, odd ids; J7
    "call without an id": (as_message(lambda m: {k: v for k, v in m.items() if k != "id"}), (400,)),
    "allowed call without an id": (as_message(lambda m: {k: v for k, v in m.items() if k != "id"}, "echo"), (400,)),
    "id null": (as_message(lambda m: m | {"id": None}, "echo"), (400,)),
    "id 1.5": (as_message(lambda m: m | {"id": 1.5}, "echo"), (400,)),
    "id 1.0": (as_text(lambda t: t.replace('"id": 1', '"id": 1.0'), tool="echo"), (400,)),
    "id true": (as_message(lambda m: m | {"id": True}, "echo"), (400,)),
    "id list": (as_message(lambda m: m | {"id": [1]}, "echo"), (400,)),
    "id beyond 2^53": (as_message(lambda m: m | {"id": 2**53}, "echo"), (400,)),
    # §1.4: encodings; J3
    "byte order mark": (as_text(lambda t: codecs.BOM_UTF8 + t.encode()), (400,)),
    "UTF-16 with mark": (as_text(lambda t: t.encode("utf-16")), (400,)),
    "UTF-16 without mark": (as_text(lambda t: t.encode("utf-16-le")), (400,)),
    "UTF-32": (as_text(lambda t: t.encode("utf-32")), (400,)),
    "latin-1": (smuggled(lambda t: t.replace("hello", "héllo").encode("latin-1")), (400,)),
    "overlong": (smuggled(lambda t: t.encode().replace(b"hello", b"\xc0\xaf")), (400,)),
    "lone surrogate": (smuggled(lambda t: t.replace("hello", "\\ud800")), (400,)),
    "gzip": (lambda r: (gzip.compress(text_of(r).encode()), [*lines_of(r), ("Content-Encoding", "gzip")]), (415,)),
    "said to be gzip": (with_headers(lambda h: [*h, ("Content-Encoding", "gzip")]), (415,)),
    "two encodings": (with_headers(lambda h: [*h, ("Content-Encoding", "identity, gzip")]), (415,)),
    "quoted-printable": (with_headers(lambda h: [*h, ("Content-Encoding", "quoted-printable")]), (415,)),
    # §1.4: numbers; J2
    "NaN": (smuggled(lambda t: t.replace('"hello"', "NaN")), (400,)),
    "Infinity": (smuggled(lambda t: t.replace('"hello"', "-Infinity")), (400,)),
    "1e400": (smuggled(lambda t: t.replace('"hello"', "1e400")), (400,)),
    "integer beyond 2^53": (smuggled(lambda t: t.replace('"hello"', "9223372036854775807")), (400,)),
    # J4: depth, keys, length of a key
    "depth 9,000": (smuggled(lambda t: t.replace('"hello"', deep(9_000))), (413,)),
    "depth 100,000": (smuggled(lambda t: t.replace('"hello"', deep(100_000))), (413,)),
    "depth 65": (smuggled(lambda t: t.replace('"hello"', deep(65))), (413,)),
    "10,001 keys": (
        smuggled(lambda t: t.replace('"hello"', json.dumps({f"k{n}": 1 for n in range(10_001)}))),
        (413,),
    ),
    "a key of 2,000 bytes": (smuggled(lambda t: t.replace('"hello"', json.dumps({"k" * 2_000: 1}))), (413,)),
    # §1.4: two documents; J5
    "two documents": (lambda r: ((disguised(r) + text_of(r)).encode(), lines_of(r, "echo")), (400,)),
    "two lines": (lambda r: ((disguised(r) + "\n" + text_of(r)).encode(), lines_of(r, "echo")), (400,)),
    "trailing comma": (as_text(lambda t: t + ","), (400,)),
    "comment": (smuggled(lambda t: "/* hi */" + t), (400,)),
    "nothing": (as_text(lambda t: ""), (400,)),
    # J8: what is both, and unknown members
    "method and result": (as_message(lambda m: m | {"result": {}}), (400,)),
    "method and error": (as_message(lambda m: m | {"error": {"code": 1, "message": "x"}}), (400,)),
    "unknown member": (as_message(lambda m: m | {"tool": "delete_all"}, "echo"), (400,)),
    "jsonrpc 1.0": (as_message(lambda m: m | {"jsonrpc": "1.0"}, "echo"), (400,)),
    "no jsonrpc": (as_message(lambda m: {k: v for k, v in m.items() if k != "jsonrpc"}, "echo"), (400,)),
    "method is a list": (as_message(lambda m: m | {"method": ["tools/call"]}, "echo"), (400,)),
    "params is a list": (as_message(lambda m: m | {"params": ["delete_all"]}, "echo"), (400,)),
    "arguments is a string": (
        as_message(lambda m: m | {"params": m["params"] | {"arguments": "{}"}}, "echo"),
        (200, 400),
    ),
    "name is a list": (as_message(lambda m: m | {"params": m["params"] | {"name": ["delete_all"]}}), (200, 400)),
    # §1.4: content types; J10
    "text/json": (with_headers(lambda h: replaced(h, "Content-Type", "text/json")), (415,)),
    "form": (with_headers(lambda h: replaced(h, "Content-Type", "application/x-www-form-urlencoded")), (415,)),
    "multipart": (with_headers(lambda h: replaced(h, "Content-Type", "multipart/form-data; boundary=x")), (415,)),
    "charset utf-16": (with_headers(lambda h: replaced(h, "Content-Type", "application/json; charset=utf-16")), (415,)),
    "two content types": (with_headers(lambda h: [*h, ("Content-Type", "text/plain")]), (415,)),
    "a list of content types": (
        with_headers(lambda h: replaced(h, "Content-Type", "application/json, text/plain")),
        (415,),
    ),
    "no content type": (with_headers(lambda h: replaced(h, "Content-Type", None)), (415,)),
    "application/jsonp": (with_headers(lambda h: replaced(h, "Content-Type", "application/jsonp")), (415,)),
    # §1.4: versions
    "unknown version": (with_headers(lambda h: replaced(h, "MCP-Protocol-Version", "2030-01-01"), "echo"), (400,)),
    "version is nonsense": (with_headers(lambda h: replaced(h, "MCP-Protocol-Version", "latest"), "echo"), (400,)),
    "duplicated version": (
        with_headers(lambda h: [*h, ("MCP-Protocol-Version", "2025-11-25"), ("MCP-Protocol-Version", "2025-11-25")]),
        (400,),
    ),
    # methods that are in no table; J15
    "unknown method": (as_message(lambda m: m | {"method": "tools/execute"}), (200, 400, 404)),
    "method in another case": (as_message(lambda m: m | {"method": "Tools/Call"}), (200, 400, 404)),
    "method with a space": (as_message(lambda m: m | {"method": "tools/call "}), (200, 400, 404)),
    "method with a NUL": (as_text(lambda t: t.replace("tools/call", "tools/call\\u0000")), (200, 400, 404)),
}

# Refused in 2026-07-28 alone: before it these headers mean nothing and are not looked at; J9.
REFUSED_MODERN: dict[str, tuple[Probe, tuple[int, ...]]] = {
    "Mcp-Name of an allowed tool": (with_headers(lambda h: replaced(h, "Mcp-Name", "echo")), (400,)),
    "Mcp-Name of the denied tool": (with_headers(lambda h: replaced(h, "Mcp-Name", "delete_all"), "echo"), (400,)),
    "no Mcp-Name": (with_headers(lambda h: replaced(h, "Mcp-Name", None), "echo"), (400,)),
    "Mcp-Method of a list": (with_headers(lambda h: replaced(h, "Mcp-Method", "tools/list")), (400,)),
    "no Mcp-Method": (with_headers(lambda h: replaced(h, "Mcp-Method", None), "echo"), (400,)),
    "Mcp-Name in base64 of another": (
        with_headers(lambda h: replaced(h, "Mcp-Name", "=?base64?ZWNobw==?=")),
        (400,),
    ),
    "Mcp-Name in broken base64": (with_headers(lambda h: replaced(h, "Mcp-Name", "=?base64?ZWNobw?="), "echo"), (400,)),
    "duplicated Mcp-Name": (with_headers(lambda h: [*h, ("mcp-name", "echo")], "echo"), (400,)),
    "duplicated Mcp-Method": (with_headers(lambda h: [*h, ("Mcp-Method", "tools/call")], "echo"), (400,)),
    "header of the handshake era": (
        with_headers(lambda h: replaced(h, "MCP-Protocol-Version", "2025-11-25"), "echo"),
        (400,),
    ),
    "no version header": (with_headers(lambda h: replaced(h, "MCP-Protocol-Version", None), "echo"), (400,)),
    "no envelope": (
        as_message(lambda m: m | {"params": {"name": "echo", "arguments": {}}}, "echo"),
        (400,),
    ),
    "half an envelope": (
        as_message(
            lambda m: m | {"params": m["params"] | {"_meta": {"io.modelcontextprotocol/protocolVersion": MODERN}}},
            "echo",
        ),
        (400,),
    ),
    "Mcp-Param that says another value": (
        lambda r: (
            text_of(r, tool="region", region="us").encode(),
            [*lines_of(r, "region"), ("Mcp-Param-Region", "eu")],
        ),
        (400,),
    ),
    "Mcp-Param that is missing": (
        lambda r: (text_of(r, tool="region", region="us").encode(), lines_of(r, "region")),
        (400,),
    ),
    "Mcp-Param without an argument": (
        lambda r: (text_of(r, tool="region").encode(), [*lines_of(r, "region"), ("Mcp-Param-Region", "eu")]),
        (400,),
    ),
    "duplicated Mcp-Param": (
        lambda r: (
            text_of(r, tool="region", region="eu").encode(),
            [*lines_of(r, "region"), ("Mcp-Param-Region", "eu"), ("mcp-param-region", "eu")],
        ),
        (400,),
    ),
    "a session of the other era": (
        as_message(lambda m: {"jsonrpc": "2.0", "id": "ilq_x", "result": {}}, "echo"),
        (400,),
    ),
}

# Read by every reader in one way: judged like the call it is, and denied.
DENIED: dict[str, Probe] = {
    "as it is": as_text(lambda t: t),
    "unicode escapes": as_text(
        lambda t: t.replace("tools/call", "tools\\u002fcall").replace("delete_all", "d\\u0065lete_all")
    ),
    "Application/JSON": with_headers(lambda h: replaced(h, "Content-Type", "Application/JSON")),
    "charset utf-8": with_headers(lambda h: replaced(h, "Content-Type", 'application/json; charset="UTF-8"')),
    "white space": as_text(lambda t: f" \r\n\t{t}\n "),
    "a string id": as_message(lambda m: m | {"id": "1"}),
    "an empty string id": as_message(lambda m: m | {"id": ""}),
    "a negative id": as_message(lambda m: m | {"id": -1}),
    "as a task": as_message(lambda m: m | {"params": m["params"] | {"task": {"ttl": 1}}}),
    "with a progress token": as_message(
        lambda m: m | {"params": m["params"] | {"_meta": {**m["params"].get("_meta", {}), "progressToken": 1}}}
    ),
    "with identity encoding": with_headers(lambda h: [*h, ("Content-Encoding", "identity")]),
    "with no Accept": with_headers(lambda h: replaced(h, "Accept", None)),
}
# Before 2026-07-28 routing headers are not trusted: they neither help nor hinder.
DENIED_HANDSHAKE: dict[str, Probe] = {
    "Mcp-Name of an allowed tool": with_headers(lambda h: [*h, ("Mcp-Name", "echo"), ("Mcp-Method", "tools/call")]),
    "Mcp-Method of a list": with_headers(lambda h: [*h, ("Mcp-Method", "tools/list")]),
    "without a version header": with_headers(lambda h: replaced(h, "MCP-Protocol-Version", None)),
}


def cases(probes: dict[str, Any], revisions: tuple[str, ...]) -> list[Any]:
    return [pytest.param(probe, rev, id=f"{name}-{rev}") for name, probe in probes.items() for rev in revisions]


@pytest.mark.parametrize(("probe", "revision"), cases(REFUSED, REVISIONS) + cases(REFUSED_MODERN, (MODERN,)))
async def test_a_probe_is_refused_and_nothing_of_it_reaches_the_tool(
    probed: Probed, probe: tuple[Probe, tuple[int, ...]], revision: str
) -> None:
    build, statuses = probe
    body, lines = build(revision)
    count = len(probed.executed)
    posts = probed.server.count("tools/call")
    answer = await send(probed.url, body, lines)
    assert answer.status in statuses, answer
    if answer.status == 200:
        assert "error" in answer.message
    assert len(probed.executed) == count
    assert probed.server.count("tools/call") == posts


@pytest.mark.parametrize(("probe", "revision"), cases(DENIED, REVISIONS) + cases(DENIED_HANDSHAKE, REVISIONS[:-1]))
async def test_however_it_is_written_the_denied_call_is_denied(probed: Probed, probe: Probe, revision: str) -> None:
    body, lines = probe(revision)
    count = len(probed.executed)
    answer = await send(probed.url, body, lines)
    assert answer.status == 200, answer
    assert answer.message["result"]["isError"] is True
    assert "NOT executed" in answer.message["result"]["content"][0]["text"]
    assert len(probed.executed) == count


@pytest.mark.parametrize("revision", REVISIONS)
async def test_an_honest_call_is_executed_once_as_it_was_said(probed: Probed, revision: str) -> None:
    count = len(probed.executed)
    answer = await send(probed.url, disguised(revision).encode(), lines_of(revision, "echo"))
    assert answer.status == 200
    assert answer.message["result"]["content"][0]["text"] == 'echo ran with {"text": "hello"}'
    assert probed.executed[count:] == [("echo", {"text": "hello"})]


@pytest.mark.parametrize("revision", REVISIONS)
async def test_an_honest_call_in_unicode_escapes_is_executed_as_what_it_says(probed: Probed, revision: str) -> None:
    count = len(probed.executed)
    body = disguised(revision).replace("tools/call", "tools\\u002fcall").replace("hello", "h\\u0065llo")
    await send(probed.url, body.encode(), lines_of(revision, "echo"))
    assert probed.executed[count:] == [("echo", {"text": "hello"})]


@pytest.mark.parametrize("value", [2**53 - 1, -(2**53 - 1), 0.5, -0.0, 1e300, "9223372036854775807"])
async def test_a_number_is_sent_as_it_was_written(probed: Probed, value: Any) -> None:
    body = json.dumps(call("2025-11-25", "echo", amount=value)).encode()
    await send(probed.url, body, lines_of("2025-11-25", "echo"))
    assert probed.executed[-1] == ("echo", {"amount": value})
    assert json.dumps(value).encode() in probed.server.requests[-1].body


async def test_a_param_header_that_agrees_passes_and_is_computed_anew(probed: Probed) -> None:
    lines = [*lines_of(MODERN, "region"), ("Mcp-Param-Region", "=?base64?ZXU=?="), ("Mcp-Param-Other", "1")]
    answer = await send(probed.url, json.dumps(call(MODERN, "region", region="eu")).encode(), lines)
    assert answer.message["result"]["content"][0]["text"] == 'region ran with {"region": "eu"}'
    sent = probed.server.requests[-1]
    assert (sent.header("mcp-param-region"), sent.header("mcp-param-other")) == ("eu", "1")


@pytest.mark.parametrize("version", [None, *REVISIONS, "2030-01-01"])
@pytest.mark.parametrize("method", ["initialize", "server/discover"])
async def test_a_probe_of_the_era_is_no_way_to_send_another_methods_header(
    probed: Probed, method: str, version: str | None
) -> None:
    """Whoever routes by `Mcp-Method` must not be told of a call by a message that was never judged as one."""
    params = {"protocolVersion": "2025-11-25", "capabilities": {}, "name": "anything", "arguments": {}}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    lines = replaced(lines_of("2025-03-26"), "MCP-Protocol-Version", version)
    first = len(probed.server.requests)
    await send(probed.url, body, [*lines, ("Mcp-Method", "tools/call"), ("Mcp-Name", "anything")])
    for request in probed.server.requests[first:]:
        assert request.header("mcp-name") is None
        assert request.header("mcp-method") in (None, *request.methods)


# ---- framing (traps T5, threats B5-B7) -------------------------------------------------------------------------------


@pytest.mark.parametrize("revision", REVISIONS)
async def test_trailers_are_refused_and_never_become_headers(probed: Probed, revision: str) -> None:
    body = text_of(revision).encode()
    lines = [*replaced(lines_of(revision), "Mcp-Name", None), ("Transfer-Encoding", "chunked")]
    head = request_bytes(probed.url, b"", lines, framing=False)
    chunked = f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\nMcp-Name: delete_all\r\n\r\n"
    count = len(probed.executed)
    async with asyncio.timeout(10), connection(probed.url) as wire:
        await wire.write(head + chunked)
        assert (await wire.rest()).status == 400
    assert len(probed.executed) == count


FRAMINGS = {
    "length and chunks": b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    "two lengths": b"Content-Length: 5\r\nContent-Length: 6\r\n",
    "xchunked": b"Transfer-Encoding: xchunked\r\n",
    "gzip and chunked": b"Transfer-Encoding: gzip, chunked\r\n",
    "two hosts": b"Host: 127.0.0.1\r\nContent-Length: 0\r\n",
    "a folded header": b"X-Long: a\r\n b\r\nContent-Length: 0\r\n",
}


@pytest.mark.parametrize("framing", FRAMINGS.values(), ids=FRAMINGS)
async def test_what_two_parsers_would_frame_differently_is_refused(probed: Probed, framing: bytes) -> None:
    body = text_of("2025-11-25").encode()
    head = request_bytes(probed.url, b"", lines_of("2025-11-25"), framing=False)[:-2] + framing + b"\r\n"
    count = len(probed.executed)
    async with asyncio.timeout(10), connection(probed.url) as wire:
        await wire.write(head + body)
        assert (await wire.rest()).status == 400
    assert len(probed.executed) == count


async def test_a_pipelined_second_request_is_never_read(probed: Probed) -> None:
    honest = request_bytes(probed.url, disguised("2025-11-25").encode(), lines_of("2025-11-25", "echo"))
    count = len(probed.executed)
    async with asyncio.timeout(10), connection(probed.url) as wire:
        await wire.write(honest + honest)
        assert (await wire.rest()).status == 200
        assert await wire.reader.read() == b""
    assert len(probed.executed) == count + 1


SMUGGLED = ("duplicate name", "duplicate params", "batch of one", "byte order mark", "gzip", "call without an id")


@pytest.mark.parametrize("name", SMUGGLED)
async def test_the_probes_have_teeth_without_a_gate_they_run_the_tool(name: str) -> None:
    async with CountingServer() as server:
        body, lines = REFUSED[name][0]("2025-06-18")
        await send(server.url, body, lines)
        assert "delete_all" in [tool for tool, _ in server.tools.executed]


async def test_over_all_probes_the_denied_tool_never_ran(probed: Probed) -> None:
    assert "delete_all" not in [name for name, _ in probed.executed]
    assert not any("delete_all" in json.dumps(request.message) for request in probed.server.requests)
