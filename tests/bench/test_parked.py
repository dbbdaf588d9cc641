"""What bench/parked.py measures comes true: parked calls outlive a kill, and one that is repeated is executed once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.running import bench

pytestmark = pytest.mark.long


def test_p04_parked_calls_survive_a_kill_and_are_executed_once(tmp_path: Path) -> None:
    (row,) = bench("parked", "--calls", "20", report=tmp_path / "report.json")["parked"]
    assert row["parked"] == 20
    assert row["survived"] == 10
    assert row["executed_twice"] == 0
