"""What the gate costs an allowed call, beside what else can stand in front of a tool server, in one run.

    python -m bench.overhead [--seconds 4] [--peers all|none|NAME,…] [--json FILE] [--plot FILE.svg]

Rules of this module:
* The gate runs as users run it: `interlock serve`, policy with a condition, durable record, inspection of a varied
  1 KB result. Nothing is switched off for the bench, and the run proves it: a key in a result is not handed on, and
  the record holds a decision for every call.
* CPU is user and system time of all processes of one way, per call. Compare ratios of one run, not runs of two
  machines; `bare ASGI` is the yardstick between machines (docs/benchmarks.md).
* A way that cannot be run is reported with the reason.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from audit.verify import verify_file
from bench import load
from bench.fast_upstream import SECRET, SECRET_ID
from bench.load import Client, Target
from bench.peers import PEERS, NotCompared, Running
from bench.processes import cpu_sec, free_port, listens, said, started

CONNECTIONS = (1, 16, 64)
WARM_UP = 0.25  # of the seconds of a leg
UPSTREAMS = ("fast", "sdk")
REFERENCE_ASGI_US = {1: 38.0, 16: 19.0, 64: 20.0}  # on the machine for which the budgets were set
BUDGET_US = {1: 600.0, 16: 400.0}
POLICY = """
version: v1
facts:
  amount: {path: $.args.amount, tools: ["*/lookup"], min: 0}
classify:
  - {tools: ["fast/*", "sdk/*"], topics: [job.order.read], risk_tags: [read], reversible: true}
rules:
  - {id: large, match: {topics: ["job.order.*"]}, condition: "amount > 100", decision: require_approval, reason: Large}
  - {id: reads, match: {topics: [job.order.read]}, condition: "amount <= 100", decision: allow, reason: Reads pass}
"""


@dataclass(frozen=True, slots=True)
class Leg:
    """One line of the table. CPU in microseconds per call; latencies in milliseconds."""

    upstream: str
    way: str
    clients: int
    calls_per_sec: float
    p50_ms: float
    p99_ms: float
    cpu_us_per_call: float
    turned_away: int
    failures: int


@dataclass(slots=True)
class Report:
    """What one run found."""

    legs: list[Leg] = field(default_factory=list)
    not_compared: dict[str, str] = field(default_factory=dict)
    gate_calls: int = 0
    is_inspected: bool = False
    is_durable: bool = False

    def leg(self, way: str, clients: int, upstream: str = "fast") -> Leg | None:
        return next(
            (leg for leg in self.legs if (leg.way, leg.clients, leg.upstream) == (way, clients, upstream)), None
        )

    def added_p50_ms(self, way: str, clients: int = 1, upstream: str = "fast") -> float | None:
        """What a way adds to the median of calling the same tool server directly in the same run."""
        direct, through = self.leg("direct", clients, upstream), self.leg(way, clients, upstream)
        return None if direct is None or through is None else round(through.p50_ms - direct.p50_ms, 3)

    def slowness(self, clients: int) -> float | None:
        """How many times slower than the budgets' machine this one is, by the bare application."""
        bare = self.leg("bare ASGI", clients)
        return None if bare is None else bare.cpu_us_per_call / REFERENCE_ASGI_US[clients]


class Bench:
    """One run: its processes, and the numbers of calls already used, so that no two calls are the same."""

    def __init__(self, seconds: float, report: Report) -> None:
        self.seconds = seconds
        self.report = report
        self._next = SECRET_ID + 1

    def measure(self, upstream: str, way: str, running: Running) -> None:
        """The legs of one way. Raises: NotCompared when it answers no call properly."""
        for clients in CONNECTIONS:
            self._load(running.target, clients, self.seconds * WARM_UP)
            before = cpu_sec(running.pid)
            measured = self._load(running.target, clients, self.seconds)
            used = cpu_sec(running.pid) - before
            if not measured.calls or measured.failures == measured.calls:
                raise NotCompared(f"no call was answered properly with {clients} clients: {measured.first_failure}")
            self.report.legs.append(
                Leg(
                    upstream,
                    way,
                    clients,
                    round(measured.calls / measured.seconds, 1),
                    round(measured.percentile(0.5), 3),
                    round(measured.percentile(0.99), 3),
                    round(used / measured.calls * 1e6, 1),
                    measured.turned_away,
                    measured.failures,
                )
            )
            print_leg(self.report.legs[-1])
            if way == "gate":
                self.report.gate_calls += measured.calls

    def _load(self, target: Target, clients: int, seconds: float) -> load.Measured:
        try:
            measured = asyncio.run(
                load.run(target, connections=clients, calls=1 << 30, seconds_max=seconds, start_id=self._next)
            )
        except (load.Unanswered, OSError) as error:
            raise NotCompared(f"with {clients} clients: {error}") from error
        self._next += measured.calls + measured.turned_away
        if target.url.endswith(("/mcp/fast", "/mcp/sdk")) and seconds < self.seconds:
            self.report.gate_calls += measured.calls
        return measured


@contextmanager
def module(name: str, folder: Path) -> Iterator[Running]:
    """One of this benchmark's own servers."""
    port, log = free_port(), folder / f"{name}.log"
    with started([sys.executable, "-m", name, "--port", str(port)], log=log) as child:
        listens(child, log, port)
        yield Running(child.pid, Target(f"http://127.0.0.1:{port}/mcp"))


@contextmanager
def gate(upstreams: dict[str, str], folder: Path) -> Iterator[tuple[int, dict[str, Target]]]:
    """The gate in front of the tool servers: its process, and where each is called."""
    (folder / "policy.yaml").write_text(POLICY)
    config = {
        "version": "v1",
        "data_dir": "data",
        "keys_dir": "keys",
        "agents_listener": {"port": 0},
        "reviewers_listener": {"port": 0},
        "policies": ["policy.yaml"],
        "anonymous": {"enabled": True},
        "servers": {name: {"url": url} for name, url in upstreams.items()},
    }
    file, log = folder / "interlock.yaml", folder / "gate.log"
    file.write_text(json.dumps(config))
    with started([sys.executable, "-m", "interlock", "serve", "--config", str(file)], log=log) as child:
        base = said(child, log, r"(http://[\d.]+:\d+)/mcp/fast")[1]
        said(child, log, r"Reviewers: ")
        yield child.pid, {name: Target(f"{base}/mcp/{name}") for name in upstreams}


def run(seconds: float, peers: list[str]) -> Report:
    report = Report()
    bench = Bench(seconds, report)
    with ExitStack() as running, tempfile.TemporaryDirectory(prefix="interlock-bench-") as temporary:
        folder = Path(temporary)
        with module("bench.bare_asgi", folder) as bare:
            bench.measure("fast", "bare ASGI", bare)
        tools = {name: running.enter_context(module(f"bench.{name}_upstream", folder)) for name in UPSTREAMS}
        urls = {name: tool.target.url for name, tool in tools.items()}
        for name, tool in tools.items():
            bench.measure(name, "direct", tool)
        with gate(urls, folder) as (pid, targets):
            for name, target in targets.items():
                bench.measure(name, "gate", Running(pid, target))
            report.is_inspected = asyncio.run(keeps_secret(targets["fast"]))
        report.is_durable = holds_decisions(folder / "data" / "interlock.db", report.gate_calls)
        for peer in PEERS:
            if peer.name not in peers:
                report.not_compared[peer.name] = "left out of this run"
                continue
            for name, url in urls.items():
                compare(bench, peer, name, url, folder)
    return report


def compare(bench: Bench, peer: Any, upstream: str, url: str, folder: Path) -> None:
    """One peer in front of one tool server, or why not."""
    own = folder / f"{upstream}-{PEERS.index(peer)}"
    own.mkdir()
    try:
        with peer.run(url, own) as running:
            bench.measure(upstream, peer.name, running)
    except NotCompared as why:
        bench.report.not_compared[f"{peer.name} ({upstream})"] = str(why)


async def keeps_secret(target: Target) -> bool:
    """True if the key in a result does not come through, while the call itself is answered."""
    client = Client(target)
    try:
        await client.open()
        params = {"name": "lookup", "arguments": {"id": SECRET_ID, "amount": 1}}
        _, _, body = await client.post({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
    finally:
        client.close()
    return b'"result"' in body and SECRET.rsplit(" ", 1)[1].encode() not in body


def holds_decisions(store: Path, calls: int) -> bool:
    """True if the record is unbroken and holds a decision to forward for every call of the run and the probe."""
    verify_file(store)
    query = 'SELECT count(*) FROM entries WHERE instr(data, \'"kind":"call_decided"\')'
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as record:
        (decided,) = record.execute(query).fetchone()
    return bool(decided == calls + 1)


def print_leg(leg: Leg) -> None:
    print("| " + " | ".join(str(value) for value in asdict(leg).values()) + " |", flush=True)


def as_json(report: Report) -> dict[str, Any]:
    """The report for programs. Keys are stable: CI and docs/benchmarks.md read them."""
    gate_cpu = {f"c{clients}": leg.cpu_us_per_call for clients in CONNECTIONS if (leg := report.leg("gate", clients))}
    slow = {clients: report.slowness(clients) for clients in CONNECTIONS}
    return {
        "gate": {
            "cpu_us_per_call": gate_cpu,
            "cpu_us_per_call_on_reference": {
                f"c{clients}": round(gate_cpu[f"c{clients}"] / by, 1) for clients, by in slow.items() if by is not None
            },
            "inspected": report.is_inspected,
            "durable": report.is_durable,
        },
        "added_p50_ms": report.added_p50_ms("gate"),
        "machine": {
            "cores": os.cpu_count(),
            "times_slower_than_reference": {f"c{clients}": round(by, 2) for clients, by in slow.items() if by},
        },
        "peers": {peer.name: _peer(report, peer.name) for peer in PEERS},
        "legs": [asdict(leg) for leg in report.legs],
    }


def _peer(report: Report, name: str) -> dict[str, Any]:
    reasons = {key: why for key, why in report.not_compared.items() if key.startswith(name)}
    cpu = {f"c{clients}": leg.cpu_us_per_call for clients in CONNECTIONS if (leg := report.leg(name, clients))}
    if not cpu:
        return {"compared": False, "why": "; ".join(reasons.values())}
    told = {"compared": True, "cpu_us_per_call": cpu, "added_p50_ms": report.added_p50_ms(name)}
    return told | ({"not_compared": reasons} if reasons else {})


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seconds", type=float, default=4.0, help="how long each leg takes")
    parser.add_argument("--peers", default="all", help="all, none, or names with commas between")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path, help="an SVG; needs the dependency group bench")
    options = parser.parse_args()
    known = [peer.name for peer in PEERS]
    peers = {"all": known, "none": []}.get(options.peers, options.peers.split(","))
    if unknown := set(peers) - set(known):
        parser.error(f"no such peer: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    print("| tool server | way | clients | calls/s | p50 ms | p99 ms | CPU µs/call | turned away | failures |")
    print("|---|---|---|---|---|---|---|---|---|")
    report = run(options.seconds, peers)
    told = as_json(report)
    print(f"\nResults inspected: {report.is_inspected}. Every call decided in the record: {report.is_durable}.")
    print(f"Added to the median with one client: {told['added_p50_ms']} ms by the gate")
    for name, peer in told["peers"].items():
        added = f"{peer['added_p50_ms']} ms" if peer["compared"] else f"not compared: {peer['why']}"
        print(f"  {name}: {added}")
    for clients, limit in BUDGET_US.items():
        reference = told["gate"]["cpu_us_per_call_on_reference"].get(f"c{clients}")
        print(f"On the budgets' machine about {reference} µs a call with {clients} clients (budget {limit:g})")
    if options.json:
        options.json.write_text(json.dumps(told, indent=2) + "\n")
    if options.plot:
        from bench.plot import plot

        plot(report.legs, options.plot)
    failed = [leg for leg in report.legs if leg.failures and leg.way in ("direct", "gate", "bare ASGI")]
    return 1 if failed or not (report.is_inspected and report.is_durable) else 0


if __name__ == "__main__":
    sys.exit(main())
