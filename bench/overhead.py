"""What the gate costs an allowed call: direct and through the gate, in one run, over a fast upstream.

    python -m bench.overhead [--calls 3000] [--json FILE]

Rules of this module:
* The gate runs as users run it: `interlock serve`, policy with a condition, durable record, inspection of a varied 1 KB
  result. Nothing is switched off for the bench.
* CPU is user and system time of the gate and all its children, from /proc, per call. Two cores: compare ratios.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from bench import load

CONNECTIONS = (1, 16, 64)
POLICY = """
version: v1
facts:
  amount: {path: $.args.amount, tools: ["fast/lookup"], min: 0}
classify:
  - {tools: ["fast/*"], topics: [job.order.read], risk_tags: [read], reversible: true}
rules:
  - {id: large, match: {topics: ["job.order.*"]}, condition: "amount > 100", decision: require_approval, reason: Large}
  - {id: reads, match: {topics: [job.order.read]}, condition: "amount <= 100", decision: allow, reason: Reads pass}
"""


@dataclass(frozen=True, slots=True)
class Leg:
    """One line of the table. CPU in microseconds per call; latencies in milliseconds."""

    way: str
    connections: int
    calls_per_sec: float
    p50_ms: float
    p99_ms: float
    cpu_us_per_call: float
    failures: int


@contextmanager
def process(*command: str, says: str) -> Iterator[tuple[subprocess.Popen[str], re.Match[str]]]:
    """A child whose output says where it is; ended by its own process id."""
    child = subprocess.Popen(  # our own command line
        [sys.executable, "-m", *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        assert child.stdout is not None
        seen = []
        for line in child.stdout:
            seen.append(line)
            if found := re.search(says, line):
                yield child, found
                return
        raise RuntimeError("".join(seen))
    finally:
        child.terminate()
        child.wait(20)


def cpu_sec(pid: int) -> float:
    """User and system seconds of a process and all below it, living ones and those it has waited for."""
    ticks = 0
    for one in [pid, *_below(pid)]:
        fields = Path(f"/proc/{one}/stat").read_text().rsplit(")", 1)[1].split()
        ticks += sum(int(field) for field in fields[11:15])
    return ticks / os.sysconf("SC_CLK_TCK")


def _below(pid: int) -> Iterator[int]:
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield int(child)
            yield from _below(int(child))


def measure(way: str, port: int, path: str, pid: int, connections: int, calls: int, start_id: int) -> Leg:
    """One leg, after a short warm-up."""
    asyncio.run(
        load.run("127.0.0.1", port, path, connections=connections, calls=calls // 5, headers={}, start_id=start_id)
    )
    before = cpu_sec(pid)
    measured = asyncio.run(
        load.run("127.0.0.1", port, path, connections=connections, calls=calls, headers={}, start_id=start_id + calls)
    )
    used = cpu_sec(pid) - before
    return Leg(
        way,
        connections,
        round(measured.calls / measured.seconds, 1),
        round(measured.percentile(0.5), 3),
        round(measured.percentile(0.99), 3),
        round(used / measured.calls * 1e6, 1),
        measured.failures,
    )


def configuration(folder: Path, upstream_port: int) -> Path:
    (folder / "policy.yaml").write_text(POLICY)
    file = folder / "interlock.yaml"
    file.write_text(
        json.dumps(
            {
                "data_dir": "data",
                "keys_dir": "keys",
                "agents_listener": {"port": 0},
                "reviewers_listener": {"port": 0},
                "policies": ["policy.yaml"],
                "anonymous": {"enabled": True},
                "servers": {"fast": {"url": f"http://127.0.0.1:{upstream_port}/mcp"}},
            }
        )
    )
    return file


def run(calls: int) -> list[Leg]:
    legs = []
    with (
        tempfile.TemporaryDirectory(prefix="interlock-bench-") as folder,
        process("bench.fast_upstream", says=r"ready (\d+)") as (upstream, ready),
    ):
        upstream_port = int(ready[1])
        config = configuration(Path(folder), upstream_port)
        with process("interlock", "serve", "--config", str(config), says=r"http://[\d.]+:(\d+)/mcp/fast") as (gate, at):
            for number, connections in enumerate(CONNECTIONS):
                first = 1 + number * calls * 4
                legs.append(measure("direct", upstream_port, "/mcp", upstream.pid, connections, calls, first))
                legs.append(measure("gate", int(at[1]), "/mcp/fast", gate.pid, connections, calls, first + 2 * calls))
    return legs


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--calls", type=int, default=3000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    legs = run(options.calls)
    print("| way | connections | calls/s | p50 ms | p99 ms | CPU µs/call | failures |")
    print("|---|---|---|---|---|---|---|")
    for leg in legs:
        print("| " + " | ".join(str(value) for value in asdict(leg).values()) + " |")
    if options.json:
        options.json.write_text(json.dumps([asdict(leg) for leg in legs], indent=2))
    return 1 if any(leg.failures for leg in legs) else 0


if __name__ == "__main__":
    sys.exit(main())
