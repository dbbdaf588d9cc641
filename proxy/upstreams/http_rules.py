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
