"""A tool server behind the kill switch: nothing of what is stopped goes to it, and what is under way is cut.

Rules of this module:
* It stands before every upstream, so that whatever goes there (calls, listings, handshakes, streams, answers to a
  server's questions, the end of a session) passes it. The gate judges calls; this is for everything.
* Looked at before an exchange begins, right before its first byte (`Sent.may_leave`), and at each message of a stream.
* A stopped server gets nothing, also nothing of the gate's own; a stopped agent's streams end; processes that run for
  what is stopped are ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol, runtime_checkable

from policies.model import JsonObject
from proxy.stopped import Stopped
from proxy.tasks import spawn
from proxy.upstreams.base import Incoming, Reply, Sent, Upstream, UpstreamFailed, UpstreamStopped
from review.model import Stop


@runtime_checkable
class RunsProcesses(Protocol):
    """An upstream that runs processes of its own."""

    def end_processes(self, is_for: Callable[[str], bool]) -> int:
        """Begin the end of those that run for such agents; how many. Returns at once."""


@dataclass(slots=True, eq=False)
class _Stream:
    """A stream that is being read."""

    agent: str
    reply: Reply


class StoppableUpstream:
    """Implements `proxy.upstreams.base.Upstream` over another."""

    def __init__(self, upstream: Upstream, stopped: Stopped) -> None:
        self.name = upstream.name
        self._upstream, self._stopped = upstream, stopped
        self._begun: dict[asyncio.Timeout, str] = {}  # exchanges whose answers have not begun, and for which agents
        self._streams: set[_Stream] = set()

    def post(
        self,
        message: JsonObject,
        *,
        headers: Mapping[str, str],
        session: str | None,
        agent: str,
        sent: Sent,
        reuse_connection: bool,
    ) -> Coroutine[Any, Any, Reply]:
        """Send one message. Raises: UpstreamFailed, as UpstreamStopped where the kill switch covers it."""
        self._look(agent, sent=False)
        sent.may_leave = partial(self._look, agent, sent=False)
        work = self._upstream.post(
            message, headers=headers, session=session, agent=agent, sent=sent, reuse_connection=reuse_connection
        )
        return self._unless_stopped(work, agent, sent)

    async def get(self, *, headers: Mapping[str, str], session: str | None, agent: str) -> Reply:
        """Open the stream of what the server says unasked. Raises: UpstreamFailed."""
        self._look(agent, sent=False)
        return await self._unless_stopped(
            self._upstream.get(headers=headers, session=session, agent=agent), agent, None
        )

    async def delete(self, *, headers: Mapping[str, str], session: str, agent: str) -> Reply:
        """End a session. Raises: UpstreamFailed."""
        self._look(agent, sent=False)
        return await self._unless_stopped(
            self._upstream.delete(headers=headers, session=session, agent=agent), agent, None
        )

    async def close(self) -> None:
        await self._upstream.close()

    def cut(self, stop: Stop) -> tuple[int, int]:
        """End at once what this stop covers; how many streams and processes that were."""
        for cutting, agent in self._begun.items():
            if stop.covers(agent, self.name) and not cutting.expired():
                cutting.reschedule(asyncio.get_running_loop().time())
        streams = [stream for stream in self._streams if stop.covers(stream.agent, self.name)]
        for stream in streams:
            if stream.reply.close is not None:
                spawn(_closed(stream.reply.close), name=f"stopped:{self.name}")
        ended = 0
        if isinstance(self._upstream, RunsProcesses):
            ended = self._upstream.end_processes(lambda agent: stop.covers(agent, self.name))
        return len(streams), ended

    # -- inside --------------------------------------------------------------------------------------------------

    def _look(self, agent: str, *, sent: bool) -> None:
        stop = self._stopped.over(agent, self.name)
        if stop is not None:
            raise UpstreamStopped(f"{self.name}: {stop.says} is stopped", sent=sent)

    async def _unless_stopped(self, work: Awaitable[Reply], agent: str, sent: Sent | None) -> Reply:
        cutting = asyncio.timeout(None)
        self._begun[cutting] = agent
        try:
            async with cutting:
                reply = await work
        except TimeoutError:
            if not cutting.expired():
                raise
            has_left = sent is None or sent.happened
            raise UpstreamStopped(f"{self.name}: it was stopped before it answered", sent=has_left) from None
        finally:
            del self._begun[cutting]
        if reply.incoming is None:
            return reply
        stream = _Stream(agent, reply)
        return replace(reply, incoming=self._read(stream, reply.incoming))

    async def _read(self, stream: _Stream, incoming: AsyncIterator[Incoming]) -> AsyncIterator[Incoming]:
        self._streams.add(stream)
        try:
            async for one in incoming:
                self._look(stream.agent, sent=True)
                yield one
        except UpstreamFailed:
            self._look(stream.agent, sent=True)  # it broke because it was cut: say so
            raise
        finally:
            self._streams.discard(stream)
        self._look(stream.agent, sent=True)


async def _closed(close: Callable[[], Awaitable[None]]) -> None:
    await close()
