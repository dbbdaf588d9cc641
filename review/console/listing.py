"""What lists of questions show: the queues' words and counts, a row's first arguments, how much time is left of all.

Rules of this module:
* Pure; values in, words and numbers out. Nothing here is markup.
* What a row cuts short it cuts in the middle, and the question's own page has it whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from policies.snapshot import PolicySnapshot
from review import agreement, brief, shape
from review.board import Counts, QueueName
from review.console.views import urgency
from review.model import CallRecord, ReviewRecord

_QUEUES: Mapping[str, tuple[str, str, str]] = {
    QueueName.MINE: ("For you", "what you may decide", "Nothing waits for you."),
    QueueName.TEAM: ("Your teams", "asked of a team of yours", "Nothing is asked of your teams."),
    QueueName.CLAIMED: ("Claimed", "by you", "You have claimed nothing."),
    QueueName.ESCALATED: ("Escalated", "others were asked too", "Nothing is escalated."),
    QueueName.WAITING: ("Everything", "whoever decides", "Nothing waits for anybody."),
    QueueName.QUARANTINE: ("Held outputs", "destroyed when their time is up", "No output is held."),
    "in_doubt": ("In doubt", "they may or may not have happened", "Nothing is in doubt."),
    QueueName.VETOABLE: ("On the loop", "they go unless somebody vetoes them", "Nothing is about to go by itself."),
    QueueName.UNDOABLE: ("Not yet sent", "approved, can be taken back", "No approval waits to be sent."),
    "afterwards": ("Afterwards", "they are over: were they right?", "No call waits to be judged."),
    "decided": ("Decided lately", "the latest first", "Nothing has been decided yet."),
}


def queue_words(name: str) -> str:
    return _QUEUES[name][0]


def queue_meaning(name: str) -> str:
    return _QUEUES[name][1]


def queue_empty(name: str) -> str:
    return _QUEUES[name][2]


def people_needed(review: ReviewRecord) -> int:
    return agreement.people_needed(review)


def by_queue(counts: Counts) -> Mapping[str, int]:
    """How many stand in each queue, and in doubt."""
    return {**{name.value: count.count for name, count in counts.queues.items()}, "in_doubt": counts.in_doubt.count}


def wanting(counts: Counts) -> int:
    """How much wants a decision: what a page's title says."""
    found = by_queue(counts)
    return found[QueueName.MINE] + found[QueueName.QUARANTINE] + found["in_doubt"]


def summary(call: CallRecord) -> tuple[shape.Leaf, ...]:
    """The first arguments that say something, each cut in the middle, for a row of a list."""
    return brief.first_of(call)


def claimant(review: ReviewRecord, now: float) -> str | None:
    """Who holds the claim now."""
    return review.claimed_by if (review.claimed_until or 0) > now else None


@dataclass(frozen=True, slots=True)
class Freed:
    """A rule by which calls go without a person."""

    rule: str
    reason: str


def freed(snapshot: PolicySnapshot | None) -> tuple[Freed, ...]:
    """What goes by itself now."""
    if snapshot is None:
        return ()
    rules = (rule for policy in snapshot.all_policies for rule in policy.rules if rule.effect.is_allowing)
    return tuple(Freed(rule.ref, rule.reason) for rule in rules)


@dataclass(frozen=True, slots=True)
class Ring:
    """How much of a question's time is left, as a part of a circle of 100."""

    percent: int
    css: str


def ring(review: ReviewRecord, now: float) -> Ring:
    whole, left = review.expires_at - review.opened_at, review.expires_at - now
    percent = round(100 * left / whole) if whole > 0 else 0
    return Ring(max(0, min(100, percent)), urgency(review.expires_at, now))
