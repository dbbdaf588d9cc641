"""What the inspector is asked, what it saw, and what it says may come back.

Rules of this module:
* A `Finding` never holds the value found: path, kind, span, score and who saw it are enough for every reader of it.
* An `Inspection` is the whole answer. `message` is present only when something may be delivered.
* `surface` names where in the protocol the message stood (P8): rules and tests speak of surfaces by these names.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Outcome(StrEnum):
    """What happens to a whole output, mildest first."""

    ALLOW = "allow"
    REDACT = "redact"
    QUARANTINE = "quarantine"

    @property
    def strictness(self) -> int:
        return list(Outcome).index(self)


class Surface(StrEnum):
    """Where a message to the agent stood."""

    RESULT = "result"
    ERROR = "error"
    NOTIFICATION = "notification"  # progress, log messages, list changes
    SERVER_REQUEST = "server_request"  # sampling, elicitation, roots
    LISTING = "listing"  # tool descriptions, prompts, resources, instructions, discovery
    ARGUMENTS = "arguments"  # towards the tool; found kinds become the fact `args_findings`


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing seen. `path` is the leaf's JSONPath, `start` and `end` characters in it (None: the whole field)."""

    path: str
    kind: str
    detector: str
    score: float = 1.0
    start: int | None = None
    end: int | None = None


@dataclass(frozen=True, slots=True)
class Redaction:
    """One change made, in the shape the record and the agent may see: never the value. `reason` is the rule's text."""

    path: str
    kind: str
    action: str  # "replaced with [REDACTED]" · "field removed" · "masked"
    reason: str


@dataclass(frozen=True, slots=True)
class Inspection:
    """The inspector's answer. For QUARANTINE `message` is None; `why` is a sentence for reviewers and the record."""

    outcome: Outcome
    message: Any = None
    findings: tuple[Finding, ...] = ()
    redactions: tuple[Redaction, ...] = ()
    why: str = ""
