from __future__ import annotations

import pytest

from tests.review.console.builders import House


@pytest.fixture
def house() -> House:
    return House()
