"""Building upstreams from the configuration."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from proxy.config import Config, ConfigError
from proxy.upstreams.http import HttpUpstream
from proxy.upstreams.registry import Surroundings, build, close_all
from proxy.upstreams.stdio import StdioUpstream
from tests.proxy.upstreams.builders import SCRIPT, Talk

GATE = frozenset({("127.0.0.1", 8610)})


def surroundings(**environ: str) -> Surroundings:
    return Surroundings(environ, GATE, lambda: "session", lambda: 0.0, lambda _server: None)


def config(**servers: Any) -> Config:
    return Config.model_validate({"servers": servers})


async def test_each_kind_of_server_gets_its_upstream() -> None:
    servers = config(web={"url": "https://tools.example.com/mcp"}, local={"command": "mcp-server-time"})
    upstreams = build(servers, surroundings())
    assert {name: type(upstream) for name, upstream in upstreams.items()} == {
        "web": HttpUpstream,
        "local": StdioUpstream,
    }
    assert [upstream.name for upstream in upstreams.values()] == ["web", "local"]
    await close_all(upstreams)


async def test_a_child_gets_its_configured_environment_with_secrets_from_where_they_are(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from a file\n")
    environment = {
        "PLAIN": "as it stands",
        "TOKEN": {"env": "OUR_TOKEN"},
        "FILE": {"file": str(tmp_path / "token")},
    }
    servers = config(tool={"command": sys.executable, "args": [str(SCRIPT)], "env": environment, "cwd": str(tmp_path)})
    upstreams = build(servers, surroundings(OUR_TOKEN="from the environment", OTHER="ours alone", HOME="/home/ada"))
    talk = Talk(upstreams["tool"])
    await talk.initialize()
    seen = await talk.call("environment")
    await close_all(upstreams)
    assert {name: seen.get(name) for name in ("PLAIN", "TOKEN", "FILE", "HOME", "OUR_TOKEN", "OTHER")} == {
        "PLAIN": "as it stands",
        "TOKEN": "from the environment",
        "FILE": "from a file",
        "HOME": "/home/ada",
        "OUR_TOKEN": None,
        "OTHER": None,
    }


@pytest.mark.parametrize(
    ("server", "message"),
    [
        (
            {"url": "https://x.example/", "headers": {"Authorization": {"env": "PAY_TOKEN"}}},
            "servers.pay.headers.Authorization: the environment variable PAY_TOKEN is not set",
        ),
        (
            {"url": "https://x.example/", "headers": {"X-Key": {"file": "/no/such/file"}}},
            "servers.pay.headers.X-Key: /no/such/file cannot be read",
        ),
        ({"url": "https://x.example/", "headers": {"Host": "y"}}, "servers.pay.headers: the header Host is set by"),
        ({"url": "https://x.example/", "headers": {"X-Key": "a\r\nb"}}, "servers.pay.headers: the header 'X-Key'"),
        ({"url": "https://x.example/", "ca_file": "/no/such/ca.pem"}, "servers.pay.ca_file: /no/such/ca.pem cannot"),
        ({"url": "https://x.example/", "ca_file": str(SCRIPT)}, f"servers.pay.ca_file: {SCRIPT} cannot be used"),
        ({"command": "x", "cwd": "/no/such/dir"}, "servers.pay.cwd: /no/such/dir is no directory"),
        ({"command": "x", "args": ["a\0b"]}, "servers.pay.command: it or one of its args holds a NUL"),
        ({"command": "x", "env": {"T": {"env": "GONE"}}}, "servers.pay.env.T: the environment variable GONE"),
    ],
)
def test_a_mistake_stops_the_start_and_names_its_key(server: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        build(config(pay=server), surroundings())
    assert str(error.value).startswith(message)


def test_p12_the_gates_own_listener_is_no_upstream_also_on_a_port_found_at_start() -> None:
    bound = Surroundings({}, frozenset({("127.0.0.1", 40_123)}), lambda: "", lambda: 0.0, lambda _server: None)
    with pytest.raises(ConfigError, match=r"servers\.loop\.url: 127\.0\.0\.1:40123 is the gate's own listener"):
        build(config(loop={"url": "http://127.0.0.1:40123/mcp"}), bound)
