"""The kill switch over a runner in memory: in force first, then cut, kept, recorded, and every question stopped."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from audit.entry import EntryDraft, EntryKind
from policies.model import JsonObject, ToolCall
from proxy.exchange import Answer, AnswerKind
from proxy.gate_rows import GateRows
from proxy.kill_switch import KillSwitch
from proxy.stop_files import StopFiles
from proxy.stopped import Stopped
from proxy.tasks import spawn
from review.model import CallState, Reached, ReviewState, Stop, StopScope
from review.ports import StoreDown
from tests.proxy.builders import refund, response, rows, stop_of
from tests.proxy.world import FakeExchange, GateRecords, World

BY = {"by": "reviewer:maria", "login": "cli", "why": "it leaks"}


class StopStore(GateRecords):
    """The in-memory store with its stops."""

    def __init__(self) -> None:
        super().__init__()
        self.stops: dict[str, Stop] = {}

    async def put_stop(self, stop: Stop, entry: EntryDraft) -> None:
        await asyncio.sleep(0)
        if self.is_down:
            raise StoreDown("the store is down")
        self.stops[stop.id] = stop
        self.entries.append(entry)

    async def stop(self, stop_id: str) -> Stop | None:
        return self.stops.get(stop_id)

    async def standing_stops(self) -> Sequence[Stop]:
        return [stop for stop in self.stops.values() if stop.lifted_at is None]

    async def waiting_calls(self) -> Sequence[tuple[str, str, str]]:
        if self.is_down:
            raise StoreDown("the store is down")
        return [(c.id, c.agent, c.server) for c in self.calls.values() if c.state is CallState.WAITING]


class House:
    """A world with its kill switch, which may be ended and started again."""

    def __init__(self, directory: Path) -> None:
        self.world = World()
        self.store = StopStore()
        self.world.records = self.store
        self.world.start()
        self.files = StopFiles(directory)
        self.codes: list[int] = []
        self._numbers = 0
        self._made()

    def _made(self) -> None:
        built: GateRows = rows()
        self.switch = KillSwitch(
            stopped=self.world.stopped,
            files=self.files,
            store=self.store,
            rows=built,
            bell=self.world.parking,
            lives=self.world.runner.lives.all,
            upstreams=(),
            names={StopScope.AGENT: ["demo"], StopScope.SERVER: ["payments"]},
            clock=lambda: self.world.now,
            new_id=self._new_id,
            end=self.codes.append,
        )

    def _new_id(self) -> str:
        self._numbers += 1
        return f"stop_{self._numbers}"

    async def restart(self) -> None:
        await self.switch.close()
        self.world.stopped = Stopped()
        self.world.start()
        self._made()
        await self.switch.start()

    def call(self, call: ToolCall | None = None) -> tuple[FakeExchange, asyncio.Task[Answer]]:
        exchange = self.world.exchange(call)
        return exchange, spawn(self.world.runner.call(exchange), name="call")

    def kinds(self) -> list[EntryKind]:
        return [entry.kind for entry in self.store.entries]


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    made = House(tmp_path)
    await made.switch.start()
    yield made
    await made.switch.close()


async def test_an_ordered_stop_is_in_force_kept_and_recorded_when_it_is_acknowledged(house: House) -> None:
    standing = await house.switch.order(StopScope.AGENT, "demo", **BY)
    assert (standing.is_recorded, standing.is_kept) == (True, True)
    assert house.world.stopped.over("demo", "files") is not None
    (entry,) = house.store.entries
    assert (entry.kind, entry.actor) == (EntryKind.STOP_ORDERED, "reviewer:maria")
    assert entry.body == {"stop": "stop_1", "scope": "agent", "target": "demo", "why": "it leaks", "login": "cli"}
    assert [found.stop.id for found in house.files.read_all()] == ["stop_1"]
    assert house.files.noted("stop_1.json") == {
        "id": "stop_1",
        "in_force": True,
        "is_recorded": True,
        "is_settled": True,
        "reached": {"questions_stopped": 0, "calls_cut": 0, "streams_cut": 0, "processes_ended": 0},
    }


async def test_p01_a_stop_reaches_who_waits_and_who_has_left_and_nothing_is_executed(house: House) -> None:
    waiting, answer = house.call(refund(250))
    await waiting.was_parked.wait()
    gone, ticketed = house.call(refund(300))
    await gone.was_parked.wait()
    gone.left.set()
    await ticketed
    granted, approved = house.call(refund(400))
    await granted.was_parked.wait()
    granted.left.set()
    await approved
    (of_granted,) = [c for c in house.store.calls.values() if (c.proposed or {})["arguments"]["amount"] == 400]
    await house.world.settle(of_granted.id, ReviewState.SPENDABLE)
    standing = await house.switch.order(StopScope.ALL, "*", **BY)
    assert (await answer).kind is AnswerKind.STOPPED
    assert {review.state for review in house.store.reviews.values()} == {ReviewState.STOPPED}
    assert {call.state for call in house.store.calls.values()} == {CallState.CLOSED}
    assert standing.reached == Reached(questions_stopped=3)
    assert house.world.tool.dispatched == []


async def test_p05_a_call_that_is_with_its_tool_is_cut_and_in_doubt(house: House) -> None:
    arrived = asyncio.Event()

    async def never(_call: ToolCall) -> JsonObject:
        arrived.set()
        await asyncio.Event().wait()
        return response()

    house.world.tool.answer = never
    _, answer = house.call(refund(50))
    await arrived.wait()
    standing = await house.switch.order(StopScope.SERVER, "payments", **BY)
    assert (await answer).meta["executed"] is None
    assert standing.reached.calls_cut == 1
    assert house.world.only_call().state is CallState.IN_DOUBT
    assert house.world.only_call().failure == "server payments was stopped while this was being sent"


async def test_p01_a_stop_between_the_record_and_the_first_byte_keeps_the_call_here(house: House) -> None:
    apply = house.store.apply

    async def slow(change: object) -> None:
        await apply(change)  # type: ignore[arg-type]
        house.world.stopped.add(stop_of())  # another thread's, while the decision is being written

    house.store.apply = slow  # type: ignore[method-assign,assignment]
    _, answer = house.call(refund(50))
    assert (await answer).meta["executed"] is False
    assert house.world.tool.dispatched == []
    assert house.world.only_call().state is CallState.FAILED_BEFORE_SEND


async def test_who_is_not_stopped_goes_on(house: House) -> None:
    await house.switch.order(StopScope.AGENT, "other", **BY)
    _, answer = house.call(refund(50))
    assert (await answer).kind is AnswerKind.RESULT


async def test_p01_with_the_store_down_it_stops_all_the_same_and_is_recorded_later(house: House) -> None:
    house.store.is_down = True
    standing = await house.switch.order(StopScope.ALL, "*", **BY)
    assert (standing.is_recorded, standing.is_kept) == (False, True)
    assert house.world.stopped.over("demo", "payments") is not None
    await house.switch.settle()
    assert house.kinds() == []
    house.store.is_down = False
    await house.switch.settle()
    assert house.kinds() == [EntryKind.STOP_ORDERED]
    await house.switch.settle()
    assert house.kinds() == [EntryKind.STOP_ORDERED]
    assert house.switch.standing()[0].is_recorded


async def test_p01_with_the_disk_full_it_stops_all_the_same_and_is_kept_later(house: House) -> None:
    write = house.files.write

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    house.files.write = full  # type: ignore[method-assign]
    house.files.note = full  # type: ignore[method-assign]
    standing = await house.switch.order(StopScope.ALL, "*", **BY)
    assert (standing.is_recorded, standing.is_kept) == (True, False)
    house.files.write = write  # type: ignore[method-assign]
    await house.switch.settle()
    assert house.switch.standing()[0].is_kept


@pytest.mark.parametrize("lost", ["nothing", "file", "store"])
async def test_p01_a_stop_holds_after_a_restart_whichever_of_its_two_places_is_left(house: House, lost: str) -> None:
    await house.switch.order(StopScope.AGENT, "demo", **BY)
    if lost == "file":
        house.files.remove(["stop_1.json"])
    if lost == "store":
        house.store.stops.clear()
    await house.restart()
    assert house.world.stopped.over("demo", "payments") is not None
    assert [(one.is_kept, one.is_recorded) for one in house.switch.standing()] == [(True, True)]
    _, answer = house.call(refund(50))
    assert (await answer).kind is AnswerKind.STOPPED
    assert house.world.tool.dispatched == []


async def test_a_stop_that_was_written_while_the_gate_was_away_reaches_what_waits(house: House) -> None:
    waiting, answer = house.call(refund(250))
    await waiting.was_parked.wait()
    waiting.left.set()
    await answer
    await house.switch.close()
    house.files.write(stop_of(ordered_by="local:root", login="local", id="stop_9"))
    await house.restart()
    assert house.world.review_of(house.world.only_call()).state is ReviewState.STOPPED
    assert EntryKind.STOP_ORDERED in house.kinds()


async def test_a_file_that_comes_meanwhile_is_taken_from_the_watchers_thread(house: House) -> None:
    waiting, answer = house.call(refund(250))
    await waiting.was_parked.wait()
    house.files.write(stop_of(StopScope.AGENT, "demo", id="stop_9"))
    assert (await answer).kind is AnswerKind.STOPPED
    while not house.switch.standing()[0].is_recorded:
        await asyncio.sleep(0)
    assert house.codes == []


async def test_whoever_shows_what_is_stopped_is_told_whichever_way_a_stop_comes_and_when_it_goes(house: House) -> None:
    shown: list[list[str]] = []
    come = asyncio.Event()

    def look() -> None:
        shown.append([one.stop.id for one in house.switch.standing()])
        come.set()

    house.switch.listen(look)
    house.files.write(stop_of(StopScope.SERVER, "payments", id="stop_file"))
    async with asyncio.timeout(10):
        await come.wait()
    assert shown[0] == ["stop_file"]
    await house.switch.lift("stop_file", **BY)
    assert shown[-1] == []


async def test_lifting_is_recorded_first_and_then_calls_go_again(house: House) -> None:
    first = await house.switch.order(StopScope.AGENT, "demo", **BY)
    second = await house.switch.order(StopScope.SERVER, "payments", **BY)
    lifted = await house.switch.lift(first.stop.id, by="reviewer:root", login="cli", why="mended")
    assert lifted is not None
    assert (lifted.lifted_by, lifted.lifted_why) == ("reviewer:root", "mended")
    assert house.world.stopped.over("demo", "payments") == second.stop
    await house.switch.lift(second.stop.id, by="reviewer:root", login="cli", why="mended")
    assert house.kinds()[-2:] == [EntryKind.STOP_LIFTED] * 2
    assert house.files.read_all() == []
    _, answer = house.call(refund(50))
    assert (await answer).kind is AnswerKind.RESULT
    assert await house.switch.lift(first.stop.id, by="reviewer:root", login="cli", why="again") is None
    await house.restart()
    assert house.switch.standing() == []


async def test_p01_what_cannot_be_recorded_as_lifted_goes_on_standing(house: House) -> None:
    standing = await house.switch.order(StopScope.ALL, "*", **BY)
    house.store.is_down = True
    with pytest.raises(StoreDown):
        await house.switch.lift(standing.stop.id, by="reviewer:root", login="cli", why="mended")
    assert house.world.stopped.over("demo", "payments") is not None


async def test_a_stop_that_was_never_recorded_is_recorded_before_it_is_lifted(house: House) -> None:
    house.store.is_down = True
    standing = await house.switch.order(StopScope.ALL, "*", **BY)
    house.store.is_down = False
    await house.switch.lift(standing.stop.id, by="reviewer:root", login="cli", why="mended")
    assert house.kinds() == [EntryKind.STOP_ORDERED, EntryKind.STOP_LIFTED]


async def test_a_file_left_behind_by_a_stop_that_was_lifted_stops_nothing(house: House) -> None:
    standing = await house.switch.order(StopScope.ALL, "*", **BY)
    remove = house.files.remove

    def fails(_names: Sequence[str]) -> None:
        raise OSError(5, "Input/output error")

    house.files.remove = fails  # type: ignore[method-assign]
    await house.switch.lift(standing.stop.id, by="reviewer:root", login="cli", why="mended")
    house.files.remove = remove  # type: ignore[method-assign]
    await house.restart()
    assert house.switch.standing() == []
    assert house.files.read_all() == []


async def test_the_names_that_can_be_stopped_are_those_configured(house: House) -> None:
    assert house.switch.names(StopScope.SERVER) == ["payments"]
    assert house.switch.names(StopScope.ALL) == ()
