"""Tickets: what an agent presents instead of its call, once a hold has outlasted its patience.

Rules of this module:
* A ticket is bound to the call and to the agent by a MAC; nothing of it is stored, and another agent's is worthless.
* A ticket only names a call. What it gets is decided by where that call is (SEMANTICS §2.2), never by the ticket.
"""

from __future__ import annotations

import hmac

from audit.keyed import keyed_digest

_PREFIX = "ilt_"
_MAC_HEX = 32


def issue(key: bytes, call_id: str, agent: str) -> str:
    """The ticket for this agent's call."""
    return f"{_PREFIX}{call_id}_{_mac(key, call_id, agent)}"


def read(key: bytes, ticket: str, agent: str) -> str | None:
    """The call id a ticket names, or None if it is not a ticket of this agent's."""
    body = ticket.removeprefix(_PREFIX)
    call_id, _, mac = body.rpartition("_")
    if body == ticket or not call_id or len(ticket) > 256:
        return None
    if not hmac.compare_digest(mac.encode(), _mac(key, call_id, agent).encode()):
        return None
    return call_id


def _mac(key: bytes, call_id: str, agent: str) -> str:
    message = f"interlock ticket v1\x00{call_id}\x00{agent}".encode()
    return keyed_digest(key, message).hex()[:_MAC_HEX]
