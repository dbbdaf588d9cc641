"""All checks together: none hides another, the exit code, and what is printed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from pathlib import Path

import pytest

from proxy.doctor import run as doctor
from proxy.doctor.finding import Finding, Standing, ok, problem, unreachable, warning


async def fine() -> Iterable[Finding]:
    return [ok("fine", "it is well")]


async def breaks() -> Iterable[Finding]:
    raise ZeroDivisionError("oh")


async def never_ends() -> Iterable[Finding]:
    await asyncio.Event().wait()
    return []


async def test_a_check_that_breaks_or_never_ends_is_a_finding_and_hides_no_other() -> None:
    found = await doctor.gathered({"a": breaks(), "b": never_ends(), "c": fine()}, sec_max=0.05)
    assert [(one.check, one.standing) for one in found] == [
        ("a", Standing.PROBLEM),
        ("b", Standing.PROBLEM),
        ("fine", Standing.OK),
    ]
    assert "ZeroDivisionError: oh" in found[0].says
    assert "did not end within 0.05 s" in found[1].says


@pytest.fixture
def look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Finding]:
    """What the checks find; a configuration that loads is there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / ".config"))
    monkeypatch.delenv("INTERLOCK_CONFIG", raising=False)
    (tmp_path / "interlock.yaml").write_text("version: v1\n")
    found: list[Finding] = [ok("a", "well")]

    async def looked(*_: object) -> list[Finding]:
        return found

    monkeypatch.setattr(doctor, "_look", looked)
    return found


def code(*, strict: bool = False) -> int:
    return doctor.run(None, as_json=False, strict=strict, color=False)


def test_the_exit_code_says_the_worst(look: list[Finding]) -> None:
    assert (code(), code(strict=True)) == (0, 0)
    look.append(warning("b", "so so", "mend"))
    assert (code(), code(strict=True)) == (0, 1)
    look.append(unreachable("c", "away", "mend"))
    assert code() == 3
    look.append(problem("d", "bad", "mend"))
    assert code() == 1


def test_without_a_configuration_that_loads_the_rest_is_looked_at_all_the_same(
    look: list[Finding], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "interlock.yaml").write_text("verson: v1\n")
    assert code() == 2
    assert "did you mean" in capsys.readouterr().out
    (tmp_path / "interlock.yaml").unlink()
    assert code() == 2
    out = capsys.readouterr().out
    assert "interlock init writes one" in out
    assert "well" in out
    assert len(look) == 1


def test_what_is_printed_is_inert_and_coloured_only_where_it_is_wanted(
    look: list[Finding], capsys: pytest.CaptureFixture[str]
) -> None:
    look.append(problem("servers", "x: odd\x1b[2J tool\nsecond line", "mend \u202eit"))
    assert doctor.run(None, as_json=False, strict=False, color=False) == 1
    out = capsys.readouterr().out
    assert not set(out) & set("\x1b\u202e")
    assert "PROBLEM      servers" in out
    assert doctor.run(None, as_json=False, strict=False, color=True) == 1
    assert "\x1b[31;1mPROBLEM" in capsys.readouterr().out


def test_programs_get_json_with_everything_in_it(look: list[Finding], capsys: pytest.CaptureFixture[str]) -> None:
    look.append(problem("servers", "x\x1b", "mend", server="shop"))
    assert doctor.run(None, as_json=True, strict=False, color=False) == 1
    out = capsys.readouterr().out
    assert "\x1b" not in out
    report = json.loads(out)
    assert report["code"] == 1
    assert report["counts"] == {"ok": 2, "warning": 0, "problem": 1, "unreachable": 0}
    assert report["configuration"]["why"] == "working directory"
    last = report["findings"][-1]
    assert last == {
        "check": "servers",
        "standing": "problem",
        "says": "x\x1b",
        "mend": "mend",
        "details": {"server": "shop"},
    }
