"""What every request of the MCP door shares: the core as the door sees it, and the door's own few parts.

Rules of this module:
* Protocols and one frozen record; the application builds it once (`proxy/app.py`).
* The door reaches policy, store and inspection through these words only: it decides nothing (DESIGN §1).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from policies.model import Agent, Decision, Direction, Json, JsonObject, OutputRules, ToolCall, ToolDefinition
from proxy.config import Config
from proxy.doors.mcp_places import StreamPlaces
from proxy.doors.mcp_sessions import Sessions
from proxy.doors.ticker import Ticker
from proxy.exchange import Answer, Exchange
from proxy.upstreams.base import Reply, Upstream
from proxy.wire.mcp_methods import METHODS
from redaction.model import Inspection, Surface

_KNOWN_METHODS = frozenset(row.name for row in METHODS) | {"GET", "DELETE"}


def shown_method(name: str) -> str:
    """A method as the record may hold it: a name of the protocol, never a text that somebody sent in its place."""
    return name if name in _KNOWN_METHODS else "(unknown)"


class Runs(Protocol):
    """The runner, as doors see it."""

    async def call(self, exchange: Exchange) -> Answer: ...

    async def collect(self, exchange: Exchange) -> Answer: ...

    async def judge(self, call: ToolCall) -> Decision: ...

    def note(self, *, agent: str, server: str, method: str, direction: Direction, outcome: str) -> None: ...

    def refused(self, *, agent: str | None, server: str, method: str | None, why: str, status: int) -> None: ...

    def delivered(self, answer: Answer) -> None: ...

    def undelivered(self, answer: Answer) -> None: ...

    def output_rules(self, call: ToolCall) -> OutputRules: ...

    def hidden_tools(self, agent: Agent, server: str, tools: Iterable[str]) -> frozenset[str]:
        """Those of a server's tools that this agent is not shown in lists."""


class Inspects(Protocol):
    """The inspector pool. Never raises; what it cannot inspect it quarantines."""

    async def inspect(
        self, message: Any, *, rules: OutputRules, surface: Surface, output_schema: JsonObject | None = None
    ) -> Inspection: ...


class Inventory(Protocol):
    """The tools of every server, as the gate itself listed them."""

    def at_hand(self, server: str, tool: str) -> ToolDefinition | None:
        """What `definition` would give without waiting for anybody; None: ask it."""

    async def definition(self, server: str, tool: str) -> ToolDefinition | None: ...

    def changed(self, server: str) -> None:
        """The server said that its list of tools changed: list it again before the next call."""

    def overheard(self, server: str, tools: Sequence[Json]) -> None:
        """An agent is given this listing: where it differs from ours, ours is out of date."""


class Names(Protocol):
    """Unguessable names (`proxy.ids.Ids`)."""

    def nonce(self) -> str: ...

    def token(self) -> str: ...


class OpenStream:
    """A stream of a tool server that an agent listens to, for as long as both like."""

    __slots__ = ("_reply",)

    def __init__(self, reply: Reply) -> None:
        self._reply = reply

    async def end(self) -> None:
        """Read no more of it: whoever passes it on ends the agent's."""
        if self._reply.close is not None:
            await self._reply.close()


@dataclass(frozen=True, slots=True)
class Shared:
    """The parts."""

    runner: Runs
    inspectors: Inspects
    inventory: Inventory
    upstreams: Mapping[str, Upstream]
    config: Config
    ids: Names
    clock: Callable[[], float]
    sessions: Sessions
    ticker: Ticker
    places: StreamPlaces = field(default_factory=StreamPlaces)
    streams: set[OpenStream] = field(default_factory=set)  # that last until somebody ends them

    def timeout_sec(self, server: str) -> float:
        """How long this server may be silent."""
        return self.config.servers[server].timeout_sec
