"""A program's way to the reviewers' side: the public API over HTTP, as a logged-in reviewer and no other way.

Rules of this module:
* Standard library only, no proxies from the environment, no redirects, bounded answers.
* An act names the version and digest that `show` gave: what is approved is what was looked at.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from policies.model import JsonObject
from proxy.wire import strict_json

ANSWER_BYTES_MAX = 32 * 1024 * 1024
STREAM_BYTES = 64 * 1024
TIMEOUT_SEC = 30
HEALTH_SEC = 3
PAGE_ROWS = 100
LISTED_ROWS_MAX = 5_000  # of one queue


class Unreachable(Exception):
    """The reviewers' listener did not answer; the text says where it was looked for."""


class NoAddress(Unreachable):
    """What was given is no address at all: wrong usage, not a gate that is away."""


class TooLong(Unreachable):
    """The answer has more than `ANSWER_BYTES_MAX` bytes."""


class Refused(Exception):
    """The reviewers' listener said no. `code` is the API's word for why."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Listing:
    """Rows of a queue, the most urgent first; how many the queue has; whether it has more than these."""

    rows: list[JsonObject]
    total: int
    is_cut: bool


class ReviewerClient:
    """One reviewer at one gate."""

    def __init__(self, url: str, token: str = "") -> None:
        self.url = url.rstrip("/")
        self.token = token

    def login(self, name: str, password: str) -> JsonObject:
        """Begin a session. Raises: Refused, Unreachable."""
        return self._begin("/login", {"name": name, "password": password})

    def use_link(self, link_token: str, password: str) -> JsonObject:
        """Use a one-time login link up and set a password. Raises: Refused, Unreachable."""
        return self._begin("/login/link", {"token": link_token, "password": password})

    def queue(self) -> JsonObject:
        """What waits and what was settled lately, at most some hundreds of each. Raises: Refused, Unreachable."""
        return self._ask("GET", "/approvals")

    def listed(self, queue: str, *, text: str = "") -> Listing:
        """A queue to its end, or `LISTED_ROWS_MAX` rows of it; with `text`, those that hold it.

        Pages get smaller where calls are so large that a page of them is no answer any more.
        Raises: Refused, Unreachable.
        """
        rows: list[JsonObject] = []
        sought, size = {"queue": queue, "text": text}, PAGE_ROWS
        while True:
            try:
                page = self._ask(
                    "GET", f"/queue?{urlencode(sought | {'limit': min(size, LISTED_ROWS_MAX - len(rows))})}"
                )
            except TooLong:
                if size == 1:
                    raise
                size = max(1, size // 10)
                continue
            rows += page["items"]
            if page["next"] is None or len(rows) >= LISTED_ROWS_MAX:
                return Listing(rows, page["total"], page["next"] is not None)
            sought["after"] = page["next"]

    def doubts(self) -> Listing:
        """Calls in doubt, the oldest first. Raises: Refused, Unreachable."""
        found = self._ask("GET", "/doubts")
        return Listing(found["items"], found["total"], found["total"] > len(found["items"]))

    def unjudged(self) -> Listing:
        """Calls that are over and wait to be judged, the oldest first. Raises: Refused, Unreachable."""
        answer = self._ask("GET", "/afterwards")
        return Listing(answer["items"], answer["total"], answer["total"] > len(answer["items"]))

    def resolve(self, call: JsonObject, found: str, note: str) -> JsonObject:
        """Say what became of a call in doubt, as `show` showed it. Raises: Refused, Unreachable."""
        body = {"found": found, "note": note, "version": call["version"]}
        return self._ask("POST", f"/calls/{quote(call['id'], safe='')}/resolve", body)

    def show(self, call_or_review_id: str) -> JsonObject:
        return self._ask("GET", f"/approvals/{quote(call_or_review_id, safe='')}")

    def act(self, act: str, shown: JsonObject, **more: Any) -> JsonObject:
        """Do `act` on exactly what `shown` (an answer of `show`) showed. Raises: Refused, Unreachable."""
        review = shown["review"]
        if review is None:
            raise Refused("not_found", "There is no question about this call: nobody has to decide it.")
        body = {"version": review["version"], "shown": shown["shown"], **more}
        return self._ask("POST", f"/approvals/{quote(review['id'], safe='')}/{act}", body)

    def stops(self) -> list[JsonObject]:
        """What is stopped now. Raises: Refused, Unreachable."""
        found: list[JsonObject] = self._ask("GET", "/stops")["stops"]
        return found

    def stop(self, scope: str, target: str, why: str) -> JsonObject:
        return self._ask("POST", "/stops", {"scope": scope, "target": target, "why": why})

    def lift(self, stop_id: str, why: str) -> JsonObject:
        return self._ask("POST", f"/stops/{quote(stop_id, safe='')}/lift", {"why": why})

    def agents(self, agent: str | None = None) -> list[JsonObject]:
        """Where agents stand, or one of them. Raises: Refused, Unreachable."""
        found: list[JsonObject] = self._ask("GET", "/agents" if agent is None else f"/agents/{quote(agent, safe='')}")[
            "agents"
        ]
        return found

    def move_agent(self, agent: str, way: str, body: JsonObject) -> JsonObject:
        return self._ask("POST", f"/agents/{quote(agent, safe='')}/{way}", body)

    def report_incident(self, body: JsonObject) -> list[JsonObject]:
        found: list[JsonObject] = self._ask("POST", "/incidents", body)["agents"]
        return found

    def answers(self) -> bool:
        """Whether something that is a gate answers there, soon."""
        connection = self._connection(HEALTH_SEC)
        try:
            connection.request("GET", "/-/health")
            return connection.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def stream(self, path: str, headers: Mapping[str, str]) -> Iterator[bytes]:
        """The pieces of an endless answer as they come, until the gate ends it. Raises: Refused, Unreachable."""
        connection = self._connection()
        try:
            connection.request("GET", f"/api/v1{path}", headers={**self._headers(), **headers})
            response = connection.getresponse()
            if response.headers.get_content_type() != "text/event-stream":
                _read(response.status, response.read(ANSWER_BYTES_MAX + 1))
                raise Unreachable(f"what answers at {self.url} is no gate that streams its record")
            while piece := response.read1(STREAM_BYTES):
                yield piece
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(f"no reviewers' listener answers at {self.url}: {error}") from error
        finally:
            connection.close()

    def _headers(self) -> dict[str, str]:
        authorization = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        return {"Accept": "application/json"} | authorization

    def _begin(self, path: str, body: JsonObject) -> JsonObject:
        answer = self._ask("POST", path, body)
        self.token = answer["token"]
        return answer

    def _connection(self, timeout_sec: float = TIMEOUT_SEC) -> http.client.HTTPConnection:
        try:
            parts = urlsplit(self.url)
            host, port = parts.hostname, parts.port
        except ValueError:  # half an IPv6 address, a port that is no number
            parts, host, port = urlsplit(""), None, None
        if parts.scheme not in ("http", "https") or host is None:
            raise NoAddress(f"{self.url!r} is not an address of a reviewers' listener")
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        return kind(host, port, timeout=timeout_sec)

    def _ask(self, method: str, path: str, body: JsonObject | None = None) -> JsonObject:
        connection = self._connection()
        headers = self._headers()
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            connection.request(
                method, f"/api/v1{path}", body=None if body is None else json.dumps(body).encode(), headers=headers
            )
            response = connection.getresponse()
            raw = response.read(ANSWER_BYTES_MAX + 1)
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(f"no reviewers' listener answers at {self.url}: {error}") from error
        finally:
            connection.close()
        return _read(response.status, raw)


def _read(status: int, raw: bytes) -> JsonObject:
    if len(raw) > ANSWER_BYTES_MAX:
        raise TooLong(f"the answer has more than {ANSWER_BYTES_MAX // 1024 // 1024} MiB; look in the console")
    try:
        limits = strict_json.JsonLimits(bytes_max=ANSWER_BYTES_MAX, keys_max=2_000_000)
        answer = strict_json.read(raw, limits, exact=True)
    except strict_json.StrictJsonError as problem:
        raise Unreachable(f"what answers there is no reviewers' listener (status {status})") from problem
    if not isinstance(answer, dict):
        raise Unreachable(f"what answers there is no reviewers' listener (status {status})")
    error = answer.get("error")
    if isinstance(error, dict):
        raise Refused(str(error.get("code", "")), str(error.get("message", "")))
    return answer


def save_session(file: Path, url: str, token: str) -> None:
    """Keep a session for the next command, readable by this user only."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    sessions = load_sessions(file) | {url: token}
    temporary = file.with_suffix(".new")
    temporary.unlink(missing_ok=True)
    with open(temporary, "x", opener=_private, encoding="utf-8") as out:
        json.dump(sessions, out)
    temporary.replace(file)


def load_sessions(file: Path) -> dict[str, str]:
    """Sessions kept by address; none if there is no file or it is not ours to read."""
    try:
        kept = strict_json.read(file.read_bytes())
    except (OSError, strict_json.StrictJsonError):
        return {}
    return {str(url): str(token) for url, token in kept.items()} if isinstance(kept, dict) else {}


def _private(path: str, flags: int) -> int:
    import os

    return os.open(path, flags, 0o600)
