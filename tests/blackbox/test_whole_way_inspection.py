"""Nothing planted in what a tool says reaches an agent's bytes, on any surface, in any framing (P8)."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from mcp.client import Client

from tests.blackbox.gate_process import LEGACY, MODERN, REVISIONS, House, call, call_bytes, session_of, text, told
from tests.blackbox.raw_client import connection, json_lines, request_bytes
from tests.blackbox.servers.counting import Instruction, Recorded, Wire, events

CARD, MAIL, KEY = "4111 1111 1111 1111", "jane.doe@example.com", "AKIAQ3EGRZ5XK7PLM2WT"
PLANTED = {"card": CARD, "mail": MAIL, "key": KEY}  # the first two are taken out, the third holds the whole output

type Messages = Callable[[Any, str], list[dict[str, Any]]]


def answered_with(result: dict[str, Any]) -> dict[str, Any]:
    return {"resultType": "complete", "content": [], **result}


def of_result(make: Callable[[str], dict[str, Any]]) -> Messages:
    return lambda request_id, planted: [{"jsonrpc": "2.0", "id": request_id, "result": answered_with(make(planted))}]


def of_error(make: Callable[[str], dict[str, Any]]) -> Messages:
    return lambda request_id, planted: [
        {"jsonrpc": "2.0", "id": request_id, "error": {"code": -32000, **make(planted)}}
    ]


def told_on_the_way(method: str, make: Callable[[str], dict[str, Any]]) -> Messages:
    def messages(request_id: Any, planted: str) -> list[dict[str, Any]]:
        told = {"jsonrpc": "2.0", "method": method, "params": make(planted)}
        return [told, {"jsonrpc": "2.0", "id": request_id, "result": answered_with({})}]

    return messages


def block(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


ON_THE_WAY: dict[str, Messages] = {
    "progress": told_on_the_way(
        "notifications/progress", lambda it: {"progressToken": "p", "progress": 1, "message": f"charging {it}"}
    ),
    "log text": told_on_the_way("notifications/message", lambda it: {"level": "info", "data": f"charging {it}"}),
    "log data": told_on_the_way(
        "notifications/message", lambda it: {"level": "error", "logger": it, "data": {"to": [{"who": it}]}}
    ),
    "resource updated": told_on_the_way(
        "notifications/resources/updated", lambda it: {"uri": f"shop://customers/{it.replace(' ', '')}"}
    ),
    "unknown notification": told_on_the_way("notifications/whatever", lambda it: {"said": it}),
}
AT_THE_END: dict[str, Messages] = {
    "text": of_result(lambda it: {"content": [block(f"The customer: {it}.")]}),
    "tool error": of_result(lambda it: {"content": [block(f"no such customer {it}")], "isError": True}),
    "structured": of_result(lambda it: {"structuredContent": {"customers": [{"contact": it}]}}),
    "both": of_result(lambda it: {"content": [block(json.dumps({"a": it}))], "structuredContent": {"a": it}}),
    "key of an object": of_result(lambda it: {"structuredContent": {it: "customer"}}),
    "own meta": of_result(lambda it: {"_meta": {"shop/debug": {"row": it}}}),
    "annotation": of_result(lambda it: {"content": [block("fine") | {"annotations": {"note": it}}]}),
    "embedded resource": of_result(
        lambda it: {"content": [{"type": "resource", "resource": {"uri": "shop://a", "text": f"{it}"}}]}
    ),
    "resource link": of_result(
        lambda it: {"content": [{"type": "resource_link", "uri": "shop://a", "name": it, "description": it}]}
    ),
    "blob": of_result(lambda it: {"content": [_blob(it)]}),
    "a question inside the result": of_result(
        lambda it: {"resultType": "input_required", "inputRequests": {"q": question(it)}, "requestState": "s"}
    ),
    "unknown content": of_result(lambda it: {"content": [{"type": "hologram", "light": [it]}]}),
    "unknown field": of_result(lambda it: {"extra": {"deep": [[[it]]]}}),
    "error message": of_error(lambda it: {"message": f"cannot charge {it}"}),
    "error data": of_error(lambda it: {"message": "no", "data": {"row": {"contact": it}}}),
}


def question(planted: str) -> dict[str, Any]:
    schema = {"type": "object", "properties": {"yes": {"type": "boolean", "description": f"charge {planted}?"}}}
    return {"method": "elicitation/create", "params": {"message": f"Charge {planted}?", "requestedSchema": schema}}


def _blob(planted: str) -> dict[str, Any]:
    encoded = base64.b64encode(f"contact: {planted}".encode()).decode()
    return {"type": "resource", "resource": {"uri": "shop://b", "mimeType": "text/plain", "blob": encoded}}


def as_json(make: Messages, planted: str) -> Instruction:
    async def instruction(request: Recorded, wire: Wire) -> None:
        await wire.json(make(request.message["id"], planted)[-1], headers={"X-Debug": planted, "Server": planted})

    return instruction


def as_events(make: Messages, planted: str) -> Instruction:
    async def instruction(request: Recorded, wire: Wire) -> None:
        comment = f": {planted}\n\n".encode()
        await wire.events(comment, *make(request.message["id"], planted), headers={"X-Debug": planted})

    return instruction


async def all_bytes(url: str, body: bytes, lines: list[tuple[str, str]]) -> bytes:
    """Every byte that comes back on this connection, head and framing and all."""
    async with asyncio.timeout(20), connection(url) as wire:
        await wire.write(request_bytes(url, body, [*lines, ("Connection", "close")]))
        return await wire.reader.read()


def assert_nowhere(planted: str, received: bytes) -> None:
    """Not as it is, not in other spellings of JSON, not in base64."""
    assert received.startswith(b"HTTP/1.1 ")
    for spelling in (received.decode(), json_unescaped(received)):
        assert planted not in spelling
        assert planted.replace(" ", "") not in spelling.replace(" ", "").replace("-", "")
        for shift in range(3):
            encoded = base64.b64encode(b"." * shift + planted.encode())[4 : -4 or None].decode()
            assert encoded not in spelling


def json_unescaped(received: bytes) -> str:
    return received.decode().encode().decode("unicode_escape", "replace")


async def spoken(house: House, instruction: Instruction, *, revision: str, said: str) -> bytes:
    """What one call brings where the tool does this."""
    house.tools.servers["shop"].then(instruction, method="tools/call")
    how: dict[str, Any] = {"revision": revision, "meta": {"progressToken": "p"}}
    body, lines = call_bytes("echo", {"text": said}, **how)
    return await all_bytes(house.url("shop"), body, lines)


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("planted", PLANTED)
@pytest.mark.parametrize("surface", AT_THE_END)
async def test_p08_what_a_tool_should_not_say_is_in_no_byte_of_its_answer(
    house: House, surface: str, planted: str, revision: str
) -> None:
    said = f"{surface} {planted} {revision}"
    for framing in (as_json, as_events):
        instruction = framing(AT_THE_END[surface], PLANTED[planted])
        received = await spoken(house, instruction, revision=revision, said=f"{said} {framing.__name__}")
        assert_nowhere(PLANTED[planted], received)


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("planted", PLANTED)
@pytest.mark.parametrize("surface", ON_THE_WAY)
async def test_p08_what_a_tool_should_not_say_is_in_no_byte_of_what_it_tells_on_the_way(
    house: House, surface: str, planted: str, revision: str
) -> None:
    instruction = as_events(ON_THE_WAY[surface], PLANTED[planted])
    received = await spoken(house, instruction, revision=revision, said=f"{surface} {planted} {revision}")
    assert_nowhere(PLANTED[planted], received)
    assert b'"content":[]' in received  # and the answer itself came through


async def test_what_is_harmless_comes_through_on_the_same_ways(house: House) -> None:
    for name, make in {**AT_THE_END, **ON_THE_WAY}.items():
        if name in ("unknown notification", "blob"):
            continue
        received = await spoken(house, as_events(make, "a harmless word"), revision=LEGACY, said=f"harmless {name}")
        assert b"a harmless word" in received or b"aharmlessword" in received, name


@pytest.mark.parametrize("status", [200, 400, 404, 500, 503])
@pytest.mark.parametrize("kind", ["text/plain", "text/html", "application/json"])
async def test_p08_a_body_that_is_no_message_is_not_passed_on(house: House, status: int, kind: str) -> None:
    async def instruction(_request: Recorded, wire: Wire) -> None:
        await wire.answer(status, {"content-type": kind, "x-debug": MAIL}, f"Traceback: {MAIL} {KEY}".encode())

    received = await spoken(house, instruction, revision=LEGACY, said=f"{status} {kind}")
    for planted in (MAIL, KEY):
        assert_nowhere(planted, received)


# ---- quarantine, and out of it -------------------------------------------------------------------------------------


@pytest.mark.parametrize("revision", REVISIONS)
async def test_p08_a_held_output_is_told_of_and_given_once_when_it_is_released(house: House, revision: str) -> None:
    said, how = f"to be released {revision}", {"revision": revision}
    instruction = as_json(AT_THE_END["text"], KEY)
    house.tools.servers["shop"].then(instruction, method="tools/call")
    answered = await call(house.url("shop"), "echo", how=how, text=said)
    assert (told(answered)["decision"], told(answered)["executed"]) == ("quarantined", True)
    again = await call(house.url("shop"), "echo", how=how, text=said)
    assert told(again)["decision"] == "quarantined"
    row = await house.reviewer.waiting("echo", text=said)
    assert KEY not in json.dumps(await house.reviewer.show(row))
    await house.reviewer.act("release", row)
    released = await call(house.url("shop"), "echo", how=how, text=said)
    assert text(released) == f"The customer: {KEY}."
    assert told(released)["replayed"] is True
    assert house.dispatched("shop", "echo", text=said) == 1


async def test_p08_a_held_output_can_be_released_without_what_was_found_in_it(house: House) -> None:
    said = "to be released redacted"
    house.tools.servers["shop"].then(as_json(AT_THE_END["both"], KEY), method="tools/call")
    assert told(await call(house.url("shop"), "echo", text=said))["decision"] == "quarantined"
    row = await house.reviewer.waiting("echo", text=said)
    assert (await house.reviewer.act("release_redacted", row))["state"] == "released"
    shown = json.dumps(await house.reviewer.show(row))
    assert KEY not in shown
    released = await call(house.url("shop"), "echo", text=said)
    assert "[REDACTED]" in text(released)
    assert_nowhere(KEY, b"HTTP/1.1 " + released.body)
    assert house.dispatched("shop", "echo", text=said) == 1


async def test_p08_a_destroyed_output_is_gone(house: House) -> None:
    said = "to be destroyed"
    house.tools.servers["shop"].then(as_json(AT_THE_END["structured"], KEY), method="tools/call")
    ticket = told(await call(house.url("shop"), "echo", text=said))["ticket"]
    await house.reviewer.act("destroy", await house.reviewer.waiting("echo", text=said))
    collected = await call(house.url("shop"), "interlock_collect", ticket=ticket)
    assert told(collected)["decision"] == "destroyed"
    assert_nowhere(KEY, b"HTTP/1.1 " + collected.body)
    assert house.dispatched("shop", "echo", text=said) == 1


async def test_p08_an_outcome_kept_for_an_agent_that_left_was_inspected_too(house: House) -> None:
    said, held = "left before the answer", house.tools.held()

    async def held_and_leaking(request: Recorded, wire: Wire) -> None:
        held.arrived.set()
        await held.is_free()
        await as_json(AT_THE_END["text"], MAIL)(request, wire)

    house.tools.servers["shop"].then(held_and_leaking, method="tools/call")
    body, lines = call_bytes("echo", {"text": said})
    async with connection(house.url("shop")) as wire:
        await wire.write(request_bytes(house.url("shop"), body, lines))
        await asyncio.to_thread(held.arrived.wait, 10)
    held.let_go()
    received = await all_bytes(house.url("shop"), body, lines)
    assert b"The customer: [REDACTED]" in received
    assert_nowhere(MAIL, received)


# ---- what is not an answer to a call -------------------------------------------------------------------------------


def listed(request: Recorded) -> dict[str, Any]:
    """An answer to a handshake or a list, with something planted in every free text."""
    request_id, method = request.message["id"], request.message["method"]
    info = {"name": "shop", "version": "1", "title": MAIL}
    if method == "initialize":
        result: dict[str, Any] = {"protocolVersion": LEGACY, "capabilities": {}, "serverInfo": info}
        return {"jsonrpc": "2.0", "id": request_id, "result": result | {"instructions": f"write to {MAIL}"}}
    if method == "server/discover":
        result = {"supportedVersions": [MODERN], "capabilities": {}, "serverInfo": info, "instructions": MAIL}
        return {"jsonrpc": "2.0", "id": request_id, "result": result | CACHED}
    planted = {"description": f"asks {MAIL}", "title": MAIL}
    schema = {"type": "object", "properties": {"to": {"type": "string", "description": MAIL, "default": MAIL}}}
    lists: dict[str, dict[str, Any]] = {
        "tools/list": {"tools": [{"name": "mail", "inputSchema": schema, **planted}]},
        "resources/list": {"resources": [{"uri": "shop://a", "name": "a", **planted}]},
        "resources/templates/list": {"resourceTemplates": [{"uriTemplate": "shop://{a}", "name": "a", **planted}]},
        "prompts/list": {"prompts": [{"name": "a", "arguments": [{"name": "b", "description": MAIL}], **planted}]},
    }
    return {"jsonrpc": "2.0", "id": request_id, "result": lists[method] | CACHED}


CACHED = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
LISTS = ("initialize", "server/discover", "tools/list", "resources/list", "resources/templates/list", "prompts/list")


@pytest.mark.parametrize("method", LISTS)
@pytest.mark.parametrize("is_stream", [False, True], ids=["json", "events"])
async def test_p08_what_a_server_says_of_itself_is_inspected_as_well(
    house: House, method: str, is_stream: bool
) -> None:
    async def instruction(request: Recorded, wire: Wire) -> None:
        await (wire.events(listed(request)) if is_stream else wire.json(listed(request)))

    house.tools.servers["stream"].then(instruction, method=method)
    params: dict[str, Any] = {}
    lines = json_lines(version=LEGACY)
    if method == "initialize":
        params = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {"name": "raw", "version": "1"}}
    if method == "server/discover":
        meta = {"protocolVersion": MODERN, "clientCapabilities": {}}
        params = {"_meta": {f"io.modelcontextprotocol/{name}": value for name, value in meta.items()}}
        lines = json_lines(version=MODERN, Mcp_Method=method)
    message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    received = await all_bytes(house.url("stream"), json.dumps(message).encode(), lines)
    assert_nowhere(MAIL, received)
    assert b"[REDACTED]" in received


@pytest.mark.parametrize("planted", PLANTED)
async def test_p08_what_a_server_says_unasked_is_inspected_as_well(house: House, planted: str) -> None:
    url = house.url("sessions")
    session = await session_of(url)
    said = {"jsonrpc": "2.0", "method": "notifications/message"}
    messages = [said | {"params": {"level": "info", "data": word}} for word in (PLANTED[planted], "the last one")]
    house.tools.servers["sessions"].then(events(*messages, end=False), method="GET")
    async with asyncio.timeout(10), connection(url) as wire:
        await wire.write(request_bytes(url, b"", json_lines(session, LEGACY), verb="GET"))
        received = await wire.reader.readuntil(b"the last one")
    assert_nowhere(PLANTED[planted], received)


@pytest.mark.parametrize("planted", PLANTED)
async def test_p08_what_a_server_asks_the_agent_is_inspected_as_well(house: House, planted: str) -> None:
    url = house.url("sessions")
    session = await session_of(url, elicitation={})
    body, lines = call_bytes("echo", {"text": f"asks {planted}"}, Mcp_Session_Id=session)

    held = house.tools.held()

    async def asks(request: Recorded, wire: Wire) -> None:
        asked = {"jsonrpc": "2.0", "id": "ask-1", **question(PLANTED[planted])}
        await wire.events(asked, end=False)
        await held.is_free()
        await wire.event({"jsonrpc": "2.0", "id": request.message["id"], "result": answered_with({})})
        await wire.raw(b"0\r\n\r\n")

    house.tools.servers["sessions"].then(asks, method="tools/call")
    async with asyncio.timeout(10), connection(url) as wire:
        await wire.write(request_bytes(url, body, [*lines, ("Connection", "close")]))
        received = b""
        if planted == "key":  # it is not passed on, and the server is told so
            await refused_question(house)
        else:
            received = await wire.reader.readuntil(b"elicitation/create")
        held.let_go()
        received += await wire.reader.read()
    assert_nowhere(PLANTED[planted], received)
    assert b'"content":[]' in received


async def refused_question(house: House) -> None:
    """Until the server has heard that its question is not answered."""
    while not any(
        b'"ask-1"' in one.body and b'"error"' in one.body for one in house.tools.servers["sessions"].requests
    ):
        await asyncio.sleep(0.01)


async def test_p08_an_unmodified_client_sees_nothing_of_it_either(house: House) -> None:
    logged: list[Any] = []
    progressed: list[Any] = []

    async def log(params: Any) -> None:
        logged.append(params)

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        progressed.append(message)

    def everything(request_id: Any, planted: str) -> list[dict[str, Any]]:
        log = {"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": planted}}
        step = {"progressToken": request_id, "progress": 1, "message": planted}
        on_the_way = {"jsonrpc": "2.0", "method": "notifications/progress", "params": step}
        return [log, on_the_way, *AT_THE_END["both"](request_id, planted)]

    async with Client(house.url("shop"), mode="legacy", logging_callback=log) as client:
        house.tools.servers["shop"].then(as_events(everything, CARD), method="tools/call")
        answered = await client.call_tool("echo", {"text": "everything at once"}, progress_callback=on_progress)
    assert "[REDACTED]" in answered.content[0].text  # type: ignore[union-attr]
    assert CARD not in repr((answered, logged, progressed))
    assert (len(logged), len(progressed)) == (1, 1)
