"""`interlock demo --auto` as its users run it: a process, real servers, a reviewer through the public API."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

DEMO = [sys.executable, "-m", "interlock", "demo"]


def test_the_demo_comes_out_right_by_itself_in_under_a_minute() -> None:
    began = time.monotonic()
    done = subprocess.run([*DEMO, "--auto"], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert lines[-1] == "15 of 15 steps came out right."
    assert [line for line in lines if "FAILED" in line] == []
    assert time.monotonic() - began < 60


@pytest.mark.parametrize("seen", [" 1. ok ", "  Open "])
def test_ctrl_c_ends_it_quietly_at_any_time_and_leaves_nothing_behind(tmp_path: Path, seen: str) -> None:
    """A terminal sends SIGINT to every process of the group, not to the gate alone."""
    demo = subprocess.Popen(
        [*DEMO, "--port", "0", "--review-port", "0"],
        env=os.environ | {"TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert demo.stdout is not None
    while not (line := demo.stdout.readline()).startswith(seen):
        assert line, demo.communicate()
    os.killpg(demo.pid, signal.SIGINT)
    out, err = demo.communicate(timeout=30)
    assert (demo.returncode, out.splitlines()[-1], err) == (0, "Stopping.", "")
    assert list(tmp_path.iterdir()) == []
    assert _running_in(tmp_path) == []


def test_a_check_that_is_interrupted_has_not_passed(tmp_path: Path) -> None:
    with subprocess.Popen(
        [*DEMO, "--auto"], env=os.environ | {"TMPDIR": str(tmp_path)}, stdout=subprocess.PIPE, text=True
    ) as demo:
        assert demo.stdout is not None
        demo.stdout.readline()
        demo.send_signal(signal.SIGTERM)
        assert demo.wait(timeout=30) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("ports", "said"), [(("99999", "0"), "--port"), (("8610", "8610"), "need different ports")])
def test_ports_that_cannot_be_are_refused_in_a_sentence(ports: tuple[str, str], said: str) -> None:
    command = [*DEMO, "--port", ports[0], "--review-port", ports[1]]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def _running_in(folder: Path) -> list[str]:
    """Command lines of processes that still have something of `folder` as an argument."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = file.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in line:
            found.append(line)
    return found
