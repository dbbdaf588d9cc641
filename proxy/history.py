"""What the gate remembers of each agent's calls, and the facts it makes of that: tries, first times, rates, anomaly.

Rules of this module (SEMANTICS §1.4, §1.16; ADR 0019):
* Kept per authenticated agent and tool, never per session: a session is the agent's own word.
* A source of facts: it answers from memory, at once. It is kept current by the changes the store commits, and is
  rebuilt from the same calls at start (`proxy/past.py`), so that a restart forgets nothing.
* A call is counted when it is judged, so that calls made at the same moment see one another; what is usual is learned
  only from calls that were dispatched.
* Memory is bounded (P14). Of what was forgotten the strict thing is said: an action is then done for the first time.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from audit.entry import EntryDraft, EntryKind
from policies.model import Json, ToolCall
from proxy.rates import DAY_SEC, Rates
from proxy.usual import Features, Usual, features_of, score_of, told
from review.model import CallRecord, CallState, ReviewState
from review.ports import Change, InsertCall, MoveCall, MoveReview

HABITS_PER_AGENT_MAX = 1_000
ACTIONS_MAX = 50_000
_UNENDED_MAX = 50_000
KEYS_PER_AGENT_MAX = 2_000
TRIES_MAX = 100

type Action = tuple[str, str, str]
"""Agent, server, tool."""

_BAD_ENDS = frozenset({CallState.FAILED_BEFORE_SEND, CallState.FAILED_AFTER_SEND, CallState.IN_DOUBT})
NOT_THE_AGENTS = frozenset({ReviewState.SUPERSEDED, ReviewState.LAPSED})
"""Ends of a question that say nothing against the call."""


@dataclass(slots=True)
class Habit:
    """One agent's way with one tool."""

    rates: Rates = field(default_factory=Rates)
    usual: Usual = field(default_factory=Usual)


@dataclass(frozen=True, slots=True)
class _Unended:
    """A call whose end may still be told."""

    action: Action
    repeat_key: str
    features: Features | None


class History:
    """One per process. `facts` is the source; `counted` and `heard` keep it current."""

    def __init__(
        self, *, repeat_key_of: Callable[[ToolCall], str], clock: Callable[[], float], min_history_calls: int = 20
    ) -> None:
        self._repeat_key_of = repeat_key_of
        self._clock = clock
        self._calls_min = min_history_calls
        self._habits: dict[str, OrderedDict[tuple[str, str], Habit]] = {}
        self._done: dict[Action, str] = {}  # the call that first did it
        self._tries: dict[str, OrderedDict[str, dict[str, float]]] = {}  # agent -> repeat key -> call -> when it ended
        self._unended: OrderedDict[str, _Unended] = OrderedDict()

    # -- the source ----------------------------------------------------------------------------------------------

    def facts(self, call: ToolCall) -> dict[str, Json]:
        """What is known before this call, which is not counted yet."""
        now = self._clock()
        action = (call.agent.id, call.server, call.tool)
        habit = self._known(action)
        facts: dict[str, Json] = {
            "retry_count": self._tries_of(call, now),
            "first_time_action": action not in self._done,
            "calls_last_minute": 0,
            "calls_last_hour": 0,
            "calls_last_day": 0,
            "anomaly_score": 0,
            "anomaly_known": False,
            "anomaly_parts": [],  # no fact: they explain one
        }
        if habit is None:
            return facts
        rates = habit.rates
        facts["calls_last_minute"] = rates.last_minute(now)
        facts["calls_last_hour"] = rates.last_hour(now)
        facts["calls_last_day"] = rates.last_day(now)
        if len(habit.usual) >= self._calls_min:
            parts = habit.usual.parts(features_of(call.arguments), rates, now, calls_min=self._calls_min)
            facts["anomaly_known"] = True
            if parts:
                facts["anomaly_score"] = score_of(parts)
                facts["anomaly_parts"] = told(parts)
        return facts

    def _tries_of(self, call: ToolCall, now: float) -> int:
        of_agent = self._tries.get(call.agent.id)
        if not of_agent:
            return 0
        tries = of_agent.get(self._repeat_key_of(call))
        return 0 if tries is None else sum(1 for at in tries.values() if at > now - DAY_SEC)

    # -- kept current --------------------------------------------------------------------------------------------

    def counted(self, call: ToolCall) -> None:
        """This call has been judged, and is no re-attachment.

        Of tools that nobody lists, only those are remembered that were dispatched all the same: made-up names are many.
        """
        action = (call.agent.id, call.server, call.tool)
        is_listed = call.definition is not None or call.method != "tools/call"
        habit = self.habit(action) if is_listed else self._known(action)
        if habit is not None:
            habit.rates.add(self._clock())

    def heard(self, change: Change | None) -> None:
        """A change was committed, or will be. Heard twice, it counts once."""
        if change is None:
            return
        for row in change.rows:
            match row:
                case InsertCall(call=record):
                    self._began(record)
                case MoveCall():
                    self._moved(row, change)
                case _:
                    pass
        for entry in change.entries:
            self._noted(entry)

    def _began(self, record: CallRecord) -> None:
        action = (record.agent, record.server, record.tool)
        if record.state is CallState.DENIED:
            self.ended_badly(record.agent, record.repeat_key, record.id, record.updated_at)
            return
        features = features_of(record.proposed["arguments"]) if record.proposed is not None else None
        self._unended[record.id] = _Unended(action, record.repeat_key, features)
        if len(self._unended) > _UNENDED_MAX:
            self._unended.popitem(last=False)
        if record.state is CallState.DISPATCHING:
            self.dispatched(action, record.id, features)

    def _moved(self, move: MoveCall, change: Change) -> None:
        call = self._unended.get(move.call_id)
        if call is None:
            return
        if move.to is CallState.DISPATCHING:
            self.dispatched(call.action, move.call_id, call.features)
            return
        if move.fields.get("dispatched_at", "") is None and self._done.get(call.action) == move.call_id:
            del self._done[call.action]  # provably no byte of it left us
        if move.to is CallState.CLOSED:  # kept: a rejection is given again to whoever repeats the call
            fates = {row.to for row in change.rows if isinstance(row, MoveReview)}
            if fates & NOT_THE_AGENTS:
                return
        elif move.to is CallState.WAITING:
            return
        else:
            del self._unended[move.call_id]
        if move.to is CallState.CLOSED or move.to in _BAD_ENDS or move.fields.get("failure"):
            at = float(move.fields.get("updated_at") or self._clock())
            self.ended_badly(call.action[0], call.repeat_key, move.call_id, at)

    def _noted(self, entry: EntryDraft) -> None:
        if entry.kind is not EntryKind.CALL_REATTACHED or entry.body.get("got") != "same_rejection":
            return
        call = self._unended.get(entry.call_id or "")
        if call is not None:
            self.ended_badly(call.action[0], call.repeat_key, f"{entry.call_id}@{entry.at}", entry.at)

    # -- what is remembered, also when it is read back at start ------------------------------------------------------

    def habit(self, action: Action) -> Habit:
        of_agent = self._habits.setdefault(action[0], OrderedDict())
        habit = of_agent.get(action[1:])
        if habit is None:
            habit = of_agent[action[1:]] = Habit()
            if len(of_agent) > HABITS_PER_AGENT_MAX:
                of_agent.popitem(last=False)
        else:
            of_agent.move_to_end(action[1:])
        return habit

    def _known(self, action: Action) -> Habit | None:
        of_agent = self._habits.get(action[0])
        return None if of_agent is None else of_agent.get(action[1:])

    def dispatched(self, action: Action, call_id: str, features: Features | None) -> None:
        if action not in self._done and len(self._done) < ACTIONS_MAX:
            self._done[action] = call_id
        if features is not None:
            self.habit(action).usual.learn(features)

    def ended_badly(self, agent: str, repeat_key: str, try_id: str, at: float) -> None:
        """A call ended in an error or was refused: the identical one is a retry."""
        keys = self._tries.setdefault(agent, OrderedDict())
        tries = keys.setdefault(repeat_key, {})
        keys.move_to_end(repeat_key)
        if len(keys) > KEYS_PER_AGENT_MAX:
            keys.popitem(last=False)
        tries[try_id] = at
        if len(tries) > TRIES_MAX:
            del tries[next(iter(tries))]

    def rejected_before(self, call_id: str, action: Action, repeat_key: str) -> None:
        """A rejection of before the start, which is given again to whoever repeats the call."""
        self._unended[call_id] = _Unended(action, repeat_key, None)
