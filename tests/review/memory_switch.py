"""The kill switch's port in memory: stops that stand and are lifted, and reach nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from review.model import Standing, Stop, StopScope

NAMES = {StopScope.AGENT: ("support-bot", "billing-bot"), StopScope.SERVER: ("payments", "files")}


class MemorySwitch:
    """`review.ports.Switch` in memory."""

    def __init__(self) -> None:
        self.stops: dict[str, Stop] = {}
        self.tell: Callable[[], None] = lambda: None

    def standing(self) -> Sequence[Standing]:
        return [Standing(stop, is_recorded=True, is_kept=True) for stop in self.stops.values()]

    def names(self, scope: StopScope) -> Sequence[str]:
        return NAMES.get(scope, ())

    async def order(self, scope: StopScope, target: str, *, by: str, login: str, why: str) -> Standing:
        stop = Stop(f"stop_{len(self.stops) + 1}", scope, target, by, why, 0.0, login)
        self.stops[stop.id] = stop
        self.tell()
        return Standing(stop, is_recorded=True, is_kept=True)

    async def lift(self, stop_id: str, *, by: str, login: str, why: str) -> Stop | None:
        stop = self.stops.pop(stop_id, None)
        self.tell()
        return None if stop is None else replace(stop, lifted_at=1.0, lifted_by=by, lifted_why=why)
