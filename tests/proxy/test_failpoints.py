from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import get_args

import pytest

from proxy import failpoints

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("proxy", "policies", "redaction", "review", "audit")
PRODUCT = [file for package in PACKAGES for file in (ROOT / package).rglob("*.py")]
NAMES = get_args(failpoints.Name.__value__)


def hits(file: Path) -> list[str]:
    """The names of the failpoints in a file; each is a literal."""
    calls = [node for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    found = [call.args for call in calls if ast.unparse(call.func).rpartition(".")[2] == "failpoint"]
    return [str(ast.literal_eval(argument)) for (argument,) in found]


def test_each_failpoint_of_the_list_stands_at_exactly_one_place_and_there_are_no_others() -> None:
    assert Counter(name for file in PRODUCT for name in hits(file)) == dict.fromkeys(NAMES, 1)
    assert len(NAMES) >= 12


def test_nothing_of_the_product_turns_failpoints_on() -> None:
    """The switch is a variable of the module, and no file but the module's own has a word for it."""
    users = [file for file in PRODUCT if "failpoints" in (text := file.read_text(encoding="utf-8")) or "on_hit" in text]
    for file in users:
        if file.name != "failpoints.py":
            named = [line for line in file.read_text(encoding="utf-8").splitlines() if "failpoints" in line]
            assert named == ["from proxy.failpoints import failpoint"], file
            assert "on_hit" not in file.read_text(encoding="utf-8"), file
    tree = ast.parse(Path(failpoints.__file__).read_text(encoding="utf-8"))
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imported == {"__future__", "collections.abc", "typing"}  # neither environment nor files


def test_no_variable_of_the_environment_turns_failpoints_on() -> None:
    """Not the usual names either: a process that was started with all of them has none on."""
    words = ("FAILPOINT", "FAILPOINTS", "ON_HIT", "TEST")
    names = [*words, *(f"INTERLOCK_{word}" for word in words)]
    asked = "import interlock, proxy.failpoints; print(proxy.failpoints.on_hit)"
    environment = dict.fromkeys(names, "call.read=kill") | {"PYTHONPATH": str(ROOT)}
    said = subprocess.run([sys.executable, "-c", asked], env=environment, capture_output=True, check=True, text=True)
    assert said.stdout == "None\n"


def test_a_failpoint_does_nothing_until_a_launcher_has_put_a_function_there(monkeypatch: pytest.MonkeyPatch) -> None:
    failpoints.failpoint("call.read")
    heard: list[str] = []
    monkeypatch.setattr(failpoints, "on_hit", heard.append)
    failpoints.failpoint("call.judged")
    assert heard == ["call.judged"]
