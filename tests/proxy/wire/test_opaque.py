"""Opaque values: which they are, and that each is capped."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.wire.jsonrpc import parse
from proxy.wire.mcp_headers import McpHeaders
from proxy.wire.opaque import (
    OPAQUE_BYTES_MAX,
    OPAQUE_HEADERS,
    OPAQUE_META,
    OPAQUE_PARAMS,
    OPAQUE_RESULT_MEMBERS,
    check_opaque,
    check_opaque_headers,
)
from proxy.wire.refusals import Why, WireRefusal
from tests.proxy.wire.builders import notification, request

FITS = "é" * (OPAQUE_BYTES_MAX // 2)


def refusal(act: Any) -> WireRefusal:
    with pytest.raises(WireRefusal) as caught:
        act()
    return caught.value


@pytest.mark.parametrize("name", OPAQUE_PARAMS)
def test_an_opaque_param_is_capped_in_bytes(name: str) -> None:
    for make in (lambda value: request("tools/list", {name: value}), lambda value: notification("x", {name: value})):
        check_opaque(make(FITS))
        assert refusal(lambda make=make: check_opaque(make(FITS + "a"))).why is Why.OPAQUE_TOO_LONG


@pytest.mark.parametrize("name", OPAQUE_META)
def test_an_opaque_meta_value_is_capped(name: str) -> None:
    check_opaque(request("tools/list", {"_meta": {name: FITS}}))
    refused = refusal(lambda: check_opaque(request("tools/list", {"_meta": {name: FITS + "a"}})))
    assert (refused.why, refused.http_status, refused.id) == (Why.OPAQUE_TOO_LONG, 413, 7)


def test_an_id_is_capped() -> None:
    check_opaque(request("tools/list", id=FITS))
    assert refusal(lambda: check_opaque(request("tools/list", id=FITS + "a"))).why is Why.OPAQUE_TOO_LONG
    assert (
        refusal(lambda: check_opaque(request("tools/list", id="abc"), bytes_max=2)).message
        == "id has more than 2 bytes"
    )


@pytest.mark.parametrize("name", OPAQUE_RESULT_MEMBERS)
def test_an_opaque_result_member_is_capped(name: str) -> None:
    def response(result: dict[str, Any]) -> Any:
        return parse({"jsonrpc": "2.0", "id": 1, "result": result})

    check_opaque(response({name: FITS}))
    assert refusal(lambda: check_opaque(response({name: FITS + "a"}))).why is Why.OPAQUE_TOO_LONG
    assert refusal(lambda: check_opaque(response({"task": {"taskId": FITS + "a"}}))).why is Why.OPAQUE_TOO_LONG
    assert refusal(lambda: check_opaque(response({"_meta": {"traceparent": FITS + "a"}}))).why is Why.OPAQUE_TOO_LONG


def test_an_error_has_an_id_to_cap_and_nothing_else() -> None:
    check_opaque(parse({"jsonrpc": "2.0", "id": None, "error": {"code": 1, "message": FITS * 2}}))


@pytest.mark.parametrize("token", [None, True, 1.5, [], {}], ids=repr)
def test_a_progress_token_is_a_string_or_an_integer(token: Any) -> None:
    assert (
        refusal(lambda: check_opaque(request("tools/call", {"_meta": {"progressToken": token}}))).why is Why.BAD_PARAMS
    )
    assert refusal(lambda: check_opaque(notification("x", {"progressToken": token}))).why is Why.BAD_PARAMS
    check_opaque(request("tools/call", {"_meta": {"progressToken": 5}}))


@pytest.mark.parametrize("name", OPAQUE_PARAMS)
@pytest.mark.parametrize("value", [{"delete": "all"}, ["a"], True, 1.5], ids=repr)
def test_p06_nothing_larger_hides_where_an_opaque_value_is_passed_on_unread(name: str, value: Any) -> None:
    assert refusal(lambda: check_opaque(request("tools/call", {name: value}))).why is Why.BAD_PARAMS


def test_a_request_state_is_a_string_or_not_there() -> None:
    assert refusal(lambda: check_opaque(request("tools/call", {"requestState": 5}))).why is Why.BAD_PARAMS
    check_opaque(request("tools/call", {"requestState": None, "requestId": 5}))


def test_what_is_not_opaque_has_no_cap_here() -> None:
    check_opaque(request("tools/call", {"name": FITS * 3, "arguments": {"cursor": FITS * 3}, "task": FITS * 3}))


@pytest.mark.parametrize("name", OPAQUE_HEADERS)
def test_an_opaque_header_is_capped(name: str) -> None:
    check_opaque_headers(McpHeaders({name: "a" * OPAQUE_BYTES_MAX}))
    refused = refusal(lambda: check_opaque_headers(McpHeaders({name: "a" * (OPAQUE_BYTES_MAX + 1)})))
    assert refused.why is Why.OPAQUE_TOO_LONG


@pytest.mark.parametrize("value", ["", "a b", "a\tb", "é"])
def test_a_session_id_is_visible_ascii(value: str) -> None:
    assert refusal(lambda: check_opaque_headers(McpHeaders({"mcp-session-id": value}))).why is Why.BAD_HEADER
    check_opaque_headers(McpHeaders({"last-event-id": "a b"}))
    check_opaque_headers(McpHeaders({}))
