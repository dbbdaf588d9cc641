"""`policy lint`: what is printed, and which advice makes the exit code 1."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from proxy.author.advising import run


def test_a_warning_is_a_finding_and_a_note_only_if_strict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "p.yaml"
    file.write_text("rules:\n  - {id: a, decision: deny}\n", encoding="utf-8")
    assert run([file], strict=False, as_json=False) == 0
    assert capsys.readouterr().out == (
        f"note: {file}:2: rule 'a' gives whoever asks why no reason (reason: …) [no-reason]\n0 warnings, 1 notes\n"
    )
    assert run([file], strict=True, as_json=False) == 1
    file.write_text("rules:\n  - {id: a, decision: deny, reason: R}\n  - {id: b, decision: allow}\n", encoding="utf-8")
    assert run([file], strict=False, as_json=True) == 1
    told = json.loads(capsys.readouterr().out.partition("\n{")[2].join(("{", "")))
    assert [(one["level"], one["code"], one["line"]) for one in told["advice"]] == [("warning", "unreachable", 3)]


def test_a_set_that_does_not_load_is_told_as_such(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([tmp_path / "gone.yaml"], strict=False, as_json=False) == 1
    assert capsys.readouterr().out.endswith("cannot be read: No such file or directory\nfailed: 1 error\n")
