"""The facts the gate makes, and which of them a call that is judged again keeps."""

from __future__ import annotations

from policies.gate_facts import LIVE, judged_again
from policies.model import Json


def test_facts_of_the_first_judgement_stand_but_for_those_that_are_live() -> None:
    assert "autonomy_level" in LIVE
    kept: dict[str, Json] = {"retry_count": 3, "autonomy_level": 2}
    assert judged_again(kept, {"retry_count": 0, "autonomy_level": 1}) == {"retry_count": 3, "autonomy_level": 1}
    assert judged_again({}, {"retry_count": 1}) == {"retry_count": 1}
