"""What the gate does at twice the load it can carry: a closed loop finds that load, an open one offers twice as much.

    python -m bench.overload [--seconds 20] [--factor 2] [--json FILE]

Rules of this module:
* The gate runs as users run it: `interlock serve`, policy with a condition, durable record, inspection of a varied 1 KB
  result, every limit at its default.
* Two agents: one floods; the other asks for ten calls a second meanwhile, and shows what is left for others.
* `forwarded_undecided` compares three books: what the tool server saw, what the gate's record decided, and what its
  callers were told. A call that was seen without a decision, seen twice, or seen although its caller was refused,
  counts.
* Ten calls a second go past the gate meanwhile, straight to the tool server: their p99 is what the machine itself adds
  in this run. Where that is high, the machine was busy with other things: read the other latencies beside it.
* Memory is that of the gate and all its children (PSS: what they share is counted once).
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import sqlite3
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import uvloop

from bench import load
from bench.load import Target
from bench.open_load import Answers, OpenLoad, percentile
from bench.overhead import POLICY, module
from bench.processes import cpu_sec, memory_bytes, said, started

KEY = "ilk_" + "b" * 43
POLITE_PER_SEC = 10.0
CLOSED_CONNECTIONS = (2, 4, 8, 16, 32)
ADMITTED_P99_MS_MAX, REFUSED_P99_MS_MAX, MEMORY_MB_MAX = 250, 50, 1024


@dataclass(frozen=True, slots=True)
class Overload:
    """One run. Rates are calls a second, latencies milliseconds, CPU microseconds, memory MiB."""

    carried_per_sec: float
    offered_per_sec: float
    offered: int
    admitted: int
    admitted_p50_ms: float
    admitted_p99_ms: float
    refused: int
    refused_p50_ms: float
    refused_p99_ms: float
    other_agent_offered: int
    other_agent_admitted: int
    other_agent_p99_ms: float
    direct_p99_ms: float
    unsent: int
    failures: int
    forwarded: int
    forwarded_undecided: int
    cpu_us_per_served_call: float
    cpu_us_per_refusal: float
    memory_idle_mb: float
    memory_peak_mb: float

    @property
    def holds(self) -> bool:
        """Whether it is what is promised."""
        return (
            self.admitted_p99_ms < ADMITTED_P99_MS_MAX
            and self.refused_p99_ms < REFUSED_P99_MS_MAX
            and self.memory_peak_mb < MEMORY_MB_MAX
            and not self.forwarded_undecided
            and not self.failures
        )


@contextmanager
def gate(upstream: str, folder: Path) -> Iterator[tuple[int, Target]]:
    """The gate with every limit at its default, and two agents: whoever has no key, and the other."""
    (folder / "policy.yaml").write_text(POLICY)
    config = {
        "data_dir": "data",
        "keys_dir": "keys",
        "agents_listener": {"port": 0},
        "reviewers_listener": {"port": 0},
        "policies": ["policy.yaml"],
        "anonymous": {"enabled": True},
        "agents": {"other": {"key_sha256": hashlib.sha256(KEY.encode()).hexdigest()}},
        "servers": {"fast": {"url": upstream}},
    }
    file, log = folder / "interlock.yaml", folder / "gate.log"
    file.write_text(json.dumps(config))
    with started([sys.executable, "-m", "interlock", "serve", "--config", str(file)], log=log) as child:
        url = said(child, log, r"http://[\d.]+:\d+/mcp/fast")[0]
        said(child, log, r"Reviewers: ")
        yield child.pid, Target(url)


def carried(target: Target, calls: int, first_id: int) -> tuple[float, int]:
    """The most calls a second a closed loop gets through with none refused, and how many were made."""
    best, made = 0.0, 0
    for connections in CLOSED_CONNECTIONS:
        measured = asyncio.run(load.run(target, connections=connections, calls=calls, start_id=first_id + made))
        made += measured.calls
        if measured.failures or measured.turned_away:
            break  # more at once than it lets in
        best = max(best, measured.calls / measured.seconds)
    return best, made


def memory_mb(pid: int) -> float:
    return memory_bytes(pid) / 2**20


async def offer(
    target: Target, upstream: Target, pid: int, per_sec: float, seconds: float, first_id: int
) -> tuple[Answers, Answers, Answers, float]:
    """Both agents at once; the flood's answers, the other's, those past the gate, and the most memory seen."""
    flood, direct = OpenLoad(target, {}), OpenLoad(upstream, {})
    other = OpenLoad(target, {"Authorization": f"Bearer {KEY}"})
    peak_mb = 0.0
    async with asyncio.TaskGroup() as group:
        flooding = group.create_task(flood.run(per_sec=per_sec, seconds=seconds, first_id=first_id))
        for load_beside, ids in ((other, first_id + 10_000_000), (direct, -10_000_000)):
            group.create_task(load_beside.run(per_sec=POLITE_PER_SEC, seconds=seconds, first_id=ids))
        while not flooding.done():
            peak_mb = max(peak_mb, memory_mb(pid))
            await asyncio.wait([flooding], timeout=0.25)
    return flood.answers, other.answers, direct.answers, peak_mb


def undecided(seen: list[int], store: Path, told: tuple[Answers, ...]) -> int:
    """How many calls reached the tool server that should not have."""
    with sqlite3.connect(f"file:{store}?mode=ro", uri=True) as database:
        kinds = 'SELECT CAST(data AS TEXT) LIKE \'%"kind":"call_decided"%\' FROM entries WHERE call_id IS NOT NULL'
        decided = sum(is_one for (is_one,) in database.execute(kinds))
    reached = set(seen)
    refused_but_seen = sum(len(answers.refused & reached) for answers in told)
    return (len(seen) - len(reached)) + max(0, len(reached) - decided) + refused_but_seen


def run(seconds: float, factor: float, calls: int) -> Overload:
    with tempfile.TemporaryDirectory(prefix="interlock-overload-") as temporary:
        folder = Path(temporary)
        with module("bench.counting_upstream", folder) as upstream, gate(upstream.target.url, folder) as (pid, target):
            idle_mb = memory_mb(pid)
            _, warm = carried(target, calls // 4, 1)
            cpu_before = cpu_sec(pid)
            most, made = carried(target, calls, 1 + warm)
            cpu_served = (cpu_sec(pid) - cpu_before) / made
            cpu_before, per_sec = cpu_sec(pid), most * factor
            first_id = 10 * (warm + made)
            flood, other, direct, peak_mb = uvloop.run(offer(target, upstream.target, pid, per_sec, seconds, first_id))
            cpu_used = cpu_sec(pid) - cpu_before
            with urllib.request.urlopen(upstream.target.url.replace("/mcp", "/seen")) as answer:
                seen = [one for one in json.load(answer) if one >= first_id]  # noqa: TID251 - not the product
        wrong = undecided(seen, folder / "data" / "interlock.db", (flood, other))
    served = len(flood.admitted) + len(other.admitted)
    refused = len(flood.refused) + len(other.refused)
    for failure in flood.failures[:3]:
        print(f"failed: {failure}", file=sys.stderr)
    return Overload(
        carried_per_sec=round(most, 1),
        offered_per_sec=round(per_sec + POLITE_PER_SEC, 1),
        offered=flood.offered + other.offered,
        admitted=len(flood.admitted),
        admitted_p50_ms=percentile(flood.admitted_ms, 0.5),
        admitted_p99_ms=percentile(flood.admitted_ms, 0.99),
        refused=refused,
        refused_p50_ms=percentile(flood.refused_ms, 0.5),
        refused_p99_ms=percentile(flood.refused_ms, 0.99),
        other_agent_offered=other.offered,
        other_agent_admitted=len(other.admitted),
        other_agent_p99_ms=percentile(other.admitted_ms, 0.99),
        direct_p99_ms=percentile(direct.admitted_ms, 0.99),
        unsent=flood.unsent + other.unsent,
        failures=len(flood.failures) + len(other.failures),
        forwarded=len(seen),
        forwarded_undecided=wrong,
        cpu_us_per_served_call=round(cpu_served * 1e6, 1),
        cpu_us_per_refusal=round(max(0.0, cpu_used - cpu_served * served) / refused * 1e6, 1) if refused else 0.0,
        memory_idle_mb=round(idle_mb, 1),
        memory_peak_mb=round(peak_mb, 1),
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--factor", type=float, default=2)
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    measured = run(options.seconds, options.factor, options.calls)
    print("| what | measured |\n|---|---|")
    for name, value in asdict(measured).items():
        print(f"| {name} | {value} |")
    if options.json:
        options.json.write_text(json.dumps({"overload": asdict(measured) | {"holds": measured.holds}}, indent=2))
    return 0 if measured.holds else 1


if __name__ == "__main__":
    sys.exit(main())
