"""Where a request may go (P12)."""

from __future__ import annotations

import socket
from ipaddress import ip_network

import pytest

from proxy.upstreams.address_rule import AddressRefused, AddressRule

GATE = frozenset({("127.0.0.1", 8610), ("127.0.0.1", 8611)})

# host in the URL, port, the address it means, whether a request may go there
CASES = [
    ("tools.example.com", 443, "93.184.216.34", True),
    ("tools.example.com", 443, "2606:2800:220:1::1", True),
    ("127.0.0.1", 9000, "127.0.0.1", True),
    ("::1", 9000, "::1", True),
    ("127.1", 9000, "127.0.0.1", True),
    ("localhost", 9000, "127.0.0.1", True),
    ("localhost", 9000, "::1", True),
    ("tools.localhost", 9000, "127.0.0.1", True),
    ("10.1.2.3", 9000, "10.1.2.3", True),
    ("fd12::1", 9000, "fd12::1", True),
    # a name that means something inside
    ("tools.example.com", 443, "127.0.0.1", False),
    ("tools.example.com", 443, "127.9.9.9", False),
    ("tools.example.com", 443, "::1", False),
    ("tools.example.com", 443, "::ffff:127.0.0.1", False),
    ("tools.example.com", 443, "10.1.2.3", False),
    ("tools.example.com", 443, "192.168.1.1", False),
    ("tools.example.com", 443, "172.16.0.1", False),
    ("tools.example.com", 443, "100.64.0.1", False),
    ("tools.example.com", 443, "fd12::1", False),
    ("tools.example.com", 443, "64:ff9b::a01:203", False),
    ("tools.example.com", 443, "2002:a01:203::1", False),
    ("notlocalhost", 9000, "127.0.0.1", False),
    ("localhost.example.com", 9000, "127.0.0.1", False),
    # never, however it is written
    ("169.254.169.254", 80, "169.254.169.254", False),
    ("metadata.google.internal", 80, "169.254.169.254", False),
    ("tools.example.com", 80, "::ffff:169.254.169.254", False),
    ("tools.example.com", 80, "64:ff9b::a9fe:a9fe", False),
    ("fe80::1", 80, "fe80::1", False),
    ("fd00:ec2::254", 80, "fd00:ec2::254", False),
    ("100.100.100.200", 80, "100.100.100.200", False),
    ("168.63.129.16", 80, "168.63.129.16", False),
    ("0.0.0.0", 9000, "0.0.0.0", False),
    ("::", 9000, "::", False),
    ("224.0.0.1", 80, "224.0.0.1", False),
    ("255.255.255.255", 80, "255.255.255.255", False),
    # the gate's own listeners
    ("127.0.0.1", 8610, "127.0.0.1", False),
    ("127.0.0.1", 8611, "127.0.0.1", False),
    ("localhost", 8610, "::1", False),
    ("127.0.0.2", 8610, "127.0.0.2", False),
    ("2130706433", 8610, "127.0.0.1", False),
    ("10.1.2.3", 8610, "10.1.2.3", True),
]


@pytest.mark.parametrize(("host", "port", "address", "may"), CASES, ids=[f"{c[0]}:{c[1]} is {c[2]}" for c in CASES])
def test_p12_where_a_request_may_go(host: str, port: int, address: str, may: bool) -> None:
    rule = AddressRule(host, port, forbidden=GATE)
    if may:
        rule.check(address)
    else:
        with pytest.raises(AddressRefused):
            rule.check(address)


def test_a_name_may_mean_a_private_address_in_a_network_that_was_listed() -> None:
    rule = AddressRule("tools", 443, resolves_to=(ip_network("10.1.0.0/16"), ip_network("fd12::/16")))
    rule.check("10.1.2.3")
    rule.check("fd12::7")
    for address in ("10.2.0.1", "192.168.1.1", "127.0.0.1"):
        with pytest.raises(AddressRefused):
            rule.check(address)


def test_no_listed_network_opens_loopback_or_metadata() -> None:
    rule = AddressRule("tools", 443, resolves_to=(ip_network("0.0.0.0/0"), ip_network("::/0")))
    for address in ("127.0.0.1", "::1", "169.254.169.254", "0.0.0.0"):
        with pytest.raises(AddressRefused):
            rule.check(address)


def own_address() -> str | None:
    """An address of this machine other than loopback, found without sending anything."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # a datagram socket: connecting sends nothing
        except OSError:
            return None
        return str(probe.getsockname()[0])


@pytest.mark.parametrize("wildcard", ["0.0.0.0", "::"])
def test_p12_a_listener_on_every_interface_is_refused_under_every_address_of_this_machine(wildcard: str) -> None:
    addresses = ["127.0.0.1", "127.0.0.2", "::1"] + [address for address in [own_address()] if address]
    for address in addresses:
        with pytest.raises(AddressRefused, match="the gate's own listener"):
            AddressRule(address, 8610, forbidden=frozenset({(wildcard, 8610)})).check(address)
    AddressRule("192.0.2.7", 8610, forbidden=frozenset({(wildcard, 8610)})).check("192.0.2.7")


def test_a_refusal_says_what_why_and_how_to_mend_it() -> None:
    with pytest.raises(AddressRefused) as refused:
        AddressRule("tools.example.com", 443).check("10.1.2.3")
    what, how = str(refused.value).split("; ")
    assert what == "tools.example.com resolves to the private address 10.1.2.3"
    assert how == "if that is meant, write the address itself in the url"
