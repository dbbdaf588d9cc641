"""What tests of faults share: one launcher of real gates for the whole run, started when the first test asks for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.forked_gate import Launcher


@pytest.fixture(scope="session")
def launcher() -> Iterator[Launcher]:
    launching = Launcher()
    yield launching
    launching.close()
