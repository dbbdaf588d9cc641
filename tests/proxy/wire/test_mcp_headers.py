"""MCP's headers: read once, held to the body, and computed anew for what goes upstream."""

from __future__ import annotations

from typing import Any

import pytest
from mcp.shared.inbound import (
    InboundModernRoute,
    classify_inbound_request,
    encode_header_value,
    validate_mcp_param_headers,
)

from proxy.wire.mcp_headers import (
    NAME_PARAMS,
    Accepts,
    McpHeaders,
    accepts,
    as_sent,
    check_params,
    check_routing,
    outgoing,
    read,
    recompute_param_headers,
)
from proxy.wire.mcp_methods import Revision
from proxy.wire.refusals import Why, WireRefusal
from tests.proxy.wire.builders import (
    HANDSHAKE,
    MODERN,
    SUBJECTS,
    answer,
    headers,
    modern_headers,
    modern_request,
    notification,
    request,
)

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "region": {"type": "string", "x-mcp-header": "Region"},
        "count": {"type": "integer", "x-mcp-header": "Count"},
        "dry": {"type": "boolean", "x-mcp-header": "Dry-Run"},
        "to": {"type": "object", "properties": {"iban": {"type": "string", "x-mcp-header": "Iban"}}},
        "free": {"type": "string"},
    },
}
INVALID_SCHEMA: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "number", "x-mcp-header": "A"}}}
ARGUMENTS: dict[str, Any] = {"region": "Zürich", "count": 42, "dry": True, "to": {"iban": " x "}, "free": "y"}
DEMANDED = {
    "mcp-param-region": encode_header_value("Zürich"),
    "mcp-param-count": "42",
    "mcp-param-dry-run": "true",
    "mcp-param-iban": "=?base64?IHgg?=",
}


def call(arguments: dict[str, Any] | None = None, name: str = "refund") -> Any:
    return modern_request("tools/call", {"name": name, "arguments": ARGUMENTS if arguments is None else arguments})


def lines(**more: str) -> McpHeaders:
    return read(headers(**more))


def mismatch(act: Any) -> WireRefusal:
    with pytest.raises(WireRefusal) as caught:
        act()
    assert (caught.value.why, caught.value.http_status, caught.value.code) == (Why.HEADER_MISMATCH, 400, -32020)
    return caught.value


# ---- reading ----------------------------------------------------------------------------------------------------


def test_headers_are_read_whatever_their_case_and_white_space() -> None:
    found = read([(b"MCP-Protocol-Version", b" 2025-06-18\t"), (b"mcp-SESSION-id", b"s1"), (b"accept", b"*/*")])
    assert found.lines == {"mcp-protocol-version": "2025-06-18", "mcp-session-id": "s1"}
    assert (found.version, found.session, found.params) == ("2025-06-18", "s1", {})


@pytest.mark.parametrize(
    "name",
    [
        *("mcp-protocol-version", "Mcp-Method", "mcp-name", "Mcp-Param-Region", "mcp-session-id", "mcp-anything"),
        *("authorization", "origin", "last-event-id", "interlock-ticket", "content-type", "content-encoding"),
    ],
)
def test_j9_a_header_that_may_stand_once_and_stands_twice_is_refused(name: str) -> None:
    twice = [(name.encode(), b"a"), (name.lower().encode(), b"a")]
    with pytest.raises(WireRefusal) as caught:
        read(twice, id=5, modern=True)
    refused = caught.value
    assert (refused.why, refused.http_status, refused.code, refused.id) == (Why.DUPLICATED_HEADER, 400, -32020, 5)
    with pytest.raises(WireRefusal) as caught:
        read(twice)
    assert (caught.value.http_status, caught.value.code) == (400, -32600)


def test_other_headers_may_stand_twice() -> None:
    assert read([(b"accept", b"a"), (b"accept", b"b"), (b"x-mcp-name", b"c"), (b"mcp_name", b"d")]).lines == {}


@pytest.mark.parametrize("value", [b"\xe9", "é".encode(), b"a\x00b", b"a\x1bb", b"a\x7fb"])
def test_j9_a_header_value_outside_ascii_is_refused(value: bytes) -> None:
    with pytest.raises(WireRefusal) as caught:
        read([(b"mcp-name", value)])
    assert caught.value.why is Why.BAD_HEADER


# ---- routing headers --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["refund", "Zürich", " padded ", "=?base64?x?=", "a b", "line\nbreak"])
def test_a_name_is_compared_after_decoding(name: str) -> None:
    check_routing(lines(mcp_method="tools/call", mcp_name=encode_header_value(name)), call(name=name))


def test_white_space_around_a_value_is_not_part_of_it() -> None:
    check_routing(lines(mcp_method=" tools/call ", mcp_name="  refund\t"), call())


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"mcp_method": "tools/call"},
        {"mcp_name": "refund"},
        {"mcp_method": "tools/list", "mcp_name": "refund"},
        {"mcp_method": "TOOLS/CALL", "mcp_name": "refund"},
        {"mcp_method": "tools/call", "mcp_name": "list_files"},
        {"mcp_method": "tools/call", "mcp_name": "Refund"},
        {"mcp_method": "tools/call", "mcp_name": ""},
        {"mcp_method": "tools/call", "mcp_name": "=?base64?bGlzdA==?="},
        {"mcp_method": "tools/call", "mcp_name": "=?base64?cmVmdW5k"},
        {"mcp_method": "tools/call", "mcp_name": "=?base64?cmVmdW5?="},
        {"mcp_method": "tools/call", "mcp_name": "=?base64?!!!!?="},
        {"mcp_method": "tools/call", "mcp_name": "=?BASE64?cmVmdW5k?="},
    ],
    ids=repr,
)
def test_j9_a_method_or_name_that_is_missing_or_differs_is_refused(more: dict[str, str]) -> None:
    assert mismatch(lambda: check_routing(lines(**more), call())).id == 7


@pytest.mark.parametrize("method", sorted(NAME_PARAMS))
def test_j9_every_method_that_bears_a_name_is_held_to_it(method: str) -> None:
    message = modern_request(method, SUBJECTS[method])
    check_routing(read(modern_headers(message)), message)
    mismatch(lambda: check_routing(read(modern_headers(message, mcp_name="other")), message))


def test_a_method_without_a_name_needs_none() -> None:
    check_routing(lines(mcp_method="tools/list"), modern_request("tools/list"))


def test_a_notification_may_leave_the_method_out_but_not_contradict_it() -> None:
    told = notification("notifications/cancelled")
    check_routing(lines(), told)
    check_routing(lines(mcp_method="notifications/cancelled"), told)
    assert mismatch(lambda: check_routing(lines(mcp_method="tools/call"), told)).id is None


# ---- param headers ----------------------------------------------------------------------------------------------


def test_params_that_agree_with_the_arguments_pass() -> None:
    check_params(McpHeaders(DEMANDED), call(), SCHEMA)
    check_params(McpHeaders({**DEMANDED, "mcp-param-count": "42.0", "mcp-param-other": "x"}), call(), SCHEMA)
    check_params(McpHeaders({}), call({"free": "y", "region": None}), SCHEMA)
    check_params(McpHeaders({}), modern_request("tools/call", {"name": "refund"}), SCHEMA)


@pytest.mark.parametrize(
    "change",
    [
        *(
            {"mcp-param-region": "Zurich"},
            {"mcp-param-count": "43"},
            {"mcp-param-dry-run": "True"},
            {"mcp-param-count": "4.2e1"},
        ),
        *({"mcp-param-iban": "x"}, {"mcp-param-region": None}, {"mcp-param-region": "=?base64?WsO8cmljaA?="}),
        {"mcp-param-region": "=?base64?/w==?="},
    ],
    ids=repr,
)
def test_j9_params_that_are_missing_or_differ_are_refused(change: dict[str, str | None]) -> None:
    sent = {name: value for name, value in {**DEMANDED, **change}.items() if value is not None}
    mismatch(lambda: check_params(McpHeaders(sent), call(), SCHEMA))


def test_j9_a_param_the_body_does_not_have_is_refused() -> None:
    mismatch(lambda: check_params(McpHeaders({"mcp-param-region": "x"}), call({}), SCHEMA))


# ---- what goes upstream -----------------------------------------------------------------------------------------


def test_headers_of_edited_arguments_are_computed_anew() -> None:
    assert recompute_param_headers(SCHEMA, ARGUMENTS) == DEMANDED
    assert recompute_param_headers(SCHEMA, {"count": 7}) == {"mcp-param-count": "7"}
    assert recompute_param_headers(INVALID_SCHEMA, {"a": 1}) == {}
    assert recompute_param_headers({}, ARGUMENTS) == {}


def test_an_edited_call_carries_what_the_sdks_server_demands_and_nothing_of_the_old() -> None:
    sent = read(modern_headers(call(), **{name.replace("-", "_"): value for name, value in DEMANDED.items()}))
    edited = call({"region": "Bern", "count": 9})
    found = outgoing(MODERN, edited, sent=sent, input_schema=SCHEMA)
    assert found == {
        "mcp-protocol-version": "2026-07-28",
        "mcp-method": "tools/call",
        "mcp-name": "refund",
        "mcp-param-region": "Bern",
        "mcp-param-count": "9",
    }
    assert isinstance(classify_inbound_request(edited.raw, headers=found), InboundModernRoute)
    assert validate_mcp_param_headers(SCHEMA, edited.params["arguments"], found) is None


def test_params_no_schema_declares_are_passed_on_and_declared_ones_are_not_copied() -> None:
    sent = McpHeaders({"mcp-param-unknown": "keep", "mcp-param-region": "lie"})
    assert outgoing(MODERN, call({}), sent=sent, input_schema=SCHEMA).keys() - {"mcp-param-unknown"} == {
        "mcp-protocol-version",
        "mcp-method",
        "mcp-name",
    }
    assert outgoing(MODERN, call({}), sent=sent)["mcp-param-region"] == "lie"  # nobody knows what it should say
    assert outgoing(MODERN, call({}), sent=sent, input_schema=INVALID_SCHEMA)["mcp-param-region"] == "lie"


def test_a_name_that_is_no_ascii_is_encoded() -> None:
    assert outgoing(MODERN, call({}, name="Zürich"), sent=lines())["mcp-name"] == encode_header_value("Zürich")


def test_a_method_without_a_name_sends_none() -> None:
    found = outgoing(MODERN, modern_request("tools/list"), sent=lines(mcp_name="x", mcp_param_a="b"))
    assert found == {"mcp-protocol-version": "2026-07-28", "mcp-method": "tools/list"}
    assert outgoing(MODERN, None, sent=lines()) == {"mcp-protocol-version": "2026-07-28"}
    assert outgoing(MODERN, answer(), sent=lines()) == {"mcp-protocol-version": "2026-07-28"}


@pytest.mark.parametrize("revision", HANDSHAKE)
def test_before_2026_07_28_only_the_version_is_sent_and_only_where_it_is_defined(revision: Revision) -> None:
    sent = lines(mcp_name="x", mcp_method="y", mcp_param_region="z")
    defined = revision >= Revision.R2025_06_18
    expected = {"mcp-protocol-version": revision.value} if defined else {}
    for message in (call(), answer(), notification("notifications/initialized"), None):
        assert outgoing(revision, message, sent=sent, input_schema=SCHEMA) == expected
    assert outgoing(revision, modern_request("initialize"), sent=sent) == {}


def test_a_probe_goes_upstream_with_the_version_it_named() -> None:
    sent = lines(mcp_protocol_version="v999", mcp_method="server/discover", mcp_name="x")
    assert as_sent(sent, request("server/discover")) == {
        "mcp-protocol-version": "v999",
        "mcp-method": "server/discover",
    }
    assert as_sent(lines(mcp_name="x"), request("initialize")) == {}


def test_j9_a_probe_never_goes_upstream_under_another_method() -> None:
    sent = lines(mcp_protocol_version="2025-11-25", mcp_method="tools/call")
    assert as_sent(sent, request("initialize"))["mcp-method"] == "initialize"


# ---- Accept -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "json", "event_stream"),
    [
        ([], True, True),
        ([b"application/json, text/event-stream"], True, True),
        ([b"application/json", b"text/event-stream"], True, True),
        ([b"Application/JSON;q=0.5"], True, False),
        ([b"text/event-stream"], False, True),
        ([b"*/*"], True, True),
        ([b"text/*"], False, True),
        ([b"application/*, text/event-stream;q=0"], True, False),
        ([b"*/*, application/json;q=0.000"], False, True),
        ([b"application/json; q=0."], False, False),
        ([b"application/json;charset=utf-8; q=1"], True, False),
        ([b"text/html"], False, False),
        ([b""], False, False),
        ([b"application/json;q"], False, False),
        ([b"\xff, application/json;q=0.10"], True, False),
    ],
    ids=repr,
)
def test_accept_is_read(values: list[bytes], json: bool, event_stream: bool) -> None:
    assert accepts([(b"accept", value) for value in values]) == Accepts(json, event_stream)
