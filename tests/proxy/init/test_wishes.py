"""What `interlock init` may be asked for, and the sentences that refuse the rest."""

from __future__ import annotations

import pytest

from proxy.init.wishes import Unfit, agent_name, port, servers_of, tools_of


def test_servers_are_commands_or_urls_with_their_variables_and_headers() -> None:
    servers = servers_of(
        ['files=npx -y server "/srv/my files"', "docs=https://docs.example.com/mcp"],
        ["files:API_KEY"],
        ["docs:Authorization=env:DOCS_AUTH", "docs:X-Team=file:secrets/team"],
    )
    assert servers == {
        "files": {"command": "npx", "args": ["-y", "server", "/srv/my files"], "env": {"API_KEY": {"env": "API_KEY"}}},
        "docs": {
            "url": "https://docs.example.com/mcp",
            "headers": {"Authorization": {"env": "DOCS_AUTH"}, "X-Team": {"file": "secrets/team"}},
        },
    }


@pytest.mark.parametrize(
    ("given", "variables", "headers", "said"),
    [
        (["files"], [], [], "NAME=COMMAND"),
        (["my files=npx x"], [], [], "cannot name a server"),
        (["a=x", "a=y"], [], [], "given twice"),
        (["a="], [], [], "needs a command"),
        (["a=npx 'x"], [], [], "quote it"),
        (["a=npx x"], ["b:KEY"], [], "--env names no --server"),
        (["a=https://a.example"], ["a:KEY"], [], "of a server that is a command"),
        (["a=npx x"], [], ["a:Authorization=env:X"], "of a server that is a URL"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_how_to_write_it(
    given: list[str], variables: list[str], headers: list[str], said: str
) -> None:
    with pytest.raises(Unfit, match=said):
        servers_of(given, variables, headers)


def test_a_secret_on_the_command_line_is_refused_and_not_repeated() -> None:
    with pytest.raises(Unfit, match="as env:NAME or file:PATH") as refused:
        servers_of(["docs=https://docs.example.com/mcp"], [], ["docs:Authorization=Bearer hunter2"])
    assert "hunter2" not in str(refused.value)


def test_tools_agents_and_ports_are_plain() -> None:
    assert tools_of(["files/read_file"], "--read") == {"files/read_file"}
    for text in ("files", "files/*", "files/a/b", "*/read", "files/", "files/[a]"):
        with pytest.raises(Unfit, match="--read"):
            tools_of([text], "--read")
    assert (agent_name("my-agent"), port("8610")) == ("my-agent", 8610)
    for text in ("", "two words"):
        with pytest.raises(Unfit):
            agent_name(text)
    for text in ("0", "65536", "http", ""):
        with pytest.raises(Unfit):
            port(text)
