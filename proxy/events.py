"""What has happened to one call, as the gate is told it: past tense, each with its own time.

Rules of this module:
* Values only. An event carries everything the gate needs to answer it; the gate never looks anything up.
* `at` is wall time in seconds since the epoch, read by the runner when the thing happened.
"""

from __future__ import annotations

from dataclasses import dataclass

from policies.model import Decision, JsonObject, ToolCall
from proxy.sampling import Lot
from redaction.model import Inspection
from review.model import CallRecord, ReviewRecord, Stop


@dataclass(frozen=True, slots=True)
class CallReceived:
    """A judged request came through a door and no earlier identical call speaks for it.

    `continues` is the ended call of the same key that a new review is linked to; `twin_waits` says that an identical
    call is waiting right now with an agent of its own.
    """

    call: ToolCall
    decision: Decision
    at: float
    continues: str | None = None
    twin_waits: bool = False


@dataclass(frozen=True, slots=True)
class CallRepeated:
    """An identical call came (or a ticket for it) and the earlier one, whose waiter has gone, speaks for it."""

    call: ToolCall
    record: CallRecord
    review: ReviewRecord | None
    at: float


@dataclass(frozen=True, slots=True)
class ReviewChanged:
    """The review this call waits for was read anew. `decision_now` is the call judged under the current snapshot,
    present when the review is spendable; `call_now` the call in the form that would be sent."""

    record: CallRecord
    review: ReviewRecord
    at: float
    call_now: ToolCall | None = None
    decision_now: Decision | None = None


@dataclass(frozen=True, slots=True)
class OutcomeChanged:
    """The call another waiter dispatched, or whose output was held, was read anew."""

    record: CallRecord
    review: ReviewRecord | None
    at: float


@dataclass(frozen=True, slots=True)
class PatienceEnded:
    """The agent's client would soon give up: it gets its ticket now. `closing` says that it is we who leave."""

    at: float
    closing: bool = False


@dataclass(frozen=True, slots=True)
class AgentLeft:
    at: float


@dataclass(frozen=True, slots=True)
class ChangeWasLost:
    """The record the gate asked for lost its compare-and-set: somebody else moved first. Nothing was written."""

    found: str | None
    at: float


@dataclass(frozen=True, slots=True)
class ResponseReceived:
    """`held`: why nobody is to look at it, where it broke a constraint and a sentence of ours stands in its place."""

    response: JsonObject
    http_status: int
    at: float
    held: str | None = None


@dataclass(frozen=True, slots=True)
class UpstreamBroke:
    """`sent` False: provably no byte left us."""

    why: str
    sent: bool
    at: float


@dataclass(frozen=True, slots=True)
class CallStopped:
    """The kill switch was thrown after the gate had said Forward. `sent` False: provably no byte left us."""

    stop: Stop
    sent: bool
    at: float


@dataclass(frozen=True, slots=True)
class ResponseInspected:
    """What came back was looked at. `lot` is the call's part in the draw of samples, where policy gives it one."""

    response: JsonObject
    http_status: int
    inspection: Inspection
    at: float
    lot: Lot | None = None


type Event = (
    CallReceived
    | CallRepeated
    | ReviewChanged
    | OutcomeChanged
    | PatienceEnded
    | AgentLeft
    | ChangeWasLost
    | ResponseReceived
    | UpstreamBroke
    | CallStopped
    | ResponseInspected
)
