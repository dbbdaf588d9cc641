"""Editing a configuration's text: what is asked is in it, and every other character is as it was."""

from __future__ import annotations

import difflib
from typing import Any

import pytest

from policies.yaml_source import load_positioned
from proxy.init.config_edit import NEW, CannotEdit, Edits, edited, flow

SERVERS = {"time": {"command": "uvx", "args": ["mcp-server-time", "--local-timezone", "UTC"]}}
THERE = """# ours
version: v1
servers:   # of the team
    # the first one
    files: {command: npx}   # keep
agents_listener:
  port: 9000  # taken: 8610
agents:
  anna:
    key_sha256: "OLD"
    groups: [night]
""".replace("OLD", "0" * 64)


def value(text: str) -> Any:
    return load_positioned(text, "f")[0]


def test_a_new_configuration_is_written_with_what_is_asked() -> None:
    text = edited(NEW, Edits(SERVERS, {"my-agent": "a" * 64}, {"reviewers_listener": 9001}), "f")
    assert value(text) == {
        "version": "v1",
        "policies": ["policies/*.yaml"],
        "servers": SERVERS,
        "agents": {"my-agent": {"key_sha256": "a" * 64}},
        "reviewers_listener": {"port": 9001},
    }


def test_an_edit_changes_the_lines_that_it_is_about_and_no_other() -> None:
    edits = Edits(SERVERS, {"anna": "b" * 64, "bert": "c" * 64}, {"agents_listener": 9002, "reviewers_listener": 9003})
    text = edited(THERE, edits, "f")
    changed = [line for line in difflib.ndiff(THERE.splitlines(), text.splitlines()) if line[0] in "+-"]
    assert changed == [
        "+     time: {command: uvx, args: [mcp-server-time, --local-timezone, UTC]}",
        "-   port: 9000  # taken: 8610",
        "+   port: 9002  # taken: 8610",
        f"+   bert: {{key_sha256: {'c' * 64}}}",
        f'-     key_sha256: "{"0" * 64}"',
        f'+     key_sha256: "{"b" * 64}"',
        "+ reviewers_listener: {port: 9003}",
    ]
    assert edited(THERE, Edits(), "f") == THERE


@pytest.mark.parametrize("text", ["servers:\n", "servers:", "version: v1", "", "servers:  # none yet\nversion: v1\n"])
def test_a_section_that_is_empty_or_missing_or_ends_without_a_line_end_takes_its_first_entry(text: str) -> None:
    assert value(edited(text, Edits(SERVERS), "f"))["servers"] == SERVERS


@pytest.mark.parametrize("text", ["servers: {files: {command: npx}}\n", "servers:\n  {files: {command: npx}}\n"])
def test_a_section_in_one_line_is_left_alone_and_the_lines_are_given_instead(text: str) -> None:
    with pytest.raises(CannotEdit, match="Put in by hand") as refused:
        edited(text, Edits(SERVERS), "f")
    assert "time: {command: uvx" in str(refused.value)


@pytest.mark.parametrize(
    "word", ["yes", "null", "1e3", "a: b", "# x", "{env: X}", "- a", "'", '"', "*x", " padded ", "naïve ☃", "a\nb", ""]
)
def test_words_that_yaml_would_read_as_something_else_stand_in_quotes(word: str) -> None:
    entry = {"command": "c", "args": [word], "env": {"A": {"env": "B"}}}
    assert value(edited(NEW, Edits({"x": entry}), "f"))["servers"]["x"] == entry
    assert value(f"[{flow({'k': [word]})}]") == [{"k": [word]}]
