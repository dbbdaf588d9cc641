"""`policy test`: the report, the exit code, and what counts as a failed run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from proxy.author.trying import Wanted, run

POLICY = """rules:
  - {id: look, match: {tools: [shop/look]}, decision: allow}
  - {id: rest, match: {tools: ["shop/*"]}, decision: require_approval, reason: Buying asks}
"""
CASE = "  - {{note: {note}, call: {{tool: shop/{tool}}}, want: {{effect: {effect}}}}}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "p.yaml").write_text(POLICY, encoding="utf-8")
    (tmp_path / "p_test.yaml").write_text("cases:\n" + CASE.format(note="a", tool="look", effect="allow"), "utf-8")
    return tmp_path


def test_cases_that_come_out_as_wanted_are_passed_with_their_time(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(Wanted((folder,)), iter((0.0, 0.002)).__next__) == 0
    assert capsys.readouterr().out == f"PASS {folder}/p_test.yaml:2: a (2.00 ms)\nPASS 1/1\n"


def test_a_case_that_comes_out_otherwise_is_explained_and_fails_the_run(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (folder / "p_test.yaml").open("a", encoding="utf-8") as out:
        out.write(CASE.format(note="b", tool="buy", effect="allow"))
    assert run(Wanted((folder,), junit=folder / "out.xml"), float) == 1
    said = capsys.readouterr().out
    assert "FAIL" in said
    assert "     effect is 'require_approval', and 'allow' is wanted\n     | require_approval: Buying asks\n" in said
    assert said.endswith("FAIL 1/2\n")
    assert 'failures="1"' in (folder / "out.xml").read_text(encoding="utf-8")


def test_rules_no_case_reaches_are_named_and_too_few_reached_fail_the_run(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(Wanted((folder,), coverage_min=50), float) == 0
    assert run(Wanted((folder,), coverage_min=60), float) == 1
    said = capsys.readouterr().out
    assert f"no case reaches {folder}/p.yaml:3: {folder}/p.yaml#rest (require_approval)\n" in said
    assert "coverage: 1 of 2 rules, 50 %; at least 60 % are wanted\nPASS 1/1\n" in said


def test_a_run_without_a_case_fails_and_so_does_a_set_that_does_not_load(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(Wanted((folder / "p.yaml",)), float) == 1
    assert capsys.readouterr().out.startswith("FAIL: there are no cases")
    (folder / "p.yaml").write_text("rulez: []", encoding="utf-8")
    assert run(Wanted((folder,), as_json=True), float) == 1
    (error,) = json.loads(capsys.readouterr().out)["errors"]
    assert (error["line"], error["column"], error["hint"]) == (1, 1, "did you mean 'rules'?")


def test_programs_get_the_same_as_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(Wanted((folder,), as_json=True), float) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["ok"], told["passed"], told["coverage"]["percent"]) == (True, 1, 50.0)
    assert told["cases"][0]["rules"] == [f"{folder}/p.yaml#look"]


def test_a_junit_file_that_cannot_be_written_is_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(Wanted((folder,), junit=folder / "no" / "out.xml"), float) == 2
    assert "out.xml cannot be written: No such file or directory" in capsys.readouterr().out
