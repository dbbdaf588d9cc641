"""What tools write on stderr."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from proxy.upstreams.stderr import LINE_CHARS_MAX, LINES_PER_WINDOW_MAX, StderrLog, inert


async def drained(data: bytes) -> tuple[StderrLog, list[Any]]:
    stream = asyncio.StreamReader()
    stream.feed_data(data)
    stream.feed_eof()
    stderr = StderrLog("tool", 7, clock=lambda: 0.0)
    with capture_logs() as logs:
        await stderr.drain(stream)
    return stderr, logs


async def test_lines_are_logged_with_server_and_process() -> None:
    _, logs = await drained(b"starting\n\nready")
    assert logs == [
        {"event": "tool_stderr", "log_level": "info", "server": "tool", "pid": 7, "text": "starting"},
        {"event": "tool_stderr", "log_level": "info", "server": "tool", "pid": 7, "text": "ready"},
    ]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain – ok", "plain – ok"),
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("a\u202eb", "a\\u202eb"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("\U000e0041tag", "\\U000e0041tag"),
    ],
)
def test_what_could_act_or_hide_is_shown_as_an_escape(text: str, shown: str) -> None:
    assert inert(text) == shown


async def test_a_long_line_is_cut_and_its_rest_is_not_a_line() -> None:
    _, logs = await drained(b"x" * 100_000 + b"\nnext\n")
    assert [len(entry["text"]) for entry in logs] == [LINE_CHARS_MAX, 4]


async def test_a_flood_is_counted_not_logged() -> None:
    _, logs = await drained(b"again\n" * (LINES_PER_WINDOW_MAX + 25))
    assert len(logs) == LINES_PER_WINDOW_MAX + 1
    assert logs[-1]["event"] == "tool_stderr_suppressed"
    assert logs[-1]["lines"] == 25


async def test_the_tail_holds_the_last_lines_also_of_a_flood() -> None:
    stderr, _ = await drained(b"".join(b"%d\n" % number for number in range(200)))
    assert stderr.tail == "197 | 198 | 199"


async def test_invalid_utf8_does_not_stop_the_draining() -> None:
    stderr, _ = await drained(b"\xff\xfe broken\n")
    assert stderr.tail == "\ufffd\ufffd broken"
