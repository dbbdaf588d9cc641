"""`interlock policy …`: every verb is there, takes what it says, and ends with the exit code of what it found."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from proxy.policy_cli import policy_cli

POLICY = """rules:
  - {id: look, match: {tools: [shop/look]}, decision: allow}
  - {id: rest, match: {tools: ["shop/*"]}, decision: require_approval, reason: Buying asks}
"""
CASES = "cases:\n  - {note: looking, call: {tool: shop/look}, want: {effect: allow}}\n"


def ran(*words: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(policy_cli, [str(word) for word in words])
    return result.exit_code, result.output


def test_sets_are_checked_tested_and_looked_through(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(POLICY, encoding="utf-8")
    (tmp_path / "p_test.yaml").write_text(CASES, encoding="utf-8")
    assert ran("check", tmp_path)[0] == 0
    code, said = ran("test", tmp_path, "--coverage", "--junit", tmp_path / "o.xml")
    assert (code, said.splitlines()[-1]) == (0, "PASS 1/1")
    assert (tmp_path / "o.xml").exists()
    assert ran("test", tmp_path, "--coverage-min", "100")[0] == 1
    assert ran("lint", tmp_path) == (0, "nothing\n")


def test_wrong_usage_is_exit_2() -> None:
    assert ran("test")[0] == 2
    assert ran("lint", "--no-such-option", "x")[0] == 2
