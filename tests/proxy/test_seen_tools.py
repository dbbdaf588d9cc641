"""The reviewers' view of the inventory: now beside accepted, and accepted only as shown."""

from __future__ import annotations

from typing import Any

import pytest

from audit.entry import EntryDraft, EntryKind
from proxy.seen_tools import SeenTools
from proxy.upstreams.inventory import AcceptRefused, Drift, InventoryUnavailable
from review.ports import ChangeLost
from tests.proxy.builders import T0

DRIFT = Drift("payments", "refund", "d2", {"name": "refund", "v": 2}, {"name": "refund", "v": 1}, "d1", "maria", T0)
ENTRY = EntryDraft(EntryKind.INVENTORY_ACCEPTED, T0, "reviewer:maria")


class OneTool:
    """An inventory of one tool, as `proxy/upstreams/inventory.py` answers."""

    def __init__(self) -> None:
        self.is_reachable = True
        self.accepted: list[tuple[Any, ...]] = []

    async def definition(self, server: str, tool: str) -> None:
        if not self.is_reachable:
            raise InventoryUnavailable("down")

    def seen(self, server: str, tool: str) -> Drift | None:
        return DRIFT if (server, tool) == ("payments", "refund") else None

    def drifts(self) -> tuple[Drift, ...]:
        return (DRIFT,) * 3

    async def accept(self, server: str, tool: str, digest: str, by: str, *, at: float, entry: EntryDraft) -> None:
        if digest != DRIFT.digest:
            raise AcceptRefused("changed again")
        self.accepted.append((server, tool, digest, by, at, entry))


def view(inventory: OneTool) -> SeenTools:
    return SeenTools(inventory)  # type: ignore[arg-type]  # the functions it uses


async def test_a_tool_is_shown_as_it_is_now_beside_what_was_accepted() -> None:
    seen = await view(OneTool()).tool("payments", "refund")
    assert seen is not None
    assert (seen.digest, seen.accepted_digest, seen.accepted_by) == ("d2", "d1", "maria")
    assert seen.accepted_definition == {"name": "refund", "v": 1}
    assert seen.has_drifted


async def test_a_tool_nobody_lists_or_that_cannot_be_listed_is_not_shown() -> None:
    inventory = OneTool()
    assert await view(inventory).tool("payments", "other") is None
    inventory.is_reachable = False
    assert await view(inventory).tool("payments", "refund") is None


async def test_p14_drifted_tools_are_listed_up_to_a_limit() -> None:
    assert len(await view(OneTool()).drifted(limit=2)) == 2


async def test_accepting_takes_exactly_what_was_shown() -> None:
    inventory = OneTool()
    await view(inventory).accept("payments", "refund", digest="d2", by="maria", at=T0, entry=ENTRY)
    assert inventory.accepted == [("payments", "refund", "d2", "maria", T0, ENTRY)]
    with pytest.raises(ChangeLost):
        await view(inventory).accept("payments", "refund", digest="d1", by="maria", at=T0, entry=ENTRY)
