"""Words for what a page shows: states, risks, times, who waits; said the way one says them to a colleague at night.

Rules of this module:
* Pure; values in, words out. Nothing here is markup.
* Words never claim more than is known: "not known" is a word too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from policies.constraints import said
from policies.model import Json, JsonObject, Risk
from review import agreement, brief, decisions, exact
from review.inbox import Background, Queue, Shown
from review.model import CallRecord, CallState, Reviewer, ReviewKind, ReviewRecord, ReviewState, Vote
from review.ports import Listed, ToolSeen, Waiting
from review.precedents import was_approved


@dataclass(frozen=True, slots=True)
class Badge:
    """Risk as word, shape and class: never by colour alone."""

    word: str
    glyph: str
    css: str


_RISKS: Mapping[Risk | None, Badge] = {
    Risk.HIGH: Badge("High risk", "▲", "high"),
    Risk.MEDIUM: Badge("Medium risk", "◆", "medium"),
    Risk.LOW: Badge("Low risk", "●", "low"),
    None: Badge("Risk not rated", "○", "unrated"),
}


def risk(call: CallRecord) -> Badge:
    return _RISKS[decisions.risk_of(call.decision)]


def reversible(call: CallRecord) -> str:
    match decisions.is_reversible(call.decision):
        case True:
            return "Can be undone afterwards"
        case False:
            return "Cannot be undone afterwards"
        case None:
            return "Not known whether it can be undone"


def act(call: CallRecord) -> str:
    """What the agent wants to do, as a verb."""
    return "run" if call.method == "tools/call" else f"send {call.method} to"


_REVIEW_WORDS: Mapping[ReviewState, str] = {
    ReviewState.VETOABLE: "Goes by itself unless somebody vetoes it",
    ReviewState.VETOED: "Vetoed",
    ReviewState.PARKED: "Waiting for a decision",
    ReviewState.APPROVING: "Waiting for more people to agree",
    ReviewState.APPROVED: "Approved, not yet sent",
    ReviewState.SPENDABLE: "Approved, not yet sent",
    ReviewState.SPENT: "Approved and sent",
    ReviewState.REJECTED: "Rejected",
    ReviewState.EXPIRED: "Expired unanswered",
    ReviewState.SUPERSEDED: "Replaced: the policy asks anew",
    ReviewState.STOPPED: "Stopped",
    ReviewState.LAPSED: "Approved, but not collected in time",
    ReviewState.QUARANTINED: "Output held back",
    ReviewState.RELEASED: "Output released",
    ReviewState.DESTROYED: "Output destroyed",
    ReviewState.UNJUDGED: "Over; not looked at yet",
    ReviewState.JUDGED_OK: "Over; found to be as it should",
    ReviewState.JUDGED_WRONG: "Over; found to be wrong",
    ReviewState.JUDGED_HARMFUL: "Over; found to be harmful",
}
_CALL_WORDS: Mapping[CallState, str] = {
    CallState.DENIED: "Denied by policy",
    CallState.WAITING: "Waiting",
    CallState.CLOSED: "Closed without being sent",
    CallState.DISPATCHING: "Sent, no answer yet",
    CallState.ANSWERED: "Sent and answered",
    CallState.FAILED_BEFORE_SEND: "Could not be sent",
    CallState.FAILED_AFTER_SEND: "Failed after it was sent",
    CallState.IN_DOUBT: "In doubt: it may or may not have happened",
    CallState.RESOLVED: "Was in doubt, resolved by a person",
    CallState.QUARANTINED: "Sent; its output is held back",
    CallState.RELEASED: "Sent; its output was released",
    CallState.DESTROYED: "Sent; its output was destroyed",
}


def state(call: CallRecord, review: ReviewRecord | None) -> str:
    """Where the call is, in words."""
    if review is not None and call.state in (CallState.WAITING, CallState.CLOSED, CallState.QUARANTINED):
        return _REVIEW_WORDS[review.state]
    return _CALL_WORDS[call.state]


def review_words(state: ReviewState) -> str:
    return _REVIEW_WORDS[state]


def as_text(value: object) -> str:
    """A value as one would write it: text as it is, all else as JSON."""
    return value if isinstance(value, str) else exact.text(value)


def held_to(value: Json) -> str:
    """A constraint's value in words."""
    return said(value)


def ago(at: float, now: float) -> str:
    """How long ago, roughly."""
    return f"{_span(now - at)} ago" if now - at >= 1 else "just now"


def left(until: float, now: float) -> str:
    """How long until, roughly."""
    return f"{_span(until - now)} left" if until > now else "time is up"


def span(until: float, now: float) -> str:
    """How long until, as a bare span."""
    return _span(until - now)


def _span(sec: float) -> str:
    whole = max(0, int(sec))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min"
    if whole < 48 * 3600:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86_400} days"


def urgency(until: float, now: float) -> str:
    """`over`, `soon` (ten minutes) or `later`."""
    if until <= now:
        return "over"
    return "soon" if until - now < 600 else "later"


@dataclass(frozen=True, slots=True)
class Waits:
    """Whether the agent still waits: since when, until when, and what it means, in words."""

    since: float | None
    until: float | None
    words: str


def waits(call: CallRecord, review: ReviewRecord | None, waiting: Waiting, now: float) -> Waits:
    """Whether the agent still waits, and what approving does if it does not."""
    since, until = waiting.since(call.id), waiting.until(call.id)
    if since is not None:
        return Waits(since, until, f"The agent has been waiting for {_span(now - since)}.")
    if review is not None and review.approval.on_disconnect_execute:
        return Waits(None, None, "The agent has gone. Approving runs the call without it.")
    gone = "The agent has gone. Approving runs nothing by itself: the call goes when the agent asks for it again."
    return Waits(None, None, gone)


def asked(review: ReviewRecord) -> str:
    """Who is asked, and how many must agree."""
    parts = []
    for team, count in agreement.needs(review.approval).items():
        many = f"{count} of {team}" if team else f"{count} reviewers"
        parts.append(many if count > 1 else team or "any reviewer")
    said = " and ".join(parts)
    return f"{said}, or {review.escalated_to} in their place" if review.escalated_to else said


def field(path: str) -> str:
    """A leaf's path among the arguments, without the root everybody knows."""
    return path.removeprefix("$.").removeprefix("$") or path


def initials(name: str) -> str:
    """Two letters for a small circle; the name itself stands beside it for those who cannot see it."""
    parts = [part for part in re.split(r"[^A-Za-z0-9]+", name) if part]
    return (parts[0][0] + parts[-1][0] if len(parts) > 1 else name[:2]).upper()


def page_of(item: Listed) -> str:
    """Where a review is looked at; a judgement under its own id, for its call may have another review."""
    if item.review.kind is ReviewKind.AFTERWARDS:
        return f"/c/{item.review.id}"
    return f"/q/{item.call.id}" if item.review.kind is ReviewKind.RELEASE else f"/c/{item.call.id}"


def may_release(reviewer: Reviewer) -> bool:
    return bool(reviewer.roles & {"security", "admin"})


# the same as data, for the JSON twins and the API


def shown_data(shown: Shown, waiting: Waiting) -> JsonObject:
    """A call page as data. A held output is not in it: looking at one in clear is an act of its own."""
    return {
        "call": call_data(shown.call),
        "outcome": outcome_to_judge(shown),
        "review": review_data(shown.review) if shown.review is not None else None,
        "shown": shown.digest,
        "votes": [_vote(vote) for vote in shown.votes],
        "comments": [
            {"reviewer": one.reviewer, "at": one.at, "comment": one.comment, "login": one.login}
            for one in shown.comments
        ],
        "agree": shown.tally.given if shown.tally is not None else 0,
        "needed": shown.tally.wanted if shown.tally is not None else 0,
        "cannot_decide": shown.cannot_decide,
        "cannot_object": shown.cannot_object,
        "can_be_vetoed": shown.can_be_vetoed,
        "escalates_to": shown.escalates_to,
        "definition": tool_data(shown.definition) if shown.definition is not None else None,
        "agent_waiting_since": waiting.since(shown.call.id),
        "agent_waits_until": waiting.until(shown.call.id),
        "entries": list(shown.entries),
    }


def outcome_to_judge(shown: Shown) -> Any:
    """What the agent was given, for whoever judges the call afterwards; a held output is looked at elsewhere."""
    is_judged = shown.review is not None and shown.review.kind is ReviewKind.AFTERWARDS
    return shown.call.outcome if is_judged and shown.call.state is CallState.ANSWERED else None


def queue_data(queue: Queue) -> JsonObject:
    return {
        "waiting": [listed_data(item) for item in queue.waiting],
        "held": [listed_data(item) for item in queue.held],
        "undoable": [listed_data(item) for item in queue.undoable],
        "in_doubt": [brief_data(call) for call in queue.in_doubt],
        "settled": [listed_data(item) for item in queue.settled],
        "drifted": [brief_tool_data(seen) for seen in queue.drifted],
    }


def listed_data(item: Listed) -> JsonObject:
    return {"review": review_data(item.review), "call": brief_data(item.call)}


def brief_data(call: CallRecord) -> JsonObject:
    """A call as lists have it: large arguments are left out, with their size and the first of them in their place."""
    small = brief.brief(call)
    data = {**call_data(small), "arguments_omitted": small.left_out is not None}
    if small.left_out is None:
        return data
    told: JsonObject = {
        "digest": small.proposed_digest,
        "size_bytes": small.left_out.size_bytes,
        "first": [{"path": leaf.path, "value": leaf.value} for leaf in small.left_out.first],
    }
    return {**data, "arguments": told}


def call_data(call: CallRecord) -> JsonObject:
    """Everything of a call but its output."""
    kept = ("id", "agent", "server", "tool", "method", "created_at", "updated_at", "version", "session", "on_behalf_of")
    more = (
        "direction",
        "review_id",
        "previous_id",
        "proposed",
        "approved",
        "decision",
        "definition_digest",
        "snapshot",
    )
    last = ("outcome_kind", "inspection", "delivered_at", "dispatched_at", "answered_at", "failure", "resolution")
    data: JsonObject = {name: getattr(call, name) for name in (*kept, *more, *last)}
    return {**data, "state": call.state.value}


def review_data(review: ReviewRecord) -> JsonObject:
    """Everything of a review but its nonce."""
    asked = review.approval
    own: JsonObject = {
        "kind": review.kind.value,
        "state": review.state.value,
        "approval": {
            **_named(asked),
            "teams": list(asked.teams),
            "quorum": dict(asked.quorum),
            "on_timeout": asked.unanswered.value,
        },
        "answered_rules": list(review.answered_rules),
    }
    return {name: value for name, value in {**_named(review), **own}.items() if name != "nonce"}


def tool_data(seen: ToolSeen) -> JsonObject:
    return {**_named(seen), "has_drifted": seen.has_drifted}


def brief_tool_data(seen: ToolSeen) -> JsonObject:
    """Without the definitions themselves: those are under `/tools`."""
    whole = ("definition", "accepted_definition")
    return {name: value for name, value in tool_data(seen).items() if name not in whole}


def _vote(vote: Vote) -> JsonObject:
    return {**_named(vote), "verdict": vote.verdict.value}


def _named(row: Any) -> JsonObject:
    """A row's values by the names of its fields."""
    return {part.name: getattr(row, part.name) for part in fields(row)}


def background_data(background: Background) -> JsonObject:
    """The like cases and the session's last calls, without arguments: each is looked at under its own id."""
    like = background.precedents
    return {
        "precedents": {
            "approved": like.approved,
            "rejected": like.rejected,
            "latest": [
                {
                    "review_id": review.id,
                    "call_id": review.call_id,
                    "approved": was_approved(review),
                    "reviewer": review.settled_by,
                    "at": review.settled_at,
                    "reason": review.comment,
                }
                for review in like.latest
            ],
        },
        "session": [
            {
                **{name: getattr(call, name) for name in ("id", "server", "tool", "method", "created_at", "review_id")},
                "state": call.state.value,
                "effect": call.decision.get("effect"),
                "outcome_kind": call.outcome_kind,
            }
            for call in background.session
        ],
        "question": call_data(background.question) if background.question is not None else None,
    }
