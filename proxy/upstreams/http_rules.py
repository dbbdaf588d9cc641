"""What may stand in the head of a request to an upstream, and what of an answer's head is passed on. Pure.

Rules of this module:
* An agent's headers pass by name (`PASSED_IN`, and `Mcp-Param-*`, which servers may ask for); credentials, cookies,
  Host, Origin and forwarding headers do not. What the configuration adds comes last.
* Of an answer only what MCP gives a meaning passes (`PASSED_OUT`), each capped; the rest of the head is nobody's.
* Values are visible ASCII: a value that could end its line is refused before anything is sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

PASSED_IN = frozenset({"accept", "last-event-id", "mcp-protocol-version", "mcp-method", "mcp-name"})
PASSED_IN_PREFIX = "mcp-param-"
PASSED_OUT = frozenset({"mcp-session-id", "mcp-protocol-version", "www-authenticate", "allow", "retry-after"})
VALUE_CHARS_MAX = 4 * 1024
USER_AGENT = "interlock"

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\x20-\x7e\t]*")
# Set by the client itself, or meaning something between two hops only (RFC 9110 §7.6.1, §10.1.1).
_NEVER_CONFIGURED = frozenset(
    {
        "host",
        "content-length",
        "content-type",
        "content-encoding",
        "connection",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "expect",
        "accept-encoding",
        "mcp-session-id",
    }
)


# What a path or a query may hold as it is (RFC 3986 §3.3, §3.4); `%` begins what is encoded already.
_PATH_SAFE, _QUERY_SAFE = "/%:@!$&'()*+,;=-._~", "/?%:@!$&'()*+,;=-._~"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the requests of one upstream go: what connecting needs, and what each request says of it."""

    host: str
    port: int
    is_tls: bool
    target: str
    authority: str


def origin(url: str) -> Origin:
    """The origin of a URL that `pinning.rule_of` has let through."""
    parts = urlsplit(url)
    is_tls, host = parts.scheme == "https", parts.hostname or ""
    usual = 443 if is_tls else 80
    port = parts.port or usual
    name = f"[{host}]" if ":" in host else host if host.isascii() else host.encode("idna").decode("ascii")
    target = quote(parts.path or "/", safe=_PATH_SAFE)
    if parts.query:
        target = f"{target}?{quote(parts.query, safe=_QUERY_SAFE)}"
    return Origin(host, port, is_tls, target, name if port == usual else f"{name}:{port}")


def written(to: Origin, method: str, head: Mapping[str, str], data: bytes | None, *, closes: bool) -> bytes:
    """One whole request, as it goes on the wire. The head is one that `outgoing` has made."""
    lines = [f"{method} {to.target} HTTP/1.1\r\nhost: {to.authority}\r\n"]
    lines += [f"{name}: {value}\r\n" for name, value in head.items()]
    if closes:
        lines.append("connection: close\r\n")
    if data is None:
        lines.append("\r\n")
        return "".join(lines).encode("ascii")
    lines.append(f"content-length: {len(data)}\r\n\r\n")
    return b"".join(("".join(lines).encode("ascii"), data))


class HeaderRefused(ValueError):
    """A header that cannot be sent as it is; the message names it."""


def check_configured(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers the configuration adds, names in lower case. Raises: HeaderRefused."""
    checked: dict[str, str] = {}
    for name, value in headers.items():
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise HeaderRefused(f"the header {name!a} has a name or a value that HTTP does not allow")
        lower = name.lower()
        if lower in _NEVER_CONFIGURED:
            raise HeaderRefused(f"the header {name} is set by the gate itself; remove it")
        if lower in checked:
            raise HeaderRefused(f"the header {name} is given twice")
        checked[lower] = value
    return checked


def outgoing(
    given: Mapping[str, str], *, accept: str, session: str | None, configured: Mapping[str, str]
) -> dict[str, str]:
    """The whole head of one request, but for what the client sets itself. Raises: HeaderRefused."""
    passed = {}
    for name, value in given.items():
        lower = name.lower()
        if lower in PASSED_IN or lower.startswith(PASSED_IN_PREFIX):
            passed[lower] = value
    if session is not None:
        passed["mcp-session-id"] = session
    for name, value in passed.items():
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value) or len(value) > VALUE_CHARS_MAX:
            raise HeaderRefused(f"the header {name[:80]!a} has a name or a value that cannot be sent")
    return {"accept": accept, "accept-encoding": "identity", "user-agent": USER_AGENT, **passed, **configured}


def passed_out(lines: Iterable[tuple[str, str]]) -> dict[str, str]:
    """What of an answer's head is passed on. Raises: HeaderRefused for one that is given twice or too long."""
    passed: dict[str, str] = {}
    for name, value in lines:
        lower = name.lower()
        if lower not in PASSED_OUT:
            continue
        if lower == "www-authenticate" and lower in passed:
            value = f"{passed[lower]}, {value}"  # RFC 9110 §11.6.1: several challenges are one list
        elif lower in passed:
            raise HeaderRefused(f"it answered with the header {lower} twice")
        if len(value) > VALUE_CHARS_MAX or not _VALUE.fullmatch(value):
            raise HeaderRefused(f"it answered with a header {lower} that is too long or not visible ASCII")
        passed[lower] = value
    return passed


def media_type(value: str | None) -> str:
    """A Content-Type without its parameters, in lower case; empty if there is none."""
    return (value or "").partition(";")[0].strip().lower()
