"""Telling the two eras of MCP apart."""

from __future__ import annotations

from typing import Any

import pytest
from mcp.shared.inbound import InboundModernRoute, classify_inbound_request
from mcp.types.version import HANDSHAKE_PROTOCOL_VERSIONS, LATEST_HANDSHAKE_VERSION, MODERN_PROTOCOL_VERSIONS

from proxy.upstreams import era
from proxy.upstreams.era import Era, era_of_answer, is_modern_message

ANSWERS: list[tuple[str, Any, Era]] = [
    ("a discover result", {"result": {"supportedVersions": ["2026-07-28"]}}, Era.MODERN),
    (
        "a modern error code",
        {"error": {"code": -32022, "message": "", "data": {"supported": ["2027-01-01"]}}},
        Era.MODERN,
    ),
    ("discover of a legacy server", {"result": {"supportedVersions": ["2025-11-25"]}}, Era.LEGACY),
    ("method not found", {"error": {"code": -32601, "message": ""}}, Era.LEGACY),
    ("a result that is none", {"result": {"supportedVersions": "2026-07-28"}}, Era.LEGACY),
    ("something else", {"result": []}, Era.LEGACY),
    ("nothing", None, Era.LEGACY),
]


@pytest.mark.parametrize(("answer", "expected"), [row[1:] for row in ANSWERS], ids=[row[0] for row in ANSWERS])
def test_only_positive_evidence_makes_a_server_modern(answer: Any, expected: Era) -> None:
    assert era_of_answer(answer) is expected


def test_the_revisions_are_those_of_the_sdk() -> None:
    assert {era.MODERN_REVISION} == set(MODERN_PROTOCOL_VERSIONS)
    assert set(HANDSHAKE_PROTOCOL_VERSIONS) == era.HANDSHAKE_REVISIONS
    assert LATEST_HANDSHAKE_VERSION == era.HANDSHAKE_REVISION


def test_our_probe_is_a_valid_modern_request() -> None:
    request = era.probe_request()
    routed = classify_inbound_request(request, headers=era.modern_headers("server/discover"))
    assert isinstance(routed, InboundModernRoute)


@pytest.mark.parametrize(
    ("params", "headers", "expected"),
    [
        ({"_meta": era.modern_meta()}, {}, True),
        ({}, {"mcp-protocol-version": "2026-07-28"}, True),
        ({}, {"mcp-protocol-version": "2030-01-01"}, True),
        ({}, {"mcp-protocol-version": "2025-06-18"}, False),
        ({"_meta": {era.VERSION_KEY: "2025-06-18"}}, {"mcp-protocol-version": "2026-07-28"}, False),
        ({"_meta": {era.VERSION_KEY: 7}}, {}, False),
        ({"_meta": {}}, {}, False),
    ],
)
def test_a_message_is_modern_if_its_envelope_or_else_its_header_says_so(
    params: dict[str, Any], headers: dict[str, str], expected: bool
) -> None:
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": params}
    assert is_modern_message(message, headers) is expected
