"""`approval` of a rule that asks: who must agree, how long the question and the grant stand (SEMANTICS §1.6, §1.11)."""

from __future__ import annotations

import re
from enum import StrEnum

from policies.model import Approval, OnTimeout
from policies.not_yet import APPROVAL_LATER
from policies.reading import Node

APPROVAL_KEYS = (
    "team",
    "teams",
    "quorum",
    "timeout_sec",
    "on_timeout",
    "escalate_to",
    "require_comment",
    "four_eyes",
    "grant_expires_sec",
    "undo_sec",
    "on_disconnect",
)

TIMEOUT_SEC_MAX = 30 * 86_400
GRANT_EXPIRES_SEC_MAX = 7 * 86_400
UNDO_SEC_MAX = 3_600
QUORUM_MAX = 10
TEAMS_MAX = 10

_TEAM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")


class OnDisconnect(StrEnum):
    """What an approval means once the agent that asked has gone."""

    WAIT = "wait"
    EXECUTE = "execute"


def read_approval(node: Node) -> Approval:
    """The demand of one rule; what is not said has `Approval`'s defaults."""
    children = node.mapping(APPROVAL_KEYS, "approval", later=APPROVAL_LATER) or {}
    defaults = Approval()
    teams = _teams(children)
    quorum = (children["quorum"].whole(1, QUORUM_MAX) if "quorum" in children else 1) or 1
    if quorum > 1 and not teams:
        children["quorum"].mistake("a quorum needs a team to find it in", "add 'team'", at_key=True)

    def seconds(key: str, low: int, high: int, default: int) -> int:
        value = children[key].whole(low, high) if key in children else default
        return default if value is None else value

    def truth(key: str) -> bool:
        return bool(children[key].truth()) if key in children else False

    on_timeout = children["on_timeout"].choice(OnTimeout) if "on_timeout" in children else None
    on_disconnect = children["on_disconnect"].choice(OnDisconnect) if "on_disconnect" in children else None
    escalate_to = _team(children["escalate_to"]) if "escalate_to" in children else None
    if on_timeout is OnTimeout.APPROVE and on_disconnect is OnDisconnect.EXECUTE:
        children["on_timeout"].mistake("nobody would have decided and nobody would be waiting", "drop one of the two")
    return Approval(
        teams=teams,
        quorum=dict.fromkeys(teams, quorum),
        timeout_sec=seconds("timeout_sec", 1, TIMEOUT_SEC_MAX, defaults.timeout_sec),
        on_timeout=on_timeout,
        escalate_to=escalate_to,
        grant_expires_sec=seconds("grant_expires_sec", 1, GRANT_EXPIRES_SEC_MAX, defaults.grant_expires_sec),
        undo_sec=children["undo_sec"].whole(0, UNDO_SEC_MAX) if "undo_sec" in children else None,
        require_comment=truth("require_comment"),
        four_eyes=truth("four_eyes"),
        on_disconnect_execute=on_disconnect is OnDisconnect.EXECUTE,
    )


def _teams(children: dict[str, Node]) -> tuple[str, ...]:
    nodes = [children["team"]] if "team" in children else []
    if "teams" in children:
        nodes += children["teams"].items("teams") or []
    teams = tuple(dict.fromkeys(team for node in nodes if (team := _team(node)) is not None))
    if len(teams) > TEAMS_MAX:
        children["teams"].mistake(f"more than {TEAMS_MAX} teams")
    return teams


def _team(node: Node) -> str | None:
    text = node.text(chars_max=64)
    if text is not None and not _TEAM.match(text):
        node.mistake(f"'{text}' cannot name a team", "letters, digits, '.', '_' and '-'")
        return None
    return text
