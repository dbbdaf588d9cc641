"""Speed of the pattern tier, in this process: medians of varied messages, so that nothing is remembered between them.

CPU time: what else runs on the machine is not the inspector's.
Run with `-m long -s` to see the figures.
"""

from __future__ import annotations

import random
from statistics import median
from time import process_time
from typing import Any

import pytest

from policies.model import Do, FieldRule, OutputRules
from redaction.detectors.base import DetectorSettings
from redaction.detectors.defaults import default_detectors
from redaction.inspection import ReadyRules, inspect
from redaction.model import Outcome, Surface
from redaction.scan import Detectors
from tests.redaction.builders import CODEC, json_text, result

pytestmark = pytest.mark.long

RULES = ReadyRules.of(OutputRules(fields=(FieldRule("$..ssn", Do.REPLACE), FieldRule("$.internal_notes", Do.REMOVE))))


def order(chance: random.Random) -> dict[str, Any]:
    """A record of some 380 characters with nothing personal in it."""
    return {
        "id": f"ord_{chance.randrange(10**6):06d}",
        "customer": {"name": chance.choice(["Jane Roe", "Max Moe"]), "tier": "gold", "city": "Leeds"},
        "amount": round(chance.random() * 500, 2),
        "currency": "EUR",
        "created_at": f"2026-11-{chance.randint(1, 28):02d}T10:{chance.randint(0, 59):02d}:00Z",
        "items": [{"sku": f"SKU-{chance.randrange(10**5):05d}", "qty": 2, "price": 19.99}],
        "note": f"Left at reception, floor {chance.randint(1, 90)}; call before delivery {chance.randrange(10**4)}.",
    }


@pytest.mark.parametrize(
    ("records", "shape", "limit_ms"),
    [(3, "text", 2), (2, "twins", 2), (28, "text", 10), (280, "text", 60), (2800, "text", 600)],
)
def test_clean_messages_are_inspected_within_the_goal(records: int, shape: str, limit_ms: float) -> None:
    chance = random.Random(records)
    detectors = Detectors(default_detectors(DetectorSettings()), memory_key=b"k" * 32)
    messages = []
    for _ in range(max(5, 1200 // records)):
        orders = {"orders": [order(chance) for _ in range(records)]}
        messages.append(result(json_text(orders), **({"structured": orders} if shape == "twins" else {})))
    cold = [timed(message, detectors) for message in messages]
    warm = [timed(message, detectors) for message in messages[-20:]]
    size = len(json_text(messages[0]))
    print(f"\n{size:>8} characters, {shape}: cold {median(cold):.3f} ms, warm {median(warm):.3f} ms")
    assert median(cold) <= limit_ms


def timed(message: Any, detectors: Detectors) -> float:
    started = process_time()
    inspection = inspect(message, rules=RULES, surface=Surface.RESULT, detectors=detectors, codec=CODEC)
    taken = (process_time() - started) * 1000
    assert inspection.outcome is Outcome.ALLOW
    return taken
