"""Erasing: the sealed values of calls that ended long ago are deleted; the record of what happened stays whole.

Rules of this module:
* Only ended calls are touched. Whatever still waits for a person keeps what that person must see.
* The entries hold commitments and masks, never values, so erasing breaks no hash; that data was erased is itself an
  entry, naming the calls.
* A row that does not carry our MAC loses its values like any other and stays unbelieved; the entry names it.
* Of a decision the words of the policy stay (effect, reason, rules, labels); what was read from the call goes.
* The work is done in small pieces, so that calls are not kept waiting behind it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from audit.chain import Prepared
from policies.model import JsonObject
from proxy.store.base import Tampered
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

_ID = CALLS.position["id"]
_FIND = (
    f"{CALLS.select} WHERE erased_at IS NULL AND created_at < ? AND updated_at < ? "
    f"AND state IN ({', '.join(repr(state.value) for state in _ENDED)}) ORDER BY created_at LIMIT {CALLS_AT_ONCE}"
)


type EntryFor = Callable[[float, list[str], list[str]], Prepared]
"""The entry about an erasing: ended before when, the calls, and those of them whose rows were forged."""


def erase_some(rows: Rows, before: float, now: float, entry_for: EntryFor) -> Work:
    """Erase up to `CALLS_AT_ONCE` calls; returns how many, so that the caller goes on until there are none."""

    def erase(transaction: Transaction) -> int:
        calls: list[str] = []
        forged: list[str] = []
        for stored in transaction.sql(_FIND, (before, before)):
            calls.append(str(stored[_ID]))
            try:
                _erase(rows, transaction, stored, now)
            except Tampered:
                forged.append(calls[-1])
                _erase_forged(transaction, calls[-1], now)
        if calls:
            transaction.append(entry_for(before, calls, forged))
        return len(calls)

    return Work(erase, uses_sql=True)


def drop_expired(before: float) -> Work:
    """Login sessions and links that ended before are of no use to anybody."""

    def drop(transaction: Transaction) -> None:
        transaction.sql("DELETE FROM sessions WHERE expires_at < ?", (before,))
        transaction.sql("DELETE FROM links WHERE expires_at < ?", (before,))

    return Work(drop, uses_sql=True)


def _erase(rows: Rows, transaction: Transaction, stored: tuple[SqlValue, ...], now: float) -> None:
    row = rows.check(CALLS, stored)
    at = CALLS.position
    call_id = str(row[_ID])
    decision = rows.unseal(CALLS, call_id, "decision", row[at["decision"]])
    row[at["decision"]] = rows.seal(CALLS, call_id, "decision", without_values(decision))
    row[at["proposed"]] = row[at["approved"]] = row[at["outcome"]] = None
    row[at["erased_at"]] = now
    transaction.sql(
        "UPDATE calls SET decision = ?, proposed = NULL, approved = NULL, outcome = NULL, erased_at = ?, mac = ? "
        "WHERE id = ?",
        (row[at["decision"]], now, rows.mac(CALLS, row), call_id),
    )


def _erase_forged(transaction: Transaction, call_id: str, now: float) -> None:
    """Erase without signing: nobody shall believe the row because of us, and it shall not hold up the others."""
    transaction.sql(
        "UPDATE calls SET decision = x'', proposed = NULL, approved = NULL, outcome = NULL, erased_at = ? WHERE id = ?",
        (now, call_id),
    )


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
