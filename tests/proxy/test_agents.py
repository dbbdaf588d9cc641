"""Agents prove themselves by key; anonymous ones are let in only from this machine, and only when configured."""

from __future__ import annotations

import pytest

from policies.model import Agent
from policies.yaml_source import load_positioned
from proxy.agents import (
    FORWARDING_HEADERS,
    KEY_PREFIX,
    Agents,
    NotAuthenticated,
    config_lines,
    key_digest,
    new_key,
)
from proxy.config import Config

KEY = KEY_PREFIX + "k" * 43


def agents(**config: object) -> Agents:
    entries = {"demo": {"key_sha256": key_digest(KEY), "groups": ["support"]}}
    return Agents(Config.model_validate({"agents": entries} | config))


def bearer(key: str) -> dict[bytes, bytes]:
    return {b"authorization": f"Bearer {key}".encode()}


ANONYMOUS = {"anonymous": {"enabled": True, "name": "somebody", "groups": ["local"]}}


def test_a_known_key_is_its_agent() -> None:
    assert agents().authenticate(bearer(KEY), "10.0.0.9") == Agent("demo", ("support",))


@pytest.mark.parametrize("scheme", ["bearer", "BEARER"])
def test_the_scheme_is_read_without_regard_to_case(scheme: str) -> None:
    assert agents().authenticate({b"authorization": f"{scheme} {KEY}".encode()}, None).id == "demo"


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"Bearer",
        b"Bearer ",
        b"Basic " + KEY.encode(),
        KEY.encode(),
        b"Bearer " + KEY[:-1].encode(),
        b"Bearer " + KEY.upper().encode(),
        b"Bearer " + key_digest(KEY).encode(),
        b"Bearer ilk_" + b"x" * 300,
        b"Bearer ilk_\xff",
        b"Bearer " + KEY.encode() + b", Bearer " + KEY.encode(),
    ],
)
def test_anything_else_is_nobody_even_where_anonymous_agents_are_let_in(value: bytes) -> None:
    for known in (agents(), agents(**ANONYMOUS)):
        with pytest.raises(NotAuthenticated):
            known.authenticate({b"authorization": value}, "127.0.0.1")


def test_without_a_key_nobody_is_let_in_unless_configured() -> None:
    with pytest.raises(NotAuthenticated, match="agent key"):
        agents().authenticate({}, "127.0.0.1")


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"])
def test_an_anonymous_agent_of_this_machine_is_let_in_when_configured(peer: str) -> None:
    assert agents(**ANONYMOUS).authenticate({}, peer) == Agent("somebody", ("local",), anonymous=True)


@pytest.mark.parametrize("peer", [None, "", "10.0.0.1", "::ffff:10.0.0.1", "2002:7f00:1::", "localhost", "unix:"])
def test_an_anonymous_agent_of_elsewhere_is_not(peer: str | None) -> None:
    with pytest.raises(NotAuthenticated, match="this machine"):
        agents(**ANONYMOUS).authenticate({}, peer)


@pytest.mark.parametrize("header", [*sorted(FORWARDING_HEADERS), b"x-forwarded-anything"])
def test_a_forwarded_request_is_never_anonymous(header: bytes) -> None:
    with pytest.raises(NotAuthenticated, match="forwarded"):
        agents(**ANONYMOUS).authenticate({header: b"127.0.0.1"}, "127.0.0.1")


def test_a_listener_beyond_loopback_has_no_anonymous_agents() -> None:
    listener = {"host": "0.0.0.0", "port": 8610, "trusted_proxies": ["10.0.0.1"], "public_url": "https://gate.example"}
    try:
        known = agents(**ANONYMOUS, agents_listener=listener)
    except ValueError:
        return  # the configuration itself refuses it
    with pytest.raises(NotAuthenticated):
        known.authenticate({}, "127.0.0.1")


def test_a_new_key_is_shown_once_and_kept_as_a_digest() -> None:
    key, digest = new_key(lambda: "t" * 43)
    assert (key, digest) == ("ilk_" + "t" * 43, key_digest("ilk_" + "t" * 43))
    assert key not in digest


@pytest.mark.parametrize(
    ("name", "groups"),
    [("my-agent", ["support"]), ("123", ["1.5"]), ("true", ["null"]), ("a:b@c", ["a, b}", 'say "x"'])],
)
def test_the_lines_for_the_configuration_say_what_was_asked_for(name: str, groups: list[str]) -> None:
    digest = key_digest(KEY)
    value, _ = load_positioned(config_lines(name, digest, groups), "interlock.yaml")
    assert value == {"agents": {name: {"key_sha256": digest, "groups": groups}}}
    assert list(Config.model_validate(value).agents) == [name]


@pytest.mark.parametrize("name", ["", "bad name", "x: {}", "-", "a\nb", "é"])
def test_a_name_that_no_agent_can_have_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="begins with a letter or a digit"):
        config_lines(name, key_digest(KEY), [])
