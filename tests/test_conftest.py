"""The suite's own rule: in CI a skipped test is a failed one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CONFTEST = Path(__file__).with_name("conftest.py")
TESTS = """
import pytest

def test_skips_at_run_time():
    pytest.skip("no Node")

@pytest.mark.skipif(True, reason="no browser")
def test_is_marked():
    pass

@pytest.mark.xfail(reason="known", strict=True)
def test_is_expected_to_fail():
    assert False

def test_lacks_development_data():
    pytest.skip("pii_dev.jsonl is not here")
"""
MODULE_THAT_SKIPS = 'import pytest\npytest.skip("no Chromium", allow_module_level=True)\n'


def run(folder: Path, text: str, *, ci: str) -> str:
    (folder / "conftest.py").write_text(CONFTEST.read_text(encoding="utf-8"), encoding="utf-8")
    (folder / "test_skipping.py").write_text(text, encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-rfEs", "-p", "no:cacheprovider", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, env={"CI": ci}, cwd=folder, check=False).stdout


def test_outside_ci_a_skip_is_a_skip(tmp_path: Path) -> None:
    assert "3 skipped, 1 xfailed" in run(tmp_path, TESTS, ci="")


def test_in_ci_a_skip_is_a_failure_that_says_why_but_for_the_listed_one(tmp_path: Path) -> None:
    said = run(tmp_path, TESTS, ci="true")
    assert "Skipped in CI, where nothing may be: Skipped: no Node" in said
    assert "Skipped in CI, where nothing may be: Skipped: no browser" in said
    assert "1 failed, 1 skipped, 1 xfailed, 1 error" in said


def test_in_ci_a_module_that_skips_itself_is_an_error(tmp_path: Path) -> None:
    said = run(tmp_path, MODULE_THAT_SKIPS, ci="true")
    assert "Skipped in CI, where nothing may be: Skipped: no Chromium" in said
    assert "1 error" in said
