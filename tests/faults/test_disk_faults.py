"""A full disk, a file that may not grow, an fsync that fails: calls are refused, nothing is forwarded, then it goes on.

Real gates. Real are: a tmpfs without room (ENOSPC; needs root), a file size limit of the running process (EFBIG, for
which SQLite says "disk I/O error"), and an fsync that the kernel fails (tests/faults/failing_fsync.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from proxy.reviewer_client import Refused
from tests.faults.forked_gate import Launcher
from tests.faults.kill_cycles import House
from tests.faults.ledger import Tally
from tests.faults.switches import Action

TMPFS_BYTES = 24 * 1024 * 1024

type Trouble = Callable[[House], contextlib.AbstractContextManager[None]]


@contextmanager
def no_room(house: House) -> Iterator[None]:
    """Another file takes all that is left."""
    ballast = house.gate.base / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    yield
    ballast.unlink()


@contextmanager
def no_growth(house: House) -> Iterator[None]:
    """The log may grow by a little, once; then no file of the process may."""
    log = Path(f"{house.gate.store}-wal")
    process, kind = house.gate.process_id, resource.RLIMIT_FSIZE
    before = resource.prlimit(process, kind, (log.stat().st_size + 16_384, resource.RLIM_INFINITY))
    yield
    resource.prlimit(process, kind, before)


@contextmanager
def no_fsync(house: House) -> Iterator[None]:
    house.gate.switches.set("commit.begun", Action.NO_FSYNC, lasting=True)
    yield
    house.gate.switches.clear("commit.begun")


@pytest.fixture
def tmpfs(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={TMPFS_BYTES}", "interlock-test", str(folder)]
    mounted = subprocess.run(command, check=False, capture_output=True)
    if mounted.returncode:
        pytest.skip("no tmpfs can be mounted here: that needs root")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@asynccontextmanager
async def opened(launcher: Launcher, base: Path) -> AsyncIterator[House]:
    house = House(launcher, base, Tally(), first_number=0)
    try:
        await house.open()
        yield house
    finally:
        house.close()


async def troubled(house: House, trouble: Trouble) -> None:
    """An approval before it, one tried during it, calls all the while; everything ends well after it."""
    approved, waiting = house.next_call("pay", amount=1), house.next_call("pay", amount=2)
    assert [await house.ask(one) for one in (approved, waiting)] == ["require_approval"] * 2
    reviewer = house.gate.reviewer
    rows = {row["call"]["proposed"]["arguments"]["number"]: row for row in reviewer.client.queue()["waiting"]}
    await reviewer.approve(rows[approved.number])
    first = house.next_call("look")
    assert await house.ask(first) == "ran"
    with trouble(house):
        for _ in range(500):
            refused = house.next_call("look")
            if await house.ask(refused) == "refused":
                break
        executed = house.tally.executed
        more = [house.next_call("look") for _ in range(3)]
        assert [await house.ask(one) for one in (approved, waiting, first, *more)] == ["refused"] * 6
        with pytest.raises(Refused):
            await reviewer.approve(rows[waiting.number])
        assert house.tally.executed == executed  # nothing was forwarded
        assert not any(house.ledger.seen[one.number] for one in (refused, *more))
    async with asyncio.timeout(30):
        while await house.ask(refused) == "refused":
            await asyncio.sleep(0.1)
    await reviewer.approve(rows[waiting.number])
    assert [await house.ask(one) for one in (approved, waiting, *more)] == ["ran"] * 5
    assert [house.ledger.seen[one.number] for one in (approved, waiting, first, refused, *more)] == [1] * 7
    house.gate.kill()
    house.disk.verify()
    assert house.tally.findings == {}


async def test_d9_p01_a_full_disk_refuses_every_call_and_with_room_again_the_gate_goes_on(
    launcher: Launcher, tmpfs: Path
) -> None:
    async with opened(launcher, tmpfs) as house:
        await troubled(house, no_room)


@pytest.mark.parametrize(
    "trouble", [pytest.param(no_growth, marks=pytest.mark.long, id="no_growth"), pytest.param(no_fsync, id="no_fsync")]
)
async def test_d9_p01_p03_a_write_or_an_fsync_that_fails_refuses_every_call_and_then_the_gate_goes_on(
    launcher: Launcher, tmp_path: Path, trouble: Trouble
) -> None:
    async with opened(launcher, tmp_path) as house:
        await troubled(house, trouble)


async def test_p03_while_the_commit_hangs_nothing_leaves_and_then_it_does(launcher: Launcher, tmp_path: Path) -> None:
    async with opened(launcher, tmp_path) as house:
        assert await house.ask(house.next_call("look")) == "ran"
        executed, switches = house.tally.executed, house.gate.switches
        switches.set("commit.begun", Action.HOLD)
        decided = switches.hits("change.begun")
        asked = [asyncio.ensure_future(house.ask(house.next_call("look"))) for _ in range(3)]
        async with asyncio.timeout(10):
            while not switches.struck("commit.begun") or switches.hits("change.begun") < decided + 3:
                await asyncio.sleep(0.001)
        assert house.tally.executed == executed
        switches.let_go("commit.begun")
        assert await asyncio.gather(*asked) == ["ran"] * 3
        assert house.tally.findings == {}
