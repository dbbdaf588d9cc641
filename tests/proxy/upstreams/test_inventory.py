"""Which tools there are, and which of them a person has yet to look at (SEMANTICS §1.17)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from audit.entry import EntryDraft, EntryKind
from proxy.store.base import PinnedTool
from proxy.upstreams.definitions import digest, pinned_form
from proxy.upstreams.inventory import AcceptRefused, Inventory, InventoryLimits, InventoryUnavailable
from review.ports import StoreDown
from tests.blackbox.servers.lenient import TOOLS, LenientTools
from tests.proxy.upstreams.fake import FakeToolServer, breaks

ECHO, PAY = (pinned_form(tool) for tool in TOOLS)
NEW = {"name": "wipe", "description": "Wipes", "inputSchema": {"type": "object"}}


class KeptPins:
    """The store, as far as pins go, in memory."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], PinnedTool] = {}
        self.entries: list[EntryDraft] = []
        self.is_down = False

    async def pins(self, server: str) -> Sequence[PinnedTool]:
        if self.is_down:
            raise StoreDown("the disk is full")
        return [pin for (name, _), pin in self.kept.items() if name == server]

    async def put_pins(self, pins: Sequence[PinnedTool], entries: Sequence[EntryDraft]) -> None:
        if self.is_down:
            raise StoreDown("the disk is full")
        self.kept |= {(pin.server, pin.tool): pin for pin in pins}
        self.entries += entries

    def kinds(self) -> list[EntryKind]:
        return [entry.kind for entry in self.entries]


class World:
    """A server, a store and a clock; `restarted()` is the same after a restart of the gate."""

    def __init__(self, store: KeptPins | None = None, **limits: Any) -> None:
        self.server = FakeToolServer("pay", tools=LenientTools())
        self.store, self.now, self.limits = store or KeptPins(), 1_000.0, limits
        self.ignored: dict[str, frozenset[str]] = {}
        self.inventory = self._inventory()

    def _inventory(self) -> Inventory:
        clock = lambda: self.now  # noqa: E731 - it moves
        return Inventory(
            {"pay": self.server},
            self.store,
            clock=clock,
            monotonic=clock,
            limits=InventoryLimits(**self.limits),
            ignored=self.ignored,
        )

    def restart(self) -> None:
        self.inventory = self._inventory()

    @property
    def listings(self) -> int:
        return self.server.methods().count("tools/list")

    async def drifted(self) -> dict[str, bool]:
        found = {tool["name"]: await self.inventory.definition("pay", tool["name"]) for tool in self.server.tools.tools}
        return {name: definition.drifted for name, definition in found.items() if definition is not None}

    def change(self, **changes: Any) -> None:
        """The server changes its second tool and says so."""
        self.server.tools.tools[1] = self.server.tools.tools[1] | changes
        self.inventory.changed("pay")


async def test_a_server_is_listed_before_the_first_call_and_not_for_every_call() -> None:
    world = World()
    definition = await world.inventory.definition("pay", "pay")
    assert definition is not None
    assert (definition.name, definition.digest, definition.drifted) == ("pay", digest(PAY), False)
    for _ in range(10):
        await world.inventory.definition("pay", "echo")
    assert world.listings == 1


async def test_parallel_first_calls_list_once() -> None:
    world = World()
    await asyncio.gather(*(world.inventory.definition("pay", "pay") for _ in range(20)))
    assert world.listings == 1


async def test_the_first_inventory_is_trusted_pinned_and_recorded() -> None:
    world = World()
    assert await world.drifted() == {"echo": False, "pay": False}
    assert world.store.entries == [
        EntryDraft(
            EntryKind.INVENTORY_PINNED,
            1_000.0,
            "gate",
            body={
                "server": "pay",
                "tools": {
                    "echo": {"digest": digest(ECHO), "accepted": digest(ECHO)},
                    "pay": {"digest": digest(PAY), "accepted": digest(PAY)},
                },
            },
        )
    ]
    assert world.inventory.drifts() == ()


async def test_a_changed_tool_drifts_until_a_person_has_accepted_what_was_seen() -> None:
    world = World()
    await world.drifted()
    world.change(description="Pays twice")
    assert await world.drifted() == {"echo": False, "pay": True}
    assert world.store.kinds() == [EntryKind.INVENTORY_PINNED, EntryKind.INVENTORY_DRIFTED]
    (drift,) = world.inventory.drifts()
    assert (drift.accepted_definition, drift.definition) == (PAY, PAY | {"description": "Pays twice"})
    assert (drift.accepted_digest, drift.accepted_by) == (digest(PAY), "first_use")
    await world.inventory.accept("pay", "pay", drift.digest, "maria")
    assert await world.drifted() == {"echo": False, "pay": False}
    assert (world.store.entries[-1].kind, world.store.entries[-1].actor) == (
        EntryKind.INVENTORY_ACCEPTED,
        "reviewer:maria",
    )


async def test_a_part_the_operator_ignores_may_change_unseen_the_others_not() -> None:
    world = World()
    world.ignored = {"pay": frozenset({"description", "name"})}
    world.restart()
    await world.drifted()
    world.change(description="Pays, and how!")
    assert await world.drifted() == {"echo": False, "pay": False}
    world.change(inputSchema={"type": "object"})
    assert await world.drifted() == {"echo": False, "pay": True}
    world.server.tools.tools[0] = world.server.tools.tools[0] | {"name": "echo2"}
    await world.inventory.refresh("pay")
    assert (await world.drifted())["echo2"] is True


async def test_a_new_tool_drifts_until_accepted() -> None:
    world = World()
    await world.drifted()
    world.server.tools.tools.append(NEW)
    world.inventory.changed("pay")
    assert await world.drifted() == {"echo": False, "pay": False, "wipe": True}
    seen = world.inventory.seen("pay", "wipe")
    assert seen is not None
    assert (seen.accepted_definition, seen.accepted_digest) == (None, None)
    await world.inventory.accept("pay", "wipe", seen.digest, "maria")
    assert (await world.drifted())["wipe"] is False


async def test_drift_survives_a_restart_and_is_recorded_once() -> None:
    world = World()
    await world.drifted()
    world.change(description="Pays twice")
    await world.drifted()
    world.restart()
    assert await world.drifted() == {"echo": False, "pay": True}
    assert world.store.kinds() == [EntryKind.INVENTORY_PINNED, EntryKind.INVENTORY_DRIFTED]


async def test_a_tool_added_while_the_gate_was_down_drifts() -> None:
    world = World()
    await world.drifted()
    world.restart()
    world.server.tools.tools.append(NEW)
    assert (await world.drifted())["wipe"] is True


async def test_a_server_that_first_listed_nothing_has_had_its_first_inventory() -> None:
    world = World()
    world.server.tools.tools.clear()
    await world.inventory.refresh("pay")
    world.server.tools.tools.append(NEW)
    world.restart()
    assert await world.drifted() == {"wipe": True}


async def test_a_tool_that_changes_back_is_as_accepted() -> None:
    world = World()
    await world.drifted()
    world.change(description="Pays twice")
    await world.drifted()
    world.change(description="Pays an amount")
    assert await world.drifted() == {"echo": False, "pay": False}


async def test_a_tool_that_went_and_came_back_otherwise_drifts() -> None:
    world = World()
    await world.drifted()
    gone = world.server.tools.tools.pop()
    await world.inventory.refresh("pay")
    assert await world.inventory.definition("pay", "pay") is None
    world.server.tools.tools.append(gone | {"description": "Pays elsewhere"})
    await world.inventory.refresh("pay")
    assert (await world.drifted())["pay"] is True


async def test_accepting_what_has_changed_since_is_refused() -> None:
    world = World()
    await world.drifted()
    world.change(description="Pays twice")
    await world.drifted()
    (shown,) = world.inventory.drifts()
    world.change(description="Pays three times")
    await world.drifted()
    with pytest.raises(AcceptRefused, match="pay/pay has changed since it was shown"):
        await world.inventory.accept("pay", "pay", shown.digest, "maria")
    assert (await world.drifted())["pay"] is True


@pytest.mark.parametrize(("server", "tool"), [("pay", "no such"), ("nobody", "pay"), ("pay", "")])
async def test_accepting_what_is_not_listed_is_refused(server: str, tool: str) -> None:
    world = World()
    await world.drifted()
    with pytest.raises(AcceptRefused):
        await world.inventory.accept(server, tool, "", "maria")


async def test_accepting_writes_the_entry_and_time_it_is_given() -> None:
    world = World()
    await world.drifted()
    world.change(description="Pays twice")
    await world.drifted()
    entry = EntryDraft(EntryKind.INVENTORY_ACCEPTED, 5.0, "reviewer:maria", body={"comment": "looked at it"})
    await world.inventory.accept("pay", "pay", world.inventory.drifts()[0].digest, "maria", at=5.0, entry=entry)
    assert world.store.entries[-1] == entry
    assert world.store.kept["pay", "pay"].accepted_at == 5.0


async def test_an_acceptance_that_cannot_be_written_changes_nothing() -> None:
    world = World()
    await world.drifted()
    world.change(description="Pays twice")
    await world.drifted()
    world.store.is_down = True
    with pytest.raises(StoreDown):
        await world.inventory.accept("pay", "pay", world.inventory.drifts()[0].digest, "maria")
    assert (await world.drifted())["pay"] is True


@pytest.mark.parametrize(("age_sec", "listings"), [(3_599, 1), (3_600, 2)])
async def test_a_listing_is_used_until_it_is_too_old(age_sec: float, listings: int) -> None:
    world = World()
    await world.inventory.definition("pay", "pay")
    world.now += age_sec
    await world.inventory.definition("pay", "pay")
    assert world.listings == listings


async def test_p01_an_old_listing_is_never_used_when_a_new_one_fails() -> None:
    world = World()
    await world.inventory.definition("pay", "pay")
    world.server.before = breaks("no connection", sent=False)
    assert await world.inventory.definition("pay", "pay") is not None
    world.now += 3_600
    for _ in range(2):
        with pytest.raises(InventoryUnavailable, match="the tools of pay could not be listed: no connection"):
            await world.inventory.definition("pay", "pay")
    world.server.before = lambda _message: None
    assert await world.inventory.definition("pay", "pay") is not None


async def test_p01_what_was_said_to_have_changed_is_not_used_unseen() -> None:
    world = World()
    await world.inventory.definition("pay", "pay")
    world.server.before = breaks()
    world.inventory.changed("pay")
    with pytest.raises(InventoryUnavailable):
        await world.inventory.definition("pay", "pay")


async def test_a_change_said_while_listing_is_looked_at_again() -> None:
    world = World()

    def changes_meanwhile(message: dict[str, Any]) -> None:
        if message["method"] == "tools/list":
            world.inventory.changed("pay")
            world.server.before = lambda _message: None

    world.server.before = changes_meanwhile
    await world.inventory.definition("pay", "pay")
    await world.inventory.definition("pay", "pay")
    assert world.listings == 2


async def test_p01_a_listing_that_cannot_be_pinned_is_not_used() -> None:
    world = World()
    world.store.is_down = True
    with pytest.raises(InventoryUnavailable, match="the disk is full"):
        await world.inventory.definition("pay", "pay")
    assert world.inventory.names() == {}


async def test_a_listing_with_a_tool_twice_is_refused() -> None:
    world = World()
    world.server.tools.tools.append(dict(TOOLS[1]))
    with pytest.raises(InventoryUnavailable, match="two tools named 'pay'"):
        await world.inventory.definition("pay", "pay")


@pytest.mark.parametrize(("age_sec", "listings"), [(29, 1), (30, 2)])
async def test_an_unknown_tool_is_worth_a_new_listing_only_now_and_then(age_sec: float, listings: int) -> None:
    world = World()
    await world.inventory.definition("pay", "pay")
    world.server.tools.tools.append(NEW)
    world.now += age_sec
    found = await world.inventory.definition("pay", "wipe")
    assert (world.listings, found is not None) == (listings, listings == 2)
    if found is not None:
        assert found.drifted


async def test_names_are_those_of_servers_listed_so_far() -> None:
    world = World()
    assert world.inventory.names() == {}
    await world.inventory.refresh("pay")
    assert world.inventory.names() == {"pay": frozenset({"echo", "pay"})}


async def test_a_server_nobody_configured_is_unavailable() -> None:
    world = World()
    world.inventory.changed("nobody")
    for ask in (world.inventory.definition("nobody", "x"), world.inventory.refresh("nobody")):
        with pytest.raises(InventoryUnavailable, match="no server named 'nobody'"):
            await ask
    assert world.inventory.seen("nobody", "x") is None


async def test_a_listing_an_agent_was_given_that_differs_from_ours_makes_ours_out_of_date() -> None:
    world = World()
    await world.inventory.definition("pay", "pay")
    ours = [dict(one) for one in world.server.tools.tools]
    world.inventory.overheard("pay", ours)
    world.inventory.overheard("nobody", ours)
    await world.inventory.definition("pay", "pay")
    assert world.listings == 1
    for listing in ([{**ours[0], "description": "something else"}], [NEW], ["no tool"]):
        before = world.listings
        world.inventory.overheard("pay", listing)
        await world.inventory.definition("pay", "pay")
        assert world.listings == before + 1
