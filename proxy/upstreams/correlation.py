"""Whose message is it? Ids and progress tokens of one child process, made unique going in and put back coming out.

Rules of this module:
* Pure: messages in, messages out; nothing here waits or writes. Messages are never changed in place.
* Every request a child sees carries an id minted here (1, 2, 3 …), which is its progress token too where its sender
  asked for progress. Two senders with the same id, or one that reuses its id, are never confused (traps T21).
* A message that answers or mentions nothing in flight is dropped: a late answer reaches nobody.
* stdio has no streams, so what a request caused is guessed only where the guess cannot cross from one agent to
  another: never on a shared child.
* Requests of the tool are refused on a shared child (nobody can say which agent caused them, T21) and where the
  revision forbids them (2026-07-28, basic/transports/stdio).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from policies.model import JsonObject
from proxy.wire.jsonrpc import is_same_id

SUBSCRIPTION_ID = "io.modelcontextprotocol/subscriptionId"

# What a shared child may tell every session: that a list changed or a resource did, never what a call produced.
_FOR_EVERYBODY = frozenset(
    {
        "notifications/tools/list_changed",
        "notifications/prompts/list_changed",
        "notifications/resources/list_changed",
        "notifications/resources/updated",
    }
)


class To(Enum):
    """Where a message from the child goes."""

    ASKER_LAST = auto()  # the response to a request: the last message of its stream
    ASKER = auto()
    PUSH = auto()
    EVERY_PUSH = auto()
    REFUSED = auto()  # a request of the tool that gets an error
    PONG = auto()  # a ping, answered by us: it asks after our liveness
    NOBODY = auto()


@dataclass(frozen=True, slots=True)
class Asked:
    """One request in flight."""

    minted: int
    owner: str
    original_id: str | int
    method: str
    progress_token: str | int | None


@dataclass(frozen=True, slots=True)
class Routed:
    """A message of the child, as its receiver is to see it."""

    to: To
    message: JsonObject
    asked: Asked | None = None
    why: str = ""


class Correlation:
    """The ids of one child."""

    def __init__(self, *, is_shared: bool, is_modern: bool) -> None:
        self._is_shared, self._is_modern = is_shared, is_modern
        self._in_flight: dict[int, Asked] = {}
        self._last_minted = 0

    @property
    def in_flight(self) -> tuple[Asked, ...]:
        return tuple(self._in_flight.values())

    def ask(self, message: JsonObject, owner: str) -> tuple[Asked, JsonObject]:
        """Note a request as in flight; returns it and the form the child is to see."""
        self._last_minted += 1
        minted = self._last_minted
        token = _progress_token(message)
        asked = Asked(minted, owner, message["id"], message["method"], token)
        self._in_flight[minted] = asked
        inward = message | {"id": minted}
        if token is not None:
            inward = _with_meta(inward, "progressToken", minted)
        return asked, inward

    def forget(self, asked: Asked) -> bool:
        """Take a request as settled or given up; False if it was already."""
        return self._in_flight.pop(asked.minted, None) is not None

    def cancel(self, message: JsonObject, owner: str) -> JsonObject | None:
        """A `notifications/cancelled` as the child is to see it; None if its sender has nothing such in flight."""
        wanted = _params(message).get("requestId")
        for asked in reversed(self._in_flight.values()):
            if asked.owner == owner and is_same_id(asked.original_id, wanted):
                return message | {"params": _params(message) | {"requestId": asked.minted}}
        return None

    def route(self, message: JsonObject, *, push_is_open: bool) -> Routed:
        """Decide where a message from the child goes, and give it its sender's own ids back."""
        method = message.get("method")
        if method is None:
            return self._response(message)
        if "id" in message:
            return self._request(message, push_is_open)
        if method == "notifications/progress":
            return self._progress(message)
        subscription = self._asked(_meta(message).get(SUBSCRIPTION_ID))
        if subscription is not None:
            restored = _with_meta(message, SUBSCRIPTION_ID, subscription.original_id)
            return Routed(To.ASKER, restored, subscription)
        if self._is_shared:
            if method in _FOR_EVERYBODY:
                return Routed(To.EVERY_PUSH, message)
            return Routed(To.NOBODY, message, why="a shared child's notification that belongs to no request")
        return self._guess(message, push_is_open)

    def _response(self, message: JsonObject) -> Routed:
        asked = self._asked(message.get("id"))
        if asked is None:
            return Routed(To.NOBODY, message, why="an answer to nothing in flight")
        restored = message | {"id": asked.original_id}
        result = message.get("result")
        if isinstance(result, dict) and isinstance(result.get("_meta"), dict) and SUBSCRIPTION_ID in result["_meta"]:
            restored["result"] = result | {"_meta": result["_meta"] | {SUBSCRIPTION_ID: asked.original_id}}
        return Routed(To.ASKER_LAST, restored, asked)

    def _request(self, message: JsonObject, push_is_open: bool) -> Routed:
        if message["method"] == "ping":
            return Routed(To.PONG, message)
        if self._is_shared:
            return Routed(To.REFUSED, message, why="this server is shared: it may not ask agents for anything")
        if self._is_modern:
            return Routed(To.REFUSED, message, why="revision 2026-07-28 has no requests from servers")
        return self._guess(message, push_is_open)

    def _progress(self, message: JsonObject) -> Routed:
        params = _params(message)
        asked = self._asked(params.get("progressToken"))
        if asked is None or asked.progress_token is None:
            return Routed(To.NOBODY, message, why="progress of nothing in flight")
        return Routed(To.ASKER, message | {"params": params | {"progressToken": asked.progress_token}}, asked)

    def _guess(self, message: JsonObject, push_is_open: bool) -> Routed:
        """All in flight is one agent's. The only request; of several the latest, unless the push stream is read."""
        in_flight = self.in_flight
        if len(in_flight) == 1:
            return Routed(To.ASKER, message, in_flight[0])
        if in_flight and (self._is_modern or not push_is_open):
            return Routed(To.ASKER, message, in_flight[-1])
        return Routed(To.PUSH, message)

    def _asked(self, minted: object) -> Asked | None:
        # Exactly an int: True == 1 and 1.0 == 1 in Python, but not in JSON-RPC. Some servers echo ids as strings;
        # JSON-RPC §5 says the id MUST be the same, so such an answer is to nothing in flight.
        return self._in_flight.get(minted) if type(minted) is int else None


def _params(message: JsonObject) -> JsonObject:
    params = message.get("params")
    return params if isinstance(params, dict) else {}


def _meta(message: JsonObject) -> JsonObject:
    meta = _params(message).get("_meta")
    return meta if isinstance(meta, dict) else {}


def _progress_token(message: JsonObject) -> str | int | None:
    token = _meta(message).get("progressToken")
    return token if isinstance(token, str) or type(token) is int else None


def _with_meta(message: JsonObject, key: str, value: str | int) -> JsonObject:
    return message | {"params": _params(message) | {"_meta": _meta(message) | {key: value}}}
