"""`policy pack`: the list, and what an entry would load, to the letter."""

from __future__ import annotations

import pytest

from policies.packs import pack_names, pack_texts
from proxy.author.packing import run


def test_without_a_name_the_packs_are_listed_as_they_are_written(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(None, cases=False) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(pack_names())
    assert {"pack:baseline", "pack:git=SERVER"} <= set(lines)


def test_a_pack_is_printed_as_it_would_load_and_so_are_its_cases(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("pack:git=code", cases=False) == 0
    assert capsys.readouterr().out == pack_texts(["pack:git=code"])["pack:git"]
    assert run("git=code", cases=True) == 0
    assert 'call: {tool: "code/git_status"' in capsys.readouterr().out


def test_what_is_no_pack_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("pack:gti", cases=False) == 2
    assert "did you mean 'git'?" in capsys.readouterr().err
