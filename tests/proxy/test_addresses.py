"""What kind of address a host is, however it is written."""

from __future__ import annotations

import pytest

from proxy.addresses import is_loopback, is_never_an_upstream, is_wildcard, literal


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.255.255.254",
        "::1",
        "[::1]",
        "localhost",
        "LocalHost.",
        "::ffff:127.0.0.1",
        "127.1",
        "0x7f.1",
        "0177.0.0.1",
        "2130706433",
        "0x7f000001",
        "2002:7f00:1::",
        "64:ff9b::7f00:1",
    ],
)
def test_loopback_is_known_in_every_spelling(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["10.0.0.1", "0.0.0.0", "::", "example.com", "localhost.example.com", "", "1.2.3.4.5"])
def test_other_hosts_are_not_loopback(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize(("host", "expected"), [("0.0.0.0", True), ("::", True), ("0", True), ("127.0.0.1", False)])
def test_a_wildcard_means_every_interface(host: str, expected: bool) -> None:
    assert is_wildcard(host) is expected


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "[fe80::1%eth0]",
        "::ffff:169.254.169.254",
        "2852039166",
        "100.100.100.200",
        "192.0.0.192",
        "fd00:ec2::254",
        "224.0.0.1",
        "ff02::1",
        "0.0.0.0",
        "::",
        "240.0.0.1",
        "255.255.255.255",
        "64:ff9b::a9fe:a9fe",
    ],
)
def test_p12_metadata_and_link_local_addresses_are_never_an_upstream(host: str) -> None:
    assert is_never_an_upstream(host)


@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.1", "192.168.1.1", "8.8.8.8", "fd00::1", "example.com"])
def test_ordinary_addresses_may_be_an_upstream(host: str) -> None:
    assert not is_never_an_upstream(host)


@pytest.mark.parametrize("host", ["256.1.1.1", "1.2.3.4.5", "0x", "cafe", "1..2", "999999999999"])
def test_what_is_no_address_is_a_name(host: str) -> None:
    assert literal(host) is None
