"""SIGKILL at each failpoint: nothing acknowledged is lost, nothing runs twice, unrecorded or uninspected.

Promises P3, P4, P5, P8 and P13, with real
gates, agents, a reviewer and tools that count: see tests/faults/kill_cycles.py. `make soak` runs 10,000 cycles.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.faults.forked_gate import Launcher
from tests.faults.kill_cycles import POINTS, Plan, findings_of, run_cycles
from tests.faults.ledger import Tally
from tests.faults.switches import NAMES

SEED = int(os.environ.get("INTERLOCK_KILL_SEED", "1"))
CYCLES, CYCLES_LONG = 6, 200


def test_every_failpoint_has_its_turn_in_every_round() -> None:
    for turn in range(2):
        cycles = range(turn * len(POINTS), (turn + 1) * len(POINTS))
        assert sorted(Plan.of(SEED, cycle).point for cycle in cycles) == sorted(POINTS)
    assert set(NAMES) < set(POINTS)
    assert len(POINTS) < CYCLES_LONG / 4
    hits = {Plan.of(SEED, cycle).nth for cycle in range(CYCLES_LONG)}
    assert hits == {1, 2, 3, 4}


def hold(tally: Tally, cycles: int) -> None:
    """What every run must come to. The seed and the counts are in the test's output."""
    print(f"seed {SEED}: {tally.line()}", *tally.lines_by_failpoint(), sep="\n")
    assert tally.findings == {}, findings_of(tally, SEED)
    assert tally.cycles == cycles
    assert tally.kills >= cycles
    assert tally.acknowledged > cycles // 2
    assert tally.executed > cycles


async def test_p03_p04_p05_p08_p13_killed_at_failpoints(launcher: Launcher, tmp_path: Path) -> None:
    hold(await run_cycles(launcher, tmp_path, cycles=CYCLES, seed=SEED), CYCLES)


@pytest.mark.long
async def test_p03_p04_p05_p08_p13_killed_at_each_failpoint_many_times(launcher: Launcher, tmp_path: Path) -> None:
    tally = await run_cycles(launcher, tmp_path, cycles=CYCLES_LONG, seed=SEED)
    hold(tally, CYCLES_LONG)
    assert set(tally.at) == set(POINTS)  # each was reached, not only aimed at
    assert 0 < tally.in_doubt_and_sent < tally.in_doubt  # both kinds of doubt were there to be told apart
