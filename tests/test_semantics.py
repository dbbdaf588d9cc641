"""`docs/semantics.md`: every line has a row, and every test or case it names is there and runs.

Rules of this module:
* A row below `| line | … | test |` names tests (`tests/path.py::test_name`) and cases of the tables in
  `tests/cases/` (`tests/cases/….yaml: note`), or says `not built yet: what is missing`. Nothing else stands in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from policies.yaml_source import load_positioned
from tests.test_docs import names_of_tests

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "semantics.md").read_text(encoding="utf-8")
LINES = {*(f"1.{n}" for n in range(1, 21)), *(f"2.{n}" for n in range(1, 8)), *(f"6.{n}" for n in range(1, 21))}
NOT_BUILT = re.compile(r"not built yet: \S.*")
CASE = re.compile(r"(tests/cases/[\w/.-]+[.]yaml): (.+)")


def rows(page: str) -> Iterator[tuple[str, str]]:
    """Line and test cell of every row."""
    inside = False
    for text in page.splitlines():
        cells = [cell.strip() for cell in text.strip("|").split("|")] if text.startswith("|") else []
        if len(cells) == 3 and (cells[0], cells[2]) == ("line", "test"):
            inside = True
        elif not cells:
            inside = False
        elif inside and not set("".join(cells)) <= set("-: "):
            yield cells[0], cells[-1]


def wrong_with(cell: str) -> str | None:
    """What is wrong with a test cell, or None."""
    if NOT_BUILT.fullmatch(cell):
        return None if "::" not in cell else "it is said not to be built, and a test is named"
    for named in cell.split("<br>"):
        if not (named.startswith("`") and named.endswith("`")):
            return f"neither a test nor a case nor 'not built yet: …': {named}"
        if not is_there(named.strip("`")):
            return f"there is no {named}"
    return None


def is_there(named: str) -> bool:
    file, _, name = named.partition("::")
    if name:
        is_collected = Path(file).name.startswith("test_") and name.startswith("test_")
        return is_collected and name in names_of_tests(file)
    case = CASE.fullmatch(named)
    return case is not None and case[2] in notes_of(case[1])


def notes_of(file: str) -> frozenset[str]:
    """The notes of a table's cases, all of which `tests/policies/test_decide_cases.py` runs."""
    path = ROOT / file
    if not path.is_file() or path.parent.name not in ("seeds", "policies"):
        return frozenset()
    table, _ = load_positioned(path.read_text(encoding="utf-8"), file)
    return frozenset(row["note"] for row in table.get("cases", ()))


def test_every_line_has_a_row() -> None:
    assert {line for line, _ in rows(PAGE)} == LINES


@pytest.mark.parametrize(("line", "cell"), list(rows(PAGE)))
def test_every_test_that_is_named_is_there(line: str, cell: str) -> None:
    assert wrong_with(cell) is None, line


@pytest.mark.parametrize(
    ("cell", "wrong"),
    [
        ("`tests/test_semantics.py::test_every_line_has_a_row`", False),
        ("`tests/test_semantics.py::test_nothing`", True),
        ("`tests/test_semantics.py::rows`", True),
        ("`tests/cases/seeds/004-risk-table.yaml: web search passes`", False),
        ("`tests/cases/seeds/004-risk-table.yaml: web search`", True),
        ("`tests/cases/seeds/nothing.yaml: web search passes`", True),
        ("not built yet: budgets", False),
        ("not built yet:", True),
        ("not built yet: but see `tests/test_semantics.py::test_every_line_has_a_row`", True),
        ("", True),
        ("tried by hand", True),
    ],
)
def test_a_row_without_its_test_would_be_noticed(cell: str, wrong: bool) -> None:
    assert (wrong_with(cell) is not None) == wrong
