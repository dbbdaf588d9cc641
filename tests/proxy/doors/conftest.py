"""Fixtures of the doors' tests."""

from __future__ import annotations

import pytest

from tests.proxy.doors.door_world import DoorWorld


@pytest.fixture
def world() -> DoorWorld:
    return DoorWorld()
