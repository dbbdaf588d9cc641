"""The memory of calls that an identical one may have to answer to."""

from __future__ import annotations

from proxy.recent import Recent


def test_ids_come_newest_first_and_go_when_dropped() -> None:
    recent = Recent()
    recent.load([("k", "a"), ("k", "b"), ("other", "c")])
    assert recent.ids("k") == ("b", "a")
    recent.drop("b")
    assert recent.ids("k") == ("a",)
    recent.drop("a")
    recent.drop("a")
    assert recent.ids("k") == ()
    assert recent.ids("other") == ("c",)


def test_adding_twice_is_adding_once() -> None:
    recent = Recent()
    recent.add("k", "a")
    recent.add("k", "a")
    assert recent.ids("k") == ("a",)


def test_p14_past_its_cap_it_says_that_it_is_no_longer_complete() -> None:
    recent = Recent(keys_max=2)
    recent.add("k1", "a")
    recent.add("k2", "b")
    assert recent.is_complete
    recent.add("k3", "c")
    assert not recent.is_complete
