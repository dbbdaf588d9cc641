"""Mistakes in the configuration, in words of the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.config_file import ConfigErrors, parse


def errors(text: str) -> list[str]:
    """Each mistake as line:column: message."""
    file = Path("/etc/interlock/interlock.yaml")
    with pytest.raises(ConfigErrors) as found:
        parse(text, file, home=Path("/home/x"), default_keys_dir=Path("/home/x/keys"))
    return [str(error).removeprefix(f"{file}:") for error in found.value.errors]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("polices: []", "1:1: unknown key 'polices' (did you mean 'policies'?)"),
        ("parking:\n  hold: 3", "2:3: unknown key 'hold' (did you mean 'hold_sec'?)"),
        ("limits: {BODY_BYTES_MAX: 3}", "1:10: unknown key 'BODY_BYTES_MAX' (did you mean 'body_bytes_max'?)"),
        ("anonymous: {x: 1}", "1:13: unknown key 'x' (valid here: enabled, groups, name)"),
        ("servers:\n  a:\n    url: http://h/\n    header: {}", "4:5: unknown key 'header' (did you mean 'headers'?)"),
        ("servers: {a: {command: x, arg: []}}", "1:27: unknown key 'arg' (did you mean 'args'?)"),
        ("agents: {a: {key_sha265: x}}", "1:14: unknown key 'key_sha265' (did you mean 'key_sha256'?)"),
        (
            "servers: {a: {url: 'http://h', headers: {A: {env: X, default: y}}}}",
            "1:54: unknown key 'default' (valid here: env)",
        ),
    ],
)
def test_an_unknown_key_comes_with_the_nearest_valid_one(text: str, expected: str) -> None:
    assert expected in errors(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("version: v2", "1:10: 'version' must be 'v1'"),
        ("retain_days: many", "1:14: 'retain_days' must be a valid integer, unable to parse string as an integer"),
        ("retain_days: 0", "1:14: 'retain_days' must be greater than or equal to 1"),
        ("policies:\n  - a.yaml\n  - 3", "3:5: 'policies.1' must be a valid string"),
        (
            "servers: {a b: {command: x}}",
            "1:11: 'a b' cannot be a name here (must match pattern '^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$')",
        ),
        ("servers:\n  a: {}", "2:3: 'a' must have either url (an HTTP server) or command (a program to start)"),
        ("servers: {a: {command: x, env: {K: 3}}}", "1:33: 'K' must be a text, {env: NAME} or {file: PATH}"),
        ("agents: {a: {groups: [b]}}", "1:10: the key 'key_sha256' is missing here"),
        ("agents_listener:\n  tls: {cert: c}", "2:3: the key 'key' is missing here"),
        ("- a", "1:1: the file must be a map: keys and values"),
        ("just words", "1:1: the file must be a map: keys and values"),
        ("limits: []", "1:9: 'limits' must be a map: keys and values"),
        ("servers: {a: [x]}", "1:11: 'a' must have either url (an HTTP server) or command (a program to start)"),
        ("agents: []", "1:9: 'agents' must be a map: keys and values"),
    ],
)
def test_a_value_that_does_not_fit_is_named_where_it_stands(text: str, expected: str) -> None:
    assert errors(text) == [expected]


def test_what_does_not_hold_between_keys_is_shown_at_the_value_to_change() -> None:
    text = "agents_listener:\n  port: 9000\nreviewers_listener:\n  port: 9000\nservers:\n  s:\n    url: http://localhost:9000\n"
    assert errors(text) == [
        "4:9: 'reviewers_listener.port': agents and reviewers would share port 9000; they are kept apart (P12)"
        " (give the two listeners different ports)",
        "7:10: 'servers.s.url': localhost:9000 is a port of the gate itself (P12) (give the tool server's own address)",
    ]


def test_a_problem_with_a_default_is_shown_at_the_nearest_parent() -> None:
    [found] = errors("anonymous: {enabled: true, name: a}\nagents: {a: {key_sha256: " + "0" * 64 + "}}")
    assert found.startswith("1:34: 'anonymous.name': a is also an agent with a key")
    [found] = errors("agents_listener: {port: 8611}")
    assert found.startswith("1:1: 'reviewers_listener.port': agents and reviewers would share port 8611")


def test_all_mistakes_are_told_in_reading_order() -> None:
    found = errors("retain_days: x\nlimits: {a: 1}\npolicy: []\nversion: 1\n")
    assert [line.split(":")[0] for line in found] == ["1", "2", "3", "4"]


def test_a_secret_in_the_wrong_place_is_not_repeated() -> None:
    for text in (
        "agents: {a: {key_sha256: hunter2}}",
        "servers: {a: {url: 'x', headers: {A: [hunter2]}}}",
        "limits: hunter2",
    ):
        assert "hunter2" not in "\n".join(errors(text))
