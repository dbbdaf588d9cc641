"""What the gate tells those who watch it: how each call ended and where its time went. Watching decides nothing.

Rules of this module:
* No values and no arguments: names of the configuration, kinds of answers, seconds.
* What people took is kept apart from what the gate and the tool took: one is minutes, the others are milliseconds.
* The log of calls is bounded (P14): at most `CALL_LINES_PER_SEC_MAX` lines a second, and the next line says how many
  were left out. The record is complete; the log is for whoever runs the gate.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

import structlog

from policies.model import ToolCall
from proxy.exchange import Answer, AnswerKind
from proxy.per_second import PerSecond

log = structlog.get_logger("interlock.calls")

CALL_LINES_PER_SEC_MAX = 50


@dataclass(slots=True)
class Times:
    """Where the time of one request went, in seconds of a monotonic clock."""

    whole: float = 0.0
    people: float = 0.0  # held, until people had decided, the agent left or its patience ended
    tool: float = 0.0
    inspection: float = 0.0

    @property
    def gate(self) -> float:
        """What is left: reading, judging, recording."""
        return max(0.0, self.whole - self.people - self.tool - self.inspection)


class Watches(Protocol):
    """Somebody who is told. Never raises, and never waits."""

    def ended(self, call: ToolCall, answer: Answer, times: Times) -> None:
        """A judged request has its answer."""

    def refused(self, status: int) -> None:
        """A door would not read a request, and answered with this HTTP status."""


class CallLog:
    """One line for each call that is to have one: none, all, or all but those that were simply answered."""

    def __init__(self, lines: Literal["none", "unusual", "all"], *, clock: Callable[[], float]) -> None:
        self._lines, self._clock = lines, clock
        self._admitted = PerSecond(CALL_LINES_PER_SEC_MAX)

    def ended(self, call: ToolCall, answer: Answer, times: Times) -> None:
        if self._lines == "none":
            return
        if self._lines == "unusual" and answer.kind is AnswerKind.RESULT and not answer.meta:
            return
        left_out = self._admitted.admit(self._clock())
        if left_out is None:
            return
        more = {"left_out_before": left_out} if left_out else {}
        log.info(
            "call_answered",
            call=answer.call_id,
            agent=call.agent.id,
            server=call.server,
            tool=call.tool,
            answer=answer.kind.value,
            gate_ms=_ms(times.gate),
            people_ms=_ms(times.people),
            tool_ms=_ms(times.tool),
            inspection_ms=_ms(times.inspection),
            **more,
        )

    def refused(self, status: int) -> None:
        """Refusals of unread requests are in the record, bounded there; a line each would be a flood."""


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)
