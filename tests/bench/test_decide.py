"""The benchmark of judging runs, on a set as large as it says, with calls that come out every way."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.running import bench

pytestmark = pytest.mark.long


def test_judging_and_loading_are_measured_beside_a_yardstick(tmp_path: Path) -> None:
    told = bench("decide", "--calls", "500", report=tmp_path / "report.json")
    assert (told["rules"], told["reloaded_rules"]) == (200, 2_000)
    assert set(told["effects"]) == {"allow", "require_approval", "deny"}
    assert 0 < told["decide_us"]["median"] <= told["decide_us"]["p99"]
    assert told["reload_sec"] > 0
    assert told["yardstick_us"] > 0
