"""Answers of our own fit every revision: checked with the SDK's validators."""

from __future__ import annotations

from typing import Any

import pytest
from mcp.types import jsonrpc_message_adapter
from mcp.types import methods as sdk
from mcp.types.jsonrpc import JSONRPCError, JSONRPCResponse

from policies.model import Direction
from proxy.wire.mcp_methods import METHODS, Handling, Kind, Revision
from proxy.wire.mcp_results import (
    CALL_META_KEY,
    REFUSED_BY_GATE,
    empty_result,
    error,
    progress,
    refusal,
    result,
    tool_text_result,
)
from tests.proxy.wire.builders import MODERN

JUDGED = sorted(
    row.name
    for row in METHODS
    if row.direction is Direction.AGENT_TO_TOOL and row.kind is Kind.REQUEST and row.handling is Handling.JUDGED
)


def validated(method: str, revision: Revision, message: dict[str, Any]) -> dict[str, Any]:
    """The result, having passed the SDK's envelope and result validators for this revision."""
    envelope = jsonrpc_message_adapter.validate_python(message)
    assert isinstance(envelope, JSONRPCResponse)
    sdk.validate_server_result(method, revision.value, envelope.result)
    return envelope.result


@pytest.mark.parametrize("revision", Revision)
@pytest.mark.parametrize("is_error", [True, False])
def test_t23_a_tool_result_fits_its_revision(revision: Revision, is_error: bool) -> None:
    meta = {CALL_META_KEY: {"id": "c-1", "state": "parked"}}
    message = tool_text_result(revision, "x", "Not executed.", is_error=is_error, meta=meta)
    found = validated("tools/call", revision, message)
    completed = {"resultType": "complete"} if revision is MODERN else {}
    assert message == {
        "jsonrpc": "2.0",
        "id": "x",
        "result": {
            **completed,
            "content": [{"type": "text", "text": "Not executed."}],
            "isError": is_error,
            "_meta": meta,
        },
    }
    parsed = sdk.parse_server_result("tools/call", revision.value, found)
    assert parsed.meta == meta


@pytest.mark.parametrize("revision", Revision)
def test_a_result_without_meta_has_none(revision: Revision) -> None:
    message = tool_text_result(revision, 1, "x", is_error=True)
    assert "_meta" not in validated("tools/call", revision, message)


@pytest.mark.parametrize("revision", Revision)
def test_t23_an_empty_result_fits_its_revision(revision: Revision) -> None:
    message = empty_result(revision, 1)
    if revision is MODERN:  # the SDK has no empty result there; the tasks extension has (UpdateTaskResult)
        assert message == {"jsonrpc": "2.0", "id": 1, "result": {"resultType": "complete"}}
    else:
        assert validated("ping", revision, message) == {}


@pytest.mark.parametrize("revision", Revision)
def test_a_result_is_completed_but_never_overridden(revision: Revision) -> None:
    found = result(revision, 1, {"resultType": "input_required", "requestState": "s"})
    assert found["result"] == {"resultType": "input_required", "requestState": "s"}
    if revision is MODERN:
        validated("tools/call", revision, found)


@pytest.mark.parametrize("revision", Revision)
@pytest.mark.parametrize("request_id", [1, "x", None])
@pytest.mark.parametrize("data", [None, {"supported": ["2026-07-28"]}])
def test_an_error_is_a_json_rpc_error(revision: Revision, request_id: Any, data: Any) -> None:
    message = error(revision, request_id, -32602, "no", data)
    parsed = jsonrpc_message_adapter.validate_python(message)
    assert isinstance(parsed, JSONRPCError)
    assert (parsed.id, parsed.error.code, parsed.error.message, parsed.error.data) == (request_id, -32602, "no", data)
    assert ("data" in message["error"]) == (data is not None)


@pytest.mark.parametrize("revision", Revision)
@pytest.mark.parametrize("method", JUDGED)
def test_t23_every_judged_method_can_be_refused_in_every_revision(revision: Revision, method: str) -> None:
    meta = {CALL_META_KEY: {"id": "c-1"}}
    message = refusal(revision, method, 5, "Waiting for approval.", meta=meta)
    if method == "tools/call":
        found = validated(method, revision, message)
        assert (found["isError"], found["_meta"]) == (True, meta)
        return
    parsed = jsonrpc_message_adapter.validate_python(message)
    assert isinstance(parsed, JSONRPCError)
    assert (parsed.id, parsed.error.code, parsed.error.message) == (5, REFUSED_BY_GATE, "Waiting for approval.")
    assert parsed.error.data == {"_meta": meta}
    assert "data" not in refusal(revision, method, 5, "no")["error"]


def test_our_code_is_in_the_range_left_to_implementations() -> None:
    assert -32019 <= REFUSED_BY_GATE <= -32000


@pytest.mark.parametrize("revision", Revision)
def test_progress_fits_every_revision(revision: Revision) -> None:
    message = progress("token", 2.0, "waiting for finance")
    parsed = sdk.parse_server_notification(message["method"], revision.value, message["params"])
    assert parsed.params.progress == 2.0
