"""The inspectors are really started, and really asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from proxy.doctor import inspecting
from proxy.doctor.finding import Standing
from redaction.model import Inspection, Outcome
from tests.proxy.doctor.builders import subject


@pytest.mark.long
async def test_a_worker_starts_and_finds_what_has_the_form_of_a_key(tmp_path: Path) -> None:
    (found,) = await inspecting.inspectors(subject(tmp_path))
    assert found.standing is Standing.OK, found


class Pool:
    """A pool whose answer is written down."""

    answer: Any = None

    def __init__(self, _settings: object) -> None: ...

    async def start(self) -> None:
        if isinstance(self.answer, Exception):
            raise self.answer

    async def inspect(self, *_: object, **__: object) -> Inspection:
        return self.answer  # type: ignore[no-any-return]

    async def close(self) -> None: ...


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (inspecting.InspectorsDown("no memory"), "cannot be started: no memory"),
        (Inspection(Outcome.ALLOW, {}, ()), "let something pass"),
        (Inspection(Outcome.QUARANTINE, {}, (), why="it took too long"), "could not inspect: it took too long"),
    ],
)
async def test_a_worker_that_does_not_start_does_not_find_or_does_not_answer_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: Any, said: str
) -> None:
    monkeypatch.setattr(inspecting, "InspectorPool", type("Pool", (Pool,), {"answer": answer}))
    (found,) = await inspecting.inspectors(subject(tmp_path))
    assert (found.standing, said in found.says) == (Standing.PROBLEM, True), found
