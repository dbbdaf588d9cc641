"""Periods of sampled audit and the lots drawn in them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from audit.entry import EntryDraft
from audit.sampling import commitment, is_chosen, is_nth
from policies.sampling import Chance
from proxy.sampling import PUBLISH_AFTER_SEC, Sampling
from proxy.store.base import SamplingPeriod

KEY = b"k" * 32
DAY = 86_400.0
MORNING = 1_795_000_000.0 // DAY * DAY + 30_000  # some morning, UTC


class Kept:
    """A store that keeps periods, and what was told with them."""

    def __init__(self) -> None:
        self.periods: dict[str, SamplingPeriod] = {}
        self.told: list[EntryDraft] = []

    async def put_sampling_period(self, period: SamplingPeriod, entry: EntryDraft) -> None:
        self.periods[period.name] = period
        self.told.append(entry)

    async def unpublished_periods(self) -> Sequence[SamplingPeriod]:
        return [period for period in self.periods.values() if period.published_at is None]

    @property
    def kinds(self) -> list[tuple[str, str]]:
        return [(entry.kind.value, entry.body["period"]) for entry in self.told]


class Days:
    """Sampling with a clock that is set by hand."""

    def __init__(self, store: Kept, now: float = MORNING) -> None:
        self.now = now
        self.sampling = Sampling(key=KEY, store=store, clock=lambda: self.now)


def name_of(days: float) -> str:
    return datetime.fromtimestamp(MORNING + days * DAY, tz=UTC).date().isoformat()


async def test_a_period_s_commitment_is_told_before_it_is_drawn_in_and_its_key_only_once_it_is_over() -> None:
    kept = Kept()
    days = Days(kept)
    await days.sampling.turn()
    await days.sampling.turn()
    key = days.sampling.key_of(name_of(0))
    assert kept.told[0].body == {"period": name_of(0), "commitment": commitment(key)}
    days.now += DAY
    await days.sampling.turn()
    days.now += PUBLISH_AFTER_SEC - 1
    await days.sampling.turn()
    assert kept.kinds == [("sampling_opened", name_of(0)), ("sampling_opened", name_of(1))]
    days.now += 1
    await days.sampling.turn()
    await days.sampling.turn()
    assert kept.kinds[2:] == [("sampling_published", name_of(0))]
    assert bytes.fromhex(kept.told[2].body["key"]) == key


async def test_after_a_restart_the_same_period_goes_on_and_those_that_ended_meanwhile_are_published() -> None:
    kept = Kept()
    await Days(kept).sampling.turn()
    same_day, later = Days(kept, MORNING + 3_600), Days(kept, MORNING + 5 * DAY)
    await same_day.sampling.turn()
    assert kept.told[0].body == kept.told[1].body
    await later.sampling.turn()
    later.now += PUBLISH_AFTER_SEC
    await later.sampling.turn()
    assert kept.kinds[2:] == [("sampling_opened", name_of(5)), ("sampling_published", name_of(0))]


async def test_a_lot_says_what_is_needed_to_draw_it_again() -> None:
    days = Days(Kept())
    await days.sampling.turn()
    lot = days.sampling.lot(Chance(0.3, ("p#audit",), ("ops",)))
    assert (lot.told, lot.teams) == ({"by": ["p#audit"], "period": name_of(0), "chance_ppm": 300_000}, ("ops",))
    hashes = [hashlib.sha256(b"%d" % number).digest() for number in range(200)]
    key = days.sampling.key_of(name_of(0))
    assert [lot.falls_on(one) for one in hashes] == [is_chosen(key, one, 300_000) for one in hashes]
    assert {lot.falls_on(one) for one in hashes} == {True, False}


async def test_where_every_nth_is_chosen_calls_are_counted() -> None:
    days = Days(Kept())
    await days.sampling.turn()
    lots = [days.sampling.lot(Chance(0.25, ("p#audit",), every=4)) for _ in range(8)]
    assert [lot.told["number"] for lot in lots] == list(range(8))
    key = days.sampling.key_of(name_of(0))
    assert [lot.falls_on(b"") for lot in lots] == [is_nth(key, number, 4) for number in range(8)]
    assert sum(lot.falls_on(b"") for lot in lots) == 2


@pytest.mark.parametrize("chance", [Chance(0.01, ("p#audit",)), Chance(0.01, ("p#audit",), every=100)])
def test_while_no_period_is_open_every_call_with_a_chance_is_a_sample(chance: Chance) -> None:
    lot = Days(Kept()).sampling.lot(chance)
    assert lot.falls_on(b"whatever")
    assert lot.told == {"by": ["p#audit"], "chance_ppm": 1_000_000}
