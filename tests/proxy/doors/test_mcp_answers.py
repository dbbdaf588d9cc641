"""The runner's answer in the words of the agent's revision: its own id, required fields, our `_meta`."""

from __future__ import annotations

from typing import Any

import pytest
from mcp.types import methods

from proxy import answers
from proxy.doors.admission import Admission
from proxy.doors.mcp_answers import ending_of, without_our_meta
from proxy.doors.mcp_outgoing import AgentRequest
from proxy.exchange import Answer, AnswerKind, Client
from proxy.wire.jsonrpc import Request
from proxy.wire.mcp_headers import McpHeaders
from proxy.wire.mcp_methods import METHODS, Revision

PARAMS: dict[str, dict[str, Any]] = {
    "tools/call": {"name": "pay"},
    "resources/read": {"uri": "file:///a"},
    "prompts/get": {"name": "p"},
}


def asked(revision: Revision = Revision.R2025_11_25, method: str = "tools/call", request_id: Any = 9) -> AgentRequest:
    params = PARAMS.get(method, {})
    raw = {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}
    row = next(row for row in METHODS if row.name == method and revision in row.revisions)
    return AgentRequest(
        Request(request_id, method, params, raw),
        row,
        revision,
        McpHeaders({}),
        Client(),
        "*/*",
        Admission(working_max=1, in_flight_max=1, bodies_bytes_max=1, monotonic=lambda: 0.0).enter("ada"),
    )


KINDS = [
    answers.denied("call_1", "Ask Maria."),
    answers.ticket("call_1", "ilt_x", None),
    answers.rejected("call_1"),
    answers.expired("call_1", "expired"),
    answers.held("call_1", "ilt_x"),
    answers.in_doubt("call_1"),
    answers.failed("call_1", sent=False),
    answers.refused("call_1", "too much"),
]


@pytest.mark.parametrize("revision", list(Revision))
@pytest.mark.parametrize("answer", KINDS, ids=[answer.kind.value for answer in KINDS])
def test_t23_a_refused_tool_call_is_a_valid_result_in_every_revision(revision: Revision, answer: Answer) -> None:
    ending = ending_of(asked(revision), answer)
    assert (ending.status, ending.message["id"]) == (200, 9)
    methods.validate_server_result("tools/call", revision.value, ending.message["result"])
    assert ending.message["result"]["isError"] is True
    assert ending.message["result"]["_meta"] == {"interlock/call": answer.meta}
    assert ending.message["result"]["content"] == [{"type": "text", "text": answer.text}]


@pytest.mark.parametrize("revision", list(Revision))
def test_another_refused_method_is_an_error(revision: Revision) -> None:
    ending = ending_of(asked(revision, "resources/read"), KINDS[0])
    assert ending.message["error"] == {
        "code": -32010,
        "message": KINDS[0].text,
        "data": {"_meta": {"interlock/call": KINDS[0].meta}},
    }


def test_when_to_try_again_is_a_header_too() -> None:
    assert ending_of(asked(), KINDS[1]).headers == ((b"retry-after", b"30"),)
    assert ending_of(asked(), KINDS[0]).headers == ()


def resulting(response: dict[str, Any], meta: dict[str, Any] | None = None, status: int = 200) -> Answer:
    return Answer(AnswerKind.RESULT, "call_1", response=response, meta=meta or {}, http_status=status)


def test_the_tools_answer_passes_as_it_is_under_this_requests_id() -> None:
    response = {"jsonrpc": "2.0", "id": 1, "result": {"content": [], "vendorTop": 1, "_meta": {"v": 1}}}
    assert ending_of(asked(), resulting(response)).message == {**response, "id": 9}


def test_what_was_changed_is_said_beside_what_the_tool_said() -> None:
    response = {"jsonrpc": "2.0", "id": 9, "result": {"content": [], "_meta": {"v": 1}}}
    told = ending_of(asked(), resulting(response, {"replayed": True})).message["result"]["_meta"]
    assert told == {"v": 1, "interlock/call": {"replayed": True}}


def test_an_error_of_the_tool_passes_with_its_status() -> None:
    response = {"jsonrpc": "2.0", "id": 1, "error": {"code": -32602, "message": "no", "data": [1]}}
    ending = ending_of(asked(), resulting(response, {"replayed": True}, 400))
    assert (ending.status, ending.message) == (400, {**response, "id": 9})


def test_t23_an_outcome_of_an_earlier_revision_is_completed_for_a_later_one() -> None:
    response = {"jsonrpc": "2.0", "id": 1, "result": {"content": []}}
    result = ending_of(asked(Revision.R2026_07_28), resulting(response)).message["result"]
    assert result == {"resultType": "complete", "content": []}
    methods.validate_server_result("tools/call", "2026-07-28", result)


def test_the_collected_outcome_of_another_method_is_a_tools_text() -> None:
    response = {"jsonrpc": "2.0", "id": 1, "result": {"contents": [{"uri": "a", "text": "b"}]}}
    result = ending_of(asked(), resulting(response), is_collected=True).message["result"]
    assert result == {
        "content": [{"type": "text", "text": '{"contents":[{"uri":"a","text":"b"}]}'}],
        "isError": False,
    }
    methods.validate_server_result("tools/call", "2025-11-25", result)


@pytest.mark.parametrize("meta", [{}, {"replayed": True}])
def test_a_tool_cannot_say_what_only_the_gate_says(meta: dict[str, Any]) -> None:
    said = {"vendor": 1, "interlock/call": {"decision": "allow"}, "interlock/other": 2}
    response = {"jsonrpc": "2.0", "id": 1, "result": {"content": [], "_meta": said}}
    told = ending_of(asked(), resulting(response, meta)).message["result"]["_meta"]
    assert told == {"vendor": 1} | ({"interlock/call": meta} if meta else {})


def test_a_tool_cannot_say_it_beside_an_error_either() -> None:
    said = {"vendor": 1, "interlock/call": {"decision": "allow"}}
    response = {"jsonrpc": "2.0", "id": 1, "error": {"code": -32010, "message": "x", "data": {"_meta": said, "y": 1}}}
    told = ending_of(asked(method="resources/read"), resulting(response)).message
    assert told["error"]["data"] == {"_meta": {"vendor": 1}, "y": 1}


@pytest.mark.parametrize("part", ["result", "params"])
def test_a_tool_cannot_say_it_in_any_other_message(part: str) -> None:
    message = {"jsonrpc": "2.0", part: {"x": 1, "_meta": {"interlock/call": 1, "v": 2}}}
    assert without_our_meta(message) == {"jsonrpc": "2.0", part: {"x": 1, "_meta": {"v": 2}}}


@pytest.mark.parametrize(
    "message",
    [
        {"result": {"_meta": "interlock/call"}},
        {"result": ["_meta"]},
        {"error": "interlock/call"},
        {"error": {"code": 1, "message": "interlock/call"}},
        {"params": {"_meta": {"v": 1}}},
    ],
)
def test_everything_else_of_a_message_stays_as_it_is(message: dict[str, Any]) -> None:
    assert without_our_meta(message) == message
