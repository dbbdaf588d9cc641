"""The addresses of one host: resolved once, judged, held."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from proxy.upstreams.address_rule import AddressRefused, AddressRule
from proxy.upstreams.pinning import PinnedAddresses, UrlRefused, rule_of


class Names:
    """A resolver's answers, one list a lookup."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.lookups = 0
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", self.getaddrinfo)

    async def getaddrinfo(self, host: str, port: int, **_: Any) -> list[Any]:
        self.lookups += 1
        if not self.answers:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in self.answers.pop(0)]


def pinned(host: str = "tools.example.com") -> PinnedAddresses:
    return PinnedAddresses(AddressRule(host, 443), resolve_sec_max=1)


async def test_a_host_is_resolved_once_and_held(monkeypatch: pytest.MonkeyPatch) -> None:
    names = Names(monkeypatch, ["93.184.216.34", "93.184.216.34"], ["10.0.0.1"])
    addresses = pinned()
    for _ in range(3):
        await addresses.know()
    assert (addresses.known, names.lookups) == (("93.184.216.34",), 1)


async def test_after_a_failed_connection_it_is_resolved_and_judged_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    Names(monkeypatch, ["93.184.216.34"], ["93.184.216.35"], ["10.0.0.1"])
    addresses = pinned()
    await addresses.know()
    addresses.forget()
    await addresses.know()
    assert addresses.known == ("93.184.216.35",)
    addresses.forget()
    with pytest.raises(AddressRefused, match=r"private address 10\.0\.0\.1"):
        await addresses.know()
    assert addresses.known == ()


async def test_p12_one_refused_address_refuses_them_all(monkeypatch: pytest.MonkeyPatch) -> None:
    Names(monkeypatch, ["93.184.216.34", "127.0.0.1"])
    addresses = pinned()
    with pytest.raises(AddressRefused):
        await addresses.know()
    assert addresses.known == ()


async def test_a_name_that_cannot_be_resolved_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    Names(monkeypatch)
    with pytest.raises(AddressRefused, match="could not be resolved"):
        await pinned().know()


async def test_a_resolver_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_: Any, **__: Any) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", never)
    addresses = PinnedAddresses(AddressRule("tools.example.com", 443), resolve_sec_max=0.01)
    with pytest.raises(AddressRefused, match="no answer in time"):
        await addresses.know()


async def test_a_literal_needs_no_resolver(monkeypatch: pytest.MonkeyPatch) -> None:
    names = Names(monkeypatch)
    addresses = pinned("127.1")
    await addresses.know()
    addresses.forget()
    await addresses.know()
    assert (addresses.known, names.lookups) == (("127.0.0.1",), 0)


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("https://tools.example.com/mcp", "tools.example.com", 443),
        ("http://tools.example.com/mcp?key=1", "tools.example.com", 80),
        ("http://[::1]:9000/mcp", "::1", 9000),
        ("http://127.0.0.1:9000", "127.0.0.1", 9000),
    ],
)
def test_a_url_gives_host_and_port(url: str, host: str, port: int) -> None:
    rule = rule_of(url, (), frozenset())
    assert (rule.host, rule.port) == (host, port)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ftp://tools.example.com/", "no http or https URL"),
        ("tools.example.com/mcp", "no http or https URL"),
        ("http:///mcp", "no http or https URL"),
        ("http://ada:secret@tools.example.com/", "credentials"),
        ("http://tools.example.com/#x", "fragment"),
        ("http://tools.example.com:99999/", "no URL"),
        ("http://127.0.0.1:8610/mcp", "gate's own listener"),
        ("http://0x7f000001:8610/mcp", "gate's own listener"),
        ("http://[::ffff:127.0.0.1]:8610/mcp", "gate's own listener"),
        ("http://169.254.169.254/latest", "metadata"),
        ("http://0.0.0.0:9000/mcp", "reserved"),
    ],
)
def test_p12_a_url_no_upstream_may_have_is_refused_and_says_why(url: str, why: str) -> None:
    with pytest.raises(UrlRefused, match=why) as refused:
        rule_of(url, (), frozenset({("127.0.0.1", 8610)}))
    assert "secret" not in str(refused.value)
