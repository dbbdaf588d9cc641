"""Every limit of the documentation is tested at its boundary: one below it, at it, and one past it (P14).

Rules of this module:
* A row of `tests/limits/` asks the code itself. What cannot be asked in a line (times, processes, sockets) has a test
  of its own, which `tests/limits/elsewhere.yaml` names.
* A limit that has neither, and no reason to have none, fails here; so does a row, or a name, of no limit.
"""

from __future__ import annotations

import asyncio
import inspect
import re
from typing import Any

import pytest

from policies.yaml_source import load_positioned
from tests import config_keys, doc_tables
from tests.limits import files, people, policies, wire
from tests.limits.rows import Row

ELSEWHERE: Any = load_positioned((doc_tables.ROOT / "tests/limits/elsewhere.yaml").read_text(), "elsewhere.yaml")[0]
TESTED, WITHOUT_EDGE = ELSEWHERE["tested"], ELSEWHERE["without_edge"]
ROWS: tuple[Row, ...] = (*wire.ROWS, *policies.ROWS, *people.ROWS, *files.ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.limit)
def test_p14_what_is_at_a_limit_is_taken_and_what_is_past_it_is_not(row: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = row.at if row.at is not None else int(doc_tables.value_of(row.limit))
    if row.at is not None and row.limit.rpartition(".")[2].isupper():
        monkeypatch.setattr(row.limit, row.at)
    assert [_takes(row, limit + by) for by in (-1, 0, 1)] == [True, True, False]


def _takes(row: Row, amount: int) -> Any:
    answer = row.takes(amount)
    if inspect.iscoroutine(answer):
        return asyncio.run(answer)
    return answer


def _limits() -> set[str]:
    """Every limit that the documentation tells of: of the code, and of the configuration."""
    keys = {row.key for _, model, prefix in config_keys.SECTIONS for row in config_keys.rows(model, prefix)}
    return doc_tables.told_limits() | {key for key in keys if _BOUNDS.search(key)}


_BOUNDS = re.compile(r"_max$|\.deadline_sec$|\.timeout_sec$")


def test_p14_every_limit_has_a_test_at_its_boundary() -> None:
    tested = [row.limit for row in ROWS]
    assert len(set(tested)) == len(tested)
    known = {*tested, *TESTED, *WITHOUT_EDGE}
    assert _limits() - known == set(), "it has no boundary test: add a row, or name its test"
    assert known - _limits() == set(), "no such limit"
    assert set(tested) & {*TESTED, *WITHOUT_EDGE} == set(TESTED) & set(WITHOUT_EDGE) == set()


@pytest.mark.parametrize("where", sorted(set(TESTED.values())))
def test_a_test_that_is_named_is_there(where: str) -> None:
    file, _, name = where.partition("::")
    assert re.search(rf"^(async )?def {name}\(", (doc_tables.ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)
