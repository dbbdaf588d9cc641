"""Server-sent events: framing tricks end at the parser, and what is re-emitted is what was parsed."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.wire.sse import KEEPALIVE, Event, Parser, SseError, SseFault, SseLimits, encode


def events(*pieces: bytes, limits: SseLimits = SseLimits()) -> list[Event]:  # noqa: B008 - frozen
    parser = Parser(limits)
    return [event for piece in pieces for event in parser.feed(piece)]


CASES: list[tuple[str, bytes, list[Event]]] = [
    ("LF", b"data: a\n\n", [Event("a")]),
    ("CR", b"data: a\r\r", [Event("a")]),
    ("CRLF", b"data: a\r\n\r\n", [Event("a")]),
    ("mixed line ends", b"data: a\r\ndata: b\rdata: c\n\r", [Event("a\nb\nc")]),
    ("a mark at the start", b"\xef\xbb\xbfdata: a\n\n", [Event("a")]),
    ("a mark elsewhere is part of the name", b"data: a\n\n\xef\xbb\xbfdata: b\n\n", [Event("a")]),
    ("two marks", b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\n", []),
    ("a comment", b": hello\ndata: a\n\n", [Event("a")]),
    ("a comment alone", b": hello\n\n", []),
    ("many lines of data", b"data: a\ndata:\ndata: b\n\n", [Event("a\n\nb")]),
    ("only the first space goes", b"data:  a \n\n", [Event(" a ")]),
    ("no space", b"data:a\n\n", [Event("a")]),
    ("a field without colon", b"data\n\n", [Event("")]),
    ("empty data", b"data:\n\n", [Event("")]),
    ("a colon in the data", b"data: a:b\n\n", [Event("a:b")]),
    ("names are case-sensitive", b"Data: x\nDATA: y\ndata: a\n\n", [Event("a")]),
    ("a space before the name", b" data: x\ndata: a\n\n", [Event("a")]),
    ("unknown fields", b"foo: x\nbar\ndata: a\n\n", [Event("a")]),
    ("a type", b"event: endpoint\ndata: /m\n\n", [Event("/m", "endpoint")]),
    ("the last type counts", b"event: x\nevent: y\ndata: a\n\n", [Event("a", "y")]),
    ("an empty type", b"event:\ndata: a\n\n", [Event("a")]),
    ("a type without data", b"event: x\n\ndata: a\n\n", [Event("a")]),
    ("an id", b"id: 7\ndata: a\n\ndata: b\n\n", [Event("a", id="7"), Event("b")]),
    ("an empty id", b"id\ndata: a\n\n", [Event("a", id="")]),
    ("an id with NUL", b"id: 1\x002\ndata: a\n\n", [Event("a")]),
    ("a priming event", b"id: 1\nretry: 500\ndata:\n\n", [Event("", id="1", retry_ms=500)]),
    ("an id alone", b"id: 1\n\n", [Event(None, id="1")]),
    ("a retry alone", b"retry: 30\n\n", [Event(None, retry_ms=30)]),
    ("a retry with letters", b"retry: 3s\ndata: a\n\n", [Event("a")]),
    ("a negative retry", b"retry: -3\ndata: a\n\n", [Event("a")]),
    ("a retry in other digits", "retry: ٣\ndata: a\n\n".encode(), [Event("a")]),
    ("a retry of eleven days", b"retry: 1000000000\ndata: a\n\n", [Event("a")]),
    ("no blank line at the end", b"data: a\n\ndata: b\n", [Event("a")]),
    ("no line end at the end", b"data: a\n\ndata: b", [Event("a")]),
    ("blank lines", b"\n\n\r\r\n\ndata: a\n\n\n\n", [Event("a")]),
    ("other characters that end lines elsewhere", "data: a\u2028b\x0bc\x85\n\n".encode(), [Event("a\u2028b\x0bc\x85")]),
]


@pytest.mark.parametrize(("data", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_s3_a_stream_is_read_as_the_standard_says(data: bytes, expected: list[Event]) -> None:
    assert events(data) == expected
    assert events(*[bytes([byte]) for byte in data]) == expected


@given(
    st.lists(st.sampled_from([b"data: a", b"id: 1", b"\r", b"\n", b"\r\n", b":", b" ", b"x", b"data"]), max_size=30),
    st.data(),
)
def test_s3_how_a_stream_is_cut_into_pieces_changes_nothing(parts: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert events(*pieces) == events(stream)


ONE_LINE = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), max_size=8)


@given(
    st.builds(
        Event,
        data=st.none() | st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=20),
        event=ONE_LINE.filter(bool),
        id=st.none() | ONE_LINE,
        retry_ms=st.none() | st.integers(0, 10**9 - 1),
    )
)
def test_what_is_encoded_is_parsed_as_the_same_event(event: Event) -> None:
    parsed = events(encode(event))
    says_something = event.data is not None or event.id is not None or event.retry_ms is not None
    if not says_something:
        assert parsed == []
    else:
        assert parsed == [event]


def test_an_event_is_encoded_field_by_field() -> None:
    assert encode(Event('{"a":1}')) == b'data: {"a":1}\n\n'
    assert (
        encode(Event("a\r\nb\rc\nd", "x", "7", 30))
        == b"event: x\nid: 7\nretry: 30\ndata: a\ndata: b\ndata: c\ndata: d\n\n"
    )


@pytest.mark.parametrize(
    "event",
    [Event("a", id="1\ndata: x"), Event("a", id="1\r"), Event("a", "x\n"), Event("a", id="\0"), Event("\ud800")],
    ids=repr,
)
def test_what_would_break_the_framing_is_not_encoded(event: Event) -> None:
    with pytest.raises(SseError) as caught:
        encode(event)
    assert caught.value.reason is SseFault.NOT_WRITABLE


def test_a_keep_alive_is_no_event() -> None:
    assert events(KEEPALIVE, b"data: a\n\n", KEEPALIVE) == [Event("a")]


# ---- bounds -----------------------------------------------------------------------------------------------------


def fault(*pieces: bytes, limits: SseLimits = SseLimits()) -> SseFault:  # noqa: B008 - frozen
    with pytest.raises(SseError) as caught:
        events(*pieces, limits=limits)
    assert str(caught.value) == caught.value.message
    return caught.value.reason


def test_s5_lines_events_and_streams_are_capped() -> None:
    limits = SseLimits(line_bytes_max=12, event_bytes_max=20, stream_bytes_max=60)
    assert events(b"data: 123456\n\n", limits=limits) == [Event("123456")]
    assert fault(b"data: 1234567\n\n", limits=limits) is SseFault.LINE_TOO_LONG
    assert fault(b": 12345678901", limits=limits) is SseFault.LINE_TOO_LONG
    assert fault(b"data: 1234", b"567", limits=limits) is SseFault.LINE_TOO_LONG
    assert events(b"data: 1234\ndata: 1234\n\n", limits=limits) == [Event("1234\n1234")]
    assert fault(b"data: 1234\ndata: 12345\n", limits=limits) is SseFault.EVENT_TOO_LARGE
    assert events(b"\n" * 60, limits=limits) == []
    assert fault(b"\n" * 60, b"\n", limits=limits) is SseFault.STREAM_TOO_LARGE


def test_a_stream_that_lives_long_has_no_cap_of_its_own() -> None:
    limits = SseLimits(stream_bytes_max=0, event_bytes_max=100)
    parser = Parser(limits)
    for _ in range(1000):  # comments without a blank line between them add up to nothing
        assert parser.feed(b": keep-alive and a few words more\nevent: x\n") == []
    assert parser.feed(b"data: a\n\n") == [Event("a", "x")]


@pytest.mark.parametrize("data", [b"data: \xff\n", b"data: \xed\xa0\x80\n", b"id: \xc0\xaf\n", b": \xff\n"])
def test_invalid_utf_8_is_refused_not_replaced(data: bytes) -> None:
    assert fault(data) is SseFault.ENCODING


def test_events_before_a_fault_are_delivered_and_the_fault_after_them() -> None:
    parser = Parser()
    assert parser.feed(b"data: a\n\ndata: \xff\n") == [Event("a")]
    for data in (b"data: b\n\n", b""):
        with pytest.raises(SseError):
            parser.feed(data)


def test_a_hostile_stream_byte_by_byte_costs_linear_time() -> None:
    """A byte costs no more after two megabytes of the same line: looking at those again would cost 50 times as much."""

    def cost_after(size: int) -> float:
        parser = Parser()
        parser.feed(b"a" * size)
        begun = time.process_time()
        for _ in range(2_000):
            parser.feed(b"a")
        return time.process_time() - begun

    assert min(cost_after(2_000_000) for _ in range(5)) < 5 * min(cost_after(1) for _ in range(5))
