"""What an allowed call costs behind the door: the runner with a real store and real inspectors, and stage by stage.

    python -m bench.stages [--calls 2000] [--rounds 3]

Rules of this module:
* Nothing is switched off: policy with a condition, durable record, inspection of a varied 1 KB result. Only the doors
  and the upstream are left out: the exchange answers by itself.
* CPU is read per thread from /proc (user and system time): of the loop, of the store's writer, of the inspectors. The
  least of several rounds is printed, because other work on the machine only ever adds.
* A stage's own figure is the least of many turns in a tight loop: warmer than in life, good for comparing two trees.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from audit.canonical import canonical
from audit.masks import commit
from bench.fast_upstream import TOOL, varied_text
from bench.overhead import POLICY
from policies.decide import decide
from policies.loader import PolicyLoader
from policies.model import Agent, OutputRules, ToolCall, ToolDefinition
from policies.output import rules_for
from proxy.config import Inspection as InspectionSettings
from proxy.config import Parking as ParkingConfig
from proxy.exchange import Client, Dispatched
from proxy.gate_rows import GateRows
from proxy.ids import Ids
from proxy.inspector_frames import Job, rules_frame
from proxy.inspector_worker import WorkerSettings, inspector
from proxy.inspectors import InspectorPool
from proxy.judging import Judging
from proxy.keys import Keys
from proxy.parking import Parking
from proxy.repeats import asked_once, repeat_key
from proxy.runner import Runner
from proxy.stopped import Stopped
from proxy.store.sqlite import SqliteStore
from proxy.telling import Teller
from proxy.upstreams.base import Sent
from proxy.wire.http_server import run as run_loop

CONNECTIONS = (1, 16, 64)
TURNS = 300
NOW = time.time  # noqa: TID251 - not the product


class Turn:
    """One agent request, answered by itself."""

    def __init__(self, call: ToolCall, response: dict[str, Any]) -> None:
        self.call, self.client, self.ticket = call, Client("bench", "1", revision="2025-11-25"), None
        self.left = asyncio.Event()
        self._response = response

    async def dispatch(self, call: ToolCall, sent: Sent) -> Dispatched:
        del call
        sent.happened = True
        await asyncio.sleep(0)
        return Dispatched(self._response)

    def parked(self, call_id: str, message: str) -> None:
        raise AssertionError(f"{call_id} was parked: {message}")


class Parts:
    """The gate as `proxy/app.py` builds it, without listeners and upstreams."""

    def __init__(self, folder: Path) -> None:
        (folder / "policy.yaml").write_text(POLICY)
        self.snapshot = PolicyLoader(["policy.yaml"], folder).load()
        (folder / "data").mkdir()
        self.keys = Keys.load_or_create(folder / "keys", data_dir=folder / "data")
        self.store = SqliteStore(folder / "data" / "bench.db", self.keys, clock=NOW, node="bench")
        self.inspectors = InspectorPool(InspectionSettings())
        self.lookup = ToolDefinition("lookup", "sha256:0", TOOL["inputSchema"])
        self.rng = random.Random(7)
        self.numbers = itertools.count(1)
        key_of = asked_once(self.repeat_key)
        self.rows = GateRows(
            teller=Teller(self.keys.commit), ids=Ids(), ticket_key=self.keys.ticket, repeat_key_of=key_of
        )
        parking = ParkingConfig()
        self.runner = Runner(
            records=self.store,
            judging=Judging(snapshot=lambda: self.snapshot, definitions=self, clock=NOW, validates={}, groups={}),
            inspectors=self.inspectors,
            parking=Parking(parking, clock=NOW),
            stopped=Stopped(),
            rows=self.rows,
            config=parking,
            clock=NOW,
            ticket_key=self.keys.ticket,
            repeat_key_of=key_of,
            ids=Ids().call,
        )

    async def definition(self, server: str, tool: str) -> ToolDefinition | None:
        raise AssertionError(f"{server}/{tool}: nothing here is judged a second time")

    def repeat_key(self, call: ToolCall) -> str:
        return repeat_key(self.keys.repeat, call, canonical, call.arguments)

    def call(self) -> ToolCall:
        number = next(self.numbers)
        arguments = {"id": number, "amount": 12.5}
        return ToolCall("fast", "lookup", arguments, Agent("anonymous"), definition=self.lookup)

    def response(self) -> dict[str, Any]:
        content = [{"type": "text", "text": varied_text(1000, self.rng)}]
        return {"jsonrpc": "2.0", "id": next(self.numbers), "result": {"content": content}}


# ---- all of it --------------------------------------------------------------------------------------------------


async def live(parts: Parts, connections: int, calls: int, rounds: int) -> dict[str, float]:
    """CPU in microseconds per call, by who used it; the least of the rounds."""
    best: dict[str, float] = {}
    for _ in range(rounds + 1):  # the first warms
        turns = [Turn(parts.call(), parts.response()) for _ in range(calls)]
        shares = [turns[number::connections] for number in range(connections)]
        before = cpu_us(parts)
        await asyncio.gather(*(_agent(parts.runner, share) for share in shares))
        after = cpu_us(parts)
        used = {name: (after[name] - before[name]) / calls for name in after}
        if not best or sum(used.values()) < sum(best.values()):
            best = used
    return best


async def _agent(runner: Runner, turns: list[Turn]) -> None:
    for turn in turns:
        told = await runner.call(turn)
        if told.response is None:
            raise AssertionError(f"not answered: {told}")
        runner.delivered(told)


def cpu_us(parts: Parts) -> dict[str, float]:
    loop = time.thread_time_ns()
    everything = time.process_time_ns()
    workers = sum(_schedstat_ns(process) for process in parts.inspectors.worker_ids)
    return {"loop": loop / 1e3, "store": (everything - loop) / 1e3, "inspector": workers / 1e3}


def _schedstat_ns(process: int) -> int:
    return int(Path(f"/proc/{process}/schedstat").read_text().split()[0])


# ---- stage by stage -----------------------------------------------------------------------------------------------


def stages(parts: Parts) -> Iterator[tuple[str, float]]:
    """The least time of each stage in a tight loop, in µs; each turn has arguments and a result of its own."""
    at = datetime.fromtimestamp(NOW(), tz=UTC)
    calls = [parts.call() for _ in range(TURNS)]
    responses = [parts.response() for _ in range(TURNS)]
    yield "repeat key", _least(parts.repeat_key, calls)
    yield "decide", _least(lambda call: decide(call, parts.snapshot, at=at), calls)
    yield "output rules", _least(lambda call: rules_for(call, parts.snapshot, at=at), calls)
    yield (
        "commitment to the arguments",
        _least(lambda one: commit(parts.keys.commit, one), [c.arguments for c in calls]),
    )
    yield "commitment to the response", _least(lambda one: commit(parts.keys.commit, one), responses)
    rules = rules_frame(OutputRules())
    yield "job for the inspector", _least(lambda one: Job(rules, "result", b"", one).frame(), responses)
    settings = InspectionSettings()
    work = inspector(
        WorkerSettings(
            settings.entities, settings.score_min, settings.phone_regions, [], settings.output_bytes_max, 5.0
        )
    )
    yield "inspector's work on it", _least(work, [Job(rules, "result", b"", one).frame() for one in responses])


def _least[T](work: Callable[[T], Any], things: list[T]) -> float:
    best = float("inf")
    for _ in range(5):
        began = time.thread_time_ns()
        for thing in things:
            work(thing)
        best = min(best, (time.thread_time_ns() - began) / len(things) / 1e3)
    return best


async def main(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(prefix="interlock-bench-") as folder:
        parts = Parts(Path(folder))
        await parts.store.open()
        await parts.inspectors.start()
        try:
            if not options.only_stages:
                print("| connections | loop | store | inspector | CPU µs per call |\n|---|---|---|---|---|")
                for connections in CONNECTIONS:
                    used = await live(parts, connections, options.calls, options.rounds)
                    cells = (connections, *(round(used[name]) for name in ("loop", "store", "inspector")))
                    print(f"| {' | '.join(map(str, cells))} | {round(sum(used.values()))} |", flush=True)
            if not options.only_live:
                print("\n| stage | µs |\n|---|---|")
                for name, cost in stages(parts):
                    print(f"| {name} | {cost:.1f} |", flush=True)
        finally:
            await parts.inspectors.close()
            await parts.store.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--calls", type=int, default=1_600)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only-live", action="store_true")
    parser.add_argument("--only-stages", action="store_true")
    run_loop(main(parser.parse_args()))
