"""The command line's own part: what each verb prints and how it exits. As processes: tests/blackbox/test_cli.py."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from typer.testing import CliRunner

from proxy.cli import cli
from tests.audit.builders import a_chain, jsonl

run = CliRunner()
GOOD = "version: v1\nrules:\n  - {id: reads, match: {tools: [files/read]}, decision: allow, reason: Reads pass}\n"


def test_the_version_is_the_distributions() -> None:
    assert run.invoke(cli, ["--version"]).output == f"interlock {version('interlock')}\n"


def test_help_names_every_verb() -> None:
    text = run.invoke(cli, ["--help"]).output
    for verb in ("serve", "stop", "resume", "status", "demo", "policy", "audit", "approvals", "agents", "login"):
        assert verb in text


def test_help_imports_nothing_heavy() -> None:
    heavy = "aiohttp mcp presidio_analyzer spacy cel starlette uvicorn cryptography pydantic mitmproxy".split()
    code = f"import sys; import proxy.cli; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_policy_that_loads_exits_with_zero_and_one_that_does_not_with_one_and_the_place(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(GOOD)
    bad.write_text(GOOD.replace("match", "mach"))
    assert run.invoke(cli, ["policy", "check", str(good)]).exit_code == 0
    refused = run.invoke(cli, ["policy", "check", str(bad)])
    assert refused.exit_code == 1
    assert re.search(r"bad\.yaml:3:\d+: .*mach.*match", refused.output, re.DOTALL)


def test_a_policy_file_that_is_not_there_does_not_load(tmp_path: Path) -> None:
    assert run.invoke(cli, ["policy", "check", str(tmp_path / "absent.yaml")]).exit_code == 1


def test_an_agents_key_is_printed_once_and_only_its_hash_goes_into_the_configuration() -> None:
    text = run.invoke(cli, ["agents", "add", "my-agent", "--group", "support"]).output
    found = re.search(r"ilk_\S+", text)
    assert found is not None
    key = found.group()
    assert text.count(key) == 1
    digest = hashlib.sha256(key.encode()).hexdigest()
    assert f"my-agent: {{key_sha256: {digest}, groups: [support]}}" in text


def test_an_agents_name_that_the_configuration_would_refuse_gets_no_key() -> None:
    refused = run.invoke(cli, ["agents", "add", "bad name"])
    assert refused.exit_code == 2
    assert "ilk_" not in refused.output


def test_serving_without_a_configuration_says_where_one_was_looked_for(tmp_path: Path) -> None:
    result = run.invoke(cli, ["serve", "--config", str(tmp_path / "absent.yaml")])
    assert result.exit_code == 2
    assert "there is no such file" in result.output


RECORD = a_chain(3)


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ([], 0),
        (["--deep"], 0),
        (["--head", RECORD[-1].head.hash], 0),
        (["--head", RECORD[1].head.hash], 1),
        (["--noted", RECORD[1].head.hash], 0),
        (["--noted", "2" * 64], 1),
        (["--after", "1" * 64], 1),
        (["--head", "short"], 2),
    ],
)
def test_p13_a_record_is_verified_against_what_one_noted_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: list[str], code: int
) -> None:
    monkeypatch.chdir(tmp_path)
    jsonl(tmp_path / "--record", RECORD)  # also one whose name looks like an option
    assert run.invoke(cli, ["audit", "verify", *more, "--", "--record"]).exit_code == code


def test_a_record_that_cannot_be_read_is_not_called_verified(tmp_path: Path) -> None:
    assert run.invoke(cli, ["audit", "verify", str(tmp_path / "absent.db")]).exit_code == 2
