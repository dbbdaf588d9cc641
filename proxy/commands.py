"""What the gate wants done, in order: imperative. The runner performs a list from first to last and stops at a failure.

Rules of this module:
* INVARIANT (P3): wherever a list holds `Forward`, a durable `Record` stands before it. The runner awaits each command.
* A command is a value; performing it is the runner's business alone.
"""

from __future__ import annotations

from dataclasses import dataclass

from policies.constraints import UNBOUNDED, AtDispatch
from policies.model import JsonObject, ToolCall
from proxy.exchange import Answer
from redaction.model import Surface
from review.ports import Change


@dataclass(frozen=True, slots=True)
class Record:
    """Write one atomic change; the next command waits until it is durable (unless the change says it need not be)."""

    change: Change


@dataclass(frozen=True, slots=True)
class Forward:
    """Send exactly this call to its tool, held to `within`. `is_read`: failing after it was sent leaves nobody in
    doubt."""

    call_id: str
    call: ToolCall
    is_read: bool = False
    within: AtDispatch = UNBOUNDED


@dataclass(frozen=True, slots=True)
class Inspect:
    """Have the tool's response inspected under the output rules of this call."""

    call: ToolCall
    response: JsonObject
    http_status: int
    surface: Surface


@dataclass(frozen=True, slots=True)
class Park:
    """Hold the agent's request: wait for the review, the agent's patience, or the agent's leaving."""

    call_id: str
    review_id: str
    message: str


@dataclass(frozen=True, slots=True)
class AwaitOutcome:
    """Wait for what becomes of a call that another waiter dispatched."""

    call_id: str
    message: str


@dataclass(frozen=True, slots=True)
class Reread:
    """Read the call and its review anew: a compare-and-set was lost."""

    call_id: str


@dataclass(frozen=True, slots=True)
class Reply:
    """Give the agent its answer. `on_delivery` is written once the door says that the answer's last byte went out;
    `otherwise` if the agent had gone before."""

    answer: Answer
    on_delivery: Change | None = None
    otherwise: Change | None = None


@dataclass(frozen=True, slots=True)
class Detach:
    """The agent has gone; nobody is to be answered. `stay` keeps the gate alive to execute on approval all the same."""

    call_id: str
    stay: bool = False


type Command = Record | Forward | Inspect | Park | AwaitOutcome | Reread | Reply | Detach
