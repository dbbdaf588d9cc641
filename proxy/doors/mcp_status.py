"""What a tool server says at the level of HTTP: which of its headers pass, and what may stand beside an error status.

Rules of this module:
* Pure. Of a header only its known form passes (P8): `Allow` with HTTP's own methods, `Retry-After` with seconds or a
  date. Anything else in one is a text nobody inspects; it is left out, never mended.
* A body beside an error status is about the request it answers, whatever id stands in it: servers write ids of their
  own there (`server-error`). It gets the request's, because an id passes unread. `null` stays: clients find out the
  era by such answers.
* 401, 403 and 407 are about the gate's own credentials, which an agent would take for its own and cannot mend: 502.
* A request or notification is no body, nor is a result under another id: nobody is asked or answered in this way.
"""

from __future__ import annotations

import re

from policies.model import JsonObject
from proxy.doors.mcp_reply import Header
from proxy.upstreams.base import Reply
from proxy.wire.jsonrpc import is_same_id
from proxy.wire.refusals import RequestId

HTTP_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
_ABOUT_THE_GATE = frozenset({401, 403, 407})
_SECONDS = re.compile(r"[0-9]{1,9}")
_DATE = re.compile(  # RFC 9110 §5.6.7, the form that senders must use
    r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), [0-9]{2} "
    r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT"
)


def passed_headers(reply: Reply) -> tuple[Header, ...]:
    """Of a server's head, what an agent's HTTP client needs, where it has the form it should have."""
    passed: list[Header] = []
    methods = {method.strip().upper() for method in reply.headers.get("allow", "").split(",")}
    if methods <= HTTP_METHODS:
        passed.append((b"allow", ", ".join(sorted(methods)).encode()))
    retry_after = reply.headers.get("retry-after", "").strip()
    if _SECONDS.fullmatch(retry_after) or _DATE.fullmatch(retry_after):
        passed.append((b"retry-after", retry_after.encode()))
    return tuple(passed)


def passed_status(status: int) -> int:
    """The status that an agent gets of a server's."""
    return 502 if status in _ABOUT_THE_GATE else status


def credentials_refused(status: int) -> str | None:
    """What an agent is told where the server refuses the gate's credentials; None: it does not."""
    if status not in _ABOUT_THE_GATE:
        return None
    return f"The tool server did not accept the gate's credentials (HTTP {status})."


def beside_error(body: JsonObject | None, request_id: RequestId | None) -> JsonObject | None:
    """What an agent may be given of a body beside an error status, before it is inspected; None: the status alone."""
    if body is None or "method" in body:
        return None
    if body.get("jsonrpc") != "2.0" or body.get("id") is None:
        return body
    if is_same_id(request_id, body["id"]):
        return body
    return {**body, "id": request_id} if "error" in body and "result" not in body else None
