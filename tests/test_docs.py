"""Documentation that is checked: commands exist, links lead somewhere, keys are described, threats have their tests.

Rules of this module:
* `docs/threats.md` maps threats to tests in tables whose head is `| id | threat | test |`. A test is named as
  `tests/path.py::test_name`, several with commas or `<br>` between them; each must exist. A threat this build does not
  stop has `not in this build: why` instead, so that nobody takes an empty cell for a promise.
* What a page repeats of the code is made by `tests/doc_tables.py` and compared here as it stands.
"""

from __future__ import annotations

import ast
import json
import re
import shlex
import sqlite3
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from textwrap import dedent
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest
import typer.main

from policies.check import check
from proxy import commands as gate_commands
from proxy import events as gate_events
from proxy.cli import cli
from proxy.config import Config
from proxy.config_file import parse
from proxy.demo.steps import auto_steps
from proxy.init.config_edit import NEW, Edits, edited
from proxy.init.policy_text import Chosen, policy
from proxy.init.wishes import servers_of
from proxy.store.schema import migrations
from tests import doc_tables
from tests.config_keys import tables

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    [
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "SECURITY", "CHANGELOG")),
    ]
)
THREATS = ROOT / "docs" / "threats.md"

FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"(?<!!)\[[^\]\n]+\]\(([^)\s]+)\)|!\[[^\]\n]*\]\(([^)\s]+)\)")
COMMAND = re.compile(r"^(?:\$ )?(?:[A-Z_]+=\S+ )*((?:uv run |uvx )?(?:interlock|make|pytest)(?:\s.*)?)$")
OUR_PATH = re.compile(
    r"(?:audit|bench|docs|policies|proxy|redaction|review|schemas|tests)/[\w./*-]+|[\w-]+\.(?:md|yaml|txt)"
)
TEST_ID = re.compile(r"(tests/[\w/]+\.py)::(\w+)")
# Files of the reader's own, and the names that policies give to calls of a server `docs`.
ELSEWHERE = re.compile(r"interlock\.yaml|policy\.yaml|policies/[\w*-]+\.yaml|docs/mcp\.[\w/]+")
PROMISES = tuple(f"P{number}" for number in range(1, 15))

by_name = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def prose(page: Path) -> str:
    return FENCE.sub("", text_of(page))


def commands(page: Path) -> Iterator[list[str]]:
    """Every command line of ours on a page, in a console block or as inline code, without `uv run`."""
    lines = [
        line
        for _, language, block in FENCE.findall(text_of(page))
        if language in ("console", "sh", "bash", "shell")
        for line in block.splitlines()
    ]
    for line in [*lines, *INLINE.findall(prose(page))]:
        for part in re.split(r"&&|;|\|", line.strip()):
            if found := COMMAND.match(part.strip()):
                words = shlex.split(found[1].removeprefix("uv run ").removeprefix("uvx "), comments=True)
                yield words


@cache
def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z]+):", text_of(ROOT / "Makefile"), re.MULTILINE))


def wrong_with(words: list[str]) -> str | None:
    """What is wrong with a command, or None."""
    program, *rest = words
    if program == "make":
        return None if set(rest) <= make_targets() else f"make {' '.join(rest)}"
    if program != "interlock":
        return None
    command: Any = typer.main.get_command(cli)
    while rest and hasattr(command, "commands"):
        if rest[0].startswith("-"):
            break
        if rest[0] not in command.commands:
            return None if set(rest[0]) <= set("…|<>ABCDEFGHIJKLMNOPQRSTUVWXYZ.") else " ".join(words)
        command = command.commands[rest.pop(0)]
    known = {option for parameter in command.params for option in [*parameter.opts, *parameter.secondary_opts]}
    known |= {"--help", "--install-completion", "--show-completion"}
    given = {word.partition("=")[0] for word in rest if word.startswith("-") and word != "--"}
    return " ".join(words) if given - known else None


@by_name
def test_every_command_that_is_mentioned_exists(page: Path) -> None:
    assert [wrong for words in commands(page) if (wrong := wrong_with(words)) is not None] == []


def test_a_command_that_does_not_exist_would_be_noticed() -> None:
    for line in ("interlock policy chek x.yaml", "interlock demo --autom", "interlock surve", "make cheque"):
        assert wrong_with(line.split()) == line
    for line in ("interlock demo --auto", "interlock policy check x.yaml", "make check", "interlock --version"):
        assert wrong_with(line.split()) is None


def slug(heading: str) -> str:
    """A heading's anchor, as code forges make it."""
    words = re.sub(r"[^\w\s-]", "", re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading)).strip().lower()
    return re.sub(r"\s", "-", words)


@by_name
def test_every_relative_link_resolves(page: Path) -> None:
    broken = []
    for match in LINK.finditer(prose(page)):
        target, _, anchor = (match[1] or match[2]).partition("#")
        if re.match(r"[a-z]+:", target):
            continue  # elsewhere on the network
        file = (page.parent / target).resolve() if target else page
        if not file.exists():
            broken.append(target)
        elif anchor and file.suffix == ".md":
            headings = {slug(line.lstrip("# ")) for line in prose(file).splitlines() if line.startswith("#")}
            if anchor not in headings:
                broken.append(f"{target}#{anchor}")
    assert broken == []


@by_name
def test_every_file_that_is_named_is_there(page: Path) -> None:
    missing = []
    for code in INLINE.findall(prose(page)):
        name = code.partition("::")[0].rstrip("/")
        if not OUR_PATH.fullmatch(name) or ELSEWHERE.fullmatch(name) or "…" in name:
            continue
        if not any([*ROOT.glob(name), *page.parent.glob(name)]):
            missing.append(code)
    assert missing == []


def test_every_configuration_key_is_described_with_its_default() -> None:
    """Mend with: python -m tests.config_keys, and paste what it prints."""
    page = text_of(ROOT / "docs" / "configuration.md")
    assert [table for table in tables() if table not in page] == []


@by_name
def test_every_configuration_that_is_shown_loads(page: Path, tmp_path: Path) -> None:
    """A YAML block that begins with a comment `# interlock.yaml` is a whole configuration."""
    for _, language, block in FENCE.findall(text_of(page)):
        if language == "yaml" and block.lstrip().startswith("# interlock.yaml"):
            parse(block, tmp_path / "interlock.yaml", home=tmp_path, default_keys_dir=tmp_path / "keys-elsewhere")


def test_the_readme_has_the_commands_that_ci_runs() -> None:
    readme = text_of(ROOT / "README.md")
    for command in ("pip install uv", "uv run interlock demo", "uv run pytest"):
        assert command in readme


def threats(text: str) -> Iterator[tuple[str, str]]:
    """Id and test cell of every row of every threat table."""
    inside = False
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")] if line.lstrip().startswith("|") else []
        if cells == ["id", "threat", "test"]:
            inside = True
        elif not cells:
            inside = False
        elif inside and not set("".join(cells)) <= set("-: "):
            yield cells[0], cells[-1] if len(cells) == 3 else ""


@cache
def names_of_tests(file: str) -> frozenset[str]:
    path = ROOT / file
    if not path.is_file():
        return frozenset()
    tree = ast.parse(text_of(path))
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return frozenset(node.name for node in functions if node.name.startswith("test_"))


def wrong_with_threat(cell: str) -> str | None:
    """What is wrong with a threat's test cell, or None."""
    named = TEST_ID.findall(cell)
    gone = [f"{file}::{name}" for file, name in named if name not in names_of_tests(file)]
    if gone:
        return f"no such test: {', '.join(gone)}"
    rest = TEST_ID.sub("", cell).replace("`", "").replace(",", "").replace("<br>", "").strip()
    if re.match(r"not in this build: \S", cell):
        return None
    return f"names no test, or more than tests: {cell!r}" if rest or not named else None


EXPECTED_THREATS = {
    *PROMISES,
    *(f"J{number}" for number in range(1, 16)),
    *(f"M{number}" for number in range(1, 22)),
    *(f"B{number}" for number in range(1, 21)),
    *(f"S{number}" for number in range(1, 8)),
    *(f"A{number}" for number in range(1, 15)),
    *(f"D{number}" for number in range(1, 15)),
    *(f"T{number}" for number in range(1, 31)),
}


def test_every_threat_names_tests_that_exist() -> None:
    rows = list(threats(text_of(THREATS)))
    assert EXPECTED_THREATS - {key for key, _ in rows} == set()
    assert {key: wrong for key, cell in rows if (wrong := wrong_with_threat(cell)) is not None} == {}
    assert len({key for key, _ in rows}) == len(rows)


def test_a_threat_without_its_test_would_be_noticed() -> None:
    table = (
        "| id | threat | test |\n|---|---|---|\n"
        "| A | a | `tests/test_docs.py::test_a_threat_without_its_test_would_be_noticed` |\n"
        "| B | b | `tests/test_docs.py::test_nothing` |\n| C | c |  |\n| D | d | not in this build: no egress |\n"
        "| E | e | tested by hand |\n| F | f | not in this build: but see `tests/test_docs.py::test_nothing` |\n"
        "\n| id | other |\n|---|---|\n| G | g |\n"
    )
    rows = dict(threats(table))
    assert list(rows) == ["A", "B", "C", "D", "E", "F"]
    assert [key for key, cell in rows.items() if wrong_with_threat(cell) is not None] == ["B", "C", "E", "F"]


@pytest.mark.parametrize("promise", PROMISES)
def test_every_promise_has_tests_that_are_named_after_it(promise: str) -> None:
    named = TEST_ID.findall(dict(threats(text_of(THREATS)))[promise])
    number = f"p{int(promise[1:]):02}"
    assert [name for _, name in named if number not in name.split("_")] == []
    assert named


# -- what pages repeat of the code -------------------------------------------------------------------------------------


def test_the_stages_of_the_gate_are_in_the_architecture_as_they_are() -> None:
    """Mend with: python -m tests.doc_tables, and paste what it prints."""
    assert doc_tables.turns_table() in text_of(ROOT / "docs" / "architecture.md")


def test_the_life_of_a_review_is_in_the_architecture_as_it_is() -> None:
    assert doc_tables.lifecycle_diagram() in text_of(ROOT / "docs" / "architecture.md")


def test_every_event_and_every_command_of_the_gate_is_in_the_architecture() -> None:
    words = set(INLINE.findall(prose(ROOT / "docs" / "architecture.md")))
    said = [*gate_events.Event.__value__.__args__, *gate_commands.Command.__value__.__args__]
    assert {kind.__name__ for kind in said} - words == set()


def test_what_passes_unread_is_in_the_threats_as_it_is() -> None:
    assert doc_tables.opaque_table() in text_of(THREATS)


def test_every_limit_that_is_not_configured_is_described_with_its_value() -> None:
    page = text_of(ROOT / "docs" / "configuration.md")
    assert [table for table in doc_tables.limits_tables() if table not in page] == []


def test_every_limit_of_the_code_is_described_or_is_said_to_be_none() -> None:
    """Mend with a line in LIMITS of tests/doc_tables.py: what is counted, and what happens past it."""
    found, told = set(doc_tables.limits_in_the_code()), doc_tables.told_limits()
    excepted = tuple(doc_tables.NO_LIMITS)
    assert sorted(name for name in found - told if not name.startswith(excepted)) == []
    assert [name for name in excepted if not any(one.startswith(name) for one in found)] == []


def test_every_decision_is_in_the_list_of_decisions() -> None:
    folder = ROOT / "docs" / "adr"
    files = sorted(file.name for file in folder.glob("0*.md"))
    titles = {name: text_of(folder / name).splitlines()[0] for name in files}
    listed = re.findall(r"^\| \[(\d{4})\]\(([^)]+)\) \| (.+) \|$", text_of(folder / "README.md"), re.MULTILINE)
    assert {name: f"# {number}: {title}" for number, name, title in listed} == titles
    assert [name[:4] for name in files] == [f"{number:04}" for number in range(1, len(files) + 1)]


# -- operations --------------------------------------------------------------------------------------------------------

OPERATIONS = ROOT / "docs" / "operations.md"
SQL = re.compile(r'^sqlite3 [^"\n]*"(.+?)"', re.MULTILINE | re.DOTALL)
LOGGED = re.compile(r'\blog\.(?:debug|info|warning|error)\(\s*"(\w+)"')


def test_every_statement_that_operators_are_given_runs_on_the_schema(tmp_path: Path) -> None:
    statements = SQL.findall(text_of(OPERATIONS))
    assert len(statements) >= 4
    database = sqlite3.connect(":memory:", autocommit=True)
    for migration in migrations():
        database.executescript(migration.sql)
    for statement in statements:
        database.execute(statement.replace("/backup/", f"{tmp_path}/"))
    database.close()


def test_every_event_that_operators_are_told_to_watch_for_is_logged() -> None:
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \| ", text_of(OPERATIONS), re.MULTILINE)
    told = {name for row in rows for name in INLINE.findall(row) if not name.startswith("interlock_")}
    code = [path for package in doc_tables.PACKAGES for path in (ROOT / package).rglob("*.py")]
    assert "calls_in_doubt" in told
    assert told - {name for path in code for name in LOGGED.findall(text_of(path))} == set()


def test_every_page_is_linked_from_the_readme() -> None:
    linked = {match[1] for match in LINK.finditer(text_of(ROOT / "README.md"))}
    pages = {f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")}
    assert pages - {target.partition("#")[0] for target in linked} == set()


# -- the README --------------------------------------------------------------------------------------------------------


def readme_blocks(language: str) -> list[str]:
    return [dedent(block) for _, found, block in FENCE.findall(text_of(ROOT / "README.md")) if found == language]


def readme_init() -> dict[str, list[str]]:
    """The options of the README's `interlock init`, by name."""
    (words,) = [words for words in commands(ROOT / "README.md") if words[:2] == ["interlock", "init"]]
    options: dict[str, list[str]] = {}
    for flag, value in zip(words[2::2], words[3::2], strict=True):
        options.setdefault(flag, []).append(value)
    return options


def readme_config(folder: Path) -> Config:
    servers = servers_of(readme_init()["--server"], (), ())
    text = edited(NEW, Edits(servers, {"my-agent": "0" * 64}), "interlock.yaml")
    return parse(text, folder / "interlock.yaml", home=folder, default_keys_dir=folder / "keys-elsewhere")


def test_the_policy_of_the_readme_is_the_one_that_is_written_and_does_what_it_says() -> None:
    (text,) = readme_blocks("yaml")
    assert text == policy(Chosen("time", ("convert_time", "get_current_time"), frozenset({"get_current_time"})), None)
    report, code = check({"policies/time.yaml": text})
    assert (code, "advice" in report) == (0, False), report


def test_the_servers_that_the_readme_names_can_be_configured(tmp_path: Path) -> None:
    assert list(readme_config(tmp_path).servers) == ["time"]
    (other,) = re.findall(r'`--server "([^"]+)"`', text_of(ROOT / "README.md"))
    assert list(servers_of([other], (), ())) == ["files"]


def test_the_client_of_the_readme_points_at_the_server_of_its_configuration(tmp_path: Path) -> None:
    config = readme_config(tmp_path)
    (block,) = readme_blocks("json")
    (server,) = json.loads(block)["mcpServers"].values()
    url = urlsplit(server["url"])
    assert url.path.removeprefix("/mcp/") in config.servers
    assert (url.hostname, url.port) == (config.agents_listener.host, config.agents_listener.port)
    assert server["headers"]["Authorization"].startswith("Bearer ilk_")


def test_the_demo_of_the_readme_prints_the_steps_that_the_demo_has() -> None:
    lines = re.findall(r"^ ?\d+\. ok  (.+)$", text_of(ROOT / "README.md"), re.MULTILINE)
    scene: Any = SimpleNamespace(servers=["git", "payments", "time"])
    claims = [claim for claim, _ in auto_steps(scene, SimpleNamespace())]  # type: ignore[arg-type]
    assert [line[: len(claim) + 1] for line, claim in zip(lines, claims, strict=True)] == [f"{one}:" for one in claims]
    assert f"{len(claims)} of {len(claims)} steps came out right." in text_of(ROOT / "README.md")
