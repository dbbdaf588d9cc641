"""The runner's answer as a message of the agent's revision.

Rules of this module:
* Pure. Framing and required fields only; the content is the runner's (`proxy/answers.py`) or the tool's, inspected.
* The id is always the one this request came with, whatever call the answer is of.
* A tool's answer carries our `_meta` only where something was changed, replayed or edited, and never the tool's
  idea of it: keys under `interlock/` are taken out of what a tool says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from policies.model import JsonObject
from proxy.doors.mcp_outgoing import AgentRequest
from proxy.doors.mcp_reply import Header
from proxy.exchange import Answer, AnswerKind
from proxy.wire import mcp_results, strict_json
from proxy.wire.mcp_results import CALL_META_KEY

OUR_META = "interlock/"  # keys of `_meta` that only the gate says: a tool's are taken out


@dataclass(frozen=True, slots=True)
class Ending:
    """What is written at the end of a request."""

    status: int
    message: JsonObject
    headers: tuple[Header, ...] = ()


def ending_of(asked: AgentRequest, answer: Answer, *, is_collected: bool = False) -> Ending:
    """What the agent gets. `is_collected`: the request was a tools/call of ours for some earlier call."""
    if answer.kind is AnswerKind.RESULT and answer.response is not None:
        return Ending(answer.http_status, _result(asked, answer, is_collected=is_collected))
    headers: tuple[Header, ...] = ()
    if answer.retry_after_sec is not None:
        headers = ((b"retry-after", b"%d" % answer.retry_after_sec),)
    meta = {CALL_META_KEY: answer.meta} if answer.meta else None
    message = mcp_results.refusal(asked.revision, asked.method, asked.id, answer.text, meta=meta)
    return Ending(answer.http_status, message, headers)


def _meta(theirs: Any, ours: JsonObject) -> JsonObject:
    """The tool's own `_meta` without what only the gate may say, and what the gate says."""
    kept = (
        {key: value for key, value in theirs.items() if not key.startswith(OUR_META)}
        if isinstance(theirs, dict)
        else {}
    )
    return {**kept, CALL_META_KEY: ours} if ours else kept


def _result(asked: AgentRequest, answer: Answer, *, is_collected: bool) -> JsonObject:
    assert answer.response is not None
    response = {**answer.response, "id": asked.id}
    result = response.get("result")
    if not isinstance(result, dict):
        return response
    if is_collected and "content" not in result:  # the outcome of another method, as the result of a tool
        result = {"content": [{"type": "text", "text": strict_json.write(result).decode()}], "isError": False}
    if asked.is_modern and "resultType" not in result:
        result = {"resultType": "complete", **result}  # an outcome kept from an earlier revision (traps T23)
    theirs = result.get("_meta")
    if answer.meta or (isinstance(theirs, dict) and any(key.startswith(OUR_META) for key in theirs)):
        result = {**result, "_meta": _meta(theirs, answer.meta)}
    response["result"] = result
    return response
