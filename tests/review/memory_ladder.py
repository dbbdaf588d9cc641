"""The port of agents' autonomy in memory: one agent in two domains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from review.ports import Progress


class MemoryLadder:
    """`review.ports.Ladder` in memory."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str]] = []
        self.rows = {
            domain: Progress("demo", domain, 1, "assisted", 3, 5.0, 12, 50, 14, 2, review)
            for domain, review in (("crm", None), ("mail", "rev_1"))
        }

    def progress(self) -> Sequence[Progress]:
        return list(self.rows.values())

    def is_known(self, agent: str) -> bool:
        return agent == "demo"

    async def put(self, agent: str, domain: str, level: int, *, by: str, why: str) -> Progress:
        self.said.append((by, why))
        self.rows[domain] = replace(self.rows[domain], level=level)
        return self.rows[domain]

    async def incident(self, agent: str, domain: str | None, *, by: str, why: str) -> Sequence[Progress]:
        return [await self.put(agent, one, 0, by=by, why=why) for one in self.rows if domain in (None, one)]
