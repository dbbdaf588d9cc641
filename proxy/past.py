"""Rebuilding the history at start, from the calls the store has kept: the same facts as before the restart.

Rules of this module:
* In bounded time: of each agent and tool as many calls as are compared (`WINDOW_CALLS_MAX`), fewer where there are very
  many agents and tools; ended calls of one day; counts from the index. Many short reads, none long (traps T11).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

from proxy.history import NOT_THE_AGENTS, Action, History
from proxy.rates import DAY_SEC, HOURS_KEPT
from proxy.store.past_reads import BadEnd, Past
from proxy.usual import WINDOW_CALLS_MAX, features_of
from review.model import CallState

_ACTIONS_READ_MAX = 2_000
_READ_BACK_MAX = 20_000
_ENDED_BADLY_MAX = 20_000

_AT_ONCE = 500


class KeepsCalls(Protocol):
    """The store, as far as it is needed here. All raise StoreDown."""

    async def actions(self, after: Action, *, limit: int) -> Sequence[Action]: ...
    async def past(self, action: Action, *, since_day: float, since_hours: float, limit: int) -> Past: ...
    async def ended_badly(
        self, before: tuple[float, int], *, since: float, limit: int
    ) -> tuple[Sequence[BadEnd], tuple[float, int]]: ...


async def rebuild(history: History, store: KeepsCalls, now: float) -> int:
    """Read back what happened; returns with how many agents and tools. Raises: StoreDown."""
    actions = await _actions(store)
    calls_each = max(1, min(WINDOW_CALLS_MAX, _READ_BACK_MAX // max(1, len(actions))))
    for action in actions:
        past = await store.past(action, since_day=now - DAY_SEC, since_hours=now - HOURS_KEPT * 3600, limit=calls_each)
        _take(history, action, past)
    await _tries(history, store, now)
    return len(actions)


async def _actions(store: KeepsCalls) -> list[Action]:
    found: list[Action] = []
    after: Action = ("", "", "")
    while len(found) < _ACTIONS_READ_MAX and (page := await store.actions(after, limit=_AT_ONCE)):
        found += page
        after = page[-1]
    return found[:_ACTIONS_READ_MAX]


def _take(history: History, action: Action, past: Past) -> None:
    rates = history.habit(action).rates
    for hour in past.hours:
        rates.mark_hour(hour)
    for at, count in past.counts:
        rates.add(at, count)
    for call_id, proposed in past.dispatched:
        history.dispatched(action, call_id, None if proposed is None else features_of(proposed["arguments"]))


async def _tries(history: History, store: KeepsCalls, now: float) -> None:
    found: list[BadEnd] = []
    before = (math.inf, 0)
    while len(found) < _ENDED_BADLY_MAX:
        page, before = await store.ended_badly(before, since=now - DAY_SEC, limit=_AT_ONCE)
        if not page:
            break
        found += page
    for end in reversed(found):
        call = end.call
        if end.fate in NOT_THE_AGENTS or call.state in (CallState.WAITING, CallState.DISPATCHING):
            continue
        history.ended_badly(call.agent, call.repeat_key, call.id, call.updated_at)
        if call.state is CallState.CLOSED:
            history.rejected_before(call.id, (call.agent, call.server, call.tool), call.repeat_key)
        for at in end.again:
            history.ended_badly(call.agent, call.repeat_key, f"{call.id}@{at}", at)
