"""What a door needs of a tool server, whatever carries it: Streamable HTTP, or a child process on stdio.

Rules of this module:
* Messages, not bytes: an upstream sends a re-serialisation of what it is given (P2); what it yields is parsed strictly.
* An upstream never retries, follows redirects, keeps cookies or reads the environment (traps T1, T4).
* Whether a request may have left us is told by `Sent`, set from the moment the first byte may be on the wire, never
  guessed from an exception's name (traps T2).
* stdio upstreams behave as a Streamable HTTP server would: sessions, statuses and streams are the adapter's work.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from policies.model import JsonObject

INVENTORY_AGENT = "\0inventory"
"""The `agent` under which the gate lists tools itself: no configuration can name one so."""


class Sent:
    """A mark set when the first byte of a request may have left us; before it, failing is `failed_before_send`.

    `is_read`: what is sent only reads, so that failing afterwards leaves nobody in doubt. `may_leave` is asked right
    before that byte, and raises UpstreamFailed where it may not (the kill switch). `response_bytes_max`: of what comes
    back for it, where it is held to less than any other; `is_bounded`: that, or the time it may take, is bounded.
    """

    __slots__ = ("happened", "is_bounded", "is_read", "may_leave", "response_bytes_max")

    def __init__(
        self, *, is_read: bool = False, response_bytes_max: int | None = None, is_bounded: bool = False
    ) -> None:
        self.happened = False
        self.is_read = is_read
        self.response_bytes_max = response_bytes_max
        self.is_bounded = is_bounded
        self.may_leave: Callable[[], None] | None = None

    def mark(self) -> None:
        """The next byte leaves. Raises: UpstreamFailed, and then none does."""
        if self.may_leave is not None:
            self.may_leave()
        self.happened = True


class UpstreamFailed(Exception):
    """The exchange broke. `sent` False: provably no byte left us. `why` is for reviewers and the record only."""

    def __init__(self, why: str, *, sent: bool) -> None:
        super().__init__(why)
        self.why, self.sent = why, sent


class ResponseTooLarge(UpstreamFailed):
    """It answers more than this call is held to (`Sent.response_bytes_max`); no more was read of it."""


class UpstreamStopped(UpstreamFailed):
    """The kill switch covers this exchange: it was not begun, or was cut."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """One thing read from an upstream's stream: a message, or an event without one (priming, retry)."""

    message: JsonObject | None
    event_id: str | None = None
    retry_ms: int | None = None


@dataclass(slots=True)
class Reply:
    """An upstream's answer to one HTTP-like request.

    `headers` are lower-case and only those of the allow-list (mcp-session-id, mcp-protocol-version, www-authenticate,
    allow, retry-after). `body` is the parsed JSON of a non-stream answer (None: empty). For a stream, `incoming` yields
    until the upstream ends it; it raises UpstreamFailed when it breaks or sends what is not strict JSON-RPC.
    `close` must always be awaited.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    is_stream: bool = False
    body: JsonObject | None = None
    incoming: AsyncIterator[Incoming] | None = None
    close: Callable[[], Awaitable[None]] | None = None


class Upstream(Protocol):
    """One configured tool server."""

    name: str

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
        """Send one JSON-RPC message. `session` is the upstream's own session id (from an initialize Reply's headers).

        `agent` names the agent on whose behalf (stdio: one child per agent session). Raises: UpstreamFailed.
        """

    async def get(self, *, headers: Mapping[str, str], session: str | None, agent: str) -> Reply:
        """Open the server-push stream (2025 revisions). Raises: UpstreamFailed."""

    async def delete(self, *, headers: Mapping[str, str], session: str, agent: str) -> Reply: ...

    async def close(self) -> None: ...
