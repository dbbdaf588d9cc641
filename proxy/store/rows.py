"""The tables of the store, and their records: calls, reviews, people, pins, snapshots, stops, agents' standings.

Rules of this module:
* One list of columns per table, in the order in which they are authenticated; a column added later goes to the end of
  its group, by a migration that signs the rows anew.
* `due_at` says when time itself moves a review on; it is derived here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from policies.model import Approval, Direction, OnTimeout
from proxy.store.base import Account, LoginLink, LoginSession, PinnedTool, SamplingPeriod
from proxy.store.macs import SqlValue
from proxy.store.sealing import SEAL_BYTES
from proxy.store.tables import (
    Column,
    Row,
    Rows,
    Table,
    flag,
    from_json,
    integer,
    json_value,
    names,
    one_of,
    real,
    text,
    to_json,
)
from review.brief import READ_BYTES_MAX, brief
from review.model import (
    AgentStanding,
    CallRecord,
    CallState,
    ReviewKind,
    ReviewRecord,
    ReviewState,
    Stop,
    StopScope,
    Verdict,
    Vote,
)


def _write_approval(approval: Approval) -> str:
    return to_json({**asdict(approval), "quorum": dict(approval.quorum)}).decode()


def _read_approval(stored: str) -> Approval:
    fields: Mapping[str, Any] = from_json(stored.encode())
    said = fields["on_timeout"]
    on_timeout = None if said is None else OnTimeout(said)
    return Approval(**{**fields, "teams": tuple(fields["teams"]), "on_timeout": on_timeout})


CALLS = Table(
    "calls",
    fields=(
        text("id"),
        text("agent"),
        text("server"),
        text("tool"),
        text("method"),
        one_of("state", CallState),
        real("created_at"),
        real("updated_at"),
        text("repeat_key"),
        text("proposed_digest"),
        text("snapshot"),
        integer("version"),
        text("session"),
        text("on_behalf_of"),
        one_of("direction", Direction),
        text("review_id"),
        text("previous_id"),
        text("definition_digest"),
        text("outcome_kind"),
        json_value("inspection"),
        real("delivered_at"),
        real("dispatched_at"),
        real("answered_at"),
        text("failure"),
        text("resolution"),
        json_value("labels"),
    ),
    own=("erased_at",),
    sealed=("decision", "proposed", "approved", "outcome"),
    fixed=("agent", "server", "tool", "created_at", "repeat_key", "erased_at"),
    passing=CallState.DISPATCHING.value,
)

REVIEWS = Table(
    "reviews",
    fields=(
        text("id"),
        text("call_id"),
        one_of("kind", ReviewKind),
        one_of("state", ReviewState),
        real("opened_at"),
        real("expires_at"),
        Column("approval", _write_approval, _read_approval),
        text("binding"),
        text("nonce"),
        integer("version"),
        names("answered_rules"),
        real("undo_until"),
        real("grant_expires_at"),
        real("settled_at"),
        text("settled_by"),
        text("comment"),
        text("escalated_to"),
        text("claimed_by"),
        real("claimed_until"),
    ),
    own=("changed_at", "due_at"),
    fixed=("call_id", "kind", "opened_at"),
)

VOTES = Table(
    "votes",
    fields=(
        text("review_id"),
        text("reviewer"),
        one_of("verdict", Verdict),
        real("at"),
        text("comment"),
        text("shown_digest"),
        integer("looked_ms"),
        text("login"),
        text("team"),
    ),
    own=("n",),
    keys=("review_id", "n"),
)

PRECEDENTS = Table("precedents", fields=(text("review_id"), text("shape"), real("at")), keys=("review_id",))

ACCOUNTS = Table(
    "accounts",
    fields=(
        text("name"),
        text("password_hash"),
        names("roles"),
        names("teams"),
        names("owns_agents"),
        flag("disabled"),
        real("created_at"),
        real("sessions_from"),
    ),
    keys=("name",),
)

SESSIONS = Table(
    "sessions",
    fields=(
        text("token_hash"),
        text("account"),
        real("created_at"),
        real("expires_at"),
        real("last_seen_at"),
        text("login"),
    ),
    keys=("token_hash",),
)

LINKS = Table("links", fields=(text("token_hash"), text("account"), real("expires_at")), keys=("token_hash",))

PINS = Table(
    "pins",
    fields=(
        text("server"),
        text("tool"),
        text("digest"),
        json_value("definition"),
        real("first_seen_at"),
        text("accepted_digest"),
        text("accepted_by"),
        real("accepted_at"),
    ),
    keys=("server", "tool"),
)

SNAPSHOTS = Table("snapshots", fields=(text("id"), json_value("files")))
SNAPSHOT_LOADS = Table(
    "snapshot_loads", fields=(text("id"), text("loaded_by"), real("loaded_at")), own=("n",), keys=("n",)
)

STOPS = Table(
    "stops",
    fields=(
        text("id"),
        one_of("scope", StopScope),
        text("target"),
        text("ordered_by"),
        text("why"),
        real("at"),
        text("login"),
        real("lifted_at"),
        text("lifted_by"),
        text("lifted_why"),
    ),
)

STANDINGS = Table(
    "standings",
    fields=(
        text("id"),
        text("agent"),
        text("domain"),
        integer("level"),
        real("since"),
        json_value("outcomes"),
        text("review_id"),
    ),
)


SAMPLING_PERIODS = Table(
    "sampling_periods", fields=(text("name"), real("opened_at"), real("published_at")), keys=("name",)
)


def call_row(rows: Rows, call: CallRecord) -> Row:
    """Raises: ValueError, TypeError for a value that does not fit its column."""
    return rows.encode(CALLS, call, call.id, (None,))


def call_of(rows: Rows, row: Row) -> CallRecord:
    """The call of a checked row. Raises: Tampered."""
    return CallRecord(**rows.decode(CALLS, row, str(row[0])))


BRIEF_READS = {"proposed": READ_BYTES_MAX, "approved": READ_BYTES_MAX, "outcome": 0}
"""Of a call in a list: how many bytes of a sealed value are worth opening."""


def brief_call_of(rows: Rows, stored: Sequence[SqlValue]) -> CallRecord:
    """The call of what `CALLS.select_brief(BRIEF_READS)` found, in brief. Raises: Tampered."""
    row = rows.check(CALLS, stored[: -len(BRIEF_READS)])
    sizes = dict(zip(BRIEF_READS, stored[-len(BRIEF_READS) :], strict=True))
    unread = {name: size - SEAL_BYTES for name, size in sizes.items() if isinstance(size, int)}
    large = {name: size for name, size in unread.items() if size > BRIEF_READS[name]}
    for name in large:
        row[CALLS.position[name]] = None
    is_large = "proposed" in large or "approved" in large
    sending = unread.get("approved", unread.get("proposed")) if is_large else None
    return brief(CallRecord(**rows.decode(CALLS, row, str(row[0]))), sending)


def review_row(rows: Rows, review: ReviewRecord, changed_at: float) -> Row:
    """Raises: ValueError, TypeError for a value that does not fit its column."""
    row = rows.encode(REVIEWS, review, review.id, (changed_at, None))
    row[REVIEWS.position["due_at"]] = due_at(row)
    return row


def review_of(rows: Rows, row: Row) -> ReviewRecord:
    """The review of a checked row."""
    return ReviewRecord(**rows.decode(REVIEWS, row, str(row[0])))


_STATE, _EXPIRES = REVIEWS.position["state"], REVIEWS.position["expires_at"]
_UNDO, _GRANT = REVIEWS.position["undo_until"], REVIEWS.position["grant_expires_at"]


def due_at(row: Row) -> SqlValue:
    """When this review is due: an open question at its expiry, an approved one after undo, a grant at its end."""
    match ReviewState(str(row[_STATE])):
        case ReviewState.APPROVED:
            return row[_EXPIRES] if row[_UNDO] is None else row[_UNDO]
        case ReviewState.SPENDABLE:
            return row[_GRANT]
        case state:
            return row[_EXPIRES] if state.is_open else None


def vote_of(rows: Rows, row: Row) -> Vote:
    return Vote(**rows.decode(VOTES, row, str(row[0])))


def account_of(rows: Rows, row: Row) -> Account:
    return Account(**rows.decode(ACCOUNTS, row, str(row[0])))


def session_of(rows: Rows, row: Row) -> LoginSession:
    return LoginSession(**rows.decode(SESSIONS, row, str(row[0])))


def link_of(rows: Rows, row: Row) -> LoginLink:
    return LoginLink(**rows.decode(LINKS, row, str(row[0])))


def pin_of(rows: Rows, row: Row) -> PinnedTool:
    return PinnedTool(**rows.decode(PINS, row, str(row[0])))


def period_of(rows: Rows, row: Row) -> SamplingPeriod:
    return SamplingPeriod(**rows.decode(SAMPLING_PERIODS, row, str(row[0])))


def standing_of(rows: Rows, row: Row) -> AgentStanding:
    values = rows.decode(STANDINGS, row, str(row[0]))
    del values["id"]  # it says what agent and domain say
    return AgentStanding(**values)


def stop_of(rows: Rows, row: Row) -> Stop:
    return Stop(**rows.decode(STOPS, row, str(row[0])))
