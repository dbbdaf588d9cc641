"""Listeners while no gate runs, and what they carry. Those of a running gate: tests/blackbox/test_doctor.py."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from proxy.doctor import listeners
from proxy.doctor.finding import Standing
from tests.proxy.doctor.builders import standings, subject

NOW = datetime(2026, 11, 1, tzinfo=UTC)


def test_ports_are_free_or_somebody_elses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listeners, "is_free", lambda port, _host: port == 8610)
    agents, reviewers, apart = listeners.listeners(subject(tmp_path))
    assert (agents.standing, reviewers.standing, apart.standing) == (Standing.OK, Standing.PROBLEM, Standing.OK)
    assert "reviewers_listener: somebody else has 127.0.0.1:8611" in reviewers.says


def test_a_port_that_changes_with_every_start_is_a_warning(tmp_path: Path) -> None:
    at = subject(tmp_path, agents_listener={"port": 0}, reviewers_listener={"port": 0})
    assert {one.standing for one in listeners.listeners(at) if one.check == "ports"} == {Standing.WARNING}


def test_a_public_address_without_tls_is_a_problem(tmp_path: Path) -> None:
    assert standings(listeners.tls(subject(tmp_path), NOW.timestamp())) == {Standing.OK}
    at = subject(tmp_path, reviewers_listener={"port": 1, "public_url": "http://review.example.com"})
    assert [one.standing for one in listeners.tls(at, NOW.timestamp())] == [Standing.OK, Standing.PROBLEM]


@pytest.mark.parametrize(
    ("days", "standing"), [(200, Standing.OK), (5, Standing.WARNING), (-1, Standing.PROBLEM), (None, Standing.PROBLEM)]
)
def test_certificates_that_end_soon_or_have_ended_are_told(
    tmp_path: Path, days: int | None, standing: Standing
) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    secret = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gate.example.com")])
    builder = x509.CertificateBuilder(name, name, secret.public_key(), x509.random_serial_number())
    valid = builder.not_valid_before(NOW - timedelta(days=30)).not_valid_after(NOW + timedelta(days=days or 0))
    signed = valid.sign(secret, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    cert.write_bytes(signed if days is not None else b"nothing")
    key.touch()
    tls = {"cert": str(cert), "key": str(key)}
    at = subject(tmp_path, agents_listener={"port": 1, "tls": tls, "public_url": "https://gate.example.com"})
    assert [one.standing for one in listeners.tls(at, NOW.timestamp())][1] is standing
