"""The life of a review, as a table: which event may happen in which state, and what the state is then (SEMANTICS §2).

Rules of this module:

Rule 1: The table is the whole truth. A pair that is not in it is illegal and raises `IllegalMove`; there is no default,
        no wildcard, and nobody else decides what may follow what.
Rule 2: A question is PARKED until someone has agreed, APPROVING while some but not all have (n of m), and APPROVED once
        all have. One reject ends it at once, from either.
Rule 3: APPROVED is the undo window. It ends by UNDONE (back to PARKED, votes gone) or by UNDO_PASSED (SPENDABLE).
        With no window both moves are made in one change: a chain of events is walked by `follow`.
Rule 4: A SPENDABLE grant is spent once (P4), or lapses, is stopped, is superseded at spend, or is taken back. Taking
        back and spending are one compare-and-set on the same row: exactly one of them happens.
Rule 5: SPENT becomes SPENDABLE again only by SEND_FAILED: provably no byte left us. The grant keeps its expiry.
Rule 6: An edit is a new question about a new call: from PARKED or APPROVING it goes to PARKED; earlier votes are gone.
Rule 7: Escalating and claiming change who may answer, never the state. A stage whose time has passed is escalated as a
        new question with a new deadline: back to PARKED, for the votes were given to the one that ran out.
Rule 8: A QUARANTINED output is released or destroyed. Its expiry destroys: nothing is let go by waiting.
Rule 9: A VETOABLE call becomes a grant when its window has passed, or a question where nobody could have vetoed it all
        the time. Until it is spent it can be vetoed, which ends it at once.
Rule 10: A call that is over is UNJUDGED until a person has judged it; no time of its own ends that.
Rule 11: A state without moves is final.

Nothing here reads a clock or keeps anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from review.model import ReviewState as S


class ReviewEvent(StrEnum):
    """What can happen to a review."""

    VOTED = "voted"  # one more agrees, others must still
    AGREED = "agreed"  # the last one needed agrees (or the policy does, at expiry)
    REJECTED = "rejected"
    EDITED = "edited"
    CLAIMED = "claimed"
    ESCALATED = "escalated"
    STAGE_PASSED = "stage passed"  # nobody answered in time and the rule escalates
    EXPIRED = "expired"
    UNDONE = "undone"
    UNDO_PASSED = "undo passed"
    SPENT = "spent"
    SEND_FAILED = "send failed"  # provably no byte left us
    LAPSED = "lapsed"
    SUPERSEDED = "superseded"  # the policy in force now asks for more, or denies
    STOPPED = "stopped"
    RELEASED = "released"
    DESTROYED = "destroyed"
    VETOED = "vetoed"
    WINDOW_PASSED = "window passed"  # and nobody has vetoed
    UNWATCHED = "unwatched"  # for a part of its window nobody could have vetoed
    FOUND_OK = "found ok"
    FOUND_WRONG = "found wrong"
    FOUND_HARMFUL = "found harmful"


E = ReviewEvent

_QUESTION = {
    E.VOTED: S.APPROVING,
    E.AGREED: S.APPROVED,
    E.REJECTED: S.REJECTED,
    E.EDITED: S.PARKED,
    E.STAGE_PASSED: S.PARKED,
    E.EXPIRED: S.EXPIRED,
    E.SUPERSEDED: S.SUPERSEDED,
    E.STOPPED: S.STOPPED,
}

TABLE: Mapping[S, Mapping[ReviewEvent, S]] = MappingProxyType(
    {
        S.VETOABLE: {
            E.WINDOW_PASSED: S.SPENDABLE,
            E.UNWATCHED: S.PARKED,
            E.VETOED: S.VETOED,
            E.STOPPED: S.STOPPED,
        },
        S.PARKED: {**_QUESTION, E.CLAIMED: S.PARKED, E.ESCALATED: S.PARKED},
        S.APPROVING: {**_QUESTION, E.CLAIMED: S.APPROVING, E.ESCALATED: S.APPROVING},
        S.APPROVED: {E.UNDONE: S.PARKED, E.UNDO_PASSED: S.SPENDABLE, E.STOPPED: S.STOPPED},
        S.SPENDABLE: {
            E.SPENT: S.SPENT,
            E.UNDONE: S.PARKED,
            E.VETOED: S.VETOED,
            E.LAPSED: S.LAPSED,
            E.SUPERSEDED: S.SUPERSEDED,
            E.STOPPED: S.STOPPED,
        },
        S.SPENT: {E.SEND_FAILED: S.SPENDABLE},
        S.QUARANTINED: {
            E.VOTED: S.QUARANTINED,
            E.CLAIMED: S.QUARANTINED,
            E.ESCALATED: S.QUARANTINED,
            E.RELEASED: S.RELEASED,
            E.DESTROYED: S.DESTROYED,
        },
        S.UNJUDGED: {
            E.FOUND_OK: S.JUDGED_OK,
            E.FOUND_WRONG: S.JUDGED_WRONG,
            E.FOUND_HARMFUL: S.JUDGED_HARMFUL,
        },
        S.VETOED: {},
        S.REJECTED: {},
        S.EXPIRED: {},
        S.SUPERSEDED: {},
        S.STOPPED: {},
        S.LAPSED: {},
        S.RELEASED: {},
        S.DESTROYED: {},
        S.JUDGED_OK: {},
        S.JUDGED_WRONG: {},
        S.JUDGED_HARMFUL: {},
    }
)

FIRST_STATES = (S.PARKED, S.VETOABLE, S.QUARANTINED, S.UNJUDGED)


class IllegalMove(Exception):
    """An event that may not happen in this state."""

    def __init__(self, state: S, event: ReviewEvent) -> None:
        allowed = ", ".join(TABLE[state]) or "nothing: the review is over"
        super().__init__(f"a review that is {state} cannot be {event}; possible: {allowed}")
        self.state, self.event = state, event


def after(state: S, event: ReviewEvent) -> S:
    """The state after `event`. Raises: IllegalMove."""
    try:
        return TABLE[state][event]
    except KeyError:
        raise IllegalMove(state, event) from None


def follow(state: S, *events: ReviewEvent) -> S:
    """The state after several events in one change. Raises: IllegalMove."""
    for event in events:
        state = after(state, event)
    return state


def states_allowing(event: ReviewEvent) -> frozenset[S]:
    """Every state in which `event` may happen: what a compare-and-set may expect."""
    return frozenset(state for state, moves in TABLE.items() if event in moves)


def is_final(state: S) -> bool:
    return not TABLE[state]


def diagram() -> str:
    """The table as a Mermaid state diagram; docs/reviewing.md holds exactly this text and a test compares them."""
    lines = ["stateDiagram-v2"]
    lines += [f"    [*] --> {state}" for state in FIRST_STATES]
    for state, moves in TABLE.items():
        arrows: dict[S, list[str]] = {}
        for event, target in moves.items():
            arrows.setdefault(target, []).append(event.value)
        lines += [f"    {state} --> {target}: {', '.join(events)}" for target, events in arrows.items()]
    lines += [f"    {state} --> [*]" for state in TABLE if is_final(state)]
    return "\n".join(lines) + "\n"
