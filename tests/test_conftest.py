"""The suite's own rules: in CI a skipped test is a failed one, and workers are for whole runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.conftest import WORKERS_MAX, pytest_xdist_auto_num_workers

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


SOURCES = pytest.Config.ArgsSource
WHOLE: dict[str, object] = {"markexpr": "not long and not browser", "keyword": "", "capture": "fd"}


def workers_of(source: pytest.Config.ArgsSource, **chosen: object) -> int:
    asked: Any = SimpleNamespace(args_source=source, getoption=(WHOLE | chosen).get)
    return pytest_xdist_auto_num_workers(asked)


def test_a_whole_run_has_a_worker_for_each_core_up_to_a_limit() -> None:
    assert workers_of(SOURCES.TESTPATHS) == min(len(os.sched_getaffinity(0)), WORKERS_MAX)


def test_a_part_of_the_suite_is_run_where_one_can_look_into_it() -> None:
    parts = [{"keyword": "p04"}, {"lf": True}, {"markexpr": "long"}, {"deselect": ["tests/audit"]}, {"capture": "no"}]
    assert [workers_of(SOURCES.TESTPATHS, **part) for part in parts] == [0] * len(parts)
    assert workers_of(SOURCES.ARGS) == 0
