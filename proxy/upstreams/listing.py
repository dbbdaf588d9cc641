"""Asking a server for all its tools, on the gate's own account: every page, either era.

Rules of this module:
* The gate lists with its own credentials and its own session; what an agent's session would be told is not asked.
* First `server/discover`; only a server that is not modern by that gets the handshake (basic/versioning).
* Pages, tools and time are capped, and a cursor that comes twice is an error: a listing is whole or it is none.
* Requests a server makes meanwhile are refused: the gate has no model and no user to offer.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass

from policies.model import Json, JsonObject
from proxy.upstreams.base import INVENTORY_AGENT, Reply, Sent, Upstream, UpstreamFailed
from proxy.upstreams.definitions import ListingRefused
from proxy.upstreams.era import (
    HANDSHAKE_REVISION,
    INITIALIZED,
    Era,
    era_of_answer,
    initialize_request,
    modern_headers,
    modern_meta,
    probe_request,
)


@dataclass(frozen=True, slots=True)
class ListingLimits:
    pages_max: int = 100
    tools_max: int = 5_000
    listing_sec_max: float = 60
    cursor_chars_max: int = 4 * 1024


@dataclass(frozen=True, slots=True)
class _Terms:
    """How to speak with a server once it is known what it speaks."""

    headers: Mapping[str, str]
    meta: JsonObject | None
    session: str | None = None


async def list_tools(upstream: Upstream, limits: ListingLimits) -> list[Json]:
    """Every tool of the server, as listed. Raises: UpstreamFailed, ListingRefused."""
    try:
        async with asyncio.timeout(limits.listing_sec_max):
            return await _list(upstream, limits)
    except TimeoutError:
        raise ListingRefused(f"its tools could not be listed within {limits.listing_sec_max:g} s") from None


async def _list(upstream: Upstream, limits: ListingLimits) -> list[Json]:
    discovered = await _discover(upstream)
    if era_of_answer(discovered) is Era.MODERN:
        if not _offers_tools(discovered):
            return []
        return await _pages(upstream, _Terms(modern_headers("tools/list"), modern_meta()), limits)
    return await _list_with_handshake(upstream, limits)


async def _list_with_handshake(upstream: Upstream, limits: ListingLimits) -> list[Json]:
    reply = await _post(upstream, initialize_request(), _Terms({}, None))
    session = reply.headers.get("mcp-session-id")
    answer = await _answer(upstream, reply, "interlock-initialize", _Terms({}, None, session))
    result = answer.get("result") if answer else None
    if not isinstance(result, dict):
        raise ListingRefused(f"it refused to initialize: {_why(reply, answer)}")
    revision = result.get("protocolVersion")
    headers = {"mcp-protocol-version": revision if isinstance(revision, str) else HANDSHAKE_REVISION}
    terms = _Terms(headers, None, session)
    try:
        noted = await _post(upstream, INITIALIZED, terms)
        if noted.close is not None:
            await noted.close()
        return await _pages(upstream, terms, limits) if _offers_tools(answer) else []
    finally:
        if session is not None:
            with contextlib.suppress(UpstreamFailed):  # the server forgets the session by itself
                await upstream.delete(headers=headers, session=session, agent=INVENTORY_AGENT)


async def _pages(upstream: Upstream, terms: _Terms, limits: ListingLimits) -> list[Json]:
    tools: list[Json] = []
    cursor: str | None = None
    seen: set[str] = set()
    for page in range(limits.pages_max):
        params: JsonObject = {} if terms.meta is None else {"_meta": terms.meta}
        if cursor is not None:
            params["cursor"] = cursor
        request: JsonObject = {"jsonrpc": "2.0", "id": f"interlock-list-{page}", "method": "tools/list"}
        reply = await _post(upstream, request | {"params": params}, terms)
        answer = await _answer(upstream, reply, request["id"], terms)
        result = answer.get("result") if answer else None
        if not isinstance(result, dict) or not isinstance(result.get("tools"), list):
            raise ListingRefused(f"it did not answer tools/list: {_why(reply, answer)}")
        tools += result["tools"]
        if len(tools) > limits.tools_max:
            raise ListingRefused(f"it lists more than {limits.tools_max} tools")
        cursor = result.get("nextCursor")
        if cursor is None:
            return tools
        if not isinstance(cursor, str) or len(cursor) > limits.cursor_chars_max or cursor in seen:
            raise ListingRefused("its nextCursor is no string, too long, or comes twice")
        seen.add(cursor)
    raise ListingRefused(f"its tools fill more than {limits.pages_max} pages")


async def _discover(upstream: Upstream) -> JsonObject | None:
    """The answer to `server/discover`; None from a server that breaks at a method it does not know."""
    request, terms = probe_request(), _Terms(modern_headers("server/discover"), modern_meta())
    try:
        return await _answer(upstream, await _post(upstream, request, terms), request["id"], terms)
    except UpstreamFailed as failed:
        if not failed.sent:
            raise
        return None


async def _post(upstream: Upstream, message: JsonObject, terms: _Terms) -> Reply:
    return await upstream.post(
        message, headers=terms.headers, session=terms.session, agent=INVENTORY_AGENT, sent=Sent(), reuse_connection=True
    )


async def _answer(upstream: Upstream, reply: Reply, request_id: str, terms: _Terms) -> JsonObject | None:
    """The response to the request; None if there was none. Requests of the server are refused on the way."""
    if not reply.is_stream:
        return reply.body if reply.body is not None and reply.body.get("id") == request_id else None
    assert reply.incoming is not None
    assert reply.close is not None
    try:
        async for incoming in reply.incoming:
            message = incoming.message
            if message is None:
                continue
            if "method" not in message and message.get("id") == request_id:
                return message
            if "method" in message and "id" in message:
                error = {"code": -32601, "message": "the gate itself offers nothing"}
                refused = await _post(upstream, {"jsonrpc": "2.0", "id": message["id"], "error": error}, terms)
                if refused.close is not None:
                    await refused.close()
    finally:
        await reply.close()
    return None


def _offers_tools(answer: JsonObject | None) -> bool:
    result = (answer or {}).get("result")
    capabilities = result.get("capabilities") if isinstance(result, dict) else None
    return isinstance(capabilities, dict) and capabilities.get("tools") is not None


def _why(reply: Reply, answer: JsonObject | None) -> str:
    error = (answer or {}).get("error")
    if isinstance(error, dict):
        return f"error {str(error.get('code'))[:20]}"
    return f"HTTP status {reply.status}, no usable result"
