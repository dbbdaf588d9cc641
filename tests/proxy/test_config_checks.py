"""What must hold between the keys of a configuration (P12, DESIGN §6, SEMANTICS §4)."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from proxy.config import Config
from proxy.config_checks import KEYS_INSIDE, Problem, check, is_own_port, lies_inside

OPEN = {"host": "0.0.0.0", "tls": {"cert": "c.pem", "key": "k.pem"}, "public_url": "https://gate.example.com"}


def problems(value: dict[str, Any]) -> list[tuple[str, str]]:
    """Path and message of everything that is wrong."""
    try:
        Config.model_validate(value)
    except ValidationError as error:
        rows: list[Problem] = error.errors()[0]["ctx"]["problems"]
        return [(".".join(map(str, row.path)), row.message) for row in rows]
    return []


def paths(value: dict[str, Any]) -> list[str]:
    return [path for path, _ in problems(value)]


def server(url: str, **more: Any) -> dict[str, Any]:
    return {"servers": {"s": {"url": url}}} | more


def test_the_defaults_hold_together() -> None:
    assert check(Config()) == ()


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8610/mcp/payments",
        "http://127.0.0.1:8611/",
        "http://localhost:8611/",
        "http://LOCALHOST.:8611/",
        "http://gate.localhost:8611/",
        "http://localhost.localdomain:8611/",
        "http://[::1]:8611/",
        "http://[::ffff:127.0.0.1]:8611/",
        "http://127.1:8611/",
        "http://2130706433:8611/",
        "http://0.0.0.0:8611/",
        "http://127.0.0.9:8610/",
    ],
)
def test_p12_the_gates_own_ports_are_never_an_upstream(url: str) -> None:
    [(path, message)] = problems(server(url))
    assert path == "servers.s.url"
    assert "is a port of the gate itself (P12)" in message


def test_p12_nor_by_the_address_it_is_bound_to_or_its_public_name() -> None:
    bound = {"agents_listener": OPEN | {"host": "10.0.0.7", "port": 8443}}
    assert paths(server("https://10.0.0.7:8443/mcp", **bound)) == ["servers.s.url"]
    assert paths(server("https://gate.example.com/mcp", **bound)) == ["servers.s.url"]
    assert paths(server("https://GATE.example.com:443/mcp", **bound)) == ["servers.s.url"]
    assert paths(server("https://10.0.0.8:8443/mcp", **bound)) == []
    assert paths(server("https://gate.example.com:8443/mcp", **bound)) == []


def test_another_port_of_this_machine_is_an_upstream_only_as_itself() -> None:
    assert problems(server("http://127.0.0.1:9000/mcp")) == []


def test_a_port_taken_at_start_is_known_once_it_is_in_the_configuration() -> None:
    config = Config.model_validate({"reviewers_listener": {"port": 40123}})
    assert is_own_port(config, "127.0.0.1", 40123)
    assert not is_own_port(config, "127.0.0.1", 8611)


@pytest.mark.parametrize("host", ["169.254.169.254", "[fd00:ec2::254]", "100.100.100.200", "[fe80::1]", "224.0.0.1"])
def test_p12_metadata_and_link_local_addresses_are_no_upstream(host: str) -> None:
    [(path, message)] = problems(server(f"http://{host}/mcp"))
    assert path == "servers.s.url"
    assert "no tool server is reached there (P12)" in message


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("ftp://example.com/", "this is not an HTTP address"),
        ("example.com/mcp", "this is not an HTTP address"),
        ("http:///mcp", "this is not an HTTP address"),
        ("http://[::1/mcp", "this is not a URL: Invalid IPv6 URL"),
        ("http://h:99999/mcp", "this is not a URL: Port out of range 0-65535"),
        ("https://user:secret@example.com/mcp", "the URL holds credentials"),
        ("https://example.com/mcp#x", "the URL holds a fragment, which is never sent"),
    ],
)
def test_an_upstreams_address_is_a_plain_http_url(url: str, message: str) -> None:
    assert problems(server(url)) == [("servers.s.url", message)]


def test_a_password_in_a_url_is_not_repeated() -> None:
    with pytest.raises(ValidationError) as refused:
        Config.model_validate(server("ftp://user:hunter2@example.com/"))
    assert "hunter2" not in str(refused.value.errors()[0]["msg"])


def test_a_listener_for_the_network_needs_tls_or_a_trusted_proxy_and_a_public_url() -> None:
    assert paths({"agents_listener": {"host": "0.0.0.0"}}) == ["agents_listener.host", "agents_listener.host"]
    assert paths({"reviewers_listener": OPEN | {"public_url": None}}) == ["reviewers_listener.host"]
    assert paths({"reviewers_listener": OPEN | {"tls": None}}) == ["reviewers_listener.host"]
    assert paths({"reviewers_listener": OPEN | {"tls": None, "trusted_proxies": ["10.0.0.0/24"]}}) == []
    assert paths({"agents_listener": OPEN}) == []
    assert paths({"agents_listener": {"host": "gate.internal"}}) == ["agents_listener.host", "agents_listener.host"]


@pytest.mark.parametrize(
    "url", ["gate.example.com", "https://", "https://h/path", "https://h?q", "ftp://h", "http://[x"]
)
def test_a_public_url_is_the_address_of_a_site(url: str) -> None:
    assert paths({"agents_listener": {"public_url": url}}) == ["agents_listener.public_url"]


def test_a_trusted_proxy_is_an_address_or_a_network() -> None:
    assert paths({"agents_listener": {"trusted_proxies": ["::1", "10.0.0.0/8", "proxy.local"]}}) == [
        "agents_listener.trusted_proxies.2"
    ]


def test_the_networks_a_name_may_lie_in_are_networks() -> None:
    value = {
        "servers": {"s": {"url": "http://tools.internal/", "resolves_to": ["10.0.0.0/8", "fd00::/8", "10.0.0.1/8"]}}
    }
    assert paths(value) == ["servers.s.resolves_to.2"]


@pytest.mark.parametrize(
    ("agents", "reviewers", "wrong"),
    [
        ({"port": 9000}, {"port": 9000}, True),
        ({"host": "127.0.0.1", "port": 9000}, {"host": "127.0.0.2", "port": 9000}, False),
        ({"host": "::1", "port": 9000}, {"host": "[0:0::1]", "port": 9000}, True),
        (OPEN | {"port": 9000}, {"port": 9000}, True),
        ({"port": 0}, {"port": 0}, False),
    ],
)
def test_p12_agents_and_reviewers_have_different_sockets(agents: Any, reviewers: Any, wrong: bool) -> None:
    found = paths({"agents_listener": agents, "reviewers_listener": reviewers})
    assert found == (["reviewers_listener.port"] if wrong else [])


def test_anonymous_agents_are_let_in_on_loopback_only() -> None:
    assert paths({"anonymous": {"enabled": True}}) == []
    assert paths({"anonymous": {"enabled": True}, "agents_listener": OPEN}) == ["anonymous.enabled"]


def test_anonymous_agents_do_not_share_a_name_with_one_that_has_a_key() -> None:
    agents = {"bot": {"key_sha256": "0" * 64}}
    assert paths({"agents": agents, "anonymous": {"enabled": True, "name": "bot"}}) == ["anonymous.name"]
    assert paths({"agents": agents, "anonymous": {"enabled": False, "name": "bot"}}) == []


def test_two_agents_do_not_share_a_key() -> None:
    agents = {"a": {"key_sha256": "0" * 64}, "b": {"key_sha256": "1" * 64}, "c": {"key_sha256": "0" * 64}}
    assert paths({"agents": agents}) == ["agents.c.key_sha256"]


def test_keys_lie_outside_the_data() -> None:
    assert problems({"data_dir": "d", "keys_dir": "d/keys"}) == [("keys_dir", KEYS_INSIDE[0])]
    assert paths({"data_dir": "d", "keys_dir": "d"}) == ["keys_dir"]
    assert paths({"data_dir": "d", "keys_dir": "x/../d/keys"}) == ["keys_dir"]
    assert paths({"data_dir": "d", "keys_dir": "keys"}) == []
    assert paths({"data_dir": "d", "keys_dir": "d2"}) == []


@pytest.mark.parametrize(
    ("inner", "outer", "expected"),
    [("/a/b", "/a", True), ("/a", "/a/", True), ("/ab", "/a", False), ("/a", "/a/b", False), ("/x", "/", True)],
)
def test_a_path_lies_inside_by_its_parts(inner: str, outer: str, expected: bool) -> None:
    assert lies_inside(inner, outer) is expected


def test_all_problems_are_told_in_one_go_each_with_a_way_to_mend_it() -> None:
    value = server("http://localhost:8610/", anonymous={"enabled": True}, agents_listener={"host": "10.0.0.1"})
    with pytest.raises(ValidationError) as refused:
        Config.model_validate(value)
    rows: list[Problem] = refused.value.errors()[0]["ctx"]["problems"]
    assert [row.path[0] for row in rows] == ["agents_listener", "agents_listener", "servers", "anonymous"]
    assert all(row.hint for row in rows)


@pytest.mark.parametrize("path", ["$.args.request_id", "$.args.items[*].nonce", "$..nonce", "$.args"])
def test_volatile_arguments_are_named_by_paths_below_args(path: str) -> None:
    assert problems({"servers": {"s": {"command": "x", "volatile": {"refund": [path]}}}}) == []


@pytest.mark.parametrize(
    ("path", "said"), [("$.[", "JSONPath"), ("$.args[?(@.x)]", "JSONPath"), ("$.request_id", "leads to no argument")]
)
def test_a_volatile_path_that_could_not_be_followed_is_refused_before_the_first_call(path: str, said: str) -> None:
    [(where, message)] = problems(
        {"servers": {"s": {"url": "http://10.0.0.1/", "volatile": {"refund": ["$.args.a", path]}}}}
    )
    assert where == "servers.s.volatile.refund.1"
    assert said in message


@pytest.mark.parametrize(("bodies", "is_enough"), [(1_999, False), (2_000, True), (2_001, True)])
def test_a_body_may_not_be_larger_than_what_one_agent_may_have(bodies: int, is_enough: bool) -> None:
    limits = {"body_bytes_max": 1_000, "bodies_bytes_max": bodies}
    if is_enough:
        Config.model_validate({"limits": limits})
        return
    with pytest.raises(ValidationError, match="make it at least twice as much"):
        Config.model_validate({"limits": limits})


def test_a_pack_is_for_servers_of_the_file() -> None:
    there = server("https://s.example.com/mcp", policies=["pack:baseline", "pack:git=s", "policies/*.yaml"])
    assert problems(there) == []
    [(path, message)] = problems(server("https://s.example.com/mcp", policies=["policies/*.yaml", "pack:git"]))
    assert path == "policies.1"
    assert message == "the pack is for a server 'git', which is not in this file"
    [(path, message)] = problems(server("https://s.example.com/mcp", policies=["pack:gti=s"]))
    assert message == "there is no pack 'gti'"
