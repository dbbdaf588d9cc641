"""docs/audit-format.md says what is so: its example, its keys, its list of kinds, its commands, its formulas."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

from audit import verify
from audit.chain import ENTRY_BYTES_MAX, START, link, prepare
from audit.entry import EntryDraft, EntryKind
from audit.masks import commit
from tests.audit.builders import a_chain, database

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "audit-format.md").read_text(encoding="utf-8")
BLOCKS = {language: re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL) for language in ("json", "sh", "text")}
EXAMPLE = BLOCKS["json"][0].splitlines()


def test_the_example_is_what_the_chain_makes() -> None:
    drafts = [
        EntryDraft(
            EntryKind.GATE_STARTED, 1_795_219_200.0, "gate", None, {"in_doubt": 0, "snapshot": "v1:b4e2c1b4e2c1"}
        ),
        EntryDraft(
            EntryKind.CALL_DECIDED, 1_795_219_201.25, "agent:demo", "call_1", {"effect": "allow", "tool": "refund"}
        ),
    ]
    head, lines = START, []
    for draft in drafts:
        linked = link(prepare(draft, node="gate-1", boot="9f2c41aa07d3be55"), head)
        head, lines = linked.head, [*lines, linked.data.decode()]
    assert lines == EXAMPLE
    assert f"`{head.hash}`" in PAGE


def test_the_example_verifies_and_is_canonical(tmp_path: Path) -> None:
    (tmp_path / "record.jsonl").write_text("\n".join(EXAMPLE) + "\n")
    report = verify.verify_file(tmp_path / "record.jsonl", deep=True)
    assert (report.entries, report.head) == (2, hashlib.sha256(EXAMPLE[1].encode()).hexdigest())


def test_the_table_has_the_keys_of_an_entry() -> None:
    table = PAGE.split("## An entry")[1].split("The **hash**")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == sorted(json.loads(EXAMPLE[0]))


def test_every_kind_is_listed_once() -> None:
    table = PAGE.split("## Kinds")[1].split("## ")[0]
    cells = re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
    listed = [kind for cell in cells for kind in re.findall(r"`(\w+)`", cell)]
    assert sorted(listed) == sorted(kind.value for kind in EntryKind)


def test_the_limit_is_the_one_named() -> None:
    assert "at most 1 MiB" in PAGE
    assert ENTRY_BYTES_MAX == 1024 * 1024


def test_the_formulas_give_the_commitments() -> None:
    key = b"k" * 32
    opening, as_json, as_bytes = re.findall(r'"(interlock/[\w/]+)" 00', BLOCKS["text"][0])
    opened = hmac.digest(key, opening.encode() + b"\0call_1", "sha256")
    made = {
        commit(key, {"b": 1, "a": "x"}, context="call_1"): as_json.encode() + b'\0{"a":"x","b":1}',
        commit(key, b"\x00\xff", context="call_1"): as_bytes.encode() + b"\0\x00\xff",
    }
    for stated, message in made.items():
        assert stated == "hmac-sha256:" + hmac.digest(opened, message, "sha256").hex()


def shell(script: str, cwd: Path) -> str:
    python = script.replace("python3", sys.executable)
    return subprocess.run(["sh", "-ec", python], cwd=cwd, capture_output=True, text=True, check=True).stdout


def test_the_commands_do_what_is_said(tmp_path: Path) -> None:
    export, alone, by_hand = BLOCKS["sh"]
    chain = a_chain(5)
    database(tmp_path / "interlock.db", chain)
    shutil.copy(verify.__file__, tmp_path / "verify.py")
    shell(export, tmp_path)
    assert (tmp_path / "record.jsonl").read_bytes() == b"".join(one.data + b"\n" for one in chain)
    assert shell(alone, tmp_path).count("unbroken: 5 entries, 1 to 5") == 2
    hashed, linked = shell(by_hand, tmp_path).splitlines()
    assert f'"prev":"{hashed.split()[0]}"' == linked
