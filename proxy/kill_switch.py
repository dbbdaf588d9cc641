"""The kill switch: what is stopped, kept true in memory, on the disk and in the record; and what a stop does at once.

Rules of this module:
* In force first, in memory; then what is under way is cut; then it is kept as a file, recorded, and the questions that
  wait are stopped. A store or a disk that is down delays the later steps, never the first, and `settle` mends them.
* Stops are known from the disk and from the store before anything listens; one of the two is enough to stop.
* Lifting goes the other way round: recorded first, and only then out of force. Where that fails, the stop stands.
* It runs on the event loop. The watcher's thread has put a stop in force already when it comes here (`take`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Protocol

import structlog

from audit.entry import EntryDraft, EntryKind
from proxy.gate_rows import GateRows
from proxy.life import Life
from proxy.stop_files import Found, StopFiles
from proxy.stop_watch import StopWatch
from proxy.stopped import Stopped
from proxy.tasks import spawn
from proxy.upstreams.stoppable import StoppableUpstream
from review.lifecycle import ReviewEvent, states_allowing
from review.model import CallRecord, CallState, Reached, ReviewRecord, Standing, Stop, StopScope
from review.ports import Bell, Change, ChangeLost, StoreDown

log = structlog.get_logger("interlock.stop")

SWEPT_AT_ONCE_MAX = 50
SWEEPS = 2  # the second a tick later: for a question that was being written when the stop came
_STOPPABLE = states_allowing(ReviewEvent.STOPPED)


class StopRecords(Protocol):
    """The store, as far as the kill switch needs it."""

    async def apply(self, change: Change) -> None: ...
    async def call(self, call_id: str) -> CallRecord | None: ...
    async def review(self, review_id: str) -> ReviewRecord | None: ...
    async def put_stop(self, stop: Stop, entry: EntryDraft) -> None: ...
    async def stop(self, stop_id: str) -> Stop | None: ...
    async def standing_stops(self) -> Sequence[Stop]: ...
    async def waiting_calls(self) -> Sequence[tuple[str, str, str]]: ...


@dataclass(slots=True)
class _State:
    """How far a stop in force has come."""

    stop: Stop
    name: str  # of its file
    questions: set[str] = field(default_factory=set)  # calls that waited for people, or whose grant was not spent
    cut: Reached = field(default_factory=Reached)
    is_kept: bool = False
    is_recorded: bool = False
    sweeps: int = 0

    @property
    def reached(self) -> Reached:
        return replace(self.cut, questions_stopped=len(self.questions))

    @property
    def standing(self) -> Standing:
        return Standing(self.stop, self.reached, self.is_recorded, self.is_kept)


class KillSwitch:
    """Implements `review.ports.Switch`."""

    def __init__(
        self,
        *,
        stopped: Stopped,
        files: StopFiles,
        store: StopRecords,
        rows: GateRows,
        bell: Bell,
        lives: Callable[[], Iterable[Life]],
        upstreams: Iterable[StoppableUpstream],
        names: Mapping[StopScope, Sequence[str]],
        clock: Callable[[], float],
        new_id: Callable[[], str],
        end: Callable[[int], object],
    ) -> None:
        self._stopped, self._files, self._store, self._rows, self._bell = stopped, files, store, rows, bell
        self._lives, self._upstreams, self._names = lives, tuple(upstreams), names
        self._clock, self._new_id = clock, new_id
        self._states: dict[str, _State] = {}
        self._listeners: list[Callable[[], None]] = []
        self._settling = asyncio.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._watch = StopWatch(files, stopped, tell=self._tell, end=end)

    # -- start and end -------------------------------------------------------------------------------------------

    async def start(self) -> int:
        """Put in force what stands, and watch from now on; how many stand. Raises: StoreDown, OSError."""
        self._loop = asyncio.get_running_loop()
        self._files.prepare()
        left_over: list[str] = []
        for found in self._files.read_all():
            known = await self._store.stop(found.stop.id)
            if known is not None and known.lifted_at is not None:
                left_over.append(found.name)  # we died between recording that it was lifted and removing its file
                continue
            self._watch.know(found.name)
            self._begin(_State(found.stop, found.name, is_kept=True, is_recorded=known is not None))
        self._files.remove(left_over)
        for stop in await self._store.standing_stops():
            if stop.id not in self._states:
                self._begin(_State(stop, self._files.name_of(stop), is_recorded=True))
        await self.settle()
        self._watch.start()
        return len(self._states)

    async def close(self) -> None:
        """Watch no more."""
        await asyncio.to_thread(self._watch.close)

    def listen(self, listener: Callable[[], None]) -> None:
        """Call `listener` whenever something is stopped or goes on, and when more is known of it: open pages say it."""
        self._listeners.append(listener)

    def _changed(self) -> None:
        for listener in self._listeners:
            listener()

    # -- review.ports.Switch -------------------------------------------------------------------------------------

    def standing(self) -> Sequence[Standing]:
        return [state.standing for state in sorted(self._states.values(), key=lambda state: state.stop.at)]

    def names(self, scope: StopScope) -> Sequence[str]:
        return self._names.get(scope, ())

    async def order(self, scope: StopScope, target: str, *, by: str, login: str, why: str) -> Standing:
        stop = Stop(self._new_id(), scope, target, by, why, self._clock(), login)
        state = _State(stop, self._files.name_of(stop))
        self._begin(state)
        await asyncio.shield(spawn(self.settle(), name=f"stop:{stop.id}"))  # whoever ordered it may leave meanwhile
        return state.standing

    async def lift(self, stop_id: str, *, by: str, login: str, why: str) -> Stop | None:
        async with self._settling:
            state = self._states.get(stop_id)
            if state is None:
                return None
            if not state.is_recorded:  # it is lifted in the record only after it was ordered there
                await self._store.put_stop(state.stop, _ordered(state.stop))
                state.is_recorded = True
            stop = replace(state.stop, lifted_at=self._clock(), lifted_by=by, lifted_why=why)
            body = {"stop": stop.id, "scope": stop.scope.value, "target": stop.target, "why": why, "login": login}
            await self._store.put_stop(stop, EntryDraft(EntryKind.STOP_LIFTED, self._clock(), by, None, body))
            try:
                await asyncio.to_thread(self._files.remove, [state.name])
            except OSError as error:  # a start knows by the record that it was lifted
                log.warning("stop_file_not_removed", file=state.name, why=str(error))
            del self._states[stop.id]
            self._stopped.drop(stop.id)
        self._changed()
        log.warning("stop_lifted", stop=stop.id, what=stop.says, by=by)
        return stop

    # -- what a stop does ----------------------------------------------------------------------------------------

    def _tell(self, found: Found, answered: Callable[[], None]) -> None:
        """From the watcher's thread. Raises: RuntimeError when the loop is closed."""
        assert self._loop is not None  # the watcher is started after it was set
        self._loop.call_soon_threadsafe(self._take, found, answered)

    def _take(self, found: Found, answered: Callable[[], None]) -> None:
        if found.stop.id not in self._states:
            self._begin(_State(found.stop, found.name, is_kept=True))
        answered()
        spawn(self.settle(), name=f"stop:{found.stop.id}")

    def _begin(self, state: _State) -> None:
        """In force, and what is under way is cut; without waiting for anything."""
        stop = state.stop
        self._states[stop.id] = state
        self._stopped.add(stop)
        covered = [life for life in self._lives() if stop.covers(life.agent, life.server)]
        state.questions |= {life.gate.call_id for life in covered if life.asks}
        cut = [life.look_again() for life in covered]
        streams = processes = 0
        for upstream in self._upstreams:
            of_it = upstream.cut(stop)
            streams, processes = streams + of_it[0], processes + of_it[1]
        state.cut = Reached(0, sum(cut), streams, processes)
        log.warning("stopped", stop=stop.id, what=stop.says, by=stop.ordered_by, **asdict(state.reached))
        self._changed()

    async def settle(self) -> None:
        """Do what is still to be done of every stop: keep it, record it, stop the questions it covers. For the ticker.

        What the store or the disk does not take now is tried again at the next call.
        """
        async with self._settling:
            for state in [*self._states.values()]:
                if not (state.is_kept and state.is_recorded and state.sweeps >= SWEEPS):
                    await self._settle(state)

    async def _settle(self, state: _State) -> None:
        if not state.is_kept:
            try:
                self._watch.know(state.name)
                await asyncio.to_thread(self._files.write, state.stop)
                state.is_kept = True
            except OSError as error:
                log.error("stop_not_kept", stop=state.stop.id, why=str(error))
        try:
            if not state.is_recorded:
                await self._store.put_stop(state.stop, _ordered(state.stop))
                state.is_recorded = True
            await self._sweep(state)
            state.sweeps += 1
        except StoreDown as down:
            log.error("stop_not_recorded", stop=state.stop.id, why=str(down))
        if state.is_kept:
            await self._note(state)
        self._changed()

    async def _sweep(self, state: _State) -> None:
        """Stop the questions that nobody waits for; whoever waits has seen to its own. Raises: StoreDown."""
        stop = state.stop
        waiting = [one for one, agent, server in await self._store.waiting_calls() if stop.covers(agent, server)]
        for begin in range(0, len(waiting), SWEPT_AT_ONCE_MAX):
            batch = waiting[begin : begin + SWEPT_AT_ONCE_MAX]
            ended = await asyncio.gather(*(self._stop_question(stop, call_id) for call_id in batch))
            state.questions |= {call_id for call_id, is_over in zip(batch, ended, strict=True) if is_over}

    async def _stop_question(self, stop: Stop, call_id: str) -> bool:
        record = await self._store.call(call_id)
        review = await self._store.review(record.review_id) if record is not None and record.review_id else None
        if record is None or review is None or record.state is not CallState.WAITING or review.state not in _STOPPABLE:
            return False
        try:
            await self._store.apply(self._rows.stopped(record, review, stop, self._clock()))
        except ChangeLost:
            return False  # decided, or stopped by its own gate, in the same moment
        self._bell.ring(call_id)
        return True

    async def _note(self, state: _State) -> None:
        noted = {
            "id": state.stop.id,
            "in_force": True,
            "is_recorded": state.is_recorded,
            "reached": asdict(state.reached),
            "is_settled": state.is_recorded and state.sweeps > 0,
        }
        try:
            await asyncio.to_thread(self._files.note, state.name, noted)
        except OSError as error:
            log.error("stop_not_noted", stop=state.stop.id, why=str(error))


def _ordered(stop: Stop) -> EntryDraft:
    body = {
        "stop": stop.id,
        "scope": stop.scope.value,
        "target": stop.target,
        "why": stop.why,
        "login": stop.login,
    }
    return EntryDraft(EntryKind.STOP_ORDERED, stop.at, stop.ordered_by, None, body)
