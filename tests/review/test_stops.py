"""Who may stop and who may lift, and that nobody stops a name that nothing has."""

from __future__ import annotations

import pytest

from review.model import Stop, StopScope, fits
from review.refusals import NotAllowed, NotFound, RefusalCode, Unacceptable
from review.stops import check_target
from tests.review.builders import World, person
from tests.review.memory_switch import NAMES, MemorySwitch


@pytest.fixture
def house() -> World:
    return World(switch=MemorySwitch())


@pytest.mark.parametrize(
    ("pattern", "name", "is_met"),
    [
        ("demo", "demo", True),
        ("demo", "demo2", False),
        ("support-*", "support-bot", True),
        ("*", "anything", True),
        ("*@corp", "a@corp", True),
        ("a[b]", "a[b]", True),
        ("a[b]*", "ab", False),
        ("a?*", "abc", False),
        ("a?*", "a?c", True),
    ],
)
def test_only_a_star_stands_for_other_text(pattern: str, name: str, is_met: bool) -> None:
    assert fits(pattern, name) is is_met


def test_a_stop_covers_what_it_names() -> None:
    agent = Stop("s", StopScope.AGENT, "support-*", "local:root", "", 0.0)
    server = Stop("s", StopScope.SERVER, "payments", "local:root", "", 0.0)
    everything = Stop("s", StopScope.ALL, "*", "local:root", "", 0.0)
    found = [stop.covers("support-bot", "files") for stop in (agent, server, everything)]
    assert found == [True, False, True]
    assert [stop.covers("demo", "payments") for stop in (agent, server, everything)] == [False, True, True]
    assert [stop.says for stop in (agent, server, everything)] == ["agent support-*", "server payments", "everything"]


def test_an_unknown_name_is_refused_with_the_nearest_one() -> None:
    assert check_target(StopScope.AGENT, "*-bot", NAMES[StopScope.AGENT]) == "*-bot"
    assert check_target(StopScope.ALL, "", ()) == "*"
    with pytest.raises(Unacceptable, match=r"No server is named 'payment'; the nearest is 'payments'. Nothing"):
        check_target(StopScope.SERVER, "payment", NAMES[StopScope.SERVER])
    with pytest.raises(Unacceptable, match="none is configured"):
        check_target(StopScope.SERVER, "payments", ())
    for target in ("", "x" * 201):
        with pytest.raises(Unacceptable, match="Name the agent"):
            check_target(StopScope.AGENT, target, NAMES[StopScope.AGENT])


async def test_p11_everybody_who_may_act_may_stop_and_is_named(house: World) -> None:
    standing = await house.inbox.stop(StopScope.AGENT, "support-*", person("anna", "cli"), " it leaks ")
    assert (standing.stop.ordered_by, standing.stop.why, standing.stop.login) == ("reviewer:anna", "it leaks", "cli")
    assert [one.stop.id for one in house.inbox.stops()] == [standing.stop.id]


@pytest.mark.parametrize("name", ["anna", "sam"])
async def test_only_an_admin_lifts_a_stop_and_says_why(house: World, name: str) -> None:
    standing = await house.inbox.stop(StopScope.ALL, "", person(name))
    with pytest.raises(NotAllowed) as refused:
        await house.inbox.lift_stop(standing.stop.id, person(name), "it is over")
    assert refused.value.code is RefusalCode.ROLE
    with pytest.raises(Unacceptable, match="Say why"):
        await house.inbox.lift_stop(standing.stop.id, person("root"), " ")
    lifted = await house.inbox.lift_stop(standing.stop.id, person("root"), "it is over")
    assert (lifted.lifted_by, lifted.lifted_why) == ("reviewer:root", "it is over")
    assert house.inbox.stops() == []
    with pytest.raises(NotFound):
        await house.inbox.lift_stop(standing.stop.id, person("root"), "again")


async def test_who_only_reads_stops_nothing(house: World) -> None:
    with pytest.raises(NotAllowed):
        await house.inbox.stop(StopScope.ALL, "", person("aud"))
    assert house.inbox.stops() == []


async def test_without_a_switch_there_is_nothing_to_throw() -> None:
    world = World()
    assert world.inbox.stops() == ()
    assert world.inbox.stoppable(StopScope.AGENT) == ()
    with pytest.raises(NotFound):
        await world.inbox.stop(StopScope.ALL, "", person("anna"))
