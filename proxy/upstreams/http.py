"""A tool server over Streamable HTTP: one request out, one strictly read answer in. Over connections of our own.

Rules of this module:
* One dispatch (traps T1): no retries, also where HTTP would allow them; a broken connection is told, never mended.
* `Sent` is set just before the request is written, never guessed from an error (T2).
* Pooled connections idle for at most `pool_idle_sec`; `reuse_connection=False` takes a fresh one that closes (T3).
* Streams that only listen have connections of their own number: whoever holds them keeps no call waiting (P14).
* No redirects, no proxies or credentials from the environment, no cookies, no decompression unasked (T4).
* The host is resolved here, judged (addresses.py), and pinned until a connection to it fails; TLS is always verified.
* An answer that is no answer (no JSON-RPC, another media type, a redirect, 5xx without a JSON-RPC error) is
  UpstreamFailed as sent; 202 and 4xx are answers also without a readable body.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import IntEnum
from pathlib import Path

import structlog

from policies.model import JsonObject
from proxy.failpoints import failpoint
from proxy.heavy import HEAVY_BYTES_MIN, away
from proxy.tasks import spawn
from proxy.upstreams import http_rules
from proxy.upstreams.address_rule import AddressRefused, Network
from proxy.upstreams.base import INVENTORY_AGENT, Incoming, Reply, ResponseTooLarge, Sent, UpstreamFailed
from proxy.upstreams.http_connection import Broken, Connection, Response
from proxy.upstreams.http_pool import Pool
from proxy.upstreams.pinning import PinnedAddresses, rule_of
from proxy.upstreams.reading import EventReader, Malformed, error_body, whole_answer
from proxy.wire import body, strict_json
from proxy.wire.http_response import ResponseLimits

log = structlog.get_logger("interlock.upstream")

JSON, EVENTS = "application/json", "text/event-stream"
_PASSED = frozenset(name.encode() for name in http_rules.PASSED_OUT)
_LISTEN = "subscriptions/listen"
_TOOLS_CHANGED = "notifications/tools/list_changed"


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """`silence_sec_max` runs until the head, then between bytes; streams that only listen may be silent for ever."""

    connect_sec_max: float = 10
    silence_sec_max: float = 300
    total_sec_max: float = 3_600
    pool_idle_sec: float = 2
    connections_max: int = 256
    head_bytes_max: int = 64 * 1024
    body_bytes_max: int = 4 * 1024 * 1024
    stream_bytes_max: int = 64 * 1024 * 1024
    json_depth_max: int = 64
    json_keys_max: int = 100_000

    @property
    def json(self) -> strict_json.JsonLimits:
        return strict_json.JsonLimits(self.body_bytes_max, self.json_depth_max, self.json_keys_max)


class _On(IntEnum):
    """The connections a request goes on: kept and used again, new and closed afterwards, or a stream's own, new too."""

    POOLED, FRESH, LASTING = range(3)


class HttpUpstream:
    """`proxy.upstreams.base.Upstream` over Streamable HTTP. Its sockets are opened at the first request.

    `on_change` is told the server's name when its tools changed or it was away.
    """

    def __init__(
        self,
        name: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        ca_file: Path | None = None,
        resolves_to: tuple[Network, ...] = (),
        forbidden: frozenset[tuple[str, int]] = frozenset(),
        limits: HttpLimits | None = None,
        on_change: Callable[[str], None] = lambda _server: None,
    ) -> None:
        """Raises: UrlRefused, HeaderRefused, OSError (ca_file)."""
        self.name = name
        self._limits, self._on_change = limits or HttpLimits(), on_change
        self._configured = http_rules.check_configured(headers or {})
        self._tls = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
        rule = rule_of(url, resolves_to, forbidden)
        self._addresses = PinnedAddresses(rule, resolve_sec_max=self._limits.connect_sec_max)
        self._json = self._limits.json
        self._origin = http_rules.origin(url)
        self._pools = {on: self._pool(self._limits.pool_idle_sec if on is _On.POOLED else 0) for on in _On}
        self._was_away = False
        self._is_closed = False

    async def post(
        self,
        message: JsonObject,
        *,
        headers: Mapping[str, str],
        session: str | None,
        agent: str,
        sent: Sent,
        reuse_connection: bool,
    ) -> Reply:
        """Send one message. Raises: UpstreamFailed."""
        try:
            data = strict_json.write(message)
        except strict_json.StrictJsonError as error:
            raise self._failed(f"the message cannot be written as JSON: {error}", sent=False) from error
        is_request = "method" in message and "id" in message
        head = self._head(headers, f"{JSON}, {EVENTS}", session) | {"content-type": JSON}
        listens = message.get("method") == _LISTEN
        on = _On.LASTING if listens else _On.POOLED if reuse_connection else _On.FRESH
        response = await self._send("POST", head, data, sent, on)
        if response.status == 404 and session is not None and agent != INVENTORY_AGENT:
            self._on_change(self.name)  # it has forgotten the session: it was restarted, perhaps as another version
        try:
            if not is_request:
                return await self._accepted(response)
            media_type = _media_type(response)
            if response.status == 200 and media_type == EVENTS:
                return self._stream(response, message["id"], is_endless=listens, bytes_max=sent.response_bytes_max)
            return await self._whole(response, media_type, sent.response_bytes_max)
        except BaseException:
            response.close()
            raise

    async def get(self, *, headers: Mapping[str, str], session: str | None, agent: str) -> Reply:  # noqa: ARG002 - port
        """Open the stream of what the server says unasked. Raises: UpstreamFailed."""
        response = await self._send("GET", self._head(headers, EVENTS, session), None, Sent(), _On.LASTING)
        try:
            media_type = _media_type(response)
            if response.status == 200 and media_type == EVENTS:
                return self._stream(response, None, is_endless=True)
            if 200 <= response.status < 300:
                raise self._failed(f"it answered a GET with {response.status} and no event stream", sent=True)
            return await self._whole(response, media_type)
        except BaseException:
            response.close()
            raise

    async def delete(self, *, headers: Mapping[str, str], session: str, agent: str) -> Reply:  # noqa: ARG002 - port
        """End a session. Raises: UpstreamFailed."""
        head = self._head(headers, f"{JSON}, {EVENTS}", session)
        response = await self._send("DELETE", head, None, Sent(), _On.POOLED)
        try:
            return await self._accepted(response)
        except BaseException:
            response.close()
            raise

    async def close(self) -> None:
        """Close every connection."""
        self._is_closed = True
        for pool in self._pools.values():
            pool.close()

    # Sending.

    def _head(self, given: Mapping[str, str], accept: str, session: str | None) -> dict[str, str]:
        try:
            return http_rules.outgoing(given, accept=accept, session=session, configured=self._configured)
        except http_rules.HeaderRefused as error:
            raise self._failed(str(error), sent=False) from error

    async def _send(self, method: str, head: Mapping[str, str], data: bytes | None, sent: Sent, on: _On) -> Response:
        """One request, up to the head of its answer. Raises: UpstreamFailed."""
        try:
            await self._addresses.know()
        except AddressRefused as error:
            self._was_away = True
            raise self._failed(str(error), sent=False) from error
        if self._is_closed:
            raise self._failed("the gate is stopping", sent=False)
        request = http_rules.written(self._origin, method, head, data, closes=on is not _On.POOLED)
        try:
            pool = self._pools[on]
            connection = pool.kept() or await pool.take()
            response = _first_byte(connection, request, sent)
            await response.head(self._limits.silence_sec_max)
        except (Broken, OSError) as error:  # TimeoutError is an OSError
            if not sent.happened:
                self._addresses.forget()
            self._was_away = True
            why = f"{'no answer' if sent.happened else 'no connection'}: {str(error) or type(error).__name__}"
            raise self._failed(why, sent=sent.happened) from error
        failpoint("http.head")
        if self._was_away:
            self._was_away = False
            self._on_change(self.name)
        return response

    def _pool(self, idle_sec: float) -> Pool:
        limits = self._limits
        return Pool(
            host=self._origin.host,
            port=self._origin.port,
            tls=self._tls if self._origin.is_tls else None,
            addresses=lambda: self._addresses.known,
            limits=ResponseLimits(head_bytes_max=limits.head_bytes_max),
            connections_max=limits.connections_max,
            idle_sec=idle_sec,
            connect_sec_max=limits.connect_sec_max,
        )

    # Reading.

    async def _accepted(self, response: Response) -> Reply:
        """The answer to a message that expects none, or to a DELETE: its status, and what an error says."""
        if 200 <= response.status < 300:
            headers = self._passed_out(response)
            response.close()
            return Reply(response.status, headers)
        return await self._whole(response, _media_type(response))

    async def _whole(self, response: Response, media_type: str, bytes_max: int | None = None) -> Reply:
        status, headers = response.status, self._passed_out(response)
        if 300 <= status < 400:
            response.close()
            why = f"it answered {status}, a redirect; redirects are not followed: write the final address in the url"
            raise self._failed(why, sent=True)
        # A small answer is there as soon as its head is.
        most = min(self._limits.body_bytes_max, bytes_max or self._limits.body_bytes_max)
        data = response.take() if response.is_complete else await self._read_in_time(response, most)
        if most == bytes_max and len(data) > most:
            response.close()
            raise self._too_large()
        data = self._decoded(response, data)
        if most == bytes_max and len(data) > most:
            raise self._too_large()
        if status >= 400:
            said = error_body(data, self._json) if media_type == JSON else None
            if status >= 500 and (said is None or said.get("jsonrpc") != "2.0" or "error" not in said):
                raise self._failed(f"it answered {status} without a JSON-RPC error", sent=True)
            return Reply(status, headers, body=said)
        if status == 202 and not data.strip():
            return Reply(status, headers)
        if media_type != JSON:
            why = f"it answered {status} with the media type {media_type[:80]!a}"
            raise self._failed(why, sent=True)
        try:
            if len(data) >= HEAVY_BYTES_MIN:
                return Reply(status, headers, body=await away(lambda: whole_answer(data, self._json)))
            return Reply(status, headers, body=whole_answer(data, self._json))
        except Malformed as error:
            raise self._failed(str(error), sent=True) from error

    def _decoded(self, response: Response, data: bytes) -> bytes:
        """The whole body, within the limits. Raises: UpstreamFailed."""
        limits = self._limits
        if len(data) > limits.body_bytes_max:
            raise self._failed(f"its answer has more than {limits.body_bytes_max} bytes", sent=True)
        if response.header(b"content-encoding") is None:
            return data
        try:
            return body.decode(data, response.lines, body.BodyLimits(limits.body_bytes_max))
        except body.BodyRefused as error:
            raise self._failed(f"its answer cannot be decoded: {error}", sent=True) from error

    async def _read_in_time(self, response: Response, bytes_max: int) -> bytes:
        limits, received = self._limits, bytearray()
        try:
            async with asyncio.timeout(limits.total_sec_max):
                while len(received) <= bytes_max and (chunk := await self._chunk(response, limits.silence_sec_max)):
                    received += chunk
        except TimeoutError:
            raise self._failed(f"its answer was not complete after {limits.total_sec_max:g} s", sent=True) from None
        return bytes(received)

    async def _chunk(self, response: Response, silence_sec_max: float | None) -> bytes:
        """The next bytes; empty at the end. Raises: UpstreamFailed."""
        try:
            async with asyncio.timeout(silence_sec_max):
                return await response.some()
        except TimeoutError:
            raise self._failed(f"it fell silent for {silence_sec_max:g} s in its answer", sent=True) from None
        except Broken as error:
            raise self._failed(f"its answer broke off: {error}", sent=True) from error

    def _stream(
        self, response: Response, request_id: str | int | None, *, is_endless: bool, bytes_max: int | None = None
    ) -> Reply:
        headers = self._passed_out(response)
        limits = replace(self._limits, stream_bytes_max=0) if is_endless else self._limits
        reader = EventReader(request_id, self._json, limits.stream_bytes_max)

        async def close() -> None:
            if reader.is_answered and not response.is_complete:
                spawn(_read_to_end(response), name=f"rest:{self.name}")  # its end is near: keep the connection
            else:
                response.close()

        incoming = self._incoming(response, reader, None if is_endless else limits.silence_sec_max, bytes_max)
        return Reply(response.status, headers, is_stream=True, incoming=incoming, close=close)

    async def _incoming(
        self, response: Response, reader: EventReader, silence_sec_max: float | None, held_to: int | None
    ) -> AsyncIterator[Incoming]:
        limits = self._limits
        until = None if silence_sec_max is None else asyncio.get_running_loop().time() + limits.total_sec_max
        try:
            bytes_max = 0 if until is None else limits.stream_bytes_max
            decoder = body.Decoder(response.lines, body.BodyLimits(bytes_max))
            while chunk := await self._chunk(response, silence_sec_max):
                for piece in decoder.feed(chunk):
                    held_to = self._left(held_to, len(piece))
                    for incoming in await self._events(reader, piece):
                        if incoming.message is not None and incoming.message.get("method") == _TOOLS_CHANGED:
                            self._on_change(self.name)
                        yield incoming
                if until is not None and asyncio.get_running_loop().time() > until:
                    raise self._failed(f"its stream did not end within {limits.total_sec_max:g} s", sent=True)
            decoder.finish()
        except (Malformed, body.BodyRefused) as error:
            response.close()
            raise self._failed(str(error), sent=True) from error

    def _left(self, held_to: int | None, came: int) -> int | None:
        """What may still come on a stream that is held to less than any other. Raises: ResponseTooLarge."""
        if held_to is not None and came > held_to:
            raise self._too_large()
        return None if held_to is None else held_to - came

    async def _events(self, reader: EventReader, piece: bytes) -> Iterable[Incoming]:
        """What this piece completes. Raises: Malformed, while it is gone through."""
        if reader.unread_bytes + len(piece) < HEAVY_BYTES_MIN:
            return reader.feed(piece)
        return await away(lambda: reader.fed(piece))

    def _passed_out(self, response: Response) -> dict[str, str]:
        if response.lines_bytes > self._limits.head_bytes_max:
            raise self._failed(f"the head of its answer has more than {self._limits.head_bytes_max} bytes", sent=True)
        lines = [line for line in response.lines if line[0] in _PASSED]
        if not lines:
            return {}
        try:
            return http_rules.passed_out([(name.decode("latin-1"), value.decode("latin-1")) for name, value in lines])
        except http_rules.HeaderRefused as error:
            raise self._failed(str(error), sent=True) from error

    def _too_large(self) -> ResponseTooLarge:
        return ResponseTooLarge(f"{self.name}: it answers more than max_response_bytes allows", sent=True)

    def _failed(self, why: str, *, sent: bool) -> UpstreamFailed:
        return UpstreamFailed(f"{self.name}: {why}", sent=sent)


def _first_byte(connection: Connection, request: bytes, sent: Sent) -> Response:
    """Nothing is awaited between the mark and the first byte. Raises: UpstreamFailed where none may leave."""
    failpoint("http.first_byte")
    try:
        sent.mark()
    except UpstreamFailed:
        connection.abort()
        raise
    response = connection.write(request)
    failpoint("http.written")
    return response


async def _read_to_end(response: Response) -> None:
    """Let an answered stream end by itself, so that its connection can be used again."""
    try:
        async with asyncio.timeout(1):
            while await response.some():
                pass
    except (Broken, TimeoutError):
        response.close()


def _media_type(response: Response) -> str:
    value = response.header(b"content-type")
    return http_rules.media_type(None if value is None else value.decode("latin-1"))
