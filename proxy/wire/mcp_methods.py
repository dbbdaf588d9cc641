"""The MCP method table: for every revision and direction, which messages there are and what the gate does with each.

Rules of this module:
* What is not in the table is refused (`method` returns None). A new method is a new row, with a test per revision.
* JUDGED means a ToolCall: decided by policy and durable in the record before it is forwarded. NOTED means passed by a
  named built-in rule and recorded (SEMANTICS §1.9): handshake, ping, lists, subscriptions, notifications. SWALLOWED
  means acknowledged and forwarded to nobody.
* `surface` is where what comes *back* stands for the inspector; for a notification, where it stands itself.
* Ground: `mcp.types.methods` for the core of each revision (a test compares the two), plus the tasks of 2025-11-25 and
  the tasks extension of 2026-07-28, which that SDK leaves out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from mcp.types.version import HANDSHAKE_PROTOCOL_VERSIONS

from policies.model import Direction
from redaction.model import Surface


class Era(StrEnum):
    """How peers agree on what they speak: by a handshake and a session, or request by request."""

    HANDSHAKE = "handshake"
    MODERN = "modern"


class Revision(StrEnum):
    """The five released revisions of the protocol, oldest first."""

    era: Era  # known once for each: asked for many times in a call

    def __new__(cls, value: str) -> Revision:
        revision = str.__new__(cls, value)
        revision._value_ = value
        revision.era = Era.HANDSHAKE if value in HANDSHAKE_PROTOCOL_VERSIONS else Era.MODERN
        return revision

    R2024_11_05 = "2024-11-05"
    R2025_03_26 = "2025-03-26"
    R2025_06_18 = "2025-06-18"
    R2025_11_25 = "2025-11-25"
    R2026_07_28 = "2026-07-28"


class Kind(StrEnum):
    REQUEST = "request"
    NOTIFICATION = "notification"


class Handling(StrEnum):
    """What the gate does with a message of the table."""

    JUDGED = "judged"
    NOTED = "noted"
    SWALLOWED = "swallowed"


@dataclass(frozen=True, slots=True)
class Method:
    """One row: a message that may go one way in some revisions. `subject` names the params member it is about."""

    name: str
    direction: Direction
    kind: Kind
    handling: Handling
    surface: Surface
    revisions: frozenset[Revision]
    subject: str | None = None


def method(revision: Revision, direction: Direction, kind: Kind, name: str) -> Method | None:
    """The row for a message, or None: then it is refused."""
    return _INDEX.get((revision, direction, kind, name))


# ---- the rows ---------------------------------------------------------------------------------------------------

_ALL = frozenset(Revision)
_HANDSHAKE = frozenset(revision for revision in Revision if revision.era is Era.HANDSHAKE)
_MODERN = _ALL - _HANDSHAKE
_FROM_ELICITATION = frozenset({Revision.R2025_06_18, Revision.R2025_11_25})
_TASKS_2025 = frozenset({Revision.R2025_11_25})

_TO_TOOL = Direction.AGENT_TO_TOOL
_TO_AGENT = Direction.TOOL_TO_AGENT
_JUDGED, _NOTED, _SWALLOWED = Handling.JUDGED, Handling.NOTED, Handling.SWALLOWED


def _asks(
    name: str,
    handling: Handling,
    revisions: frozenset[Revision],
    surface: Surface = Surface.RESULT,
    subject: str | None = None,
) -> Method:
    return Method(name, _TO_TOOL, Kind.REQUEST, handling, surface, revisions, subject)


def _asks_agent(name: str, handling: Handling, revisions: frozenset[Revision], subject: str | None = None) -> Method:
    return Method(name, _TO_AGENT, Kind.REQUEST, handling, Surface.ARGUMENTS, revisions, subject)


def _tells(name: str, revisions: frozenset[Revision], handling: Handling = _NOTED) -> Method:
    return Method(name, _TO_TOOL, Kind.NOTIFICATION, handling, Surface.ARGUMENTS, revisions)


def _tells_agent(name: str, revisions: frozenset[Revision]) -> Method:
    return Method(name, _TO_AGENT, Kind.NOTIFICATION, _NOTED, Surface.NOTIFICATION, revisions)


METHODS: Final[tuple[Method, ...]] = (
    # What acts or reads.
    _asks("tools/call", _JUDGED, _ALL, subject="name"),
    _asks("resources/read", _JUDGED, _ALL, subject="uri"),
    _asks("prompts/get", _JUDGED, _ALL, subject="name"),
    _asks("completion/complete", _JUDGED, _ALL),
    _asks("tasks/get", _JUDGED, _TASKS_2025 | _MODERN, subject="taskId"),
    _asks("tasks/result", _JUDGED, _TASKS_2025, subject="taskId"),
    _asks("tasks/list", _JUDGED, _TASKS_2025),
    _asks("tasks/cancel", _JUDGED, _TASKS_2025 | _MODERN, subject="taskId"),
    _asks("tasks/update", _JUDGED, _MODERN, subject="taskId"),
    # Handshake, discovery, lists, subscriptions. `server/discover` is how a client of both eras asks for ours, so the
    # upstream answers it in every revision (basic/versioning, Backward Compatibility).
    _asks("initialize", _NOTED, _HANDSHAKE, Surface.LISTING),
    _asks("server/discover", _NOTED, _ALL, Surface.LISTING),
    _asks("ping", _NOTED, _HANDSHAKE),
    _asks("logging/setLevel", _NOTED, _HANDSHAKE),
    _asks("tools/list", _NOTED, _ALL, Surface.LISTING),
    _asks("prompts/list", _NOTED, _ALL, Surface.LISTING),
    _asks("resources/list", _NOTED, _ALL, Surface.LISTING),
    _asks("resources/templates/list", _NOTED, _ALL, Surface.LISTING),
    _asks("resources/subscribe", _NOTED, _HANDSHAKE, subject="uri"),
    _asks("resources/unsubscribe", _NOTED, _HANDSHAKE, subject="uri"),
    _asks("subscriptions/listen", _NOTED, _MODERN),
    _tells("notifications/initialized", _HANDSHAKE),
    _tells("notifications/progress", _HANDSHAKE),
    _tells("notifications/roots/list_changed", _HANDSHAKE),
    _tells("notifications/cancelled", _HANDSHAKE),
    _tells("notifications/tasks/status", _TASKS_2025),
    # 2026-07-28 defines no client notification over HTTP; those that clients still post are acknowledged and dropped,
    # as the SDK's server does. A cancellation there is the closing of the response stream.
    _tells("notifications/cancelled", _MODERN, _SWALLOWED),
    _tells("notifications/initialized", _MODERN, _SWALLOWED),
    _tells("notifications/progress", _MODERN, _SWALLOWED),
    _tells("notifications/roots/list_changed", _MODERN, _SWALLOWED),
    # What a tool server asks of the agent; the agent's answer is judged as its request was (Direction.AGENT_ANSWER).
    _asks_agent("sampling/createMessage", _JUDGED, _HANDSHAKE),
    _asks_agent("elicitation/create", _JUDGED, _FROM_ELICITATION),
    _asks_agent("roots/list", _JUDGED, _HANDSHAKE),
    _asks_agent("tasks/get", _JUDGED, _TASKS_2025, subject="taskId"),
    _asks_agent("tasks/result", _JUDGED, _TASKS_2025, subject="taskId"),
    _asks_agent("tasks/list", _JUDGED, _TASKS_2025),
    _asks_agent("tasks/cancel", _JUDGED, _TASKS_2025, subject="taskId"),
    _asks_agent("ping", _NOTED, _HANDSHAKE),
    # What it tells.
    _tells_agent("notifications/progress", _ALL),
    _tells_agent("notifications/message", _ALL),
    _tells_agent("notifications/cancelled", _ALL),
    _tells_agent("notifications/tools/list_changed", _ALL),
    _tells_agent("notifications/prompts/list_changed", _ALL),
    _tells_agent("notifications/resources/list_changed", _ALL),
    _tells_agent("notifications/resources/updated", _ALL),
    _tells_agent("notifications/elicitation/complete", _TASKS_2025),
    _tells_agent("notifications/tasks/status", _TASKS_2025),
    _tells_agent("notifications/tasks", _MODERN),
    _tells_agent("notifications/subscriptions/acknowledged", _MODERN),
)

_INDEX: Final[Mapping[tuple[Revision, Direction, Kind, str], Method]] = MappingProxyType(
    {(revision, row.direction, row.kind, row.name): row for row in METHODS for revision in row.revisions}
)

REQUEST_METHODS: Final[frozenset[str]] = frozenset(row.name for row in METHODS if row.kind is Kind.REQUEST)
"""Methods that are requests in some revision; a message naming one without an id is refused in all of them."""
