"""What an agent says of itself leaves the message before anything is judged, hashed or sent."""

from __future__ import annotations

from typing import Any

from policies.model import ToolDefinition
from proxy.doors.mcp_self_report import (
    REASONING_CHARS_MAX,
    joined,
    of_headers,
    take_from_arguments,
    take_from_meta,
    with_properties,
)
from proxy.wire.jsonrpc import Request


def request(**params: Any) -> Request:
    raw = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    return Request(1, "tools/call", params, raw)


def test_meta_is_taken_off_and_the_rest_of_it_stays() -> None:
    meta = {"interlock/confidence": 0.4, "interlock/reasoning": "asked to", "progressToken": 7}
    left, said = take_from_meta(request(name="refund", _meta=meta))
    assert left.params == {"name": "refund", "_meta": {"progressToken": 7}}
    assert said == {"confidence": 0.4, "reasoning": "asked to"}
    assert take_from_meta(request(name="refund", _meta={"interlock/confidence": 1}))[0].params == {"name": "refund"}


def test_headers_say_it_too_and_what_is_no_number_is_none() -> None:
    assert of_headers({"interlock-confidence": "0.75", "interlock-reasoning": "why"}) == {
        "confidence": 0.75,
        "reasoning": "why",
    }
    assert [of_headers({"interlock-confidence": text}) for text in ("nan", "inf", "high", "1e9")] == [
        {"confidence": None}
    ] * 4


def test_p09_said_twice_the_lowest_counts_and_nonsense_before_all() -> None:
    assert joined({"confidence": 0.9}, {"confidence": 0.2}) == {"confidence": 0.2}
    assert joined({"confidence": 0.9}, {"confidence": "sure"}) == {"confidence": None}
    assert joined({"confidence": True}, {"confidence": 1}) == {"confidence": None}
    assert joined({"reasoning": "x" * (REASONING_CHARS_MAX + 1)}) == {"reasoning": "x" * REASONING_CHARS_MAX}
    assert joined({"reasoning": {"a": 1}}) == {"reasoning": None}


def test_an_argument_is_ours_only_if_the_tool_has_none_of_that_name() -> None:
    asked = request(name="refund", arguments={"interlock_confidence": 0.5, "amount": 5})
    plain = ToolDefinition("refund", "d", {"type": "object", "properties": {"amount": {}}})
    own = ToolDefinition("refund", "d", {"type": "object", "properties": {"interlock_confidence": {}}})
    left, said = take_from_arguments(asked, plain)
    assert (left.params["arguments"], said) == ({"amount": 5}, {"confidence": 0.5})
    assert left.raw["params"] == left.params
    assert take_from_arguments(asked, own) == (asked, {})
    assert take_from_arguments(asked, None) == (asked, {})


def test_listed_tools_take_it_and_what_they_declare_themselves_stays() -> None:
    own = {"type": "object", "properties": {"interlock_reasoning": {"type": "integer"}}, "required": ["x"]}
    answer = {"result": {"tools": [{"name": "a", "inputSchema": own}, {"name": "b", "inputSchema": True}, 5]}}
    first, *others = with_properties(answer)["result"]["tools"]
    assert set(first["inputSchema"]["properties"]) == {"interlock_confidence", "interlock_reasoning"}
    assert first["inputSchema"]["properties"]["interlock_reasoning"] == {"type": "integer"}
    assert first["inputSchema"]["required"] == ["x"]
    assert others == [{"name": "b", "inputSchema": True}, 5]
    assert with_properties({"error": {}}) == {"error": {}}
