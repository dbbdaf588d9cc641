"""Fixtures of the inspector's tests: the detectors are built once, which takes seconds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from policies.model import OutputRules
from redaction.detectors.base import DetectorSettings
from redaction.inspection import inspect
from redaction.model import Inspection, Surface
from redaction.scan import Detectors
from tests.redaction.builders import CODEC, NO_RULES

type Look = Callable[..., Inspection]


@pytest.fixture(scope="session")
def detectors() -> Detectors:
    from redaction.detectors.defaults import default_detectors  # imports Presidio

    return Detectors(default_detectors(DetectorSettings()), memory_key=b"k" * 32)


@pytest.fixture(scope="session")
def look(detectors: Detectors) -> Look:
    """`inspect` with the default detectors: look(message, rules, surface=…)."""

    def inspected(
        message: Any, rules: OutputRules = NO_RULES, surface: Surface = Surface.RESULT, **more: Any
    ) -> Inspection:
        return inspect(message, rules=rules, surface=surface, detectors=detectors, codec=CODEC, **more)

    return inspected
