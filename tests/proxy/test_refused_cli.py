"""One meaning of exit codes for all commands that speak with the reviewers' listener."""

from __future__ import annotations

import pytest

from proxy.refused_cli import exit_code
from proxy.reviewer_client import NoAddress, Refused, Unreachable


@pytest.mark.parametrize(
    ("problem", "code", "says"),
    [
        (Refused("role", "This needs an \x1b[31madmin."), 1, "This needs an "),
        (Refused("not_logged_in", "A token is needed."), 1, "Run: interlock login NAME --url http://gate:1"),
        (NoAddress("'x' is not an address"), 2, "'x' is not an address"),
        (Unreachable("nobody answers \x1b[2J"), 3, "nobody answers "),
    ],
)
def test_a_refusal_is_a_line_that_touches_no_terminal_and_a_code(
    problem: Refused | Unreachable, code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(problem, url="http://gate:1") == code
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("interlock: ")
    assert says in told.err
    assert "\x1b" not in told.err
