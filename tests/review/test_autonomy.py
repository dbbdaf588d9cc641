"""Who may set an agent's level or report an incident, and that nobody does it to a name that nothing has."""

from __future__ import annotations

import pytest

from review.refusals import NotAllowed, NotFound, Refusal
from tests.review.builders import World, person
from tests.review.memory_ladder import MemoryLadder


@pytest.fixture
def ladder() -> MemoryLadder:
    return MemoryLadder()


@pytest.fixture
def house(ladder: MemoryLadder) -> World:
    return World(ladder=ladder)


async def test_an_admin_moves_an_agent_by_one_level_or_to_one(house: World, ladder: MemoryLadder) -> None:
    inbox, admin = house.inbox, person("root")
    up = await inbox.move_agent("demo", "crm", admin, " earned elsewhere ", up=True)
    assert (up.level, ladder.said) == (2, [("reviewer:root", "earned elsewhere")])
    assert (await inbox.move_agent("demo", "crm", admin, "x", up=False, level=0)).level == 0
    assert (await inbox.move_agent("demo", "crm", admin, "x", up=True)).level == 1


@pytest.mark.parametrize(
    ("agent", "domain", "why", "level", "up"),
    [
        ("nobody", "crm", "x", None, True),
        ("demo", "hr", "x", None, True),
        ("demo", "crm", " ", None, True),
        ("demo", "crm", "x", 4, True),
        ("demo", "crm", "x", 1, True),
        ("demo", "crm", "x", 2, False),
    ],
)
async def test_what_is_not_there_is_not_moved(
    house: World, ladder: MemoryLadder, agent: str, domain: str, why: str, level: int | None, up: bool
) -> None:
    with pytest.raises(Refusal):
        await house.inbox.move_agent(agent, domain, person("root"), why, up=up, level=level)
    assert ladder.said == []


@pytest.mark.parametrize("name", ["anna", "sam", "aud"])
async def test_p11_only_an_admin_moves_an_agent(house: World, name: str) -> None:
    with pytest.raises(NotAllowed):
        await house.inbox.move_agent("demo", "crm", person(name), "x", up=False)


async def test_everybody_who_may_act_reports_an_incident_in_one_domain_or_in_all(
    house: World, ladder: MemoryLadder
) -> None:
    assert [one.level for one in await house.inbox.report_incident("demo", "mail", person("anna"), "leaked")] == [0]
    assert [one.level for one in await house.inbox.report_incident("demo", None, person("sam"), "leaked")] == [0, 0]
    assert ladder.said[0] == ("reviewer:anna", "leaked")
    for agent, domain, name, why in (
        ("demo", "mail", "aud", "x"),
        ("demo", "mail", "anna", ""),
        ("demo", "hr", "anna", "x"),
        ("nobody", None, "anna", "x"),
    ):
        with pytest.raises(Refusal):
            await house.inbox.report_incident(agent, domain, person(name), why)


async def test_everybody_may_look(house: World) -> None:
    assert [one.domain for one in house.inbox.autonomy()] == ["crm", "mail"]
    assert [one.domain for one in house.inbox.autonomy("demo")] == ["crm", "mail"]
    with pytest.raises(NotFound):
        house.inbox.autonomy("nobody")
    assert World().inbox.autonomy() == ()
    with pytest.raises(NotFound):
        World().inbox.autonomy("demo")
