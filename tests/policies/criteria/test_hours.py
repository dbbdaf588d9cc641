"""`hours:` spans of the day, over midnight, on days, in a time zone."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests.policies.match_builders import answer, is_yes, mistakes


def at(text: str) -> datetime:
    """A time in the week of Monday 2026-11-16, UTC: `wed 12:00`."""
    day, clock = text.split()
    hour, minute = clock.split(":")
    number = 16 + ["mon", "tue", "wed", "thu", "fri", "sat", "sun"].index(day)
    return datetime(2026, 11, number, int(hour), int(minute), tzinfo=UTC)


OFFICE = 'hours: {from: "09:00", to: "17:00", days: [mon, tue, wed, thu, fri]}'
NIGHT = 'hours: {from: "22:00", to: "06:00", days: [fri]}'


@pytest.mark.parametrize(
    ("text", "time", "inside"),
    [
        (OFFICE, "wed 09:00", True),
        (OFFICE, "wed 16:59", True),
        (OFFICE, "wed 17:00", False),
        (OFFICE, "sat 12:00", False),
        (NIGHT, "fri 22:00", True),
        (NIGHT, "sat 05:59", True),
        (NIGHT, "sat 06:00", False),
        (NIGHT, "fri 05:00", False),
        ('hours: {from: "22:00", to: "06:00"}', "mon 03:00", True),
        ('hours: {from: "00:00", to: "24:00", days: [sun]}', "sun 23:59", True),
        ('hours: [{from: "01:00", to: "02:00"}, {from: "03:00", to: "04:00"}]', "mon 03:30", True),
        ('hours: {from: "09:00", to: "10:00", zone: Asia/Tokyo}', "wed 00:30", True),
        ('hours: {from: "09:00", to: "10:00", zone: Asia/Tokyo}', "wed 09:30", False),
    ],
)
def test_a_time_is_inside_or_not(text: str, time: str, inside: bool) -> None:
    assert is_yes(text, at=at(time)) is inside
    assert answer(text, at=at(time)).why == ("" if inside else "not in these hours")


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ('hours: {from: "09:00"}', "f.yaml:1:8: hours needs 'to'"),
        ('hours: {to: "09:00"}', "f.yaml:1:8: hours needs 'from'"),
        ('hours: {from: "9:00", to: "17:00"}', "f.yaml:1:15: from must be a time of day such as \"09:30\", not '9:00'"),
        ('hours: {from: "24:00", to: "17:00"}', "from must be a time of day"),
        ('hours: {from: 9, to: "17:00"}', "from must be text, not a number"),
        ('hours: {from: "09:00", to: "09:00"}', "hours begin and end at the same minute"),
        (
            'hours: {from: "09:00", to: "10:00", days: [monday]}',
            "item 1 of days cannot be 'monday' (did you mean 'mon'?)",
        ),
        ('hours: {from: "09:00", to: "10:00", days: []}', "days must be a list with at least one item"),
        ('hours: {from: "09:00", to: "10:00", zone: Nowhere/At_All}', "this machine knows no time zone"),
        ('hours: {from: "09:00", to: "10:00", zone: ../etc/passwd}', "this machine knows no time zone"),
        ('hours: {from: "09:00", to: "10:00", zone: 1}', "zone must be text"),
        ('hours: {from: "09:00", to: "10:00", until: x}', "unknown key 'until' in hours"),
        ("hours: []", "hours must be a list with at least one item"),
        ("hours: [9]", "hours must be a map of keys, not a number"),
    ],
)
def test_what_is_not_hours_is_refused(text: str, mistake: str) -> None:
    assert mistake in mistakes(text)[0]
