"""Logs: events with ids, one JSON object a line (or readable lines on a terminal), never a value.

Rules of this module:
* Tracebacks are printed without local variables: locals hold arguments and outputs.
* Logging never fails: an error handler that could not write its line would leave its call unsettled. When the reader of
  the stream has gone, the rest goes nowhere and the gate goes on.
* Control characters of strings from outside are escaped, so that a log line is one line (threats D13).
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator, MutableMapping
from typing import Any, TextIO

import structlog


class Lasting:
    """A text stream that never raises OSError, as the standard streams do when a pipe ends or a disk is full."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def write(self, text: str) -> int:
        with self._unfailing():
            self._out.write(text)
        return len(text)

    def flush(self) -> None:
        with self._unfailing():
            self._out.flush()

    def isatty(self) -> bool:
        return self._out.isatty()

    @contextlib.contextmanager
    def _unfailing(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            # What is buffered could not be written at exit either, and would make the exit code a failure's.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._out.fileno())
            os.close(nowhere)
        except OSError:
            pass  # a full disk under the log: the record, which is what counts, says so itself


def say(text: str) -> None:
    """A line for the person at the terminal."""
    out = Lasting(sys.stderr)
    out.write(f"{text}\n")
    out.flush()


def configure(*, stream: TextIO | None = None, json_lines: bool | None = None, level: int = logging.INFO) -> None:
    """Set up logging for this process. `json_lines` None: JSON unless the stream is a terminal."""
    out: Any = Lasting(stream or sys.stderr)
    as_json = json_lines if json_lines is not None else not out.isatty()
    renderer: Any
    if as_json:
        renderer = structlog.processors.JSONRenderer()
    else:
        renderer = structlog.dev.ConsoleRenderer(
            colors=out.isatty(), exception_formatter=structlog.dev.plain_traceback, sort_keys=False
        )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _exception_text if as_json else _pass,
            _inert,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    # Libraries: warnings and worse, through the same stream, without their access lines.
    logging.basicConfig(stream=out, level=logging.WARNING, format="%(levelname)s %(name)s %(message)s", force=True)


def _pass(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return event


def _exception_text(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return structlog.processors.format_exc_info(logger, method, event)


def _inert(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Strings from outside cannot start a line or colour a terminal."""
    for key, value in event.items():
        if isinstance(value, str) and key != "exception" and not value.isprintable():
            event[key] = value.encode("unicode_escape").decode("ascii")
    return event
