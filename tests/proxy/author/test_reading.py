"""Sets as authors name them: files and folders, read together."""

from __future__ import annotations

from pathlib import Path

import pytest

from policies.errors import PolicyErrors
from proxy.author.reading import read_set, say

POLICY = "rules: [{id: a, match: {tools: [shop/look]}, decision: allow}]"
CASES = "cases: [{call: {tool: shop/look}, want: {effect: allow}}]"


def test_a_folder_stands_for_its_policies_and_cases_and_not_for_folders_in_it(tmp_path: Path) -> None:
    for name, text in (("p.yaml", POLICY), ("p_test.yaml", CASES), (".p.yaml", "nonsense"), ("p.txt", "nonsense")):
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "q.yaml").write_text("nonsense", encoding="utf-8")
    found = read_set([tmp_path])
    assert list(found.snapshot.files) == [str(tmp_path / "p.yaml")]
    assert len(found.cases) == 1


def test_a_folder_without_policies_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PolicyErrors, match=r"a folder without a \*\.yaml file"):
        read_set([tmp_path])


def test_what_is_printed_cannot_move_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    say("a\x1b[2Jb")
    assert "\x1b" not in capsys.readouterr().out
