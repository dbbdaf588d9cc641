"""Whom the gate works for just now, and whom it turns away before it has read anything (P14).

Rules of this module:
* Two counts. *Worked on* is what takes the gate's own time: reading, judging, recording, inspecting. *In flight* is
  that and whatever waits for somebody else, for a tool, the rest of a body, a slow reader: so a slow tool keeps nobody
  else from being worked on. Who is held for people, or listens to a lasting stream, is in neither.
* How many are worked on at once follows what they take (`pace.py`), so that those that are let in are answered soon.
* Both are shares (`proxy/shares.py`): an agent that asks for everything leaves something for the others.
* Admission is asked before a request is read, and again when its body had to be waited for. Who comes back from a tool
  or from people is worked on whatever the counts say; then new ones wait outside.
* Bytes of bodies are counted as they arrive, in all and by agent, until their request is over or held.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from functools import cache
from typing import Any

from mcp.types.jsonrpc import INTERNAL_ERROR

from proxy.doors.pace import Pace
from proxy.shares import Shares
from proxy.wire import mcp_results, strict_json
from proxy.wire.mcp_methods import Revision


class Busy(Exception):
    """Not now. The text is for the agent."""


FULL = "The gate has as much to do as it can; nothing was forwarded. Try again later."
SHARE = "Too many of your requests at once; nothing was forwarded. Try again later."
BODIES = "Too many bytes of requests at once; nothing was forwarded. Try again later."


RETRY_AFTER_SEC = 1


def busy_answer(busy: Busy, *, is_unread: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """HTTP for it, made once for each text: a JSON-RPC error without an id, for no message was read.

    What is left unread of the request is never read: then the connection ends, and the client is told so.
    """
    return _answer(str(busy), is_unread)


@cache
def _answer(text: str, is_unread: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    data = strict_json.write(mcp_results.error(Revision.R2025_11_25, None, INTERNAL_ERROR, text))
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(data)),
        (b"retry-after", b"%d" % RETRY_AFTER_SEC),
        (b"cache-control", b"no-store"),
        *([(b"connection", b"close")] if is_unread else ()),
    ]
    return (
        {"type": "http.response.start", "status": 503, "headers": headers},
        {"type": "http.response.body", "body": data},
    )


@dataclass(slots=True)
class AdmissionCounts:
    """How many requests were let in and turned away since the start, for whoever shows figures."""

    admitted: int = 0
    refused_full: int = 0
    refused_share: int = 0
    refused_bodies: int = 0

    @property
    def refused(self) -> int:
        return self.refused_full + self.refused_share + self.refused_bodies


class Admission:
    """One for all agents of a gate."""

    def __init__(
        self, *, working_max: int, in_flight_max: int, bodies_bytes_max: int, monotonic: Callable[[], float]
    ) -> None:
        self.monotonic = monotonic
        self.pace = Pace(working_max)
        self.working = Shares(self.pace.limit)
        self.in_flight = Shares(in_flight_max)
        self.bodies = Shares(bodies_bytes_max)
        self.counts = AdmissionCounts()

    @property
    def is_full(self) -> bool:
        """True while nobody is let in, whoever asks."""
        return self.working.is_full or self.in_flight.is_full

    def enter(self, agent: str) -> Place:
        """A place for one request of this agent. Raises: Busy."""
        if not (self.working.fits(agent) and self.in_flight.fits(agent)):
            raise self.refusal()
        self.counts.admitted += 1
        return Place(self, agent)

    def finished(self, own_sec: float, *, since: float) -> None:
        """A request that came in at `since` is over, or held: so long the gate itself was at it."""
        now, at_once = self.monotonic(), self.working.taken
        self.working.most = self.pace.took(own_sec, since=since, now=now, at_once=at_once)

    def refusal(self) -> Busy:
        """Count one more that is turned away, and what to tell it."""
        if self.is_full:
            self.counts.refused_full += 1
            return Busy(FULL)
        self.counts.refused_share += 1
        return Busy(SHARE)


class _State(Enum):
    WORKING, ASIDE, OUT, OVER = auto(), auto(), auto(), auto()


class Place:
    """One request's place: worked on at first, and given back once, however the request goes on."""

    __slots__ = ("_admission", "_agent", "_bytes", "_entered", "_own_sec", "_since", "_state")

    def __init__(self, admission: Admission, agent: str) -> None:
        self._admission, self._agent, self._bytes = admission, agent, 0
        self._state = _State.WORKING
        self._entered = self._since = admission.monotonic()
        self._own_sec = 0.0
        admission.working.take(agent)
        admission.in_flight.take(agent)

    @property
    def size_bytes(self) -> int:
        """Bytes of its body."""
        return self._bytes

    def step_aside(self) -> None:
        """It waits for somebody else now: others are worked on meanwhile."""
        if self._state is _State.WORKING:
            self._admission.working.give(self._agent)
            self._own_sec += self._admission.monotonic() - self._since
        elif self._state is _State.OUT:
            self._admission.in_flight.take(self._agent)
        else:
            return
        self._state = _State.ASIDE

    def work(self) -> None:
        """Whoever it waited for has answered: it is worked on, also where that makes too many."""
        if self._state is _State.OUT:
            self.step_aside()
        if self._state is _State.ASIDE:
            self._admission.working.take(self._agent)
            self._since = self._admission.monotonic()
            self._state = _State.WORKING

    def ask_again(self) -> None:
        """Its body is there: worked on, if there still is room. Raises: Busy."""
        if not self._admission.working.fits(self._agent):
            raise self._admission.refusal()
        self.work()

    def expect(self, size: int) -> None:
        """So many more bytes of its body are to come, as it says. Raises: Busy."""
        if not self._admission.bodies.fits(self._agent, size):
            self._admission.counts.refused_bodies += 1
            raise Busy(BODIES)

    def grow(self, size: int) -> None:
        """So many more bytes of its body are there. Raises: Busy."""
        self.expect(size)
        self._admission.bodies.take(self._agent, size)
        self._bytes += size

    def hold(self) -> None:
        """It waits for people, or lasts: it is counted elsewhere from now on."""
        if self._state is _State.OVER or self._state is _State.OUT:
            return
        self.step_aside()
        if self._own_sec:
            self._admission.finished(self._own_sec, since=self._entered)
            self._own_sec = 0.0
        self._admission.in_flight.give(self._agent)
        if self._bytes:
            self._admission.bodies.give(self._agent, self._bytes)
            self._bytes = 0
        self._state = _State.OUT

    def leave(self) -> None:
        """The request is over; what still goes on for it, after its agent has gone, is counted nowhere here."""
        self.hold()
        self._state = _State.OVER
