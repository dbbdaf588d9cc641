"""A process that writes to a store and says on its standard output what was acknowledged, until it is killed.

Run as `python -m tests.faults.store_child write|limit DIRECTORY PREFIX`.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
from pathlib import Path
from typing import Any

import structlog

from review.ports import Change, StoreDown
from tests.proxy.store.builders import answered, approved, decided, opened, spent, sqlite_store

LANES = 8
STAGES = {"opened": opened, "approved": approved, "spent": spent, "answered": answered}


async def write(directory: Path, prefix: str) -> None:
    """Take calls through their life, several at once; each line is written only after `apply` returned."""
    store = sqlite_store(directory)
    await store.open()

    async def lane(number: int) -> None:
        count = 0
        while True:
            count += 1
            call_id = f"{prefix}-{number}-{count:05}"
            for stage, change in STAGES.items():
                await store.apply(change(call_id))
                os.write(1, f"{stage} {call_id}\n".encode())

    await asyncio.gather(*(lane(number) for number in range(LANES)))


async def limit(directory: Path, _prefix: str) -> None:
    """Write until the disk is full (files may not grow any more), then make room and go on."""
    store = sqlite_store(directory)
    await store.open()
    told: dict[str, Any] = {"written": 0, "refused": [], "kept": []}
    log = Path(f"{directory}/data/interlock.db-wal")

    async def one(number: int) -> str | None:
        try:
            await store.apply(decided(f"call_{number:03}", outcome="x" * 3_000))
        except StoreDown as down:
            return str(down)
        return None

    for number in range(10):
        assert await one(number) is None
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (log.stat().st_size + 20_000, hard))
    results = await asyncio.gather(*(one(number) for number in range(10, 60)))
    told["written"] = 10 + results.count(None)
    told["refused"] = sorted({str(result) for result in results if result is not None})
    told["reads_refused"] = await refused(store.call("call_001"))
    # Opening anew finds the little room there is, and that it does not last.
    await refused(store.recover())
    told["again"] = await refused(store.apply(decided("large", outcome="x" * 1_000_000)))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    await store.recover()
    told["kept"] = [f"call_{number:03}" for number in range(60) if await store.call(f"call_{number:03}") is not None]
    told["acknowledged"] = [f"call_{number:03}" for number in range(60) if number < 10 or results[number - 10] is None]
    await store.apply(Change(entries=opened("after").entries))
    told["entries"] = (await store.health()).entries
    await store.close()
    os.write(1, json.dumps(told).encode())


async def refused(asked: Any) -> str | None:
    try:
        await asked
    except StoreDown as down:
        return str(down)
    return None


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run({"write": write, "limit": limit}[sys.argv[1]](Path(sys.argv[2]), sys.argv[3]))
