"""The runner's answer as a message of the agent's revision.

Rules of this module:
* Pure. Framing and required fields only; the content is the runner's (`proxy/answers.py`) or the tool's, inspected.
* The id is always the one this request came with, whatever call the answer is of.
* A tool's answer carries our `_meta` only where something was changed, replayed or edited, and never the tool's
  idea of it: keys under `interlock/` are taken out of whatever a tool says, answer or not, wherever we would say them.
"""

from __future__ import annotations

from dataclasses import dataclass

from policies.model import Json, JsonObject
from proxy.doors.mcp_outgoing import AgentRequest
from proxy.doors.mcp_reply import Header
from proxy.exchange import Answer, AnswerKind
from proxy.wire import mcp_results, strict_json
from proxy.wire.mcp_results import CALL_META_KEY

OUR_META = "interlock/"  # keys of `_meta` that only the gate says: a tool's are taken out


@dataclass(slots=True)
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


def without_our_meta(message: JsonObject) -> JsonObject:
    """A tool's message without what only the gate may say: in a result, an error's data, a notification's params."""
    cleaned = message
    for name in ("result", "params"):
        if name in message:
            cleaned = {**cleaned, name: _without_ours(message[name])}
    error = message.get("error")
    if isinstance(error, dict) and "data" in error:
        cleaned = {**cleaned, "error": {**error, "data": _without_ours(error["data"])}}
    return cleaned


def _without_ours(part: Json) -> Json:
    meta = part.get("_meta") if isinstance(part, dict) else None
    if not isinstance(part, dict) or not isinstance(meta, dict) or not any(key.startswith(OUR_META) for key in meta):
        return part
    return {**part, "_meta": {key: value for key, value in meta.items() if not key.startswith(OUR_META)}}


def _result(asked: AgentRequest, answer: Answer, *, is_collected: bool) -> JsonObject:
    assert answer.response is not None
    response = {**without_our_meta(answer.response), "id": asked.id}
    result = response.get("result")
    if not isinstance(result, dict):
        return response
    if is_collected and "content" not in result:  # the outcome of another method, as the result of a tool
        result = {"content": [{"type": "text", "text": strict_json.write(result).decode()}], "isError": False}
    if asked.is_modern and "resultType" not in result:
        result = {"resultType": "complete", **result}  # an outcome kept from an earlier revision (traps T23)
    if answer.meta:
        theirs = result.get("_meta")
        result = {**result, "_meta": {**(theirs if isinstance(theirs, dict) else {}), CALL_META_KEY: answer.meta}}
    response["result"] = result
    return response
