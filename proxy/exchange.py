"""What passes between a door and the runner: one agent request with its way to the tool, and the answer to it.

Rules of this module:
* A door only translates (DESIGN §1): it makes an `Exchange`, hands it to the runner, and turns the `Answer` into bytes.
* Only the runner calls `dispatch`, and only after the gate has said Forward and the record of it is durable (P1, P3).
* An `Answer` is complete: a door adds framing and the revision's required fields, never content.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from policies.model import JsonObject, ToolCall
from proxy.upstreams.base import Sent


@dataclass(frozen=True, slots=True)
class Client:
    """What the agent's program says it is; decides only how long we may hold (parking profiles)."""

    name: str = ""
    version: str = ""
    has_progress_token: bool = False
    revision: str = "2025-11-25"
    agent: str = ""  # whose program it is; this alone is not its own word


@dataclass(frozen=True, slots=True)
class Dispatched:
    """The tool's final JSON-RPC response to the dispatched request, not yet inspected, with its HTTP status.

    `held`: it broke a constraint, this says how, and `response` is a sentence of ours in its place.
    """

    response: JsonObject
    http_status: int = 200
    held: str | None = None


class Exchange(Protocol):
    """One waiting agent request as its door sees it."""

    call: ToolCall
    client: Client
    ticket: str | None
    size_bytes: int  # of the request's body, which is kept while the agent is held
    left: asyncio.Event  # set when the agent's connection has gone or it has cancelled its wait

    async def dispatch(self, call: ToolCall, sent: Sent) -> Dispatched:
        """Send `call` (its arguments may have been edited) and return the final response.

        Relays what comes before it (progress, logs, server requests), each inspected. Raises: UpstreamFailed.
        """

    def parked(self, call_id: str, message: str) -> None:
        """The call is now held for people: the door may commit its stream and keep it alive."""


class AnswerKind(StrEnum):
    RESULT = "result"  # the tool's own response, inspected
    DENIED = "denied"
    TICKET = "ticket"  # not executed, waiting for people; repeat later
    REJECTED = "rejected"
    EXPIRED = "expired"
    STOPPED = "stopped"  # by the kill switch
    HELD = "held"  # executed; its output is quarantined
    IN_DOUBT = "in_doubt"
    FAILED = "failed"  # not executed, or a read that failed: may be repeated
    REFUSED = "refused"  # an error or limit of ours; not executed


@dataclass(frozen=True, slots=True)
class Answer:
    """What the agent is to be told.

    `response` is the inspected JSON-RPC response (kind RESULT only; its id is the original's, the door sets its own).
    `text` is the public sentence for every other kind. `meta` goes under `_meta` key `interlock` of the result.
    """

    kind: AnswerKind
    call_id: str
    text: str = ""
    response: JsonObject | None = None
    meta: dict[str, Any] = field(default_factory=dict)
    http_status: int = 200
    retry_after_sec: int | None = None
