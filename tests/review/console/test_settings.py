from __future__ import annotations

import pytest

from review.console.settings import ConsoleSettings


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("http://127.0.0.1:8611", {"127.0.0.1:8611", "localhost:8611", "[::1]:8611"}),
        ("http://localhost:9000", {"127.0.0.1:9000", "localhost:9000", "[::1]:9000"}),
        ("http://[::1]:9000", {"127.0.0.1:9000", "localhost:9000", "[::1]:9000"}),
        ("https://gate.example", {"gate.example"}),
        ("https://Gate.Example:8443", {"gate.example:8443"}),
        ("https://localhost.example", {"localhost.example"}),
    ],
)
def test_hosts_follow_from_the_public_url(url: str, hosts: set[str]) -> None:
    assert ConsoleSettings(public_url=url).hosts == hosts


def test_stated_hosts_are_the_only_ones() -> None:
    settings = ConsoleSettings(public_url="https://gate.example", allowed_hosts=frozenset({"Other.example"}))
    assert (settings.hosts, settings.origins) == ({"other.example"}, {"https://other.example"})


def test_over_tls_the_cookie_is_held_to_host_and_tls() -> None:
    assert ConsoleSettings(public_url="https://gate.example").cookie == "__Host-interlock"
    assert ConsoleSettings().cookie == "interlock-8611"
    assert ConsoleSettings(public_url="http://127.0.0.1").cookie == "interlock-80"
    assert not ConsoleSettings().is_secure
