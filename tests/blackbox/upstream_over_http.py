"""For the tests of the HTTP upstream: a counting server, upstreams connected to it, and posting in few words."""

from __future__ import annotations

import datetime
from collections.abc import AsyncIterator, Callable, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from proxy.upstreams.base import Reply, Sent, UpstreamFailed
from proxy.upstreams.http import HttpLimits, HttpUpstream
from tests.blackbox.servers.counting import CountingServer

type Connect = Callable[..., HttpUpstream]


@pytest.fixture(name="server")
async def fixture_server() -> AsyncIterator[CountingServer]:
    async with CountingServer() as running:
        yield running


@pytest.fixture(name="connect")
async def fixture_connect() -> AsyncIterator[Connect]:
    """Makes upstreams of counting servers, and closes them."""
    made: list[HttpUpstream] = []

    def make(server: CountingServer, **options: Any) -> HttpUpstream:
        limits = HttpLimits(**{"silence_sec_max": 5} | options.pop("limits", {}))
        made.append(HttpUpstream("tool", options.pop("url", server.url), limits=limits, **options))
        return made[-1]

    yield make
    for upstream in made:
        await upstream.close()


@pytest.fixture(name="certificate", scope="module")
def fixture_certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    cert = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    (folder / "cert.pem").write_bytes(cert.public_bytes(Encoding.PEM))
    (folder / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))
    return folder / "cert.pem", folder / "key.pem"


def call(request_id: Any = 1, tool: str = "echo", **arguments: Any) -> dict[str, Any]:
    params = {"name": tool, "arguments": arguments}
    return {"jsonrpc": "2.0", "id": request_id, "method": "tools/call", "params": params}


async def post(
    upstream: HttpUpstream,
    message: dict[str, Any] | None = None,
    *,
    headers: Mapping[str, str] | None = None,
    session: str | None = None,
    sent: Sent | None = None,
    reuse: bool = True,
) -> Reply:
    return await upstream.post(
        message or call(),
        headers=headers or {},
        session=session,
        agent="ada",
        sent=sent or Sent(),
        reuse_connection=reuse,
    )


async def everything(reply: Reply) -> list[Any]:
    """Every message of a reply."""
    if reply.incoming is None or reply.close is None:
        return [reply.body]
    try:
        return [incoming.message async for incoming in reply.incoming]
    finally:
        await reply.close()


async def failure(upstream: HttpUpstream, **options: Any) -> UpstreamFailed:
    """How posting fails; `sent` and the mark must agree."""
    sent = Sent()

    async def whole() -> None:
        await everything(await post(upstream, sent=sent, **options))

    with pytest.raises(UpstreamFailed) as failed:
        await whole()
    assert failed.value.sent is sent.happened
    return failed.value
