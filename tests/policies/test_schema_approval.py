"""`approval`: teams, quorum, times and what an unanswered question means."""

from __future__ import annotations

import pytest

from policies.model import Approval, OnTimeout
from policies.schema_approval import TEAMS_MAX
from tests.policies.builders import errors_of, snapshot


def approval(text: str) -> Approval | None:
    one = snapshot(f"rules: [{{decision: require_approval, approval: {text}}}]")
    return one.policies[0].rules[0].approval


def wrong(text: str) -> list[str]:
    return errors_of(f"rules: [{{decision: require_approval, approval: {text}}}]")


def test_every_key_is_read() -> None:
    read = approval(
        "{team: finance, teams: [security, finance], quorum: 2, timeout_sec: 600, on_timeout: escalate,"
        " escalate_to: leads, require_comment: true, four_eyes: true, grant_expires_sec: 60, undo_sec: 5,"
        " on_disconnect: execute}"
    )
    assert read == Approval(
        teams=("finance", "security"),
        quorum={"finance": 2, "security": 2},
        timeout_sec=600,
        on_timeout=OnTimeout.ESCALATE,
        escalate_to="leads",
        grant_expires_sec=60,
        undo_sec=5,
        require_comment=True,
        four_eyes=True,
        on_disconnect_execute=True,
    )


def test_what_is_not_said_has_the_defaults() -> None:
    assert approval("{}") == Approval()
    assert approval("{on_disconnect: wait}") == Approval()


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("{quorum: 2}", "p1.yaml:1:49: a quorum needs a team to find it in (add 'team')"),
        ("{team: x, quorum: 0}", "quorum must be a whole number from 1 to 10, not 0"),
        ("{team: x, quorum: 11}", "quorum must be a whole number from 1 to 10, not 11"),
        ("{team: 'a b'}", "'a b' cannot name a team"),
        ("{teams: x}", "teams must be a list with at least one item, not text"),
        (f"{{teams: [{', '.join(f't{n}' for n in range(TEAMS_MAX + 1))}]}}", "more than 10 teams"),
        ("{timeout_sec: 0}", "timeout_sec must be a whole number from 1 to 2592000, not 0"),
        ("{timeout_sec: 4h}", "timeout_sec must be a whole number from 1 to 2592000, not '4h'"),
        ("{grant_expires_sec: 700000}", "grant_expires_sec must be a whole number from 1 to 604800"),
        ("{undo_sec: -1}", "undo_sec must be a whole number from 0 to 3600, not -1"),
        ("{on_timeout: reject}", "on_timeout cannot be 'reject'"),
        ("{on_timeout: no}", "on_timeout cannot be 'no'"),
        ("{require_comment: yes}", "require_comment must be true or false, not 'yes' (write true or false)"),
        ("{four_eyes: 1}", "four_eyes must be true or false, not 1"),
        ("{on_disconnect: run}", "on_disconnect cannot be 'run'"),
        ("{on_timeout: approve, on_disconnect: execute}", "nobody would have decided and nobody would be waiting"),
        ("{timeout: 5}", "unknown key 'timeout' in approval"),
        ("finance", "approval must be a map of keys, not text"),
    ],
)
def test_what_cannot_be_meant_does_not_load(text: str, error: str) -> None:
    assert any(error in one for one in wrong(text))


def test_a_rule_that_states_no_undo_window_leaves_it_to_the_reviewers_side() -> None:
    assert approval("{}").undo_sec is None
    assert approval("{undo_sec: 0}").undo_sec == 0
