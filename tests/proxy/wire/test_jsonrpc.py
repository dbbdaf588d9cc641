"""JSON-RPC: which values are one message, and that a message is forwarded as it was read."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.wire.jsonrpc import (
    METHOD_CHARS_MAX,
    Invalid,
    Notification,
    Request,
    Response,
    is_same_id,
    parse,
    readable_id,
)
from proxy.wire.mcp_methods import REQUEST_METHODS
from proxy.wire.refusals import Why
from proxy.wire.strict_json import JsonFault, SpelledNumber, read, write

CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "refund", "arguments": {}}}


def refusal(value: Any) -> Invalid:
    with pytest.raises(Invalid) as caught:
        parse(value)
    return caught.value


def without(message: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in message.items() if name != key}


# ---- one message ------------------------------------------------------------------------------------------------


def test_a_request_is_read() -> None:
    assert parse(CALL) == Request(1, "tools/call", CALL["params"], CALL)  # type: ignore[arg-type] # it is an object


def test_a_notification_is_read() -> None:
    raw = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    assert parse(raw) == Notification("notifications/initialized", {}, raw)


def test_a_result_and_an_error_are_read() -> None:
    raw: Any = {"jsonrpc": "2.0", "id": "x", "result": {"a": 1}}
    assert parse(raw) == Response("x", {"a": 1}, None, raw)
    error: Any = {"jsonrpc": "2.0", "id": None, "error": {"code": -32700, "message": "no", "data": [1]}}
    assert parse(error) == Response(None, None, error["error"], error)


def test_meta_is_the_params_own_or_empty() -> None:
    message = parse({**CALL, "params": {"name": "x", "_meta": {"progressToken": 5}}})
    assert isinstance(message, Request)
    assert message.meta == {"progressToken": 5}
    told = parse({"jsonrpc": "2.0", "method": "notifications/progress", "params": {}})
    assert isinstance(told, Notification)
    assert told.meta == {}


@pytest.mark.parametrize("batch", [[], [CALL], [CALL, CALL], [{**CALL, "params": {"name": "denied"}}, CALL]], ids=len)
def test_j6_a_batch_is_refused_in_every_revision(batch: Any) -> None:
    refused = refusal(batch)
    assert (refused.why, refused.http_status, refused.code, refused.id) == (Why.BATCH, 400, -32600, None)


@pytest.mark.parametrize("value", [None, True, 1, "x", 1.5])
def test_what_is_no_object_is_no_message(value: Any) -> None:
    assert refusal(value).why is Why.NOT_AN_OBJECT


@pytest.mark.parametrize("version", [None, "1.0", 2.0, "2", "2.0 ", ["2.0"]])
def test_jsonrpc_is_exactly_2_0(version: Any) -> None:
    assert refusal({**CALL, "jsonrpc": version}).why is Why.JSONRPC_VERSION


def test_jsonrpc_may_not_be_left_out() -> None:
    assert refusal(without(CALL, "jsonrpc")).why is Why.JSONRPC_VERSION


# ---- ids --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("id_", [0, -1, 2**53 - 1, -(2**53) + 1, "", "abc", "1"])
def test_an_id_is_a_string_or_a_safe_integer(id_: Any) -> None:
    message = parse({**CALL, "id": id_})
    assert isinstance(message, Request)
    assert message.id == id_
    assert type(message.id) is type(id_)


@pytest.mark.parametrize(
    "id_",
    [None, True, False, 1.0, 1.5, SpelledNumber("-0"), SpelledNumber("1e0"), 2**53, -(2**53), [], {}, [1]],
    ids=repr,
)
def test_j7_any_other_id_is_refused(id_: Any) -> None:
    refused = refusal({**CALL, "id": id_})
    assert (refused.why, refused.http_status, refused.code, refused.id) == (Why.BAD_ID, 400, -32600, None)


@pytest.mark.parametrize("method", sorted(REQUEST_METHODS))
def test_j7_a_request_without_an_id_is_refused(method: str) -> None:
    refused = refusal({"jsonrpc": "2.0", "method": method, "params": {"name": "x"}})
    assert (refused.why, refused.http_status, refused.code) == (Why.REQUEST_WITHOUT_ID, 400, -32600)


def test_a_refusal_names_the_id_it_could_read() -> None:
    assert refusal({**CALL, "params": []}).id == 1
    assert refusal({**CALL, "id": "x", "result": {}}).id == "x"
    assert refusal({**CALL, "id": 1.5, "params": []}).id is None
    assert readable_id([CALL]) is None  # type: ignore[list-item] # mypy cannot see that it is JSON


# ---- shape ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        {**CALL, "result": {}},
        {**CALL, "error": {"code": 1, "message": "x"}},
        {"jsonrpc": "2.0", "method": "notifications/initialized", "result": {}},
        {"jsonrpc": "2.0", "id": 1, "result": {}, "error": {"code": 1, "message": "x"}},
        {"jsonrpc": "2.0", "id": 1},
        {"jsonrpc": "2.0"},
        {"jsonrpc": "2.0", "id": 1, "params": {}},
    ],
    ids=repr,
)
def test_j8_a_message_is_a_call_or_an_answer_and_never_both_or_neither(value: Any) -> None:
    assert refusal(value).why is Why.MIXED_MESSAGE


@pytest.mark.parametrize("member", ["extra", "_meta", "Result2", "session", "", "jsonrpc2"])
def test_j8_an_unknown_member_beside_a_method_is_refused(member: str) -> None:
    assert refusal({**CALL, member: 1}).why is Why.UNKNOWN_MEMBER
    assert refusal({"jsonrpc": "2.0", "method": "notifications/initialized", member: 1}).why is Why.UNKNOWN_MEMBER


@pytest.mark.parametrize("member", ["Method", "METHOD", "ID", "paramſ", "Params", "JsonRpc", "ﬀ_id"])
def test_j1_a_case_variant_of_the_envelope_is_refused_in_calls_and_answers(member: str) -> None:
    refused = refusal({**CALL, member: 1})
    assert refused.why in (JsonFault.CASE_VARIANT, Why.UNKNOWN_MEMBER)
    assert refused.id == 1
    if member != "ﬀ_id":
        assert (refused.why, refused.code) == (JsonFault.CASE_VARIANT, -32700)
        assert refusal({"jsonrpc": "2.0", "id": 1, "result": {}, member: 1}).why is JsonFault.CASE_VARIANT


@pytest.mark.parametrize(
    "member", ["Name", "NAME", "Arguments", "argumentſ", "URI", "TaskId", "_META", "InputResponses"]
)
def test_j1_a_case_variant_of_a_protocol_param_is_refused(member: str) -> None:
    assert refusal({**CALL, "params": {"name": "list", "arguments": {}, member: "drop"}}).why is JsonFault.CASE_VARIANT


@pytest.mark.parametrize(
    "key",
    [
        "ProgressToken",
        "IO.modelcontextprotocol/protocolVersion",
        "io.modelcontextprotocol/ClientInfo",
        "Interlock/Ticket",
    ],
)
def test_j1_a_case_variant_of_a_meta_key_is_refused(key: str) -> None:
    assert refusal({**CALL, "params": {"name": "x", "_meta": {key: 1}}}).why is JsonFault.CASE_VARIANT


def test_t17_honest_names_in_arguments_are_none_of_the_envelopes_business() -> None:
    parse({**CALL, "params": {"name": "x", "arguments": {"Name": 1, "NAME": 2, "Method": 3}, "vendorX": {"ID": 4}}})


@pytest.mark.parametrize("method", [None, 1, "", ["tools/call"], "x" * (METHOD_CHARS_MAX + 1)])
def test_a_method_is_a_short_string(method: Any) -> None:
    assert refusal({**CALL, "method": method}).why is Why.BAD_METHOD
    parse({**CALL, "method": "x" * METHOD_CHARS_MAX})


@pytest.mark.parametrize("params", [None, [], ["a"], "x", 1, True])
def test_params_is_an_object(params: Any) -> None:
    assert refusal({**CALL, "params": params}).why is Why.BAD_PARAMS
    assert refusal({**CALL, "params": {"_meta": params}}).why is Why.BAD_PARAMS


@pytest.mark.parametrize("result", [None, [], "x", 1, True])
def test_a_result_is_an_object(result: Any) -> None:
    assert refusal({"jsonrpc": "2.0", "id": 1, "result": result}).why is Why.BAD_RESPONSE


@pytest.mark.parametrize(
    "error",
    [None, [], "x", {}, {"code": 1}, {"message": "x"}, {"code": "1", "message": "x"}, {"code": True, "message": "x"},
     {"code": 1.5, "message": "x"}, {"code": 1, "message": None}],
    ids=repr,
)  # fmt: skip
def test_an_error_has_an_integer_code_and_a_message(error: Any) -> None:
    assert refusal({"jsonrpc": "2.0", "id": 1, "error": error}).why is Why.BAD_RESPONSE


def test_an_answer_has_an_id_and_a_result_has_one_that_is_not_null() -> None:
    assert refusal({"jsonrpc": "2.0", "result": {}}).why is Why.BAD_ID
    assert refusal({"jsonrpc": "2.0", "id": None, "result": {}}).why is Why.BAD_ID
    assert refusal({"jsonrpc": "2.0", "id": 1.0, "error": {"code": 1, "message": "x"}}).why is Why.BAD_ID


# ---- what is forwarded ------------------------------------------------------------------------------------------


def test_p02_what_is_forwarded_is_the_message_with_every_unknown_part_in_place() -> None:
    data = (
        b'{"params":{"vendorX":[1.10,-0],"_meta":{"traceparent":"00-a","x/y":{"z":null}},"arguments":{"b":1,"a":2},'
        b'"name":"refund"},"method":"tools/call","id":"\xc3\xa9","jsonrpc":"2.0"}'
    )
    assert write(parse(read(data)).raw) == data


def test_mcp_1_4_a_method_is_decided_on_as_parsed_not_as_spelled() -> None:
    message = parse(read(b'{"jsonrpc":"2.0","id":1,"method":"tools\\u002fcall","params":{"name":"\\u0072efund"}}'))
    assert isinstance(message, Request)
    assert (message.method, message.params["name"]) == ("tools/call", "refund")


def test_an_edited_request_keeps_the_order_and_the_rest() -> None:
    data = b'{"id":1,"jsonrpc":"2.0","method":"tools/call","params":{"name":"refund"}}'
    message = parse(read(data))
    assert isinstance(message, Request)
    edited = message.replacing(params={"name": "refund", "arguments": {"amount": 5}}, id="gate-9")
    assert write(edited.raw) == (
        b'{"id":"gate-9","jsonrpc":"2.0","method":"tools/call","params":{"name":"refund","arguments":{"amount":5}}}'
    )
    assert (edited.id, edited.params["arguments"]) == ("gate-9", {"amount": 5})
    assert write(message.raw) == data
    assert message.replacing() == message


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [(1, 1, True), ("1", "1", True), (1, "1", False), (1, 1.0, False), (1, True, False), (1, None, False)],
)
def test_ids_are_the_same_only_as_what_they_are(one: Any, other: Any, is_same: bool) -> None:
    assert is_same_id(one, other) is is_same
