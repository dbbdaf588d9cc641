"""The listeners: from what the configuration says of them to bound sockets, addresses, certificates and limits.

Rules of this module:
* A socket is bound before anything is built, so that a port in use stops the start in a sentence; it listens last.
"""

from __future__ import annotations

import errno
import socket
import ssl

from proxy.config import Config, ConfigError, Listener
from proxy.wire.http_protocol import ServerLimits
from proxy.wire.http_server import tls_context


def bound(name: str, listener: Listener) -> socket.socket:
    """The listener's socket, bound and not yet listening, so that its port is known. Raises: ConfigError."""
    family = socket.AF_INET6 if ":" in listener.host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((listener.host, listener.port))
    except OSError as error:
        made.close()
        mend = f"end what listens there, or give {name}.port another one" if error.errno == errno.EADDRINUSE else ""
        where = f"{name}: cannot listen on {listener.host}:{listener.port}: {error.strerror}"
        raise ConfigError(f"{where} ({mend})" if mend else where) from error
    made.setblocking(False)
    return made


def own_address(one: socket.socket) -> tuple[str, int]:
    """Host and port where it is bound: never a tool server's (P12)."""
    host, port = one.getsockname()[:2]
    return host, port


def tls_of(name: str, listener: Listener) -> ssl.SSLContext | None:
    """Its certificate, ready to serve with; None for plain HTTP. Raises: ConfigError for files that are none in PEM."""
    if listener.tls is None:
        return None
    cert, key = listener.tls.cert, listener.tls.key
    try:
        return tls_context(cert, key)
    except OSError as error:  # ssl.SSLError is one
        raise ConfigError(f"{name}.tls: {cert} and {key} are no certificate and its key in PEM: {error}") from error


def server_limits(config: Config) -> ServerLimits:
    """What a connection may take, for both listeners."""
    limits = config.limits
    return ServerLimits(
        head_bytes_max=limits.head_bytes_max,
        head_sec_max=limits.head_sec_max,
        body_bytes_max=limits.body_bytes_max,
        body_sec_max=limits.body_sec_max,
        send_sec_max=limits.send_sec_max,
        connections_max=limits.connections_max,
    )
