"""`interlock init` as a whole, with a real tool server that is listed, over flags and over answers."""

from __future__ import annotations

import hashlib
import json
import re
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from policies.packs import PackEntry, pack_policy
from proxy.config_file import read
from proxy.init.run import Flags, run
from tests.proxy.init.builders import ECHO, GIT, Written


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / ".config"))
    return tmp_path


def test_flags_alone_write_it_all_and_the_key_is_shown_once(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = Flags(servers=(ECHO,), reads=("echo/echo",), agent="anna", agents_port=9610, yes=True)
    assert run(flags) == 0
    out = capsys.readouterr().out
    (key,) = set(re.findall(r"ilk_[\w-]{32,}", out))
    file = here / "gate" / "interlock.yaml"
    config = read(file, home=here, default_keys_dir=here / "keys")
    assert config.agents["anna"].key_sha256 == hashlib.sha256(key.encode()).hexdigest()
    assert (stat.S_IMODE(file.stat().st_mode), key in file.read_text()) == (0o600, False)
    assert "allow" in (here / "gate" / "policies" / "echo.yaml").read_text()
    assert out.index("+++ gate/interlock.yaml") < out.index(key)
    client = json.loads(out[out.index('{\n  "mcpServers"') : out.index("\n}\n") + 2])
    (server,) = client["mcpServers"].values()
    assert server["url"] == "http://127.0.0.1:9610/mcp/echo"
    assert server["headers"] == {"Authorization": f"Bearer {key}"}
    assert "interlock serve --config gate/interlock.yaml" in out
    assert run(flags) == 0
    again = capsys.readouterr().out
    assert "Nothing changes." in again
    assert "ilk_" not in again


@pytest.mark.parametrize(("port", "is_told"), [(8611, False), (9611, True)])
def test_where_reviewers_are_not_at_the_usual_address_terminals_are_told_of_it(
    port: int, is_told: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(Flags(servers=(ECHO,), agents_port=9610, reviewers_port=port, yes=True)) == 0
    assert (f"export INTERLOCK_REVIEW_URL=http://127.0.0.1:{port}" in capsys.readouterr().out) is is_told


def test_answers_write_the_same_after_they_said_yes(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name, _, command = ECHO.partition("=")
    answers = ("", name, command, "", "", "", "", "", "1", "")
    assert run(Flags(), person=Written(*answers, "n")) == 1
    assert not (here / "gate").exists()
    assert "+++ gate/policies/echo.yaml" in capsys.readouterr().out
    person = Written(*answers, "y")
    assert run(Flags(), person=person) == 0
    assert "'echo' has 1 tool:\n    1  echo  echo" in person.text
    assert "id: echo-reads" in (here / "gate" / "policies" / "echo.yaml").read_text()


def test_a_dry_run_shows_and_writes_nothing(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(Flags(servers=(ECHO,), dry_run=True)) == 0
    out = capsys.readouterr().out
    assert "+++ gate/interlock.yaml" in out
    assert "ilk_" not in out
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(
    ("flags", "code", "said"),
    [
        (Flags(servers=(ECHO,)), 2, "no terminal to ask at"),
        (Flags(yes=True), 2, "which tool server"),
        (Flags(servers=("x=/no/such/program",), yes=True), 3, "could not be listed"),
        (Flags(servers=(ECHO,), reads=("echo/look",), yes=True), 2, "lists no tool 'look'; it has echo"),
        (Flags(servers=(ECHO,), reads=("other/look",), yes=True), 2, "no server that this command writes"),
        (Flags(servers=(ECHO,), packs=("echo=gti",), yes=True), 2, "no such pack for a server"),
        (Flags(servers=(ECHO,), packs=("code=git",), yes=True), 2, "--pack names no --server of this command"),
        (Flags(servers=(ECHO,), packs=("echo=git",), reads=("echo/echo",), yes=True), 2, "would say it again"),
        (Flags(servers=(ECHO,), reads=("echo/echo",), denies=("echo/echo",), yes=True), 2, "cannot be both"),
        (Flags(servers=("gate=http://127.0.0.1:8610/mcp",), yes=True, unlisted=True), 2, "a port of the gate itself"),
    ],
)
def test_what_cannot_be_done_says_why_and_writes_nothing(
    here: Path, capsys: pytest.CaptureFixture[str], flags: Flags, code: int, said: str
) -> None:
    assert run(flags) == code
    assert said in capsys.readouterr().err
    assert list(here.iterdir()) == []


def test_a_server_that_cannot_be_asked_may_be_written_all_the_same_and_then_asks(here: Path) -> None:
    assert run(Flags(servers=("x=/no/such/program",), yes=True, unlisted=True)) == 0
    text = (here / "gate" / "policies" / "x.yaml").read_text()
    assert "allow" not in text.replace("# What no rule speaks for is denied", "").partition("rules:")[2]


def test_a_new_key_takes_the_place_of_the_old_one_and_nothing_else_changes(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(Flags(servers=(ECHO,), agent="anna", yes=True)) == 0
    file = here / "gate" / "interlock.yaml"
    before = file.read_text()
    capsys.readouterr()
    assert run(Flags(agent="anna", new_key=True, yes=True)) == 0
    (key,) = set(re.findall(r"ilk_[\w-]{32,}", capsys.readouterr().out))
    digest = hashlib.sha256(key.encode()).hexdigest()
    assert file.read_text() == re.sub("[0-9a-f]{64}", digest, before)


def test_a_pack_that_fits_is_offered_and_taken_only_if_the_person_says_so(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = Flags(servers=(GIT,), agent="anna", agents_port=9610, reviewers_port=9611)
    refused = Written("", "n", "", "", "y")
    assert run(flags, person=refused) == 0
    assert "the pack 'git' was written for. Anybody can name tools so." in refused.text
    policy = here / "gate" / "policies" / "code.yaml"
    assert "id: code-asks" in policy.read_text()
    assert run(replace(flags, replace=True), person=Written("", "y", "y")) == 0
    assert policy.read_text() == pack_policy(PackEntry("git", ("code",)))
    assert "cases: 16 of 16 come out as wanted" in capsys.readouterr().out


def test_p09_without_a_person_or_a_flag_no_pack_is_taken_whatever_a_server_calls_its_tools(here: Path) -> None:
    assert run(Flags(servers=(GIT,), yes=True)) == 0
    assert "decision: allow" not in (here / "gate" / "policies" / "code.yaml").read_text()


def test_a_pack_named_by_a_flag_is_the_server_s_policy(here: Path) -> None:
    assert run(Flags(servers=(GIT,), packs=("code=git",), yes=True)) == 0
    assert "name: pack/git" in (here / "gate" / "policies" / "code.yaml").read_text()
