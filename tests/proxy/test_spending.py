"""What was agreed, against what the policy says at the moment of sending (SEMANTICS §2.3, §1.11)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from policies.model import Classification, Decision, Risk
from proxy.spending import why_void
from tests.proxy.builders import ask, parked, rows

RULE = "refunds#require-approval-over-100"


def _tier(risk: Risk | None) -> Decision:
    return replace(ask(RULE), classification=Classification(True, risk=risk))


@pytest.mark.parametrize(
    ("settled_by", "now", "stands"),
    [
        ("maria", _tier(Risk.HIGH), True),
        (f"policy:{RULE}@v1:a", _tier(Risk.LOW), True),
        (f"policy:{RULE}@v1:a", _tier(Risk.MEDIUM), False),
        (f"policy:{RULE}@v1:a", _tier(Risk.HIGH), False),
        (f"policy:{RULE}@v1:a", _tier(None), False),
        ("maria", ask(RULE, "fraud#new"), False),
    ],
)
def test_p06_what_silence_approved_covers_a_question_only_while_its_tier_is_low(
    settled_by: str, now: Decision, stands: bool
) -> None:
    record, review = parked(rows())
    assert (why_void(record, replace(review, settled_by=settled_by), now) is None) is stands
