"""Classifying an agent's message: revision, era, row; and every way it can disagree with itself."""

from __future__ import annotations

from typing import Any

import pytest
from mcp.shared.inbound import InboundLadderRejection, classify_inbound_request

from policies.model import Direction
from proxy.wire.jsonrpc import Message, parse
from proxy.wire.mcp import Inbound, classify, classify_stream, refuse_argument_variants, tool_row
from proxy.wire.mcp_methods import METHODS, Era, Handling, Kind, Method, Revision
from proxy.wire.refusals import Why, WireRefusal
from proxy.wire.strict_json import JsonFault, StrictJsonError
from tests.proxy.wire.builders import (
    HANDSHAKE,
    MODERN,
    SUBJECTS,
    answer,
    envelope,
    headers,
    modern_headers,
    modern_request,
    notification,
    request,
)

SCHEMA: dict[str, Any] = {"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}}
TO_TOOL = [row for row in METHODS if row.direction is Direction.AGENT_TO_TOOL]


def refusal(lines: Any, message: Message, **options: Any) -> WireRefusal:
    with pytest.raises(WireRefusal) as caught:
        classify(lines, message, **options)
    return caught.value


def told(refused: WireRefusal) -> tuple[Why, int, int, Any]:
    assert isinstance(refused.why, Why)
    return refused.why, refused.http_status, refused.code, refused.id


def version(revision: Revision) -> list[tuple[bytes, bytes]]:
    return headers(mcp_protocol_version=revision.value)


# ---- one test per method and revision (J15) ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "revision"),
    [(row, revision) for row in TO_TOOL for revision in Revision],
    ids=lambda value: value.name if isinstance(value, Method) else str(value),
)
def test_j15_each_method_in_each_revision_is_in_the_table_or_refused(row: Method, revision: Revision) -> None:
    message = _request(row.name, revision) if row.kind is Kind.REQUEST else notification(row.name)
    lines = _lines(message, revision)
    rows = [other for other in TO_TOOL if other.name == row.name and revision in other.revisions]
    if not rows and row.name not in ("initialize", "server/discover"):
        refused = refusal(lines, message)
        assert refused.why is (Why.UNKNOWN_METHOD if row.kind is Kind.REQUEST else Why.UNKNOWN_NOTIFICATION)
        return
    if not rows:  # initialize in 2026-07-28
        assert told(refusal(lines, message)) == (Why.UNKNOWN_METHOD, 404, -32601, 7)
        return
    found = classify(lines, message)
    assert found.method == rows[0]
    assert found.is_judged == (rows[0].handling is Handling.JUDGED)
    if row.name != "initialize":
        assert (found.revision, found.era) == (revision, revision.era)


def _request(name: str, revision: Revision) -> Any:
    params = SUBJECTS.get(name, {})
    return modern_request(name, params) if revision.era is Era.MODERN else request(name, params)


def _lines(message: Any, revision: Revision) -> list[tuple[bytes, bytes]]:
    if revision.era is Era.MODERN and hasattr(message, "id"):
        return modern_headers(message)
    return version(revision)


# ---- versions ---------------------------------------------------------------------------------------------------


def test_without_a_version_header_the_sessions_revision_holds_or_2025_03_26() -> None:
    call = request("tools/call", SUBJECTS["tools/call"])
    assert classify([], call).revision is Revision.R2025_03_26
    assert classify([], call, assumed=Revision.R2024_11_05).revision is Revision.R2024_11_05
    assert classify(version(Revision.R2025_06_18), call, assumed=Revision.R2024_11_05).revision is Revision.R2025_06_18


def test_mcp_1_4_a_call_without_initialize_or_session_is_classified_as_a_call() -> None:
    found = classify(version(Revision.R2025_11_25), request("tools/call", SUBJECTS["tools/call"]))
    assert (found.headers.session, found.is_judged) == (None, True)


@pytest.mark.parametrize("method", ["tools/call", "tools/list", "ping", "tasks/get"])
def test_mcp_1_4_an_unknown_version_is_refused_in_the_words_of_its_era(method: str) -> None:
    lines = headers(mcp_protocol_version="2030-01-01", mcp_method=method)
    old = request(method, SUBJECTS.get(method, {}))
    assert told(refusal(lines, old)) == (Why.UNKNOWN_VERSION, 400, -32600, 7)
    assert refusal(lines, old).data is None
    new = request(method, {**SUBJECTS.get(method, {}), "_meta": envelope("2030-01-01")})
    refused = refusal(lines, new)
    assert told(refused) == (Why.UNKNOWN_VERSION, 400, -32022, 7)
    assert refused.data == {"supported": [revision.value for revision in Revision], "requested": "2030-01-01"}


@pytest.mark.parametrize("text", ["", "2025-11-25,2026-07-28", "2025-11-25 ", "latest", "V2025-11-25"])
def test_odd_versions_are_unknown_ones(text: str) -> None:
    lines = [(b"mcp-protocol-version", text.encode())]
    if text.strip() == "2025-11-25":
        assert classify(lines, request("ping")).revision is Revision.R2025_11_25
    else:
        assert refusal(lines, request("ping")).why is Why.UNKNOWN_VERSION


@pytest.mark.parametrize(
    ("in_header", "in_body"),
    [
        ("2025-11-25", "2026-07-28"),
        ("2026-07-28", "2025-11-25"),
        (None, "2026-07-28"),
        ("2026-07-28", "v999"),
        ("2026-07-28", 20260728),
        ("2026-07-28", ["2026-07-28"]),
        ("2026-07-28", {}),
        ("2026-07-28", None),
        (None, None),
        ("v999", "v998"),
        (None, "2025-11-25"),
    ],
)
@pytest.mark.parametrize("method", ["tools/call", "tools/list", "server/discover", "initialize"])
def test_j9_header_and_body_naming_different_versions_are_refused(in_header: Any, in_body: Any, method: str) -> None:
    message = request(
        method,
        {**SUBJECTS.get(method, {}), "_meta": {**envelope(), "io.modelcontextprotocol/protocolVersion": in_body}},
    )
    lines = modern_headers(message)[1:] + ([(b"mcp-protocol-version", in_header.encode())] if in_header else [])
    assert told(refusal(lines, message)) == (Why.HEADER_MISMATCH, 400, -32020, 7)


def test_duplicated_version_lines_are_refused_in_the_words_of_the_era() -> None:
    call = modern_request("tools/call", SUBJECTS["tools/call"])
    assert told(refusal([*modern_headers(call), *version(MODERN)], call)) == (Why.DUPLICATED_HEADER, 400, -32020, 7)
    old = request("tools/call", SUBJECTS["tools/call"])
    twice = version(Revision.R2025_06_18) * 2
    assert told(refusal(twice, old)) == (Why.DUPLICATED_HEADER, 400, -32600, 7)
    assert told(refusal([*twice, *version(MODERN)], old))[2] == -32020


# ---- the modern envelope ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "meta",
    [
        None,
        {},
        {"io.modelcontextprotocol/clientCapabilities": {}},
        {"io.modelcontextprotocol/protocolVersion": "2026-07-28"},
        {"io.modelcontextprotocol/protocolVersion": None, "io.modelcontextprotocol/clientCapabilities": {}},
    ],
    ids=repr,
)
def test_a_modern_request_without_its_envelope_is_refused_as_the_sdk_refuses_it(meta: Any) -> None:
    params = {**SUBJECTS["tools/call"]} | ({} if meta is None else {"_meta": meta})
    message = request("tools/call", params)
    refused = refusal(modern_headers(message), message)
    sdks = classify_inbound_request(
        message.raw, headers={name.decode(): value.decode() for name, value in modern_headers(message)}
    )
    assert isinstance(sdks, InboundLadderRejection)
    assert (refused.http_status, refused.code) == (400, sdks.code)
    assert refused.id == 7


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"mcp_method": "tools/list"}, Why.HEADER_MISMATCH),
        ({"mcp_name": "list_files"}, Why.HEADER_MISMATCH),
        ({"mcp_name": "=?base64?bGlzdA==?="}, Why.HEADER_MISMATCH),
        ({"mcp_param_region": "Bern"}, Why.HEADER_MISMATCH),
    ],
)
def test_j9_header_and_body_that_differ_are_refused(more: dict[str, str], why: Why) -> None:
    message = modern_request("tools/call", {"name": "refund", "arguments": {"region": "Basel"}})
    lines = modern_headers(message, **{"mcp_param_region": "Basel", **more})
    assert told(refusal(lines, message, input_schema=SCHEMA)) == (why, 400, -32020, 7)
    classify(modern_headers(message, mcp_param_region="Basel"), message, input_schema=SCHEMA)


def test_j9_missing_routing_headers_are_refused() -> None:
    message = modern_request("tools/call", SUBJECTS["tools/call"])
    for missing in (b"mcp-method", b"mcp-name"):
        lines = [line for line in modern_headers(message) if line[0] != missing]
        assert refusal(lines, message).why is Why.HEADER_MISMATCH


def test_without_the_schema_param_headers_are_not_yet_held_to_the_arguments() -> None:
    message = modern_request("tools/call", {"name": "refund", "arguments": {"region": "Basel"}})
    assert classify(modern_headers(message, mcp_param_region="Bern"), message).headers.params == {
        "mcp-param-region": "Bern"
    }


@pytest.mark.parametrize("revision", HANDSHAKE)
def test_mcp_1_4_before_2026_07_28_routing_headers_mean_nothing(revision: Revision) -> None:
    lines = [*version(revision), *headers(mcp_method="tools/list", mcp_name="list_files", mcp_param_region="x")]
    message = request("tools/call", {"name": "refund", "arguments": {"region": "Basel"}})
    found = classify(lines, message, input_schema=SCHEMA)
    assert (found.revision, found.is_judged) == (revision, True)


def test_what_a_client_says_it_is_is_found_in_either_era() -> None:
    info = {"name": "claude-code", "version": "2.1"}
    modern = request("tools/list", {"_meta": envelope(**{"io.modelcontextprotocol/clientInfo": info})})
    assert classify(modern_headers(modern), modern).client_info == info
    assert classify([], request("initialize", {"clientInfo": info})).client_info == info
    assert classify([], request("initialize", {"clientInfo": "x"})).client_info is None
    assert classify([], request("ping")).client_info is None


# ---- era detection stays possible -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "params", "revision"),
    [
        ({"mcp_protocol_version": "2026-07-28", "mcp_method": "server/discover"}, {"_meta": envelope()}, MODERN),
        ({"mcp_protocol_version": "2026-07-28", "mcp_method": "server/discover"}, {}, MODERN),
        ({"mcp_protocol_version": "2026-07-28"}, {"_meta": envelope()}, MODERN),
        (
            {"mcp_protocol_version": "v999.0.0", "mcp_method": "server/discover"},
            {"_meta": envelope("v999.0.0")},
            MODERN,
        ),
        ({"mcp_protocol_version": "v999.0.0"}, {}, MODERN),
        ({"mcp_protocol_version": "2025-11-25"}, {}, Revision.R2025_11_25),
        ({}, {}, MODERN),
    ],
)
def test_server_discover_is_the_upstreams_to_answer(
    lines: dict[str, str], params: dict[str, Any], revision: Revision
) -> None:
    found = classify(headers(**lines), request("server/discover", params))
    assert (found.upstream_decides, found.revision, found.is_judged) == (True, revision, False)
    assert found.method is not None


def test_a_probe_in_a_session_has_the_sessions_revision() -> None:
    assert classify([], request("server/discover"), assumed=Revision.R2025_06_18).revision is Revision.R2025_06_18


def test_j9_a_probe_whose_method_header_says_otherwise_is_refused() -> None:
    message = modern_request("server/discover")
    lines = headers(mcp_protocol_version="2026-07-28", mcp_method="tools/call")
    assert told(refusal(lines, message)) == (Why.HEADER_MISMATCH, 400, -32020, 7)


@pytest.mark.parametrize("version", ["2026-07-28", "2030-01-01", ""])
@pytest.mark.parametrize("method", ["initialize", "server/discover"])
def test_j9_a_probe_of_no_handshake_revision_is_held_to_its_method_header(method: str, version: str) -> None:
    lines = headers(mcp_protocol_version=version, mcp_method="tools/call")
    assert told(refusal(lines, request(method))) == (Why.HEADER_MISMATCH, 400, -32020, 7)


@pytest.mark.parametrize(
    ("wanted", "revision"),
    [
        ("2024-11-05", Revision.R2024_11_05),
        ("2025-06-18", Revision.R2025_06_18),
        ("2026-07-28", Revision.R2025_11_25),
        ("1.0", Revision.R2025_11_25),
        (None, Revision.R2025_11_25),
        (["2024-11-05"], Revision.R2025_11_25),
    ],
)
def test_initialize_is_the_upstreams_to_negotiate(wanted: Any, revision: Revision) -> None:
    params = {} if wanted is None else {"protocolVersion": wanted}
    for lines in ({}, {"mcp_protocol_version": "v999"}, {"mcp_protocol_version": "2026-07-28"}):
        found = classify(headers(**lines), request("initialize", params))
        assert (found.upstream_decides, found.revision) == (True, revision)
        assert found.method is not None


def test_a_modern_initialize_is_a_method_that_is_not_there() -> None:
    message = modern_request("initialize")
    assert told(refusal(modern_headers(message), message)) == (Why.UNKNOWN_METHOD, 404, -32601, 7)


@pytest.mark.parametrize("method", ["unknown/method", "ping", "logging/setLevel", "resources/subscribe", "tasks/list"])
def test_a_method_that_2026_07_28_does_not_have_is_404(method: str) -> None:
    message = modern_request(method, SUBJECTS.get(method, {}))
    assert told(refusal(modern_headers(message), message)) == (Why.UNKNOWN_METHOD, 404, -32601, 7)


@pytest.mark.parametrize("revision", HANDSHAKE)
def test_an_unknown_method_is_no_404_before_that_for_it_would_end_the_session(revision: Revision) -> None:
    assert told(refusal(version(revision), request("unknown/method"))) == (Why.UNKNOWN_METHOD, 200, -32601, 7)


def test_an_unknown_notification_is_refused_in_every_revision() -> None:
    for revision in Revision:
        refused = refusal(version(revision), notification("notifications/unknown"))
        assert told(refused) == (Why.UNKNOWN_NOTIFICATION, 400, -32601, None)


def test_notifications_of_2026_07_28_are_swallowed() -> None:
    found = classify(version(MODERN), notification("notifications/cancelled", {"requestId": 1}))
    assert found.method is not None
    assert found.method.handling is Handling.SWALLOWED
    assert (
        refusal([*version(MODERN), (b"mcp-method", b"tools/call")], notification("notifications/cancelled")).why
        is Why.HEADER_MISMATCH
    )


# ---- what a request is about ------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", [row for row in TO_TOOL if row.subject is not None], ids=lambda row: row.name)
@pytest.mark.parametrize("value", ["absent", None, 1, True, [], {}], ids=repr)
def test_a_request_that_does_not_say_what_it_is_about_is_refused(row: Method, value: Any) -> None:
    assert row.subject is not None
    params = {name: item for name, item in SUBJECTS[row.name].items() if name != row.subject}
    if value != "absent":
        params[row.subject] = value
    for revision in sorted(row.revisions & set(HANDSHAKE)):
        refused = refusal(version(revision), request(row.name, params))
        assert told(refused) == (Why.BAD_ARGUMENTS, 200, -32602, 7)
    if MODERN in row.revisions:
        message = modern_request(row.name, params)
        lines = headers(mcp_protocol_version=MODERN.value, mcp_method=row.name)
        assert refusal(lines, message).http_status == 400
        assert refusal(lines, message).why in (Why.BAD_ARGUMENTS, Why.HEADER_MISMATCH)


@pytest.mark.parametrize("arguments", [None, [], "x", 1])
def test_arguments_are_an_object_or_left_out(arguments: Any) -> None:
    message = request("tools/call", {"name": "refund", "arguments": arguments})
    assert told(refusal([], message)) == (Why.BAD_ARGUMENTS, 200, -32602, 7)
    assert classify([], request("tools/call", {"name": "refund"})).is_judged


@pytest.mark.parametrize("member", ["tool", "args", "input", "dryRun", "meta"])
@pytest.mark.parametrize("revision", Revision)
def test_p06_a_call_carries_nothing_that_no_reviewer_is_shown_and_no_approval_binds(
    member: str, revision: Revision
) -> None:
    params = {"name": "refund", "arguments": {}, member: "delete_all"}
    message = modern_request("tools/call", params) if revision is MODERN else request("tools/call", params)
    lines = modern_headers(message) if revision is MODERN else version(revision)
    assert refusal(lines, message).why is Why.UNKNOWN_MEMBER


@pytest.mark.parametrize("name", ["mcp.resources/read", "mcp.tools/call", "mcp.ping"])
def test_p09_no_tool_gets_what_is_granted_to_a_method_by_naming_itself_like_one(name: str) -> None:
    assert refusal([], request("tools/call", {"name": name, "arguments": {}})).why is Why.BAD_ARGUMENTS


@pytest.mark.parametrize("name", ["ping", "mcp.inspect", "resources/read"])
def test_other_names_are_a_tools_own_affair(name: str) -> None:
    assert classify([], request("tools/call", {"name": name, "arguments": {}})).is_judged


@pytest.mark.parametrize("member", ["inputResponses", "requestState", "task", "_meta"])
def test_the_protocols_own_members_of_a_call_are_known(member: str) -> None:
    assert classify([], request("tools/call", {"name": "refund", "arguments": {}, member: {}})).is_judged


@pytest.mark.parametrize("task", [{"ttl": "1"}, {"ttl": True}, {"ttl": 1, "delete": "all"}, "now", 5, []], ids=repr)
def test_p06_nothing_rides_in_the_wish_for_a_task(task: object) -> None:
    params = {"name": "refund", "arguments": {}, "task": task}
    assert refusal([], request("tools/call", params)).why is Why.BAD_PARAMS


@pytest.mark.parametrize("task", [None, {}, {"ttl": None}, {"ttl": 60_000}, {"ttl": 1.5}], ids=repr)
def test_a_call_may_be_wished_for_as_a_task(task: object) -> None:
    assert classify([], request("tools/call", {"name": "refund", "arguments": {}, "task": task})).is_judged


# ---- answers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("revision", HANDSHAKE)
def test_an_answer_to_a_server_is_taken_before_2026_07_28(revision: Revision) -> None:
    found = classify(version(revision), answer({"action": "accept"}))
    assert found == Inbound(revision, found.headers, None)
    assert not found.is_judged  # by this alone: it is judged as the request it answers


def test_in_2026_07_28_a_client_posts_no_answers() -> None:
    assert told(refusal(version(MODERN), answer())) == (Why.ANSWER_NOT_ALLOWED, 400, -32600, None)


def test_j8_an_answer_with_an_unknown_member_or_without_an_id_is_refused() -> None:
    assert refusal([], parse({"jsonrpc": "2.0", "id": 1, "result": {}, "x": 1})).why is Why.UNKNOWN_MEMBER
    nobody = parse({"jsonrpc": "2.0", "id": None, "error": {"code": 1, "message": "x"}})
    assert refusal([], nobody).why is Why.BAD_ID


# ---- streams, stdio, tools --------------------------------------------------------------------------------------


@pytest.mark.parametrize("http_method", ["GET", "DELETE"])
def test_streams_and_ends_of_sessions_exist_before_2026_07_28_only(http_method: str) -> None:
    for revision in HANDSHAKE:
        assert classify_stream(version(revision), http_method).revision is revision
    assert classify_stream([], http_method, assumed=Revision.R2025_06_18).revision is Revision.R2025_06_18
    for lines, status in (
        (version(MODERN), 405),
        (headers(mcp_protocol_version="v9"), 400),
        (version(MODERN) * 2, 400),
    ):
        with pytest.raises(WireRefusal) as caught:
            classify_stream(lines, http_method)
        assert caught.value.http_status == status


def test_over_stdio_the_body_alone_names_the_version() -> None:
    call = SUBJECTS["tools/call"]
    assert classify(None, modern_request("tools/call", call), input_schema=SCHEMA).revision is MODERN
    assert classify(None, request("tools/call", call), assumed=Revision.R2025_11_25).revision is Revision.R2025_11_25
    assert refusal(None, request("tools/call", {**call, "_meta": envelope("v999")})).code == -32022
    assert classify(None, notification("notifications/cancelled")).revision is Revision.R2025_03_26
    assert classify(None, answer()).method is None


def test_what_a_tool_sends_has_its_own_rows() -> None:
    row = tool_row(Revision.R2025_06_18, request("elicitation/create"))
    assert row is not None
    assert row.handling is Handling.JUDGED
    assert tool_row(Revision.R2025_03_26, request("elicitation/create")) is None
    assert tool_row(MODERN, request("sampling/createMessage")) is None
    assert tool_row(MODERN, notification("notifications/progress")) is not None
    assert tool_row(MODERN, notification("notifications/unknown")) is None


# ---- argument names ---------------------------------------------------------------------------------------------

NESTED: dict[str, Any] = {
    "type": "object",
    "properties": {
        "amount": {"type": "integer"},
        "lines": {"type": "array", "items": {"type": "object", "properties": {"sku": {"type": "string"}}}},
        "free": {"type": "object"},
        "odd": True,
    },
}


@pytest.mark.parametrize(
    "arguments",
    [{"Amount": 1}, {"amount": 1, "AMOUNT": 2}, {"lines": [{"sku": "a"}, {"SKU": "b"}]}, {"ａmount": 1}, {"lineſ": []}],
    ids=repr,
)
def test_t17_an_argument_that_looks_like_a_property_of_the_schema_is_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(StrictJsonError) as caught:
        refuse_argument_variants(arguments, NESTED)
    assert caught.value.reason is JsonFault.CASE_VARIANT


@pytest.mark.parametrize(
    "arguments",
    [
        {"amount": 1, "lines": [{"sku": "a", "x": 1}, "y"], "free": {"SKU": 1, "sku": 2, "Amount": 3}},
        {"other": 1, "OTHER": 2, "odd": {"Amount": 1}},
        {"lines": {"SKU": 1}},
        {},
    ],
    ids=repr,
)
def test_t17_honest_maps_are_left_alone(arguments: dict[str, Any]) -> None:
    refuse_argument_variants(arguments, NESTED)
    refuse_argument_variants(arguments, {})
    refuse_argument_variants(arguments, {"properties": []})
