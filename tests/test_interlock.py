"""The entry point: it starts only where our package names are ours, and it starts quickly."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import interlock

ROOT = Path(__file__).resolve().parents[1]


def run(*arguments: str, cwd: Path, first: Path | None = None) -> subprocess.CompletedProcess[str]:
    """`interlock.py` run as a script, with `first` before everything else on the path."""
    path = os.pathsep.join(str(place) for place in (first, ROOT) if place is not None)
    environ = os.environ | {"PYTHONPATH": path, "PYTHONSAFEPATH": "1"}
    command = [sys.executable, "-m", "interlock", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environ, check=False)


def test_in_this_checkout_every_package_is_ours() -> None:
    assert list(interlock.strangers()) == []


def test_a_strangers_package_of_our_name_stops_the_start_and_is_named(tmp_path: Path) -> None:
    stranger = tmp_path / "site" / "proxy"
    stranger.mkdir(parents=True)
    (stranger / "__init__.py").write_text("raise SystemExit('the stranger ran')", encoding="utf-8")
    (stranger / "cli.py").write_text("", encoding="utf-8")

    done = run("--version", cwd=tmp_path, first=tmp_path / "site")

    assert done.returncode == 3
    assert (
        f"The package 'proxy' would be taken from {stranger}, not from Interlock's own {ROOT / 'proxy'}." in done.stderr
    )
    assert "the stranger ran" not in done.stderr + done.stdout
    assert "environment of its own" in done.stderr


def test_a_strangers_module_or_a_folder_without_code_is_a_stranger_too(tmp_path: Path) -> None:
    (tmp_path / "module").mkdir()
    (tmp_path / "module" / "audit.py").touch()
    assert (
        f"'audit' would be taken from {tmp_path / 'module' / 'audit.py'}"
        in run(cwd=tmp_path, first=tmp_path / "module").stderr
    )


def test_an_empty_folder_of_our_name_before_us_does_no_harm(tmp_path: Path) -> None:
    """A namespace package gives way to a real one further down the path (PEP 420)."""
    (tmp_path / "site" / "review").mkdir(parents=True)
    assert run("--version", cwd=tmp_path, first=tmp_path / "site").returncode == 0


def test_a_missing_package_is_named() -> None:
    def folder_of(name: str) -> Path | None:
        return None if name == "redaction" else ROOT / name

    assert list(interlock.strangers(folder_of)) == [
        f"The package 'redaction' is missing; it belongs in {ROOT / 'redaction'}."
    ]


def test_a_package_that_is_already_imported_is_asked_where_it_came_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "policies", type(sys)("policies"))  # made by hand: it has no spec
    assert [line.split("'")[1] for line in interlock.strangers()] == ["policies"]


def test_help_answers_without_anything_heavy(tmp_path: Path) -> None:
    """The budget of 150 ms (DESIGN §11) is kept by what is not imported."""
    heavy = (
        "asyncio aiohttp cel jsonschema mcp mcp_types mitmproxy presidio_analyzer pydantic rich spacy starlette yaml"
    )
    code = (
        "import sys, interlock\n"
        "sys.argv = ['interlock', '--help']\n"
        "try: interlock.main()\n"
        "except SystemExit as end: assert end.code in (0, None), end.code\n"
        f"print('heavy:', sorted(set('{heavy}'.split()) & set(sys.modules)))\n"
    )
    environ = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environ, cwd=tmp_path, check=False
    )
    assert "heavy: []" in done.stdout, done.stdout + done.stderr
    assert "serve" in done.stdout
