"""`hours:` when a call is made: `{from: "09:00", to: "17:00", days: [mon, tue], zone: Europe/London}`, or several.

`from` belongs to the span, `to` does not; a span may pass midnight, and then belongs to the day it began on. Without
`days` every day, without `zone` UTC.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from policies.criteria.base import YES, Answer, Scope, Truth, View
from policies.reading import Node

KEY = "hours"
SPAN_KEYS = ("from", "to", "days", "zone")
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_CLOCK = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])\Z")


@dataclass(frozen=True, slots=True)
class Span:
    """From one minute of the day to another, on the days on which it begins (0 is Monday)."""

    begin: int
    end: int
    days: frozenset[int]
    zone: tzinfo

    def covers(self, at: datetime) -> bool:
        local = at.astimezone(self.zone)
        minute, day = local.hour * 60 + local.minute, local.weekday()
        if self.begin < self.end:
            return day in self.days and self.begin <= minute < self.end
        return (day in self.days and minute >= self.begin) or ((day - 1) % 7 in self.days and minute < self.end)


@dataclass(frozen=True, slots=True)
class Hours:
    spans: tuple[Span, ...]

    def answer(self, view: View, *, allowing: bool) -> Answer:
        del allowing
        return YES if any(span.covers(view.at) for span in self.spans) else Answer(Truth.NO, "not in these hours")


def read(node: Node, scope: Scope) -> Hours | None:
    del scope
    items = [node] if isinstance(node.value, dict) else node.items(node.name)
    spans = [_span(item) for item in items or ()]
    good = tuple(span for span in spans if span is not None)
    return Hours(good) if good else None


def _span(node: Node) -> Span | None:
    children = node.mapping(SPAN_KEYS, "hours")
    if children is None:
        return None
    for key in ("from", "to"):
        if key not in children:
            node.mistake(f"hours needs '{key}'", 'for example {from: "09:00", to: "17:00"}')
            return None
    begin, end = _minute(children["from"]), _minute(children["to"])
    days = _days(children["days"]) if "days" in children else frozenset(range(7))
    zone = _zone(children["zone"]) if "zone" in children else ZoneInfo("UTC")
    if begin is None or end is None or days is None or zone is None:
        return None
    if begin == end:
        node.mistake("hours begin and end at the same minute")
        return None
    return Span(begin, end, days, zone)


def _minute(node: Node) -> int | None:
    text = node.text()
    if text is None:
        return None
    if text == "24:00" and node.name == "to":
        return 24 * 60
    clock = _CLOCK.match(text)
    if clock is None:
        node.mistake(f"{node.name} must be a time of day such as \"09:30\", not '{text[:20]}'")
        return None
    return int(clock.group(1)) * 60 + int(clock.group(2))


def _days(node: Node) -> frozenset[int] | None:
    items = node.items(node.name)
    words = [item.word(DAYS) for item in items or ()]
    good = frozenset(DAYS.index(word) for word in words if word is not None)
    return good or None


def _zone(node: Node) -> tzinfo | None:
    text = node.text(chars_max=64)
    if text is None:
        return None
    try:
        return ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        node.mistake(f"this machine knows no time zone '{text}'", "for example Europe/London or UTC")
        return None
