from __future__ import annotations

import pytest

from tests.review.builders import World


@pytest.fixture
def world() -> World:
    return World()
