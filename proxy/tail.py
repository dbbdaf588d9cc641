"""`interlock tail`: the record in the terminal as it is written, over the reviewers' listener, as a reviewer.

Rules of this module:
* It goes on where it was: after a gate that restarts, or a line that breaks, from the entry it had seen last.
* A gate that was never reached is said at once; one that goes away is waited for, with longer and longer pauses.
* It ends quietly when it is told to (Ctrl-C), and when nobody reads what it prints any more.
* Exit codes as for `interlock approvals`: 0 done, 1 the gate said no, 2 wrong usage, 3 the gate cannot be reached.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlencode

from policies.model import JsonObject
from proxy.refused_cli import exit_code
from proxy.reviewer_cli import sessions_file
from proxy.reviewer_client import NoAddress, Refused, ReviewerClient, Unreachable, load_sessions
from proxy.tail_lines import Filter, line
from proxy.wire import strict_json
from proxy.wire.sse import Parser, SseError, SseLimits
from review.inert import marked_json, terminal

PAUSE_SEC_FIRST, PAUSE_SEC_MAX = 0.5, 8.0
EVENT_BYTES_MAX = 2 * 1024 * 1024
_UNITS_SEC = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_LIMITS = SseLimits(line_bytes_max=EVENT_BYTES_MAX, event_bytes_max=EVENT_BYTES_MAX, stream_bytes_max=0)
# What passes by itself: too many others watch just now, or the record cannot be read just now.
_PASSING = frozenset({"too_many_streams", "store_down"})


class SinceUnread(ValueError):
    """`--since` is neither a span nor a time; the text says how to write it."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for. `since`: seconds since the epoch; `last`: how many entries before the end to begin with."""

    filter: Filter
    since: int | None = None
    last: int = 0
    follows: bool = True
    as_json: bool = False
    color: bool = False


def since_of(text: str, now: float) -> int:
    """`10m`, `2h`, `1d`, or a time such as 2026-11-21T14:00 (here, if it names no zone). Raises: SinceUnread."""
    if text[:-1].isdecimal() and text[-1:] in _UNITS_SEC and len(text) < 9:
        return int(now - timedelta(seconds=int(text[:-1]) * _UNITS_SEC[text[-1]]).total_seconds())
    try:
        return max(0, int(datetime.fromisoformat(text).timestamp()))
    except (ValueError, OverflowError):
        raise SinceUnread(f"--since {text!r}: write 10m, 2h, 1d, or a time such as 2026-11-21T14:00") from None


def run(url: str, wanted: Wanted, *, pause: Callable[[float], None] = time.sleep) -> int:
    """Print until there is no more, or somebody ends it; the exit code."""
    client = ReviewerClient(url, load_sessions(sessions_file()).get(url.rstrip("/"), ""))
    try:
        for text in _Watch(client, wanted, pause).lines():
            print(text, flush=True)
    except KeyboardInterrupt:
        return 0
    except BrokenPipeError:
        # What is buffered cannot be written at exit either: let it go nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (Refused, Unreachable) as problem:
        return exit_code(problem, url=url)
    return 0


class _Watch:
    """One watcher, over as many connections as it takes."""

    def __init__(self, client: ReviewerClient, wanted: Wanted, pause: Callable[[float], None]) -> None:
        self._client, self._wanted, self._pause = client, wanted, pause
        self._last_id: str | None = None
        self._was_there = False
        self._is_over = False
        self._pause_sec = PAUSE_SEC_FIRST

    def lines(self) -> Iterator[str]:
        """Raises: Refused, Unreachable."""
        while not self._is_over:
            why = "it ended the stream"
            try:
                yield from self._connection()
            except Refused as refused:
                if not self._was_there or refused.code not in _PASSING:
                    raise
                why = str(refused)
            except Unreachable as away:
                if not self._was_there or isinstance(away, NoAddress):
                    raise
                why = str(away)
            if not self._is_over:
                self._wait(why)

    def _wait(self, why: str) -> None:
        if self._pause_sec == PAUSE_SEC_FIRST:
            print(f"interlock: {terminal(why)}; waiting for it …", file=sys.stderr, flush=True)
        self._pause(self._pause_sec)
        self._pause_sec = min(self._pause_sec * 2, PAUSE_SEC_MAX)

    def _connection(self) -> Iterator[str]:
        """What one connection brings. Raises: Refused, Unreachable."""
        parser = Parser(_LIMITS)
        headers = {"Accept": "text/event-stream"}
        if self._last_id is not None:
            headers["Last-Event-ID"] = self._last_id
        for piece in self._client.stream(f"/tail?{urlencode(self._query())}", headers):
            self._was_there, self._pause_sec = True, PAUSE_SEC_FIRST
            try:
                events = parser.feed(piece)
            except SseError as error:
                raise Unreachable(f"what answers there is no gate: {error}") from error
            for event in events:
                if event.event == "over":
                    self._over(event.data or "")
                elif event.data is not None:
                    self._last_id = event.id
                    yield from self._shown(event.data)

    def _query(self) -> dict[str, int]:
        wanted = self._wanted
        begin = {"last": wanted.last} if wanted.since is None else {"since": wanted.since}
        return begin if wanted.follows else begin | {"follow": 0}

    def _over(self, why: str) -> None:
        """The gate says that this is all. Raises: Refused when that is for ever, Unreachable when it is too early."""
        if why == "logged out":
            raise Refused("not_logged_in", "The session has ended.")
        if not self._wanted.follows and why != "end":
            self._was_there = False
            raise Unreachable(why)
        self._is_over = not self._wanted.follows

    def _shown(self, data: str) -> Iterator[str]:
        try:
            event = strict_json.read(data.encode(), strict_json.JsonLimits(bytes_max=EVENT_BYTES_MAX), exact=True)
        except strict_json.StrictJsonError as error:
            raise Unreachable(f"what answers there is no gate: {error}") from error
        if isinstance(event, dict) and self._wanted.filter.takes(event):
            yield self._line(event)

    def _line(self, event: JsonObject) -> str:
        if self._wanted.as_json:
            return "".join(part.strip() for part in marked_json(event).splitlines())
        return line(event, color=self._wanted.color, zone=None)
