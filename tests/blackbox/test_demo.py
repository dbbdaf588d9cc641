"""`interlock demo --auto` as its users run it: a process, real servers, a reviewer through the public API."""

from __future__ import annotations

import subprocess
import sys
import time


def test_the_demo_comes_out_right_by_itself_in_under_a_minute() -> None:
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "interlock", "demo", "--auto"], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert lines[-1] == "15 of 15 steps came out right."
    assert [line for line in lines if "FAILED" in line] == []
    assert time.monotonic() - began < 60
