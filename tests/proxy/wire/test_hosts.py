"""Fixed hosts: a rebound name and a foreign page lead nowhere."""

from __future__ import annotations

import pytest

from proxy.wire.hosts import FixedHosts
from proxy.wire.refusals import Why, WireRefusal


def refusal(hosts: FixedHosts, *lines: tuple[bytes, bytes]) -> WireRefusal:
    with pytest.raises(WireRefusal) as caught:
        hosts.check(lines)
    return caught.value


LOOPBACK = FixedHosts.of_listener("127.0.0.1", 8610)


@pytest.mark.parametrize("host", [b"127.0.0.1:8610", b"localhost:8610", b"LOCALHOST:8610", b"[::1]:8610"])
def test_a_loopback_listener_answers_to_loopbacks_names(host: bytes) -> None:
    LOOPBACK.check([(b"host", host)])
    LOOPBACK.check([(b"host", host), (b"origin", b"http://" + host)])


@pytest.mark.parametrize(
    "host",
    [
        *(
            b"evil.example:8610",
            b"127.0.0.1",
            b"127.0.0.1:8611",
            b"localhost.:8610",
            b"127.0.0.1.evil.example:8610",
            b"",
        ),
        *(
            b"0x7f.1:8610",
            b"2130706433:8610",
            b"127.1:8610",
            b"[::ffff:127.0.0.1]:8610",
            b"loc\xe0lhost:8610",
            b"0.0.0.0:8610",
        ),
    ],
)
def test_a14_any_other_host_is_421(host: bytes) -> None:
    refused = refusal(LOOPBACK, (b"host", host))
    assert (refused.why, refused.http_status) == (Why.HOST_NOT_ALLOWED, 421)


def test_no_host_and_two_hosts_are_refused() -> None:
    assert refusal(LOOPBACK).why is Why.HOST_NOT_ALLOWED
    assert refusal(LOOPBACK, (b"host", b"localhost:8610"), (b"host", b"localhost:8610")).why is Why.HOST_NOT_ALLOWED


@pytest.mark.parametrize(
    "origin",
    [
        *(
            b"http://evil.example",
            b"http://evil.example:8610",
            b"null",
            b"",
            b"localhost:8610",
            b"file://localhost:8610",
        ),
        *(b"http://localhost", b"http://localhost:8611", b"http://localhost:8610/", b"http://localhost:8610@evil"),
    ],
)
def test_a_foreign_origin_is_403(origin: bytes) -> None:
    refused = refusal(LOOPBACK, (b"host", b"localhost:8610"), (b"origin", origin))
    assert (refused.why, refused.http_status) == (Why.ORIGIN_NOT_ALLOWED, 403)


def test_a_public_url_adds_its_name_with_and_without_its_default_port() -> None:
    hosts = FixedHosts.of_listener("10.0.0.5", 8610, public_url="https://gate.example/mcp")
    for host in (b"gate.example", b"Gate.Example:443", b"10.0.0.5:8610"):
        hosts.check([(b"host", host)])
    hosts.check([(b"host", b"gate.example"), (b"origin", b"https://gate.example")])
    for host in (b"gate.example:80", b"localhost:8610", b"10.0.0.5"):
        assert refusal(hosts, (b"host", host)).why is Why.HOST_NOT_ALLOWED
    explicit = FixedHosts.of_listener("10.0.0.5", 8610, public_url="http://gate.example:8000")
    assert explicit.hosts == {"10.0.0.5:8610", "gate.example:8000"}


def test_a_listener_on_a_default_port_answers_to_its_bare_name_too() -> None:
    assert FixedHosts.of_listener("192.0.2.1", 80).hosts == {"192.0.2.1:80", "192.0.2.1"}
    assert FixedHosts.of_listener("2001:db8::1", 8610).hosts == {"[2001:db8::1]:8610"}
