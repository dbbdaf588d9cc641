"""Requests that a result or a notification carries (2026-07-28, `inputRequests`): judged before the carrier goes on.

Rules of this module:
* Each is a call of its own from the tool to the agent, as it would be on a stream of an earlier revision: judged, and
  durable in the record, whatever carries it.
* One that policy does not allow, that cannot be read, or that stands under a name which only some readers take for
  `inputRequests`, keeps the whole carrier from the agent.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from policies.model import Direction, Effect, Json, ToolCall
from proxy.doors.mcp_shared import Runs
from proxy.wire.strict_json import StrictJsonError, refuse_case_variants

CARRIED: Final = "inputRequests"
UNREADABLE: Final = "the tool asked the agent for something unreadable"


def asks_something(carrier: Json) -> bool:
    """Whether there is anything that `forbidden` would look at."""
    try:
        return _asked(carrier) is not None
    except StrictJsonError:
        return True


async def forbidden(runner: Runs, call: ToolCall, carrier: Json) -> str | None:
    """Why this result, or these params, may not go to the agent; None if they may. Raises: StoreDown."""
    try:
        asked = _asked(carrier)
    except StrictJsonError:
        return UNREADABLE
    if asked is None:
        return None
    for one in asked.values() if isinstance(asked, dict) else [asked]:
        method = one.get("method") if isinstance(one, dict) else None
        params = one.get("params", {}) if isinstance(one, dict) else None
        if not isinstance(method, str) or not isinstance(params, dict):
            return UNREADABLE
        question = replace(
            call,
            tool=f"mcp.{method}",
            method=method,
            arguments={name: value for name, value in params.items() if name != "_meta"},
            direction=Direction.TOOL_TO_AGENT,
            input_responses=None,
            request_state=None,
            definition=None,
        )
        decision = await runner.judge(question)
        if decision.effect is not Effect.ALLOW:
            return f"policy does not let the tool ask for {method[:80]}"
    return None


def _asked(carrier: Json) -> Json:
    """What it carries. Raises: StrictJsonError where only some readers would find it."""
    if not isinstance(carrier, dict):
        return None
    refuse_case_variants(carrier, (CARRIED,))
    return carrier.get(CARRIED)
