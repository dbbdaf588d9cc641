"""Requests of a tool server to the agent (sampling, elicitation, roots): each a judged call, and its answer another.

Rules of this module:
* The agent sees an id minted here and known only in its session; an answer to any other id is refused (traps T22).
* Nothing of the request reaches the agent before policy has allowed it and inspection has passed it; nothing of the
  answer reaches the tool before policy has allowed that too. What is sent is what was judged.
* The tool always gets exactly one response: the agent's, or an error of ours. Never silence: a tool may be holding
  state meanwhile.
* A question lives as long as the request that caused it, and never longer than the server's own patience.
* A server's ping asks after our liveness; we answer it ourselves.
"""

from __future__ import annotations

import asyncio
from typing import Any

import structlog

from policies.model import Direction, JsonObject, ToolCall
from proxy.doors.mcp_answers import without_our_meta
from proxy.doors.mcp_link import Link, close, version_headers
from proxy.doors.mcp_reply import AgentReply
from proxy.doors.mcp_sessions import QUESTIONS_MAX, Session
from proxy.doors.mcp_shared import Shared, shown_method
from proxy.exchange import AnswerKind, Client, Dispatched
from proxy.tasks import spawn
from proxy.upstreams.base import Sent, UpstreamFailed
from proxy.wire import mcp_results
from proxy.wire.jsonrpc import is_same_id
from proxy.wire.mcp_methods import Era, Handling, Kind, Revision, method
from redaction.model import Surface

log = structlog.get_logger("interlock.mcp")

REFUSED = "The gate did not pass this request on to the agent, or its answer back."
NO_ANSWER = "The agent did not answer this request."


def _result(request_id: str | int, result: JsonObject) -> JsonObject:
    return {"jsonrpc": "2.0", "id": request_id, "result": result}


def _error(revision: Revision, request_id: str | int, message: str) -> JsonObject:
    return mcp_results.error(revision, request_id, mcp_results.REFUSED_BY_GATE, message)


class Question:
    """One request of a tool server, while it waits for the agent. It is also the `Exchange` by which it is judged."""

    ticket: str | None = None
    size_bytes: int = 0

    def __init__(self, asker: Asker, request: JsonObject, reply: AgentReply, event_id: str | None) -> None:
        session = asker.session
        self.id = "ilq_" + asker.shared.ids.nonce()
        self.upstream_id: str | int = request["id"]
        self.method: str = request["method"]
        self.answered: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.is_answering = False
        self.revision = session.revision
        self.client = Client(session.client_name, session.client_version, False, session.revision.value)
        self.left = asker.left
        self._asker, self._reply, self._event_id = asker, reply, event_id
        params = request.get("params") or {}
        self._meta = params.get("_meta")
        self._told: JsonObject | None = None
        self.call = ToolCall(
            server=session.server,
            tool=f"mcp.{self.method}",
            arguments={name: value for name, value in params.items() if name != "_meta"},
            agent=session.agent,
            session=session.id,
            method=self.method,
            direction=Direction.TOOL_TO_AGENT,
        )

    async def dispatch(self, call: ToolCall, sent: Sent) -> Dispatched:
        """Tell the agent, and wait until its answer has gone to the tool. Raises: UpstreamFailed (nothing was told)."""
        params: JsonObject = dict(call.arguments)
        if self._meta is not None:
            params["_meta"] = self._meta
        message: JsonObject = {"jsonrpc": "2.0", "id": self.id, "method": self.method}
        if params:
            message["params"] = params
        shared = self._asker.shared
        rules = shared.runner.output_rules(call)
        told = without_our_meta(message)
        inspection = await shared.inspectors.inspect(told, rules=rules, surface=Surface.SERVER_REQUEST)
        if inspection.message is None:
            raise UpstreamFailed(f"the request was withheld: {inspection.why}", sent=False)
        self._told = inspection.message
        sent.happened = True
        if not await self._reply.event(self._told, self._event_id):
            sent.happened = False
            raise UpstreamFailed("the agent was not there to be asked", sent=False)
        was_answered = await self._answer()
        self.left = asyncio.Event()  # the tool has its response, or is given one: that is what delivered means here
        if was_answered:
            return Dispatched(_result(self.id, {}))
        return Dispatched(_error(self.revision, self.id, NO_ANSWER))

    def parked(self, call_id: str, message: str) -> None:
        """The tool waits; there is nothing to keep alive but the agent's own stream, which its call sees to."""

    def take_back(self) -> JsonObject | None:
        """The tool wants no answer any more; what the agent is told of it, if it was told of the question."""
        self.is_answering = True  # nothing is owed
        if not self.answered.done():
            self.answered.set_result(False)
        if self._told is None:
            return None
        return {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": self.id}}

    async def tell_again(self, reply: AgentReply, event_id: str | None) -> None:
        """The agent resumed its stream: the question is put to it there, if it was already told."""
        self._reply, self._event_id = reply, event_id
        if self._told is not None and not self.answered.done():
            await reply.event(self._told, event_id)

    async def _answer(self) -> bool:
        """Whether the agent's answer reached the tool, in time and before the asking call was over."""
        gone: asyncio.Future[Any] = asyncio.ensure_future(self.left.wait())
        timeout = self._asker.shared.timeout_sec(self.call.server)
        try:
            await asyncio.wait([self.answered, gone], timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            if self.is_answering:  # it is on its way to the tool, which may have gone on because of it
                await asyncio.wait([self.answered], timeout=timeout)
        finally:
            gone.cancel()
        return self.answered.done() and self.answered.result()


class AgentAnswer:
    """The agent's response to a question, on its way to the tool: an `Exchange` of its own."""

    ticket: str | None = None
    size_bytes: int = 0

    def __init__(self, question: Question, link: Link, response: JsonObject) -> None:
        self.client = question.client
        self.left = question.left
        self._question, self._link = question, link
        self._is_error = "error" in response
        arguments = {"error": response["error"]} if self._is_error else response["result"]
        self.call = ToolCall(
            server=question.call.server,
            tool=question.call.tool,
            arguments=arguments if isinstance(arguments, dict) else {"result": arguments},
            agent=question.call.agent,
            session=question.call.session,
            method=question.method,
            direction=Direction.AGENT_ANSWER,
            request_state=question.id,  # yes to this is no yes to that: an approval is for this question alone (P6)
        )

    async def dispatch(self, call: ToolCall, sent: Sent) -> Dispatched:
        """Give the tool the answer, as judged. Raises: UpstreamFailed."""
        request_id = self._question.upstream_id
        if self._is_error:
            response: JsonObject = {"jsonrpc": "2.0", "id": request_id, **call.arguments}
        else:
            response = _result(request_id, call.arguments)
        status = await _send(self._link, response, self._question.revision, sent)
        self.left = asyncio.Event()  # it has been given to the tool, whoever waits for what comes of it
        if status >= 400:
            why = f"The tool server refused the answer with HTTP {status}."
            return Dispatched(_error(self._question.revision, self._question.id, why))
        return Dispatched(_result(self._question.id, {}))

    def parked(self, call_id: str, message: str) -> None:
        """Its sender has its 202; nothing is held open for it."""


class Refuser:
    """Where no agent can be asked, because no session says which: the tool gets an error at once (traps T22)."""

    __slots__ = ("_link", "_revision")

    def __init__(self, link: Link, revision: Revision) -> None:
        self._link, self._revision = link, revision

    def __call__(self, request: JsonObject, reply: AgentReply, event_id: str | None) -> None:  # noqa: ARG002 - the port
        spawn(_respond(self._link, _error(self._revision, request["id"], REFUSED), self._revision), name="refused")

    def cancelled(self, notification: JsonObject) -> JsonObject | None:  # noqa: ARG002 - the port
        """Nothing was asked, so nothing is taken back."""
        return None


def asks(
    shared: Shared, session: Session | None, link: Link, revision: Revision, left: asyncio.Event
) -> Asker | Refuser | None:
    """Who deals with requests of the server on a stream; None where the revision has none."""
    if revision.era is Era.MODERN:
        return None
    return Asker(shared, session, link, left) if session is not None else Refuser(link, revision)


class Asker:
    """Puts the questions of one request (or one push stream) of a session to its agent."""

    __slots__ = ("_link", "left", "session", "shared")

    def __init__(self, shared: Shared, session: Session, link: Link, left: asyncio.Event) -> None:
        self.shared, self.session, self.left, self._link = shared, session, left, link

    def __call__(self, request: JsonObject, reply: AgentReply, event_id: str | None) -> None:
        """Take up one request of the server."""
        known = self._known(request["id"])
        if known is not None:
            spawn(known.tell_again(reply, event_id), name="question-again")
            return
        row = method(self.session.revision, Direction.TOOL_TO_AGENT, Kind.REQUEST, request["method"])
        if row is None or len(self.session.questions) >= QUESTIONS_MAX:
            spawn(self._refuse(request), name="question-refused")
        elif row.handling is not Handling.JUDGED:
            spawn(_respond(self._link, _result(request["id"], {}), self.session.revision), name="pong")
        else:
            spawn(self._put(request, reply, event_id), name="question")

    def cancelled(self, notification: JsonObject) -> JsonObject | None:
        """The server takes a question back."""
        question = self._known((notification.get("params") or {}).get("requestId"))
        return question.take_back() if question is not None else None

    def _known(self, upstream_id: object) -> Question | None:
        for question in self.session.questions.values():
            if is_same_id(question.upstream_id, upstream_id):
                return question
        return None

    async def _put(self, request: JsonObject, reply: AgentReply, event_id: str | None) -> None:
        session, runner = self.session, self.shared.runner
        question = Question(self, request, reply, event_id)
        session.questions[question.id] = question
        try:
            answer = await runner.call(question)
        finally:
            del session.questions[question.id]
        was_answered = question.answered.done() and question.answered.result()
        if answer.kind is AnswerKind.RESULT and was_answered:
            runner.delivered(answer)
            return
        # A definite end: the tool is told, so nothing of this question is left to be given to anybody.
        runner.delivered(answer)
        if not question.is_answering:
            why = NO_ANSWER if answer.kind is AnswerKind.RESULT else REFUSED
            await _respond(self._link, _error(session.revision, request["id"], why), session.revision)

    async def _refuse(self, request: JsonObject) -> None:
        """A request that the revision does not know, or one too many."""
        self.shared.runner.refused(
            agent=self.session.agent.id,
            server=self.session.server,
            method=shown_method(request["method"]),
            why="a request of the tool server that this revision does not have, or one too many",
            status=0,
        )
        revision = self.session.revision
        await _respond(self._link, _error(revision, request["id"], REFUSED), revision)


def take_answer(shared: Shared, session: Session, link: Link, response: JsonObject) -> bool:
    """Take up an agent's response; False if it answers nothing this session was asked."""
    question = session.questions.get(response["id"]) if isinstance(response["id"], str) else None
    if question is None or question.is_answering or question.answered.done():
        return False
    question.is_answering = True
    spawn(_judge_answer(shared, question, link, response), name="agent-answer")
    return True


async def _judge_answer(shared: Shared, question: Question, link: Link, response: JsonObject) -> None:
    exchange = AgentAnswer(question, link, response)
    answer = await shared.runner.call(exchange)
    shared.runner.delivered(answer)
    reached = answer.kind is AnswerKind.RESULT and answer.response is not None and "error" not in answer.response
    if not reached:
        question.is_answering = False  # nothing was sent, or it was refused: the tool is owed an error
        if answer.kind in (AnswerKind.IN_DOUBT, AnswerKind.HELD):
            question.is_answering = True  # it may have been: a second response would be worse than none
    if not question.answered.done():
        question.answered.set_result(reached)


async def _respond(link: Link, response: JsonObject, revision: Revision) -> None:
    """Give the tool a response of our own; one that cannot be reached any more waits for nothing."""
    try:
        await _send(link, response, revision, Sent())
    except UpstreamFailed as failed:
        log.info("question_not_closed", why=failed.why)


async def _send(link: Link, response: JsonObject, revision: Revision, sent: Sent) -> int:
    headers = version_headers(revision)
    reply = await link.post(response, headers=headers, sent=sent, reuse_connection=True)
    await close(reply)
    return reply.status
