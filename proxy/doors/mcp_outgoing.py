"""From the agent's request to a `ToolCall`, and from a `ToolCall` back to the message that is sent: one canonical form.

Rules of this module:
* Pure. What the gate itself added for agents (the ticket) leaves first, before anything is judged or hashed.
* `tools/call` is the tool's own name and arguments; every other method is the tool `mcp.<method>` with its params as
  arguments (SEMANTICS §1.9). `_meta` is about the message, not about the act, and is never an argument.
* What is sent carries the arguments of the given call, in their own key order (traps T18), and its input responses and
  request state, in the message's own frame: its id, its `_meta`, its other params. An unedited call is sent as it was
  read.
* A ticket may bring back another call than its message asked for: that one is sent, in the frame of this message.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from policies.model import Agent, JsonObject, ToolCall, ToolDefinition
from proxy.doors.admission import Place
from proxy.doors.mcp_reply import ProgressScale
from proxy.exchange import Client
from proxy.wire.jsonrpc import Request
from proxy.wire.mcp_headers import TICKET_HEADER, McpHeaders, outgoing
from proxy.wire.mcp_methods import Era, Method, Revision
from proxy.wire.refusals import Why, WireRefusal

TICKET_META = "interlock/ticket"
_TASK = "task"  # the wish for one, 2025-11-25 basic/utilities/tasks
_MULTI_ROUND = ("inputResponses", "requestState")  # of a retried request, 2026-07-28 basic/patterns/mrtr


@dataclass(slots=True)
class AgentRequest:
    """One request of an agent, read and classified, without what is ours in it."""

    request: Request
    row: Method
    revision: Revision
    headers: McpHeaders
    client: Client
    accept: str
    place: Place  # among those the gate works for
    ticket: str | None = None
    self_reported: JsonObject = field(default_factory=dict)  # what the agent says of itself with it
    scale: ProgressScale | None = None
    upstream_decides: bool = False

    @property
    def id(self) -> str | int:
        return self.request.id

    @property
    def method(self) -> str:
        return self.request.method

    @property
    def is_modern(self) -> bool:
        return self.revision.era is Era.MODERN


def take_ticket(request: Request, headers: McpHeaders, *, modern: bool = False) -> tuple[Request, str | None]:
    """The request without our own additions, and the ticket presented with it.

    Raises: WireRefusal (BAD_ARGUMENTS).
    """
    by_header = headers.lines.get(TICKET_HEADER)
    if TICKET_META not in request.meta:
        return request, by_header
    ticket = request.meta[TICKET_META]
    if not isinstance(ticket, str) or (by_header is not None and by_header != ticket):
        why = f"_meta[{TICKET_META!r}] is not a string, or the header {TICKET_HEADER} says another ticket"
        raise WireRefusal(Why.BAD_ARGUMENTS, why, id=request.id, modern=modern)
    meta = {name: value for name, value in request.meta.items() if name != TICKET_META}
    params = {name: value for name, value in request.params.items() if name != "_meta"}
    if meta:
        params["_meta"] = meta
    return request.replacing(params=params), ticket


def call_of(
    asked: AgentRequest, server: str, agent: Agent, session: str | None, definition: ToolDefinition | None
) -> ToolCall:
    """The act this request asks for."""
    request = asked.request
    params = request.params
    if request.method == "tools/call":
        tool, arguments = params["name"], params.get("arguments") or {}
    else:
        tool = f"mcp.{request.method}"
        arguments = {name: value for name, value in params.items() if name != "_meta" and name not in _MULTI_ROUND}
    return ToolCall(
        server=server,
        tool=tool,
        arguments=arguments,
        agent=agent,
        session=session,
        method=request.method,
        input_responses=params.get("inputResponses"),
        request_state=params.get("requestState"),
        definition=definition,
        self_reported=asked.self_reported,
    )


def message_for(asked: AgentRequest, judged: ToolCall, call: ToolCall, *, may_be_task: bool = True) -> Request:
    """The message that asks for exactly `call`, in the frame of the agent's request.

    `may_be_task` False: the wish for a task is left out, and the answer is the outcome itself.
    """
    request = asked.request
    if not may_be_task and _TASK in request.params:
        request = request.replacing(params={name: one for name, one in request.params.items() if name != _TASK})
    if (call.method, call.tool) != (judged.method, judged.tool):
        return _another(request, call)
    is_same_retry = call.input_responses is judged.input_responses and call.request_state == judged.request_state
    if call.arguments is judged.arguments and is_same_retry:
        return request
    of_retry = _of_retry(call)
    params: JsonObject = {}
    arguments = dict(call.arguments)
    for name, value in request.params.items():
        if name == "_meta":
            params[name] = value
        elif name in _MULTI_ROUND:
            if name in of_retry:
                params[name] = of_retry.pop(name)
        elif request.method != "tools/call":
            if name in arguments:
                params[name] = arguments.pop(name)
        elif name == "arguments":
            params[name] = call.arguments
        else:
            params[name] = value
    if request.method != "tools/call":
        params |= arguments
    elif "arguments" not in params and call.arguments:
        params["arguments"] = call.arguments
    return request.replacing(params=params | of_retry)


def _of_retry(call: ToolCall) -> JsonObject:
    """What a multi-round retry says beside its arguments."""
    said = zip(_MULTI_ROUND, (call.input_responses, call.request_state), strict=True)
    return {name: value for name, value in said if value is not None}


def _another(request: Request, call: ToolCall) -> Request:
    if call.method == "tools/call":
        params: JsonObject = {"name": call.tool, "arguments": call.arguments}
    else:
        params = dict(call.arguments)
    params |= _of_retry(call)
    if request.meta:
        params["_meta"] = request.meta
    raw = {"jsonrpc": "2.0", "id": request.id, "method": call.method, "params": params}
    return Request(request.id, call.method, params, raw)


def headers_for(asked: AgentRequest, message: Request, call: ToolCall | None) -> dict[str, str]:
    """The headers that go with `message`: computed from it, never copied."""
    schema = call.definition.input_schema if call is not None and call.definition is not None else None
    headers = outgoing(asked.revision, message, sent=asked.headers, input_schema=schema)
    headers["accept"] = asked.accept
    return headers
