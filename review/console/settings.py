"""What the console is told about itself: where it is reached, and its limits, each with its unit in its name (P14)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")


def _everybody(peer: str | None) -> bool:  # noqa: ARG001 - the bind decides who can connect
    return True


@dataclass(frozen=True, slots=True)
class ConsoleSettings:
    """`public_url` is how reviewers reach the console, without a path; `allowed_hosts` are Host headers with port;
    `takes_peer` says of an address whether connections from it are answered at all (the configured proxies alone).

    Without `allowed_hosts` it is the public URL's host, and where that is loopback every name of loopback.
    """

    public_url: str = "http://127.0.0.1:8611"
    allowed_hosts: frozenset[str] = frozenset()
    takes_peer: Callable[[str | None], bool] = _everybody
    form_bytes_max: int = 64 * 1024
    edit_bytes_max: int = 1024 * 1024
    streams_max: int = 256
    streams_per_session_max: int = 6
    tails_max: int = 16
    tails_per_session_max: int = 4
    stream_check_sec: float = 15
    arming_ms: int = 600

    @property
    def is_secure(self) -> bool:
        """Whether browsers reach it over TLS: cookies are then marked so."""
        return urlsplit(self.public_url).scheme == "https"

    @property
    def hosts(self) -> frozenset[str]:
        """Every Host header that is answered."""
        if self.allowed_hosts:
            return frozenset(host.lower() for host in self.allowed_hosts)
        netloc = urlsplit(self.public_url).netloc.lower()
        for name in LOOPBACK_NAMES:
            if netloc == name or netloc.startswith(f"{name}:"):
                port = netloc.removeprefix(name)
                return frozenset(f"{other}{port}" for other in LOOPBACK_NAMES)
        return frozenset({netloc})

    @property
    def origins(self) -> frozenset[str]:
        """The Origin headers of our own pages."""
        scheme = "https" if self.is_secure else "http"
        return frozenset(f"{scheme}://{host}" for host in self.hosts)

    @property
    def cookie(self) -> str:
        """The session cookie's name. The prefix makes browsers hold it to this host and to TLS (RFC 6265bis §4.1.3).

        Without TLS it names the port: cookies do not keep ports apart, and two gates on one machine must not mix.
        """
        return "__Host-interlock" if self.is_secure else f"interlock-{urlsplit(self.public_url).port or 80}"
