"""One POST of an agent: read strictly, classified by the method table, then judged, noted or refused.

Rules of this module:
* Order: strict JSON, JSON-RPC, MCP (revision and headers), session, method table. The first thing
  wrong refuses the message whole, with the status and code of the wire's table, and the record is told.
* A judged request becomes an exchange and goes to the runner; its answer is written here, and the runner is told
  whether it was delivered. Nothing else in this package talks to the runner about calls.
* A request id is under way once at a time in its session. `notifications/cancelled` ends the agent's wait; the tool is
  told only of what it was sent.
* Session state is no precondition for judging: a call without a session is judged by its method all the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial

import structlog
from mcp.types.jsonrpc import INTERNAL_ERROR, INVALID_REQUEST

from policies.model import Agent, Direction, JsonObject, ToolDefinition
from proxy import answers
from proxy.doors import mcp_self_report
from proxy.doors.admission import Place
from proxy.doors.mcp_answers import Ending, ending_of
from proxy.doors.mcp_exchange import McpExchange
from proxy.doors.mcp_link import Link, close
from proxy.doors.mcp_noted import LISTEN, Noted, why_failed
from proxy.doors.mcp_outgoing import AgentRequest, call_of, take_ticket
from proxy.doors.mcp_places import TooManyStreams
from proxy.doors.mcp_questions import take_answer
from proxy.doors.mcp_reply import AgentReply, ProgressScale
from proxy.doors.mcp_sessions import Answered, NoSession, Session, TooManySessions
from proxy.doors.mcp_shared import Shared, shown_method
from proxy.doors.mcp_status import passed_headers, passed_status
from proxy.doors.mcp_tasks import REFUSED, is_past_rules
from proxy.exchange import Answer, AnswerKind, Client
from proxy.failpoints import failpoint
from proxy.heavy import HEAVY_BYTES_MIN, away, is_heavy
from proxy.upstreams.base import Sent, UpstreamFailed, UpstreamStopped
from proxy.upstreams.inventory import InventoryUnavailable
from proxy.wire import body, jsonrpc, mcp, mcp_headers, mcp_results, opaque, strict_json
from proxy.wire.jsonrpc import Message, Notification, Request, Response
from proxy.wire.mcp_methods import Era, Handling, Revision
from proxy.wire.refusals import Why, WireRefusal, from_json
from review.ports import StoreDown

log = structlog.get_logger("interlock.mcp")

CANCELLED = "notifications/cancelled"
RETRY_AFTER_SEC = 5

type Lines = body.HeaderLines


@dataclass(slots=True)
class Inbound:
    """A message on its way in, and everything known of where it came from."""

    agent: Agent
    server: str
    lines: Lines
    session_id: str | None
    client: str  # User-Agent, for clients that do not say what they are
    accept: str
    place: Place
    declared_bytes: int  # of its body, where its head says so


class Posts:
    """Serves POSTs."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        limits = shared.config.limits
        self._json = strict_json.JsonLimits(
            bytes_max=limits.body_bytes_max,
            depth_max=limits.json_depth_max,
            keys_max=limits.json_keys_max,
            key_bytes_max=limits.json_key_bytes_max,
        )

    async def serve(self, inbound: Inbound, data: bytes, reply: AgentReply) -> None:
        """Answer one POST."""
        method: str | None = None
        try:
            message = await self._read(data)
            method = message.method if not isinstance(message, Response) else None
            await self._classified(inbound, message, reply)
        except WireRefusal as refusal:
            self._refused(inbound, method, refusal.message, refusal.http_status)
            await reply.answer(refusal.http_status, refusal.body())
        except NoSession as unknown:
            if unknown.is_foreign:
                self._refused(inbound, method, "a session id that was never this agent's", 404)
            await reply.answer(404, _error(INVALID_REQUEST, "Session not found"))
        except (TooManySessions, TooManyStreams) as many:
            self._refused(inbound, method, str(many), 503)
            await reply.answer(503, _error(INTERNAL_ERROR, str(many)), headers=_RETRY_AFTER)
        except StoreDown as down:
            log.error("store_down", why=str(down))
            why = "The gate cannot write its record at the moment; nothing was forwarded."
            await reply.answer(503, _error(INTERNAL_ERROR, why), headers=_RETRY_AFTER)

    # -- reading ---------------------------------------------------------------------------------------------------

    async def _read(self, data: bytes) -> Message:
        try:
            if len(data) >= HEAVY_BYTES_MIN:
                value = await away(lambda: strict_json.read(data, self._json))
            else:
                value = strict_json.read(data, self._json)
        except strict_json.StrictJsonError as error:
            raise from_json(error) from error
        message = jsonrpc.parse(value)
        opaque.check_opaque(message, bytes_max=self._shared.config.limits.opaque_bytes_max)
        return message

    async def _classified(self, inbound: Inbound, message: Message, reply: AgentReply) -> None:
        session, unknown = self._session(inbound)
        found = mcp.classify(inbound.lines, message, assumed=session.revision if session is not None else None)
        opaque.check_opaque_headers(found.headers, bytes_max=self._shared.config.limits.opaque_bytes_max)
        if found.era is Era.MODERN or (isinstance(message, Request) and message.method == "initialize"):
            session = unknown = None  # no sessions there: a session id is ignored, never echoed
        if unknown is not None:
            raise unknown
        if isinstance(message, Response):
            await self._response(inbound, message, session, reply)
        elif isinstance(message, Notification):
            await self._notification(inbound, message, found, session, reply)
        elif found.is_judged:
            await self._judged(inbound, self._asked(inbound, message, found, session), session, reply)
        else:
            asked = self._asked(inbound, message, found, session)
            noted = Noted(self._shared, asked, inbound.agent, inbound.server, session, reply)
            lasts = self._shared.places.place(inbound.server, inbound.agent.id) if asked.method == LISTEN else None
            with lasts or nullcontext():
                await noted.serve()

    def _session(self, inbound: Inbound) -> tuple[Session | None, NoSession | None]:
        if inbound.session_id is None:
            return None, None
        try:
            return self._shared.sessions.find(inbound.session_id, inbound.agent, inbound.server), None
        except NoSession as unknown:
            return None, unknown

    def _asked(self, inbound: Inbound, message: Request, found: mcp.Inbound, session: Session | None) -> AgentRequest:
        request, ticket = take_ticket(message, found.headers, modern=found.era is Era.MODERN)
        request, said = mcp_self_report.take_from_meta(request)
        token = request.meta.get("progressToken")
        if token is not None and session is not None:
            session.tokens.add(token)
        assert found.method is not None
        return AgentRequest(
            request=request,
            row=found.method,
            revision=found.revision,
            headers=found.headers,
            client=_client(inbound, found, session, has_token=token is not None),
            accept=inbound.accept,
            ticket=ticket,
            self_reported=mcp_self_report.joined(mcp_self_report.of_headers(found.headers.lines), said),
            scale=ProgressScale(token) if token is not None else None,
            upstream_decides=found.upstream_decides,
            place=inbound.place,
        )

    # -- what is judged --------------------------------------------------------------------------------------------

    async def _judged(self, inbound: Inbound, asked: AgentRequest, session: Session | None, reply: AgentReply) -> None:
        failpoint("call.read")
        shared = self._shared
        is_collect = self._is_collect(inbound.server, asked)
        try:
            definition = None if is_collect else await self._definition(inbound, asked)
        except InventoryUnavailable as unavailable:
            log.warning("inventory_unavailable", server=inbound.server, why=str(unavailable))
            answer, why = _unlisted(unavailable)
            await self._turn_away(inbound, asked, why, answer, reply)
            return
        if shared.config.servers[inbound.server].self_report == "argument" and asked.method == "tools/call":
            asked.request, said = mcp_self_report.take_from_arguments(asked.request, definition)
            asked.self_reported = mcp_self_report.joined(asked.self_reported, said)
        call = call_of(asked, inbound.server, inbound.agent, session.id if session is not None else None, definition)
        wants_task = asked.request.params.get("task") is not None
        if wants_task and is_past_rules(shared.runner, call, is_modern=asked.is_modern):
            why = "a task whose outcome would be fetched past the tool's output rules"
            await self._turn_away(inbound, asked, why, answers.refused("", REFUSED), reply)
            return
        if is_collect:
            asked.ticket = str(call.arguments.get("ticket", ""))
        link = Link(shared.upstreams[inbound.server], inbound.agent.id, session)
        exchange = McpExchange(shared, asked, call, link, reply)
        key = str(asked.id)
        if session is not None:
            if key in session.awaited:
                why = "a request with this id is under way in this session"
                raise WireRefusal(Why.BAD_ID, why, id=asked.id, modern=asked.is_modern)
            session.awaited[key] = exchange
        is_held = False
        try:
            answer = await (shared.runner.collect(exchange) if is_collect else shared.runner.call(exchange))
            is_held = answer.kind is AnswerKind.HELD
            is_delivered = False
            try:
                ending = ending_of(asked, answer, is_collected=is_collect)
                inbound.place.step_aside()  # its reader may be slow
                if exchange.collector is not None or reply.may_have_left():
                    await _notice_departures()
                failpoint("answer.begun")
                is_delivered = await self._give(exchange, ending)
                failpoint("answer.given")
            finally:  # whatever became of the writing, the runner is told, so that the outcome is kept for the repeat
                (shared.runner.delivered if is_delivered else shared.runner.undelivered)(answer)
        finally:
            exchange.over.set()
            exchange.finished.set()
            if session is not None:
                session.awaited.pop(key, None)
                if exchange.event_ids:
                    session.remember(Answered(exchange.sent_call, asked.id, is_held=is_held))

    async def _turn_away(
        self, inbound: Inbound, asked: AgentRequest, why: str, answer: Answer, reply: AgentReply
    ) -> None:
        """Refused before anything is judged: the record is told why, the agent how to go on."""
        self._refused(inbound, asked.method, why, 200)
        ending = ending_of(asked, answer)
        await reply.answer(ending.status, ending.message, headers=ending.headers)

    def _give(self, exchange: McpExchange, ending: Ending) -> Awaitable[bool]:
        """Write the answer where the agent waits for it; False if it was nowhere to be found."""
        reply, collector = exchange.reply, exchange.collector
        if collector is not None and (reply.done or reply.left.is_set()):
            elsewhere, event_id = collector
            return elsewhere.event(ending.message, event_id)
        if exchange.bare_status is not None and not reply.committed:
            return reply.answer(exchange.bare_status, None)
        return reply.answer(ending.status, ending.message, event_id=exchange.final_event_id, headers=ending.headers)

    def _is_collect(self, server: str, asked: AgentRequest) -> bool:
        if asked.method != "tools/call" or asked.request.params["name"] != mcp.COLLECT_TOOL:
            return False
        return self._shared.config.servers[server].collect_tool

    async def _definition(self, inbound: Inbound, asked: AgentRequest) -> ToolDefinition | None:
        """The tool's definition, with the headers and argument names held to it. Raises: InventoryUnavailable."""
        request, inventory = asked.request, self._shared.inventory
        if request.method != "tools/call":
            return None
        definition = inventory.at_hand(inbound.server, request.params["name"])
        if definition is None:
            inbound.place.step_aside()  # a server may be slow to list its tools
            definition = await inventory.definition(inbound.server, request.params["name"])
            inbound.place.work()
        if definition is None:
            return None
        if is_heavy(request.params.get("arguments")):
            inbound.place.step_aside()
            await away(partial(self._hold_to, definition, asked))
            inbound.place.work()
        else:
            self._hold_to(definition, asked)
        return definition

    def _hold_to(self, definition: ToolDefinition, asked: AgentRequest) -> None:
        """Headers and argument names, held to what the tool declares. Raises: WireRefusal."""
        arguments = asked.request.params.get("arguments")
        if asked.is_modern:
            mcp_headers.check_params(asked.headers, asked.request, definition.input_schema)
        if arguments:
            try:
                mcp.refuse_argument_variants(arguments, definition.input_schema)
            except strict_json.StrictJsonError as error:
                raise from_json(error, id=asked.id, modern=asked.is_modern) from error

    # -- what is not -----------------------------------------------------------------------------------------------

    async def _response(self, inbound: Inbound, message: Response, session: Session | None, reply: AgentReply) -> None:
        """An agent's answer to what a tool server asked it: known by its id, judged before it goes anywhere."""
        if session is not None:
            link = Link(self._shared.upstreams[inbound.server], inbound.agent.id, session)
            if take_answer(self._shared, session, link, message.raw):
                await reply.answer(202, None)
                return
        raise WireRefusal(Why.BAD_ID, "nothing was asked under this id in this session", id=None)

    async def _notification(
        self,
        inbound: Inbound,
        message: Notification,
        found: mcp.Inbound,
        session: Session | None,
        reply: AgentReply,
    ) -> None:
        assert found.method is not None
        swallowed = found.method.handling is Handling.SWALLOWED
        if message.method == CANCELLED and session is not None:
            swallowed = self._cancelled(message, session)
        self._shared.runner.note(
            agent=inbound.agent.id,
            server=inbound.server,
            method=message.method,
            direction=Direction.AGENT_TO_TOOL,
            outcome="swallowed" if swallowed else "passed",
        )
        if swallowed:
            await reply.answer(202, None)
            return
        link = Link(self._shared.upstreams[inbound.server], inbound.agent.id, session)
        headers = mcp_headers.outgoing(found.revision, message, sent=found.headers) | {"accept": inbound.accept}
        inbound.place.step_aside()
        try:
            upstream = await link.post(message.raw, headers=headers, sent=Sent(), reuse_connection=True)
        except UpstreamFailed as failed:
            log.info("upstream_failed", server=inbound.server, method=message.method, why=failed.why)
            await reply.answer(502, _error(INTERNAL_ERROR, why_failed(failed)))
            return
        await close(upstream)
        # What a server says to a notification is nobody's to read; its status is what clients go by.
        status = passed_status(upstream.status)
        await reply.answer(status, None, headers=passed_headers(upstream))

    def _cancelled(self, message: Notification, session: Session) -> bool:
        """The agent waits no longer; True if the tool never saw the request and is not to hear of it."""
        request_id = message.params.get("requestId")
        exchange = session.awaited.get(str(request_id))
        if exchange is None or type(request_id) is not type(exchange.request.id):
            return False
        exchange.left.set()
        return not exchange.is_dispatched

    def _refused(self, inbound: Inbound, method: str | None, why: str, status: int) -> None:
        self._shared.runner.refused(
            agent=inbound.agent.id,
            server=inbound.server,
            method=shown_method(method) if method is not None else None,
            why=why,
            status=status,
        )


def _error(code: int, message: str) -> JsonObject:
    """An error about a request whose id is not told: it failed before, or beside, what it asks."""
    return mcp_results.error(Revision.R2025_11_25, None, code, message)


def _unlisted(unavailable: InventoryUnavailable) -> tuple[Answer, str]:
    """What the agent is told where the tools of a server are not known, and what the record is."""
    if isinstance(unavailable.__cause__, UpstreamStopped):
        return answers.stopped("", executed=False), "the server is stopped"
    told = answers.refused("", "the tools of this server are not known at the moment", retry_after_sec=30)
    return told, "the tools of this server could not be listed"


_RETRY_AFTER = ((b"retry-after", b"%d" % RETRY_AFTER_SEC),)


def _client(inbound: Inbound, found: mcp.Inbound, session: Session | None, *, has_token: bool) -> Client:
    """What the agent's program says it is: in this message, else at its handshake, else by its User-Agent."""
    info = found.client_info
    if info is not None:
        name, version = str(info.get("name", ""))[:200], str(info.get("version", ""))[:100]
    elif session is not None:
        name, version = session.client_name, session.client_version
    else:
        name, _, version = inbound.client.partition(" ")[0].partition("/")
    return Client(name, version, has_token, str(found.revision), inbound.agent.id)


async def _notice_departures() -> None:
    """Two turns of the loop: a connection whose end has already arrived is seen to have ended before it is written to,
    so that an outcome nobody reads is not taken for delivered (SEMANTICS §2.2)."""
    await asyncio.sleep(0)
    await asyncio.sleep(0)
