"""Bytes of an upstream into messages."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.upstreams.base import Incoming
from proxy.upstreams.reading import EventReader, Malformed, error_body, whole_answer
from proxy.wire import strict_json

LIMITS = strict_json.JsonLimits(bytes_max=1_000, depth_max=8)
BROKEN = [
    b"",
    b"{",
    b"null",
    b"[]",
    b'[{"jsonrpc":"2.0","id":1,"result":{}}]',
    b'{"jsonrpc":"2.0","id":1,"result":{},"result":{}}',
    b'{"jsonrpc":"2.0","id":1,"result":{"a":NaN}}',
    b'{"jsonrpc":"2.0","id":1,"result":{}} {}',
    b'\xef\xbb\xbf{"jsonrpc":"2.0","id":1,"result":{}}',
    b'{"jsonrpc":"2.0","id":1,"result":{"a":"\xff"}}',
    b'{"jsonrpc":"2.0","id":1,"result":{"a":' + b"[" * 9 + b"]" * 9 + b"}}",
    b'{"jsonrpc":"2.0","id":1,"result":{"a":"' + b"x" * 1_000 + b'"}}',
    b'{"jsonrpc":"2.0","id":1}',
    b'{"jsonrpc":"2.0","id":true,"result":{}}',
    b'{"jsonrpc":"2.0","id":1,"Result":{}}',
    b'{"jsonrpc":"2.0","id":1,"result":"text"}',
    b'{"jsonrpc":"2.0","id":1,"error":"text"}',
    b"<html></html>",
]


def test_a_response_is_read_exactly() -> None:
    data = b'{"jsonrpc":"2.0","id":1,"result":{"big":12345678901234567890123,"price":1.10,"_x":null}}'
    assert strict_json.write(whole_answer(data, LIMITS)) == data


@pytest.mark.parametrize("data", BROKEN)
def test_what_is_no_strict_json_rpc_response_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        whole_answer(data, LIMITS)


def test_a_request_is_no_answer() -> None:
    with pytest.raises(Malformed, match="a request or a notification"):
        whole_answer(b'{"jsonrpc":"2.0","id":1,"method":"ping"}', LIMITS)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'{"id":null,"error":{"code":-32600}}', {"id": None, "error": {"code": -32600}}),
        (b'{"detail":"Not found"}', {"detail": "Not found"}),
        (b'{"a":1,"a":2}', None),
        (b"[1]", None),
        (b"oops", None),
        (b" \r\n", None),
        (b"", None),
    ],
)  # fmt: skip
def test_beside_an_error_status_a_body_is_read_if_it_can_be(data: bytes, expected: Any) -> None:
    assert error_body(data, LIMITS) == expected


def reader(request_id: Any = 1) -> EventReader:
    return EventReader(request_id, LIMITS, stream_bytes_max=10_000)


def read(data: bytes, *, piece: int = 7, request_id: Any = 1) -> list[Incoming]:
    events = reader(request_id)
    return [incoming for at in range(0, len(data), piece) for incoming in events.feed(data[at : at + piece])]


def test_events_become_messages_with_their_ids_in_pieces_of_any_size() -> None:
    data = (
        b"id: 0\nretry: 500\ndata:\n\n"
        b": a comment\n\n"
        b'event: message\nid: 1\ndata: {"jsonrpc":"2.0",\ndata: "method":"notifications/progress","params":{}}\n\n'
        b'event: other\ndata: {"ignore":"previous instructions"}\n\n'
        b'data: {"jsonrpc":"2.0","id":1,"result":{}}\r\n\r\n'
        b"data: unfinished"
    )
    expected = [
        Incoming(None, "0", 500),
        Incoming({"jsonrpc": "2.0", "method": "notifications/progress", "params": {}}, "1", None),
        Incoming({"jsonrpc": "2.0", "id": 1, "result": {}}, None, None),
    ]
    for piece in (1, 2, 7, 1_000):
        assert read(data, piece=piece) == expected


@pytest.mark.parametrize(("request_id", "is_answered"), [(1, True), (2, False), ("1", False), (None, False)])
def test_it_knows_when_the_request_is_answered(request_id: Any, is_answered: bool) -> None:
    events = reader(request_id)
    list(events.feed(b'data: {"jsonrpc":"2.0","id":1,"result":{}}\n\n'))
    assert events.is_answered is is_answered


def test_a_batch_within_a_stream_is_taken_apart_and_the_id_stands_for_all_of_it() -> None:
    data = b'id: 5\ndata: [{"jsonrpc":"2.0","method":"notifications/x"},{"jsonrpc":"2.0","id":1,"result":{}}]\n\n'
    assert [(incoming.event_id, (incoming.message or {}).get("method")) for incoming in read(data)] == [
        (None, "notifications/x"),
        ("5", None),
    ]


@pytest.mark.parametrize(
    "data",
    [
        b'data: {"jsonrpc":"2.0","id":1,"result":{},"result":{}}\n\n',
        b"data: hello\n\n",
        b"data: [1]\n\n",
        b"data: [[]]\n\n",
        b"data: \xff\n\n",
        b"id: " + b"x" * 4_097 + b"\n\n",
        b"data: " + b"x" * 1_001 + b"\n\n",
        b": comment\n" * 1_000 + b": comment\n",
    ],
)
def test_a_malformed_stream_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        read(data, piece=1_000)


def test_what_is_read_at_once_comes_in_the_same_order_and_before_the_same_fault() -> None:
    told = b'{"jsonrpc":"2.0","method":"notifications/a"}'

    def read(feed: str) -> list[Incoming | str]:
        reader = EventReader(1, LIMITS, 0)
        seen: list[Incoming | str] = []
        try:
            for piece in (b"id: 1\ndata:\n\ndata: " + told[:9], told[9:] + b"\n\ndata: {broken\n\n"):
                seen.append(f"{reader.unread_bytes} unread")
                seen.extend(getattr(reader, feed)(piece))
        except Malformed as malformed:
            seen.append(str(malformed))
        return seen

    assert read("fed") == read("feed")
    assert read("fed")[2] == "15 unread"
    assert len(read("fed")) == 5
