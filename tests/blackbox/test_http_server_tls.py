"""The listener over TLS: what a handshake costs it, and that nothing is lost behind one."""

from __future__ import annotations

import datetime as dt
import socket
import ssl
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from proxy.wire.http_head import HttpFault
from proxy.wire.http_server import tls_context
from tests.blackbox.raw_server import (
    HEAD,
    LIMITS,
    Running,
    read_response,
    read_to_end,
    refused_as,
    running,
    until,
)

HALF_A_HELLO = b"\x16\x03\x01\x02\x00\x01"  # a record of 512 bytes, of which one comes
REQUEST = HEAD + b"Content-Length: 3\r\n\r\nabc"


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return self_signed(tmp_path_factory.mktemp("tls"))


def self_signed(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    cert = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = folder / "cert.pem", folder / "key.pem"
    cert_file.write_bytes(cert.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return cert_file, key_file


@contextmanager
def half_done(server: Running, count: int) -> Iterator[list[socket.socket]]:
    """So many connections that have begun a handshake and say no more."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(server.connect()) for _ in range(count)]
        for sock in sockets:
            sock.sendall(HALF_A_HELLO)
        yield sockets


def ask(server: Running, cert: Path) -> bytes:
    context = ssl.create_default_context(cafile=str(cert))
    with context.wrap_socket(server.connect(), server_hostname="localhost") as sock:
        sock.sendall(REQUEST)
        return read_response(sock)


def test_tls_is_served_and_a_plain_client_is_not(pem: tuple[Path, Path]) -> None:
    with running(tls=tls_context(*pem)) as server:
        context = ssl.create_default_context(cafile=str(pem[0]))
        with context.wrap_socket(server.connect(), server_hostname="localhost") as sock:
            assert sock.version() in ("TLSv1.2", "TLSv1.3")
            sock.sendall(REQUEST)
            assert read_response(sock).endswith(b"abc")
            sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
            refused_as(HttpFault.HOST, read_to_end(sock))
        assert not server.ask(REQUEST).startswith(b"HTTP/")
        assert until(lambda: server.server.connections == 0)


@pytest.mark.parametrize("over", [-1, 0, 1])
def test_p14_handshakes_under_way_are_connections(pem: tuple[Path, Path], over: int) -> None:
    limits = replace(LIMITS, connections_max=10, head_sec_max=30)
    with running(limits, tls=tls_context(*pem)) as server, half_done(server, 10 + over) as sockets:
        assert until(lambda: server.server.connections == min(10, 10 + over))
        if over < 0:
            assert ask(server, pem[0]).endswith(b"abc")
        else:
            begun = time.monotonic()
            with pytest.raises(OSError):  # cut before a byte is read
                ask(server, pem[0])
            assert time.monotonic() - begun < 5
        if over > 0:
            assert read_to_end(sockets[-1]) == b""
        for sock in sockets:
            sock.close()
        assert until(lambda: server.server.connections == 0)
        assert ask(server, pem[0]).endswith(b"abc")


def test_d12_handshakes_that_go_nowhere_are_all_ended_in_time(pem: tuple[Path, Path]) -> None:
    with running(replace(LIMITS, connections_max=400), tls=tls_context(*pem)) as server:
        with half_done(server, 300) as sockets:
            assert until(lambda: server.server.connections == 300, seconds=10)
            assert until(lambda: server.server.connections == 0, seconds=10)
            assert all(read_to_end(sock) == b"" for sock in sockets)
        assert ask(server, pem[0]).endswith(b"abc")


def test_who_breaks_off_in_a_handshake_gives_the_place_back(pem: tuple[Path, Path]) -> None:
    with running(replace(LIMITS, head_sec_max=30), tls=tls_context(*pem)) as server:
        for how in (b"", HALF_A_HELLO, b"GET / HTTP/1.1\r\n\r\n"):
            for is_reset in (False, True) * 5:
                with server.connect() as sock:
                    if is_reset:
                        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    sock.sendall(how)
        assert ask(server, pem[0]).endswith(b"abc")
        assert until(lambda: server.server.connections == 0)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_request_that_comes_in_one_packet_with_the_end_of_the_handshake_is_read(
    pem: tuple[Path, Path], version: ssl.TLSVersion
) -> None:
    context = ssl.create_default_context(cafile=str(pem[0]))
    context.maximum_version = version
    come, gone = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(come, gone, server_hostname="localhost")
    with running(tls=tls_context(*pem)) as server, server.connect() as sock:
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                sock.sendall(gone.read())
                come.write(sock.recv(65_536))
        tls.write(REQUEST)
        sock.sendall(gone.read())
        answer = b""
        while not answer.endswith(b"abc"):
            piece = sock.recv(65_536)
            assert piece, answer
            come.write(piece)
            try:
                answer += tls.read(65_536)
            except ssl.SSLWantReadError:
                continue
    assert answer.startswith(b"HTTP/1.1 200")


def test_t6_a_shutdown_waits_for_no_handshake(pem: tuple[Path, Path]) -> None:
    limits = replace(LIMITS, connections_max=40, head_sec_max=30)
    with running(limits, tls=tls_context(*pem)) as server, half_done(server, 20) as sockets:
        assert until(lambda: server.server.connections == 20)
        assert server.shutdown(20) < 5
        assert all(read_to_end(sock) == b"" for sock in sockets)
