from __future__ import annotations

import pytest

from proxy.doors.admission import BODIES, FULL, SHARE, Admission, Busy
from proxy.doors.pace import WORKING_MIN


def _admission(working: int = 4, in_flight: int = 8, bodies: int = 100) -> Admission:
    return Admission(working_max=working, in_flight_max=in_flight, bodies_bytes_max=bodies, monotonic=lambda: 0.0)


def test_p14_past_its_share_an_agent_is_turned_away_and_others_are_not() -> None:
    admission = _admission(working=4)
    for _ in range(3):
        admission.enter("ada")
    with pytest.raises(Busy, match=SHARE):
        admission.enter("ada")
    admission.enter("bob")
    assert admission.is_full
    with pytest.raises(Busy, match=FULL):
        admission.enter("cleo")
    counts = admission.counts
    assert (counts.admitted, counts.refused_share, counts.refused_full, counts.refused) == (4, 1, 1, 2)


def test_p14_who_waits_for_a_tool_keeps_nobody_from_being_worked_on_but_stays_in_flight() -> None:
    admission = _admission(working=2, in_flight=4)
    for _ in range(3):
        admission.enter("ada").step_aside()
    assert (admission.working.taken, admission.in_flight.taken) == (0, 3)
    with pytest.raises(Busy, match=SHARE):
        admission.enter("ada")
    admission.enter("bob")


def test_who_comes_back_from_a_tool_is_worked_on_whatever_the_counts_say() -> None:
    admission = _admission(working=1)
    first = admission.enter("ada")
    first.step_aside()
    admission.enter("bob")
    first.work()
    assert admission.working.taken == 2
    assert admission.is_full


def test_p14_who_has_waited_for_a_body_asks_again() -> None:
    admission = _admission(working=1)
    first = admission.enter("ada")
    first.step_aside()
    second = admission.enter("bob")
    with pytest.raises(Busy):
        first.ask_again()
    second.leave()
    first.ask_again()
    assert admission.working.taken == 1


def test_who_is_held_is_in_no_count_and_comes_back_into_both() -> None:
    admission = _admission()
    place = admission.enter("ada")
    place.grow(60)
    place.hold()
    assert (admission.working.taken, admission.in_flight.taken, admission.bodies.taken) == (0, 0, 0)
    place.step_aside()
    assert (admission.working.taken, admission.in_flight.taken) == (0, 1)
    place.work()
    assert (admission.working.taken, admission.in_flight.taken) == (1, 1)


def test_a_place_is_given_back_once_and_never_counted_again() -> None:
    admission = _admission()
    place = admission.enter("ada")
    place.grow(7)
    for _ in range(2):
        place.leave()
    place.hold()
    place.step_aside()
    place.work()
    assert (admission.working.taken, admission.in_flight.taken, admission.bodies.taken) == (0, 0, 0)


@pytest.mark.parametrize(("size", "fits"), [(99, True), (100, True), (101, False)])
def test_p14_bytes_of_bodies_are_bounded(size: int, fits: bool) -> None:
    place = _admission(bodies=100).enter("ada")
    if fits:
        place.grow(size)
        return
    with pytest.raises(Busy, match=BODIES):
        place.grow(size)


def test_p14_no_agent_has_all_the_bytes() -> None:
    admission = _admission(working=20, in_flight=20, bodies=100)
    for _ in range(3):
        admission.enter("ada").grow(25)
    with pytest.raises(Busy, match=BODIES):
        admission.enter("ada").grow(25)
    admission.enter("bob").grow(25)
    assert admission.counts.refused_bodies == 1


def test_p14_the_time_a_request_waits_for_others_is_not_its_own() -> None:
    now = 0.0
    admission = Admission(working_max=8, in_flight_max=9, bodies_bytes_max=1, monotonic=lambda: now)
    place = admission.enter("ada")
    now += 0.05
    place.step_aside()
    now += 1_000
    place.work()
    now += 0.04
    place.leave()
    for _ in range(9):
        slow = admission.enter("ada")
        now += 0.2
        slow.leave()
    assert admission.working.most == 8
    admission = Admission(working_max=40, in_flight_max=40, bodies_bytes_max=1, monotonic=lambda: now)
    for _ in range(9):
        slow = admission.enter("ada")
        now += 0.2
        slow.leave()
    assert admission.working.most == WORKING_MIN
