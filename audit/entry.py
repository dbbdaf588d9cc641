"""One audit record: what happened, to which call, by whom, as canonical JSON.

Rules of this module:
* An `EntryDraft` is what the gate or the inbox wants written; the chain adds sequence, time of writing and links.
* `body` holds masked or committed values only (audit/masks.py): a value an agent or a tool sent never stands here
  in clear.
* `kind` is past tense and closed: a new kind of event is a new member, and the docs list them all.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class EntryKind(StrEnum):
    """Every kind of thing the record tells of."""

    GATE_STARTED = "gate_started"
    GATE_STOPPED = "gate_stopped"
    POLICY_LOADED = "policy_loaded"
    POLICY_REFUSED = "policy_refused"  # a reload that failed; the last good snapshot stays
    CALL_NOTED = "call_noted"  # handshake, ping, lists: passed by a built-in rule
    CALL_REFUSED = "call_refused"  # by the reader, a limit or an error of ours, before or instead of judging
    CALL_DECIDED = "call_decided"
    CALL_DISPATCHED = "call_dispatched"
    CALL_ANSWERED = "call_answered"
    CALL_FAILED = "call_failed"  # before or after send, for certain
    CALL_IN_DOUBT = "call_in_doubt"
    CALL_RESOLVED = "call_resolved"
    CALL_REATTACHED = "call_reattached"
    AGENT_LEFT = "agent_left"
    TICKET_ISSUED = "ticket_issued"
    REVIEW_OPENED = "review_opened"
    REVIEW_CLAIMED = "review_claimed"  # or given up: a lease, not a vote
    REVIEW_ESCALATED = "review_escalated"
    REVIEW_COMMENTED = "review_commented"  # said about a question, not an answer to it
    REVIEW_VOTED = "review_voted"
    REVIEW_SETTLED = "review_settled"
    REVIEW_EDITED = "review_edited"
    REVIEW_VOIDED = "review_voided"
    GRANT_SPENT = "grant_spent"
    OUTPUT_INSPECTED = "output_inspected"
    OUTPUT_RELEASED = "output_released"
    OUTPUT_DESTROYED = "output_destroyed"
    OUTPUT_REVEALED = "output_revealed"
    SAMPLING_OPENED = "sampling_opened"  # a period of sampled audit: the commitment to its key
    SAMPLING_PUBLISHED = "sampling_published"  # a period is over: its key, so that every draw can be repeated
    STOP_ORDERED = "stop_ordered"  # the kill switch, for all, an agent or a server
    STOP_LIFTED = "stop_lifted"
    AGENT_PROMOTED = "agent_promoted"  # to its next autonomy level in a domain
    AGENT_DEMOTED = "agent_demoted"
    PROMOTION_REFUSED = "promotion_refused"  # or nobody said yes in time: counting begins anew
    INCIDENT_OPENED = "incident_opened"  # a safety incident that a person reports
    INVENTORY_PINNED = "inventory_pinned"
    INVENTORY_DRIFTED = "inventory_drifted"
    INVENTORY_ACCEPTED = "inventory_accepted"
    ACCOUNT_CHANGED = "account_changed"
    LOGIN_SUCCEEDED = "login_succeeded"
    LOGIN_FAILED = "login_failed"
    DATA_ERASED = "data_erased"  # retention: sealed values deleted, commitments stay


@dataclass(frozen=True, slots=True)
class EntryDraft:
    """An entry before it is chained. `at` is wall time, seconds since the epoch, as the event carried it."""

    kind: EntryKind
    at: float
    actor: str  # "agent:demo", "reviewer:maria", "policy:<rule>@<snapshot>", "gate"
    call_id: str | None = None
    body: dict[str, Any] = field(default_factory=dict)
