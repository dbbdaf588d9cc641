"""Judging a call under the current snapshot: the one place that joins policy, inventory and clock.

Rules of this module:
* The decision point stays pure; what it may know is gathered here and handed over.
* Without a loaded snapshot nothing is judged: the call is denied by our own rule (P1).
* A reviewer's edit is a new call and is judged as one (P7).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Protocol

from policies import arguments
from policies.decide import NO_FACTS, decide
from policies.gate_facts import judged_again
from policies.model import Agent, Decision, Direction, Json, JsonObject, OutputRules, ToolCall, ToolDefinition
from policies.output import rules_for
from policies.sampling import Chance, chance_of
from policies.snapshot import PolicySnapshot
from policies.visibility import hidden
from proxy.facts import FactSource, GateFacts
from proxy.sampling import Lot
from review import decisions
from review.model import CallRecord


class Definitions(Protocol):
    """The inventory, as judging needs it."""

    async def definition(self, server: str, tool: str) -> ToolDefinition | None: ...


class Judging:
    """Implements `review.ports.Judge`, and judges for the runner."""

    def __init__(
        self,
        *,
        snapshot: Callable[[], PolicySnapshot],
        definitions: Definitions,
        clock: Callable[[], float],
        validates: Mapping[str, bool],
        groups: Mapping[str, tuple[str, ...]],
        lot_of: Callable[[Chance], Lot],
        ambiguous: Callable[[], frozenset[str]] = frozenset,
        gate_facts: FactSource | None = None,
    ) -> None:
        self._snapshot = snapshot
        self._definitions = definitions
        self._clock = clock
        self._validates = validates
        self._groups = groups
        self._lot_of = lot_of
        self._ambiguous = ambiguous
        self._gate_facts = gate_facts or GateFacts()

    def judge(self, call: ToolCall) -> Decision:
        """Pure but for the clock; errors in judging are read strictly inside (P10)."""
        return self.prepared(call)()

    def prepared(self, call: ToolCall, kept: CallRecord | None = None) -> Callable[[], Decision]:
        """Judging this call as things are now; what is left is pure and may be done in another thread.

        With `kept`, the call as it was recorded, it is judged again: with the facts as they were then (SEMANTICS §2.3).
        """
        return self._prepared(call, self._facts(call, kept))

    def _facts(self, call: ToolCall, kept: CallRecord | None) -> Mapping[str, Json]:
        facts = self._gate_facts(call)
        return facts if kept is None else judged_again(decisions.gate_facts(kept.decision), facts)

    def _prepared(self, call: ToolCall, facts: Mapping[str, Json]) -> Callable[[], Decision]:
        return partial(
            decide,
            call,
            self._snapshot(),
            facts or NO_FACTS,
            at=self._at(),
            validate_arguments=self._validates.get(call.server, True),
            ambiguous_rules=self._ambiguous(),
        )

    def hidden_tools(self, agent: Agent, server: str, tools: Iterable[str]) -> frozenset[str]:
        """Those of a server's tools that this agent is not shown in lists."""
        return hidden(self._snapshot(), agent, server, tools)

    def output_rules(self, call: ToolCall, kept: CallRecord | None = None) -> OutputRules:
        """The rules for what comes back; with `kept`, by the facts that the call was judged with."""
        snapshot = self._snapshot()
        facts = self._facts(call, kept) if snapshot.output else NO_FACTS
        return rules_for(call, snapshot, facts, at=self._at())

    def lot(self, call: ToolCall, kept: CallRecord | None = None) -> Lot | None:
        """The part in the draw of samples of a call that was answered, where policy gives it one; facts as above."""
        snapshot = self._snapshot()
        if not snapshot.sampling or (kept is not None and decisions.wants_review_after(kept.decision)):
            return None  # nothing samples, or people look at it anyway
        labels = snapshot.profile(call.server, call.tool, call.method, call.direction).labels
        facts = self._facts(call, kept)
        chance = chance_of(call, snapshot.sampling, labels, snapshot.facts, facts, at=self._at())
        return self._lot_of(chance) if chance is not None else None

    async def call_now(self, record: CallRecord) -> ToolCall:
        """The call in the form that would be sent, with the tool's definition as it is now.

        Raises: ValueError when retention has erased it.
        """
        kept = record.to_send
        if kept is None:
            raise ValueError(f"call {record.id}: its arguments have been erased by retention")
        definition = None
        if record.method == "tools/call":
            definition = await self._definitions.definition(record.server, record.tool)
        return ToolCall(
            server=record.server,
            tool=record.tool,
            arguments=kept["arguments"],
            agent=Agent(record.agent, groups=self._groups.get(record.agent, ()), on_behalf_of=record.on_behalf_of),
            session=record.session,
            method=record.method,
            direction=Direction(record.direction),
            input_responses=kept.get("input_responses"),
            request_state=kept.get("request_state"),
            definition=definition,
            self_reported=decisions.self_reported(record.decision),
        )

    async def judge_edit(self, call: CallRecord, arguments_now: JsonObject) -> Decision:
        """review.ports.Judge. Raises: ValueError naming the path where the arguments do not fit the inputSchema."""
        now = replace(await self.call_now(call), arguments=arguments_now)
        if now.definition is not None:
            try:
                arguments.check(arguments_now, now.definition.input_schema)
            except arguments.ArgumentsInvalid as problem:
                raise ValueError(str(problem)) from problem
        facts = judged_again(decisions.gate_facts(call.decision), self._gate_facts(now), is_edit=True)
        return self._prepared(now, facts)()

    def _at(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), tz=UTC)
