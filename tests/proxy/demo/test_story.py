"""The demo counts what came out right, and ends accordingly."""

from __future__ import annotations

import pytest

from proxy.demo import story
from proxy.demo.steps import Failed
from proxy.reviewer_client import Unreachable


async def right() -> str:
    return "as it must"


def failing(error: Exception) -> object:
    async def step() -> str:
        raise error

    return step


async def test_all_right_is_exit_code_zero_with_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert await story._perform([("One", right), ("Two", right)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        " 1. ok  One: as it must",
        " 2. ok  Two: as it must",
        "2 of 2 steps came out right.",
    ]


@pytest.mark.parametrize("error", [Failed("got 'x'"), TimeoutError(), Unreachable("nobody there")])
async def test_one_wrong_step_is_exit_code_one_and_the_others_still_run(
    error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await story._perform([("One", failing(error)), ("Two", right)]) == 1  # type: ignore[list-item]
    out = capsys.readouterr().out
    assert "FAILED  One" in out
    assert "1 of 2 steps came out right." in out
