"""Refusals: one table, complete, true to the specification's codes, and the same as in docs/wire.md."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from mcp.shared.inbound import ERROR_CODE_HTTP_STATUS
from mcp.types.jsonrpc import JSONRPCError, jsonrpc_message_adapter

from proxy.wire.body import BodyFault
from proxy.wire.http_head import HttpFault
from proxy.wire.refusals import TABLE, Why, WireRefusal, from_json
from proxy.wire.sse import SseFault
from proxy.wire.strict_json import JsonFault, StrictJsonError

DOCS = Path(__file__).resolve().parents[3] / "docs" / "wire.md"
MODERN_ONLY = {-32020, -32021, -32022}


def test_every_reason_has_its_row() -> None:
    assert set(TABLE) == {*Why, *JsonFault}


@pytest.mark.parametrize("why", TABLE, ids=str)
def test_a_refusal_speaks_in_the_words_of_its_era(why: Why | JsonFault) -> None:
    row = TABLE[why]
    old, new = WireRefusal(why, "text"), WireRefusal(why, "text", id="x", modern=True, data={"a": 1})
    assert (old.http_status, old.code) == (row.handshake_http_status, row.handshake_code)
    assert (new.http_status, new.code) == (row.http_status, row.code)
    assert old.code not in MODERN_ONLY  # a legacy client that probes must not be led to believe in a modern server
    assert old.http_status != 404  # which would end its session
    assert old.body() == {"jsonrpc": "2.0", "id": None, "error": {"code": old.code, "message": "text"}}
    assert new.body() == {"jsonrpc": "2.0", "id": "x", "error": {"code": new.code, "message": "text", "data": {"a": 1}}}
    for refusal in (old, new):
        assert isinstance(jsonrpc_message_adapter.validate_python(refusal.body()), JSONRPCError)


@pytest.mark.parametrize(
    "why", [why for why in TABLE if TABLE[why].code in (*MODERN_ONLY, -32601, -32602, -32700)], ids=str
)
def test_modern_codes_have_the_statuses_the_sdk_gives_them(why: Why | JsonFault) -> None:
    row = TABLE[why]
    expected = 400 if why is Why.UNKNOWN_NOTIFICATION else ERROR_CODE_HTTP_STATUS[row.code]  # no 404 without a request
    assert row.http_status == expected


def test_a_readers_error_becomes_a_refusal() -> None:
    refusal = from_json(StrictJsonError(JsonFault.DUPLICATE_KEY, "the key 'a' appears twice"), id=3, modern=True)
    assert (refusal.why, refusal.http_status, refusal.code) == (JsonFault.DUPLICATE_KEY, 400, -32700)
    assert (refusal.message, refusal.id, str(refusal)) == ("the key 'a' appears twice", 3, "the key 'a' appears twice")


# ---- docs/wire.md -----------------------------------------------------------------------------------------------


def section(heading: str) -> str:
    return DOCS.read_text(encoding="utf-8").split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]


def table(heading: str) -> list[list[str]]:
    """The rows of the table under a heading of the page, without its head."""
    lines = [line for line in section(heading).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_the_docs_have_every_refusal_of_a_message() -> None:
    expected = [
        [
            f"`{why}`",
            row.says,
            f"{row.http_status} · {row.code}",
            f"{row.handshake_http_status} · {row.handshake_code}",
        ]
        for why, row in TABLE.items()
    ]
    assert table("Messages") == expected


def test_the_docs_have_every_refusal_of_a_connection() -> None:
    assert table("Connections") == [[f"`{fault.name.lower()}`", str(fault.status), fault.text] for fault in HttpFault]


def test_the_docs_have_every_refusal_of_an_upstream() -> None:
    named = re.findall(r"`((?:body|sse)_[a-z_]+)`", section("Upstreams"))
    assert sorted(named) == sorted([*BodyFault, *SseFault])


def test_the_docs_name_the_limits_as_they_are() -> None:
    from proxy.wire.body import BodyLimits
    from proxy.wire.http_protocol import ServerLimits
    from proxy.wire.opaque import OPAQUE_BYTES_MAX
    from proxy.wire.sse import SseLimits
    from proxy.wire.strict_json import JsonLimits

    def fields(limits: object) -> dict[str, str]:
        return {name: str(getattr(limits, name)) for name in limits.__dataclass_fields__}  # type: ignore[attr-defined]

    expected = [
        [f"`{name}`", value]
        for limits in (JsonLimits(), ServerLimits(), BodyLimits(), SseLimits())
        for name, value in fields(limits).items()
    ]
    assert [[row[0], row[1]] for row in table("Limits")] == [*expected, ["`OPAQUE_BYTES_MAX`", str(OPAQUE_BYTES_MAX)]]
