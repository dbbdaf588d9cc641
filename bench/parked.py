"""What parked calls cost: memory, the inbox's answer time, how soon an approval wakes its agent, and a restart.

    python -m bench.parked [--calls 1000,10000] [--json FILE]

Rules of this module:
* Every parked call is a client's connection of its own, of one of ten agents, held open by the gate, as in production.
  The gate is `interlock serve` with its limits raised to fit and nothing else changed.
* Waking is measured from sending the approval to the agent having its answer: dispatch, inspection and record included,
  the undo window (5 s unless a rule states another) left out.
* A restart is SIGKILL and a new start on the same folder; then all are still waiting, and a repeated call goes on.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import http.client
import json
import os
import random
import resource
import signal
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from bench.load import Client, Target, TurnedAway, Unanswered
from bench.overhead import module
from bench.processes import family, free_port, memory_bytes, said, started
from proxy.reviewer_client import ReviewerClient

PASSWORD = "a long enough password"
NAME = "admin"
PARK_SEC_MAX = 900
INBOX_READS = 40
WAKES = 100
FILES_SPARE = 500
OPENING_AT_ONCE = 64
AGENTS = 10  # one agent may have 2,000 sessions
KEYS = [f"ilk_{number}{'p' * 42}" for number in range(AGENTS)]
POLICY = """
version: v1
rules:
  - {id: ask, match: {tools: ["fast/lookup"]}, decision: require_approval, reason: A person decides,
     approval: {timeout_sec: 86400, undo_sec: 0}}
  - {id: rest, match: {tools: ["fast/*"]}, decision: allow, reason: Looking}
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. Memory in MB of the gate's processes; times in milliseconds, start in seconds."""

    parked: int
    memory_mb: float
    kb_per_call: float
    inbox_p50_ms: float
    inbox_p95_ms: float
    wake_p50_ms: float
    wake_p99_ms: float
    restart_sec: float
    survived: int
    executed_twice: int


class Gate:
    """A gate over one folder; it can be killed and started again on its ports."""

    def __init__(self, folder: Path, upstream: str, calls: int) -> None:
        self.folder = folder
        self.ports = (free_port(), free_port())
        (folder / "policy.yaml").write_text(POLICY)
        parking = {"hold_sec": PARK_SEC_MAX * 2, "open_reviews_per_agent_max": calls + 10}
        config = {
            "version": "v1",
            "data_dir": "data",
            "keys_dir": "keys",
            "agents_listener": {"port": self.ports[0]},
            "reviewers_listener": {"port": self.ports[1]},
            "policies": ["policy.yaml"],
            "agents": {
                f"agent-{number}": {"key_sha256": hashlib.sha256(key.encode()).hexdigest()}
                for number, key in enumerate(KEYS)
            },
            "parking": parking,
            "limits": {"connections_max": calls + FILES_SPARE},
            "servers": {"fast": {"url": upstream}},
        }
        (folder / "interlock.yaml").write_text(json.dumps(config))
        self.reviewer = ReviewerClient(f"http://127.0.0.1:{self.ports[1]}")

    def target(self, number: int) -> Target:
        """Where the agent of call `number` calls."""
        headers = {"authorization": f"Bearer {KEYS[number % AGENTS]}"}
        return Target(f"http://127.0.0.1:{self.ports[0]}/mcp/fast", headers)

    @contextmanager
    def running(self) -> Iterator[int]:
        """Its process id; the first time, the reviewer logs in with the link that it prints."""
        log = self.folder / "gate.log"
        command = [sys.executable, "-m", "interlock", "serve", "--config", str(self.folder / "interlock.yaml")]
        with started(command, log=log) as child:
            said(child, log, r"Reviewers: \S+")
            if not self.reviewer.token:
                link = said(child, log, r"First login .*/login/link/(\S+)")[1]
                self.reviewer.use_link(link, PASSWORD)
            yield child.pid

    def waiting(self) -> int:
        """Questions that wait for people, read in the store from outside."""
        query = "SELECT count(*) FROM reviews WHERE state = 'parked'"
        with closing(sqlite3.connect(f"file:{self.folder}/data/interlock.db?mode=ro", uri=True)) as store:
            return int(store.execute(query).fetchone()[0])

    def reviews(self) -> list[str]:
        with closing(sqlite3.connect(f"file:{self.folder}/data/interlock.db?mode=ro", uri=True)) as store:
            return [str(row[0]) for row in store.execute("SELECT id FROM reviews WHERE state = 'parked'")]


class Waiting:
    """The agents: each a client with one call that is held."""

    def __init__(self, target: Callable[[int], Target]) -> None:
        self._target = target
        self.answered: dict[int, float] = {}
        self.failures: list[str] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._clients: list[Client] = []

    async def park(self, calls: int) -> None:
        """Open a connection for each call and send it."""
        gate = asyncio.Semaphore(OPENING_AT_ONCE)
        for number in range(1, calls + 1):
            client = Client(self._target(number), answer_sec_max=PARK_SEC_MAX * 2)
            self._clients.append(client)
            self._tasks.append(asyncio.get_running_loop().create_task(self._call(client, number, gate)))

    async def _call(self, client: Client, number: int, gate: asyncio.Semaphore) -> None:
        try:
            async with gate:
                await client.open()
            wrong = await client.call(number)
        except (Unanswered, TurnedAway, OSError) as problem:
            wrong = repr(problem)
        self.answered[number] = time.perf_counter()
        if wrong is not None:
            self.failures.append(wrong)

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for client in self._clients:
            client.close()


async def until(is_so: Callable[[], bool], what: str) -> None:
    """Poll for something that happens in another process. Raises: TimeoutError."""
    deadline = time.monotonic() + PARK_SEC_MAX
    while not is_so():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        await asyncio.sleep(0.05)


async def measure(calls: int, folder: Path, upstream: str) -> Row:
    gate = Gate(folder, upstream, calls)
    agents = Waiting(gate.target)
    with gate.running() as pid:
        before = memory_bytes(pid)
        await agents.park(calls)
        await until(lambda: gate.waiting() >= calls or bool(agents.failures), "not all calls were parked")
        if agents.failures:
            raise RuntimeError(f"a call was not parked: {agents.failures[0]}")
        memory = memory_bytes(pid)
        inbox = await asyncio.to_thread(inbox_ms, gate.ports[1])
        wakes = await wake(gate, agents, min(WAKES, calls // 2))
        left = gate.waiting()
        for one in family(pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(one, signal.SIGKILL)
    await agents.end()
    began = time.perf_counter()
    with gate.running():
        restart_sec = time.perf_counter() - began
        survived = gate.waiting()
        twice = await goes_on(gate)
    if survived != left:
        raise RuntimeError(f"{left} calls waited when the gate was killed, {survived} after it")
    return Row(
        calls,
        round(memory / 1e6, 1),
        round((memory - before) / calls / 1e3, 1),
        round(_share(inbox, 0.5), 1),
        round(_share(inbox, 0.95), 1),
        round(_share(wakes, 0.5), 1),
        round(_share(wakes, 0.99), 1),
        round(restart_sec, 2),
        survived,
        twice,
    )


def inbox_ms(port: int) -> list[float]:
    """How long the console's first page takes, whole, for a reviewer who is logged in."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    own = {"Origin": f"http://127.0.0.1:{port}", "Content-Type": "application/x-www-form-urlencoded"}
    connection.request("POST", "/login", urlencode({"name": NAME, "password": PASSWORD, "next": "/"}), own)
    response = connection.getresponse()
    response.read()
    cookie = (response.getheader("set-cookie") or "").split(";")[0]
    times = []
    for _ in range(INBOX_READS):
        began = time.perf_counter()
        connection.request("GET", "/", headers={"Cookie": cookie})
        response = connection.getresponse()
        body = response.read()
        times.append((time.perf_counter() - began) * 1000)
        if response.status != 200 or b"lookup" not in body:
            raise RuntimeError(f"the inbox answered {response.status}: {body[:200]!r}")
    connection.close()
    return times


async def wake(gate: Gate, agents: Waiting, count: int) -> list[float]:
    """Approve some of them, one after the other; how long each agent's answer takes from then, in milliseconds."""
    chosen = random.Random(3).sample(gate.reviews(), count)
    times = []
    for review in chosen:
        shown = await asyncio.to_thread(gate.reviewer.show, review)
        number = shown["call"]["proposed"]["arguments"]["id"]
        began = time.perf_counter()
        await asyncio.to_thread(gate.reviewer.act, "approve", shown, comment="measured")
        await until(lambda number=number: number in agents.answered, "an approved call was not answered")  # type: ignore[misc]
        times.append((agents.answered[number] - began) * 1000)
    return times


async def goes_on(gate: Gate) -> int:
    """After a restart one call is repeated and approved: it is answered. Returns how many were executed twice."""
    shown = await asyncio.to_thread(gate.reviewer.show, gate.reviews()[0])
    number = shown["call"]["proposed"]["arguments"]["id"]
    client = Client(gate.target(number))
    await client.open()
    repeated = asyncio.ensure_future(client.call(number))
    await until(
        lambda: gate.reviewer.show(shown["review"]["id"])["agent_waiting_since"] is not None, "it did not re-attach"
    )
    shown = await asyncio.to_thread(gate.reviewer.show, shown["review"]["id"])
    await asyncio.to_thread(gate.reviewer.act, "approve", shown, comment="measured")
    wrong = await repeated
    client.close()
    if wrong is not None:
        raise RuntimeError(f"the repeated call was not answered: {wrong}")
    return executed_twice(gate.folder / "data" / "interlock.db")


def executed_twice(store: Path) -> int:
    """Calls with more than one spent grant in the record."""
    counts: dict[str, int] = {}
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as record:
        for (data,) in record.execute("SELECT data FROM entries WHERE instr(data, 'grant_spent')"):
            entry = json.loads(data)  # noqa: TID251 - our own record, read from outside
            counts[entry["call_id"]] = counts.get(entry["call_id"], 0) + (entry["kind"] == "grant_spent")
    return sum(count > 1 for count in counts.values())


def _share(times: list[float], share: float) -> float:
    ordered = sorted(times)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--calls", default="1000,10000", help="how many are parked, with commas between")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    sizes = [int(size) for size in options.calls.split(",")]
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if max(sizes) + FILES_SPARE > most:
        parser.error(f"{max(sizes)} connections need a hard limit of open files above {most} (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    names = [name.replace("_", " ") for name in Row.__dataclass_fields__]
    print("| " + " | ".join(names) + " |\n|" + "---|" * len(names))
    rows: list[dict[str, Any]] = []
    for size in sizes:
        with tempfile.TemporaryDirectory(prefix="interlock-parked-") as temporary:
            folder = Path(temporary)
            with module("bench.fast_upstream", folder) as upstream:
                row = asyncio.run(measure(size, folder, upstream.target.url))
        print("| " + " | ".join(str(value) for value in asdict(row).values()) + " |", flush=True)
        rows.append(asdict(row))
    if options.json:
        options.json.write_text(json.dumps({"parked": rows}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
