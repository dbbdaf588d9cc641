"""Starting is said in plain words, and what stops it too."""

from __future__ import annotations

import gc
from pathlib import Path
from types import SimpleNamespace

import pytest

from proxy.serving import CannotStart, announcement, load_config, spare_the_collector


def gate(first_link: str | None) -> object:
    return SimpleNamespace(
        policies=SimpleNamespace(current=SimpleNamespace(id="v1:b4e2c1b4e2c1")),
        agents_url="http://127.0.0.1:8610",
        reviewers_url="http://127.0.0.1:8611",
        upstreams={"payments": None, "git": None},
        first_link=first_link,
    )


def test_a_start_says_where_agents_and_reviewers_go_and_under_which_policy() -> None:
    assert announcement(gate(None)) == [  # type: ignore[arg-type]
        "Policy snapshot v1:b4e2c1b4e2c1",
        "  http://127.0.0.1:8610/mcp/git",
        "  http://127.0.0.1:8610/mcp/payments",
        "Reviewers: http://127.0.0.1:8611/",
    ]


def test_the_first_start_prints_the_login_link_once() -> None:
    assert "http://127.0.0.1:8611/login/link/abc" in announcement(gate("abc"))[-1]  # type: ignore[arg-type]


def test_a_configuration_that_is_not_there_or_not_valid_says_what_and_where(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match="there is no such file"):
        load_config(tmp_path / "absent.yaml")
    file = tmp_path / "interlock.yaml"
    file.write_text("version: v1\npolicys: [a.yaml]\n")
    with pytest.raises(CannotStart, match=r"interlock\.yaml:2:1.*policies"):
        load_config(file)


def test_what_was_built_to_serve_is_spared_by_the_collector() -> None:
    try:
        spare_the_collector()
        assert gc.get_freeze_count() > 1_000
    finally:
        gc.unfreeze()
