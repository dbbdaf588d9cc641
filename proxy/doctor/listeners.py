"""The two listeners: free or ours, apart, and as their rules want them.

Rules of this module:
* A listener is asked as a stranger would ask it: no key, no login. What it must not answer is asked too (P12).
* Certificates are held against the file that the configuration names, not against the system's.
"""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import urlsplit

from cryptography import x509

from proxy.addresses import is_loopback, is_wildcard
from proxy.config import Listener
from proxy.config_checks import LISTENERS
from proxy.doctor.finding import Finding, ok, problem, unreachable, warning
from proxy.doctor.subject import Subject
from proxy.init.run import is_free

ASK_SEC_MAX = 5.0
ANSWER_BYTES_MAX = 64 * 1024
CERTIFICATE_DAYS_LOW = 21
HEALTH = "/-/health"


def listeners(subject: Subject) -> Iterator[Finding]:
    for name in LISTENERS:
        yield _port(subject, name, getattr(subject.config, name))
    agents, reviewers = subject.config.agents_listener, subject.config.reviewers_listener
    if subject.gate is not None and agents.port:
        yield _apart(agents)
    else:
        said = f"agents on {_where(agents)}, reviewers on {_where(reviewers)}: two sockets, two logins"
        yield ok("listeners apart", said)


def _where(listener: Listener) -> str:
    return f"[{listener.host}]:{listener.port}" if ":" in listener.host else f"{listener.host}:{listener.port}"


def _port(subject: Subject, name: str, listener: Listener) -> Finding:
    facts = {"listener": name, "host": listener.host, "port": listener.port}
    if listener.port == 0:
        mend = f"give {name}.port a number, so that it is found again"
        return warning("ports", f"{name} takes another free port at each start", mend, **facts)
    if subject.gate is None:
        if is_free(listener.port, listener.host):
            return ok("ports", f"{name}: {_where(listener)} is free", **facts)
        mend = f"end what listens there, or give {name}.port another one"
        return problem("ports", f"{name}: somebody else has {_where(listener)}", mend, **facts)
    path = "/" if name == "agents_listener" else HEALTH
    try:
        status, body = _ask(listener, path)
    except (OSError, http.client.HTTPException) as error:
        mend = "look at the gate's log; if it has just started, wait"
        return unreachable("ports", f"{name}: the gate does not answer at {_where(listener)}: {error}", mend, **facts)
    is_ours = b"/mcp/<server>" in body if name == "agents_listener" else (status, b"alive" in body) == (200, True)
    if not is_ours:
        mend = "look which program has that port; the gate may run with another configuration"
        return problem("ports", f"{name}: what answers at {_where(listener)} is not this gate", mend, **facts)
    return ok("ports", f"{name}: the gate answers at {_where(listener)}", **facts)


def _apart(agents: Listener) -> Finding:
    """What the reviewers' side answers must not be there on the agents' side."""
    try:
        answers = [_ask(agents, path) for path in (HEALTH, "/api/v1/me", "/login")]
    except (OSError, http.client.HTTPException) as error:
        return unreachable("listeners apart", f"the agents' listener could not be asked: {error}", "look at the log")
    if any(status not in (400, 401, 404, 405, 421) for status, _ in answers):
        mend = "stop this gate, and look what stands in front of it"
        return problem("listeners apart", "the reviewers' side answers on the agents' listener", mend)
    return ok("listeners apart", "the agents' listener has nothing of the reviewers' side")


def _ask(listener: Listener, path: str) -> tuple[int, bytes]:
    """A stranger's GET. Raises: OSError, HTTPException."""
    host = ("::1" if ":" in listener.host else "127.0.0.1") if is_wildcard(listener.host) else listener.host
    connection = _connection(listener, host)
    headers = {"Host": urlsplit(listener.public_url).netloc} if listener.public_url is not None else {}
    try:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        return response.status, response.read(ANSWER_BYTES_MAX)
    finally:
        connection.close()


def _connection(listener: Listener, host: str) -> http.client.HTTPConnection:
    if listener.tls is None:
        return http.client.HTTPConnection(host, listener.port, timeout=ASK_SEC_MAX)
    context = ssl.create_default_context(cafile=str(listener.tls.cert))
    context.check_hostname = False  # it is reached by address; the certificate is the configured one, or it is refused
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return http.client.HTTPSConnection(host, listener.port, timeout=ASK_SEC_MAX, context=context)


def tls(subject: Subject, now: float) -> Iterator[Finding]:
    """What the start does not refuse, and yet is to be known: plain HTTP behind proxies, certificates that end."""
    for name in LISTENERS:
        listener: Listener = getattr(subject.config, name)
        yield from _carried(name, listener)
        if listener.tls is not None:
            yield from _certificate(name, listener, now)


def _carried(name: str, listener: Listener) -> Iterator[Finding]:
    url = listener.public_url
    if url is not None and not is_loopback(urlsplit(url).hostname or "") and urlsplit(url).scheme != "https":
        said = f"{name}.public_url is http: keys and logins pass in clear"
        yield problem("tls", said, "serve it over https")
    elif is_loopback(listener.host) and url is None:
        yield ok("tls", f"{name} is for this machine alone", listener=name)
    else:
        yield ok("tls", f"{name} is reached over TLS, as {url or 'configured'}", listener=name)


def _certificate(name: str, listener: Listener, now: float) -> Iterator[Finding]:
    assert listener.tls is not None
    try:
        certificate = x509.load_pem_x509_certificate(listener.tls.cert.read_bytes())
    except (OSError, ValueError) as error:
        yield problem("tls", f"{name}.tls.cert cannot be read: {error}", "give a PEM file with the certificate first")
        return
    ends = certificate.not_valid_after_utc
    days = (ends - datetime.fromtimestamp(now, UTC)).days
    said = f"{name}: the certificate is good until {ends:%Y-%m-%d}"
    if days < 0:
        yield problem("tls", f"{name}: the certificate ended on {ends:%Y-%m-%d}", "renew it, and restart", days=days)
    elif days < CERTIFICATE_DAYS_LOW:
        yield warning("tls", said, "renew it, and restart: certificates are read at start", days=days)
    else:
        yield ok("tls", said, days=days)
