"""Erasing: the sealed values of calls that ended long ago are deleted; the record of what happened stays whole.

Rules of this module:
* Only ended calls are touched. Whatever still waits for a person keeps what that person must see.
* The entries hold commitments and masks, never values, so erasing breaks no hash; that data was erased is itself an
  entry, naming the calls.
* Of a decision the words of the policy stay (effect, reason, rules, labels); what was read from the call goes.
* The work is done in small pieces, so that calls are not kept waiting behind it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from audit.chain import Prepared
from policies.model import JsonObject
from proxy.store.macs import SqlValue
from proxy.store.rows import CALLS
from proxy.store.tables import Rows
from proxy.store.transaction import Transaction, Work
from review.model import CallState

CALLS_AT_ONCE = 100

_ENDED = (
    CallState.DENIED,
    CallState.CLOSED,
    CallState.ANSWERED,
    CallState.FAILED_BEFORE_SEND,
    CallState.FAILED_AFTER_SEND,
    CallState.RESOLVED,
    CallState.RELEASED,
    CallState.DESTROYED,
)
# The keys of review/decisions.py that hold words of the policy; any other key goes.
_KEPT_OF_DECISION = frozenset(
    {
        "effect",
        "reason",
        "rules",
        "snapshot",
        "risk",
        "risk_tags",
        "topics",
        "reversible",
        "classified",
        "agent_message",
        "constraints",
    }
)
_KEPT_OF_STEP = frozenset({"policy", "rule", "matched", "effect"})

_FIND = (
    f"{CALLS.select} WHERE erased_at IS NULL AND created_at < ? AND updated_at < ? "
    f"AND state IN ({', '.join(repr(state.value) for state in _ENDED)}) ORDER BY created_at LIMIT {CALLS_AT_ONCE}"
)


def erase_some(rows: Rows, before: float, now: float, entry_for: Callable[[float, list[str]], Prepared]) -> Work:
    """Erase up to `CALLS_AT_ONCE` calls; returns how many, so that the caller goes on until there are none."""

    def erase(transaction: Transaction) -> int:
        found = transaction.sql(_FIND, (before, before))
        erased = [_erase(rows, transaction, stored, now) for stored in found]
        if erased:
            transaction.append(entry_for(before, erased))
        return len(erased)

    return Work(erase, uses_sql=True)


def drop_expired(before: float) -> Work:
    """Login sessions and links that ended before are of no use to anybody."""

    def drop(transaction: Transaction) -> None:
        transaction.sql("DELETE FROM sessions WHERE expires_at < ?", (before,))
        transaction.sql("DELETE FROM links WHERE expires_at < ?", (before,))

    return Work(drop, uses_sql=True)


def _erase(rows: Rows, transaction: Transaction, stored: tuple[SqlValue, ...], now: float) -> str:
    row = rows.check(CALLS, stored)
    at = CALLS.position
    call_id = str(row[at["id"]])
    decision = rows.unseal(CALLS, call_id, "decision", row[at["decision"]])
    row[at["decision"]] = rows.seal(CALLS, call_id, "decision", without_values(decision))
    row[at["proposed"]] = row[at["approved"]] = row[at["outcome"]] = None
    row[at["erased_at"]] = now
    transaction.sql(
        "UPDATE calls SET decision = ?, proposed = NULL, approved = NULL, outcome = NULL, erased_at = ?, mac = ? "
        "WHERE id = ?",
        (row[at["decision"]], now, rows.mac(CALLS, row), call_id),
    )
    return call_id


def without_values(decision: JsonObject) -> JsonObject:
    """A decision without anything that was read from the call."""
    kept: dict[str, Any] = {key: value for key, value in decision.items() if key in _KEPT_OF_DECISION}
    trace = decision.get("trace")
    if isinstance(trace, list):
        kept["trace"] = [
            {key: value for key, value in step.items() if key in _KEPT_OF_STEP}
            for step in trace
            if isinstance(step, dict)
        ]
    return kept
