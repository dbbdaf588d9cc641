from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from audit.entry import EntryKind
from review.doubts import Found, found_of
from review.model import CallState
from review.ports import ToolSeen
from review.refusals import Conflict, NotAllowed, NotFound, RefusalCode, Unacceptable
from tests.review.builders import World, person, refund

DRIFTED = ToolSeen("payments", "refund.create", "sha256:new", {"name": "refund.create"}, "sha256:old", {"name": "x"})


def _in_doubt(world: World) -> None:
    world.records.calls["c-1"] = refund(state=CallState.IN_DOUBT)


async def test_p05_a_person_resolves_a_call_in_doubt_with_a_note(world: World) -> None:
    _in_doubt(world)
    await world.inbox.resolve("c-1", person("anna"), Found.HAPPENED, "refund 77 is in the ledger", version=1)
    assert (world.call.state, world.call.resolution) == (CallState.RESOLVED, "happened: refund 77 is in the ledger")
    (entry,) = world.records.entries
    assert (entry.kind, entry.actor, entry.body["found"]) == (EntryKind.CALL_RESOLVED, "reviewer:anna", "happened")
    assert world.bell.calls == ["c-1"]


@pytest.mark.parametrize("found", Found)
async def test_what_was_found_is_read_back_as_it_was_said_whatever_the_note(world: World, found: Found) -> None:
    _in_doubt(world)
    await world.inbox.resolve("c-1", person("anna"), found, "happened: or so I was told", version=1)
    assert found_of(world.call) is found


def test_where_nobody_said_what_was_found_it_is_not_known() -> None:
    assert found_of(refund(resolution=None)) is found_of(refund(resolution="odd: x")) is Found.UNKNOWN


async def test_resolving_needs_a_note_the_present_version_and_a_role(world: World) -> None:
    _in_doubt(world)
    with pytest.raises(Unacceptable):
        await world.inbox.resolve("c-1", person("anna"), Found.UNKNOWN, "", version=1)
    with pytest.raises(Conflict):
        await world.inbox.resolve("c-1", person("anna"), Found.UNKNOWN, "x", version=2)
    with pytest.raises(NotAllowed):
        await world.inbox.resolve("c-1", person("aud"), Found.UNKNOWN, "x", version=1)
    assert world.call.state is CallState.IN_DOUBT


async def test_a_call_not_in_doubt_is_not_resolved(world: World) -> None:
    world.records.calls["c-1"] = refund()
    with pytest.raises(Conflict, match="is waiting, not in doubt"):
        await world.inbox.resolve("c-1", person("anna"), Found.UNKNOWN, "x", version=1)
    with pytest.raises(NotFound):
        await world.inbox.resolve("c-2", person("anna"), Found.UNKNOWN, "x", version=1)


async def test_a_changed_definition_is_accepted_by_its_digest(world: World) -> None:
    world.records.tools["payments", "refund.create"] = DRIFTED
    await world.inbox.accept_definition("payments", "refund.create", person("sam"), digest="sha256:new", comment="ok")
    assert not world.records.tools["payments", "refund.create"].has_drifted
    (entry,) = world.records.entries
    assert (entry.kind, entry.body["digest"], entry.body["digest_before"]) == (
        EntryKind.INVENTORY_ACCEPTED,
        "sha256:new",
        "sha256:old",
    )
    with pytest.raises(Unacceptable, match="accepted already"):
        await world.inbox.accept_definition("payments", "refund.create", person("sam"), digest="sha256:new")


async def test_a_definition_that_changed_again_is_not_accepted(world: World) -> None:
    world.records.tools["payments", "refund.create"] = DRIFTED
    with pytest.raises(Conflict) as refused:
        await world.inbox.accept_definition("payments", "refund.create", person("sam"), digest="sha256:old")
    assert refused.value.code is RefusalCode.CHANGED


async def test_definitions_are_accepted_by_security_and_admins_only(world: World) -> None:
    world.records.tools["payments", "refund.create"] = DRIFTED
    with pytest.raises(NotAllowed):
        await world.inbox.accept_definition("payments", "refund.create", person("anna"), digest="sha256:new")
    with pytest.raises(NotFound):
        await world.inbox.accept_definition("payments", "other", person("sam"), digest="sha256:new")


async def test_a_definition_that_changes_while_it_is_accepted_is_not(world: World) -> None:
    world.records.tools["payments", "refund.create"] = DRIFTED

    async def change() -> None:
        world.records.tools["payments", "refund.create"] = replace(DRIFTED, digest="sha256:newer")

    results = await asyncio.gather(
        world.inbox.accept_definition("payments", "refund.create", person("sam"), digest="sha256:new"),
        change(),
        return_exceptions=True,
    )
    assert isinstance(results[0], Conflict)
    assert world.records.entries == []
