"""Running a benchmark as its users do, and reading its report."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def bench(name: str, *options: str, report: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", f"bench.{name}", *options, "--json", str(report)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    report_read: dict[str, Any] = json.loads(report.read_text())
    return report_read
