"""The built wheel: what it holds, and that it installs into an empty environment and runs there."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
UV = os.environ.get("UV", "uv")  # `uv run` says which uv it is
PACKAGES = {"audit", "policies", "proxy", "redaction", "review"}
DATA = {".yaml", ".sql", ".html", ".css", ".js", ".svg", ".json", ".typed"}

pytestmark = pytest.mark.long


def run(*command: str | Path, cwd: Path, offline_first: bool = False) -> str:
    """What the command says, tried without the network first where it may be. A failure shows all that it said."""
    tries = [[*command, "--offline"], [*command]] if offline_first else [[*command]]
    for arguments in tries:
        done = subprocess.run(list(map(str, arguments)), cwd=cwd, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return done.stdout
    pytest.fail(f"{' '.join(map(str, command))}\n{done.stdout}\n{done.stderr}")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    run(UV, "build", "--wheel", "--out-dir", out, ROOT, cwd=ROOT, offline_first=True)
    [built] = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of a fresh environment with the wheel and its dependencies, at the constrained versions."""
    folder = tmp_path_factory.mktemp("environment")
    venv = folder / "venv"
    run(UV, "venv", "--quiet", "--python", sys.executable, venv, cwd=ROOT)
    constraints = ("--constraint", ROOT / "constraints.txt")
    target = ("--quiet", "--python", venv / "bin" / "python")
    run(UV, "pip", "install", *target, *constraints, wheel, cwd=ROOT, offline_first=True)
    return venv / "bin"


def names(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def test_it_holds_the_five_packages_and_the_entry_point_and_nothing_else(wheel: Path) -> None:
    tops = {name.partition("/")[0] for name in names(wheel)}
    assert {top for top in tops if not top.endswith(".dist-info")} == PACKAGES | {"interlock.py"}
    assert sum(top.endswith(".dist-info") for top in tops) == 1


def test_it_holds_every_source_and_data_file_of_the_packages(wheel: Path) -> None:
    here = {
        file.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for file in (ROOT / package).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    there = {name for name in names(wheel) if name.partition("/")[0] in PACKAGES}
    assert there == here
    assert {Path(name).suffix for name in there} - {".py"} <= DATA


def test_it_holds_what_the_packages_read_at_run_time(wheel: Path) -> None:
    held = names(wheel)
    for pattern in ("proxy/store/migrations/*.sql", "policies/packs/*.yaml", "proxy/demo/policies/*.yaml"):
        assert [name for name in held if Path(name).match(pattern)], pattern


def test_it_installs_into_an_empty_environment_and_runs_there(installed: Path, tmp_path: Path) -> None:
    said = run(installed / "interlock", "--version", cwd=tmp_path)
    assert said.startswith("interlock 0.")
    assert "serve" in run(installed / "interlock", "--help", cwd=tmp_path)


def test_there_it_finds_its_own_data(installed: Path, tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("rules:\n  - {tool: search.web, action: allow}\n", encoding="utf-8")
    run(installed / "interlock", "policy", "check", policy, "pack:git=code", cwd=tmp_path)
    assert "- {note: status" in run(installed / "interlock", "policy", "pack", "pack:git=code", "--cases", cwd=tmp_path)
    code = "import proxy, pathlib; print(pathlib.Path(proxy.__file__).is_relative_to(__import__('sys').prefix))"
    assert run(installed / "python", "-c", code, cwd=tmp_path).strip() == "True"


def test_there_the_demo_comes_out_right_with_the_servers_that_are_installed(installed: Path, tmp_path: Path) -> None:
    """The third-party servers come with a checkout's development group, not with the wheel."""
    lines = run(installed / "interlock", "demo", "--auto", cwd=tmp_path).splitlines()
    assert "Without the server 'time': the package mcp-server-time is not installed." in lines
    assert lines[-1] == "13 of 13 steps came out right."
