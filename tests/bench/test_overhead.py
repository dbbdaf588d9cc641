"""The benchmark of the gate's cost runs, with everything it claims switched on; how fast is not judged here."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.running import bench

pytestmark = pytest.mark.long


def test_the_overhead_is_measured_with_inspection_and_record_on(tmp_path: Path) -> None:
    told = bench("overhead", "--seconds", "0.4", "--peers", "none", report=tmp_path / "report.json")
    assert set(told["gate"]["cpu_us_per_call"]) == {"c1", "c16", "c64"}
    assert told["gate"]["inspected"] is True
    assert told["gate"]["durable"] is True
    assert told["added_p50_ms"] > 0
    assert all(leg["failures"] == 0 for leg in told["legs"])
    assert {name: peer["compared"] for name, peer in told["peers"].items()} == {
        "ContextForge": False,
        "MCP Hangar": False,
        "mcp-proxy (PyPI)": False,
        "mcp-proxy (npm)": False,
        "mitmdump": False,
    }
    assert all(peer["why"] == "left out of this run" for peer in told["peers"].values())
