"""The policy as the doctor sees it: loads, cases, advice."""

from __future__ import annotations

from pathlib import Path

from proxy.doctor.finding import Standing
from proxy.doctor.rules import policy
from tests.proxy.doctor.builders import standings, subject


def test_a_policy_that_loads_and_whose_cases_hold_is_well(tmp_path: Path) -> None:
    (found,) = policy(subject(tmp_path))
    assert (found.standing, "1 of 1 come out as wanted" in found.says) == (Standing.OK, True)


def test_a_policy_that_does_not_load_a_case_that_fails_and_files_that_are_gone_are_problems(tmp_path: Path) -> None:
    at = subject(tmp_path)
    (tmp_path / "policies" / "shop.yaml").write_text("rules: [{decision: alow}]")
    assert "shop.yaml:1:20" in next(policy(at)).says
    (tmp_path / "policies" / "shop.yaml").write_text("rules: [{decision: deny}]")
    assert "effect is 'deny'" in next(policy(at)).says
    for file in (tmp_path / "policies").iterdir():
        file.unlink()
    assert standings(policy(at)) == {Standing.PROBLEM}


def test_advice_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "shop.yaml").write_text("rules: [{decision: deny}, {decision: deny}]")
    (tmp_path / "policies" / "shop_test.yaml").write_text("cases: [{call: {tool: a/b}, want: {effect: deny}}]")
    assert standings(policy(subject(tmp_path))) == {Standing.WARNING, Standing.OK}
