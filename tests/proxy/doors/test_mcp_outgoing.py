"""From request to call and back: what is sent is what was judged, in the frame of the message that asked for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from policies.model import Agent, Direction, JsonObject, ToolCall
from proxy.doors.admission import Admission
from proxy.doors.mcp_outgoing import AgentRequest, call_of, headers_for, message_for, take_ticket
from proxy.exchange import Client
from proxy.wire import jsonrpc
from proxy.wire.mcp_headers import McpHeaders
from proxy.wire.mcp_methods import Kind, Revision, method
from proxy.wire.refusals import WireRefusal
from tests.proxy.builders import definition
from tests.proxy.doors.door_world import call, modern, request

AGENT = Agent("demo")


def read(message: JsonObject) -> jsonrpc.Request:
    parsed = jsonrpc.parse(message)
    assert isinstance(parsed, jsonrpc.Request)
    return parsed


def asked(message: JsonObject, revision: Revision = Revision.R2025_11_25, **headers: str) -> AgentRequest:

    row = method(revision, Direction.AGENT_TO_TOOL, Kind.REQUEST, message["method"])
    assert row is not None
    lines = McpHeaders({name.replace("_", "-"): value for name, value in headers.items()})
    return AgentRequest(
        read(message),
        row,
        revision,
        lines,
        Client(),
        "application/json",
        Admission(working_max=1, in_flight_max=1, bodies_bytes_max=1, monotonic=lambda: 0.0).enter("ada"),
    )


def judged(of: AgentRequest) -> ToolCall:
    return call_of(of, "payments", AGENT, "s1", None)


# ---- the ticket ----------------------------------------------------------------------------------------------------


def test_a_ticket_leaves_before_anything_is_judged() -> None:
    message = call("pay", meta={"interlock/ticket": "ilt_x", "vendor": {"a": 1}}, amount=1)
    bare, ticket = take_ticket(read(message), McpHeaders({}))
    assert ticket == "ilt_x"
    assert bare.raw == call("pay", meta={"vendor": {"a": 1}}, amount=1)


def test_a_meta_that_held_only_the_ticket_leaves_with_it() -> None:
    bare, _ = take_ticket(read(call("pay", meta={"interlock/ticket": "ilt_x"})), McpHeaders({}))
    assert bare.raw == call("pay")


def test_a_ticket_in_a_header_changes_nothing_of_the_message() -> None:
    message = read(call("pay"))
    assert take_ticket(message, McpHeaders({"interlock-ticket": "ilt_x"})) == (message, "ilt_x")


@pytest.mark.parametrize("ticket", [3, None, ["ilt_x"]])
def test_a_ticket_is_text(ticket: Any) -> None:
    with pytest.raises(WireRefusal):
        take_ticket(read(call("pay", meta={"interlock/ticket": ticket})), McpHeaders({}))


@pytest.mark.parametrize(("modern", "status"), [(True, 400), (False, 200)])
def test_a_ticket_that_contradicts_its_header_is_refused_as_the_revision_refuses(modern: bool, status: int) -> None:
    message = read(call("pay", meta={"interlock/ticket": "ilt_x"}))
    with pytest.raises(WireRefusal) as refused:
        take_ticket(message, McpHeaders({"interlock-ticket": "ilt_y"}), modern=modern)
    assert refused.value.http_status == status


# ---- the call ------------------------------------------------------------------------------------------------------


def test_a_tools_call_is_the_tools_own_name_and_arguments() -> None:
    assert judged(asked(call("pay", amount=1))) == ToolCall("payments", "pay", {"amount": 1}, AGENT, "s1")


def test_another_method_is_a_tool_of_its_own_with_its_params() -> None:
    message = request("resources/read", uri="file:///a", _meta={"progressToken": 1})
    expected = ToolCall("payments", "mcp.resources/read", {"uri": "file:///a"}, AGENT, "s1", "resources/read")
    assert judged(asked(message)) == expected


def test_what_a_retry_answers_is_part_of_the_call_and_its_state_is_not() -> None:
    message = request("prompts/get", name="p", inputResponses={"q": {}}, requestState="s")
    made = judged(asked(message))
    assert (made.arguments, made.input_responses) == ({"name": "p"}, {"q": {}})


# ---- and back ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "message",
    [
        call("pay", 7, amount=1),
        call("pay", "x", meta={"progressToken": 1, "traceparent": "00-1", "vendor": [1]}, b=1, a=2),
        {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "pay"}},
        {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"task": {"ttl": 5}, "name": "pay", "new": 1}},
        request("resources/read", uri="file:///a", _meta={"x": 1}, future=[1]),
        request("tools/call", 1, name="pay", arguments={}, inputResponses={"q": {}}, requestState="s"),
    ],
)
def test_an_unedited_call_is_sent_as_it_was_read(message: JsonObject) -> None:
    of = asked(message)
    assert message_for(of, judged(of), judged(of)).raw == message
    rebuilt = replace(judged(of), arguments=dict(judged(of).arguments))
    assert message_for(of, judged(of), rebuilt).raw == message


def test_edited_arguments_take_the_place_of_the_old_ones_in_their_own_order() -> None:
    of = asked(call("pay", 7, meta={"v": 1}, amount=1000, to="a"))
    edited = replace(judged(of), arguments={"to": "b", "amount": 50})
    sent = message_for(of, judged(of), edited).raw
    assert sent == call("pay", 7, meta={"v": 1}, to="b", amount=50)
    assert list(sent["params"]) == ["name", "arguments", "_meta"]
    assert list(sent["params"]["arguments"]) == ["to", "amount"]


def test_arguments_added_to_a_call_without_any_are_sent() -> None:
    of = asked({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "pay"}})
    sent = message_for(of, judged(of), replace(judged(of), arguments={"amount": 1})).raw
    assert sent["params"] == {"name": "pay", "arguments": {"amount": 1}}


def test_edited_params_of_another_method_are_its_params() -> None:
    of = asked(request("completion/complete", ref={"a": 1}, argument={"n": "x"}, _meta={"v": 1}))
    edited = replace(judged(of), arguments={"argument": {"n": "y"}, "context": {}})
    assert message_for(of, judged(of), edited).raw["params"] == {
        "argument": {"n": "y"},
        "_meta": {"v": 1},
        "context": {},
    }


def test_edited_responses_take_the_place_of_the_old_ones() -> None:
    of = asked(request("tools/call", 1, name="pay", inputResponses={"q": 1}, requestState="s"))
    changed = message_for(of, judged(of), replace(judged(of), input_responses={"q": 2})).raw["params"]
    assert changed == {"name": "pay", "inputResponses": {"q": 2}, "requestState": "s"}
    dropped = message_for(of, judged(of), replace(judged(of), input_responses=None)).raw["params"]
    assert dropped == {"name": "pay", "requestState": "s"}


def test_p06_what_was_approved_is_sent_whatever_the_message_that_brings_it_back_says_beside() -> None:
    of = asked(request("tools/call", 1, name="pay", requestState="of another order"))
    approved = replace(judged(of), arguments={}, input_responses={"q": 1}, request_state="of this order")
    sent = message_for(of, judged(of), approved).raw["params"]
    assert sent == {"name": "pay", "inputResponses": {"q": 1}, "requestState": "of this order"}
    without = message_for(of, judged(of), replace(judged(of), arguments={}, request_state=None)).raw["params"]
    assert without == {"name": "pay"}
    bare = asked(request("tools/call", 1, name="pay", arguments={}))
    assert message_for(bare, judged(bare), approved).raw["params"] == sent | {"arguments": {}}


def test_a_collected_call_is_sent_in_the_frame_of_the_message_that_collects_it() -> None:
    of = asked(call("interlock_collect", 9, meta={"progressToken": 1}, ticket="ilt_x"))
    earlier = ToolCall("payments", "pay", {"amount": 5}, AGENT, "s0", input_responses={"q": 1}, request_state="s")
    assert message_for(of, judged(of), earlier).raw == {
        "jsonrpc": "2.0",
        "id": 9,
        "method": "tools/call",
        "params": {
            "name": "pay",
            "arguments": {"amount": 5},
            "inputResponses": {"q": 1},
            "requestState": "s",
            "_meta": {"progressToken": 1},
        },
    }
    read_earlier = ToolCall("payments", "mcp.resources/read", {"uri": "file:///a"}, AGENT, "s0", "resources/read")
    assert message_for(of, judged(of), read_earlier).raw["params"] == {
        "uri": "file:///a",
        "_meta": {"progressToken": 1},
    }


# ---- headers -------------------------------------------------------------------------------------------------------


def test_modern_headers_are_computed_from_what_is_sent() -> None:
    schema = {"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}}
    of = asked(
        modern(call("pay", region="eu")),
        Revision.R2026_07_28,
        mcp_name="pay",
        mcp_param_region="eu",
        mcp_param_other="as sent",
    )
    made = replace(judged(of), definition=replace(definition("pay"), input_schema=schema))
    edited = replace(made, arguments={"region": "ü"})
    headers = headers_for(of, message_for(of, made, edited), edited)
    assert headers == {
        "mcp-protocol-version": "2026-07-28",
        "mcp-method": "tools/call",
        "mcp-name": "pay",
        "mcp-param-region": "=?base64?w7w=?=",
        "mcp-param-other": "as sent",
        "accept": "application/json",
    }


@pytest.mark.parametrize(
    ("revision", "expected"),
    [("2024-11-05", None), ("2025-03-26", None), ("2025-06-18", "2025-06-18"), ("2025-11-25", "2025-11-25")],
)
def test_handshake_headers_name_the_revision_where_it_has_a_header_for_it(revision: str, expected: str | None) -> None:
    of = asked(call("pay"), Revision(revision), mcp_param_x="1", mcp_name="other")
    headers = headers_for(of, of.request, None)
    assert headers == {"accept": "application/json"} | ({"mcp-protocol-version": expected} if expected else {})
