"""Logs say what happened and keep values and control characters out."""

from __future__ import annotations

import io
import json
import logging
import os
from collections.abc import Iterator

import pytest
import structlog

from proxy import logs


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def written(*, json_lines: bool) -> str:
    out = io.StringIO()
    logs.configure(stream=out, json_lines=json_lines)
    log = structlog.get_logger("t")
    secret = "ssn 078-05-1120"
    try:
        raise ValueError("boom")
    except ValueError as error:
        assert secret
        log.error("call_failed", call="call_1", said="line one\nline two \x1b[31mred", exc_info=error)
    return out.getvalue()


@pytest.mark.parametrize("json_lines", [True, False])
def test_a_traceback_shows_no_local_variables(json_lines: bool) -> None:
    text = written(json_lines=json_lines)
    assert "ValueError: boom" in text
    assert "078-05-1120" not in text


def test_d13_a_string_from_outside_cannot_start_a_line_or_colour_a_terminal() -> None:
    for json_lines in (True, False):
        text = written(json_lines=json_lines)
        assert "\x1b" not in text
        assert not any(line.startswith("line two") for line in text.splitlines())


def test_json_lines_are_one_object_a_line_with_the_event_and_its_ids() -> None:
    (line,) = written(json_lines=True).splitlines()
    event = json.loads(line)
    assert (event["event"], event["call"], event["level"]) == ("call_failed", "call_1", "error")


def test_a_log_whose_reader_has_gone_fails_nobody() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w", encoding="utf-8", buffering=1) as out:
        logs.configure(stream=out, json_lines=True)
        for _ in range(3):
            structlog.get_logger("t").error("call_failed", call="call_1")


def test_a_log_on_a_full_disk_fails_nobody() -> None:
    with open("/dev/full", "w", encoding="utf-8", buffering=1) as out:
        logs.configure(stream=out, json_lines=True)
        structlog.get_logger("t").error("call_failed", call="call_1")
        os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())  # so that this test can close it


def test_debug_lines_are_silent_unless_asked_for() -> None:
    out = io.StringIO()
    logs.configure(stream=out, json_lines=True)
    structlog.get_logger("t").debug("quiet")
    assert out.getvalue() == ""
    logs.configure(stream=out, json_lines=True, level=logging.DEBUG)
    structlog.get_logger("t").debug("loud")
    assert "loud" in out.getvalue()
