"""Documentation that is checked: commands exist, links lead somewhere, keys are described, threats have their tests.

Rules of this module:
* `docs/threats.md` maps threats to tests in tables whose head is `| id | threat | test |`. A test is named as
  `tests/path.py::test_name`, several with commas between them; each must exist. A threat this build does not stop has
  `not in this build: why` instead, so that nobody takes an empty cell for a promise.
"""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer.main

from proxy.cli import cli
from proxy.config_file import parse
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
ELSEWHERE = re.compile(r"interlock\.yaml|policy\.yaml|policies/[\w*-]+\.yaml")  # files of the reader's own

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
    if re.match(r"not in this build: \S", cell):
        return None
    named = TEST_ID.findall(cell)
    rest = TEST_ID.sub("", cell).replace("`", "").replace(",", "").replace("<br>", "").strip()
    if not named or rest:
        return f"names no test, or more than tests: {cell!r}"
    gone = [f"{file}::{name}" for file, name in named if name not in names_of_tests(file)]
    return f"no such test: {', '.join(gone)}" if gone else None


def test_every_threat_names_tests_that_exist() -> None:
    rows = list(threats(text_of(THREATS)))
    assert len(rows) > 10
    assert {key: wrong for key, cell in rows if (wrong := wrong_with_threat(cell)) is not None} == {}
    assert len({key for key, _ in rows}) == len(rows)


def test_a_threat_without_its_test_would_be_noticed() -> None:
    table = (
        "| id | threat | test |\n|---|---|---|\n"
        "| A | a | `tests/test_docs.py::test_a_threat_without_its_test_would_be_noticed` |\n"
        "| B | b | `tests/test_docs.py::test_nothing` |\n| C | c |  |\n| D | d | not in this build: no egress |\n"
        "| E | e | tested by hand |\n\n| id | other |\n|---|---|\n| F | f |\n"
    )
    rows = dict(threats(table))
    assert list(rows) == ["A", "B", "C", "D", "E"]
    assert [key for key, cell in rows.items() if wrong_with_threat(cell) is not None] == ["B", "C", "E"]
