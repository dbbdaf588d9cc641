"""The facts the gate makes and gives to `decide`: their names and types, and what becomes of them after the decision.

Rules of this module (SEMANTICS §1.4, §2.3):
* A name stands here together with its enforcement, and only here: a rule that reads a fact nobody makes does not load.
* A call is judged again (when its grant is spent, when a reviewer edits it) with the facts as they were when it was
  proposed. Excepted are those in `LIVE`, which are always as things are now; and, for an edit, those in
  `OF_ARGUMENTS`, which say something of the arguments themselves.
"""

from __future__ import annotations

from collections.abc import Mapping

from policies.autonomy import LEVEL_FACT
from policies.facts import FactType
from policies.model import Json

GATE_FACTS: Mapping[str, FactType] = {
    LEVEL_FACT: FactType.INTEGER,
    "retry_count": FactType.INTEGER,
    "first_time_action": FactType.BOOLEAN,
    "calls_last_minute": FactType.INTEGER,
    "calls_last_hour": FactType.INTEGER,
    "calls_last_day": FactType.INTEGER,
    "anomaly_score": FactType.NUMBER,
    "anomaly_known": FactType.BOOLEAN,
}

AT_REST: Mapping[str, Json] = {
    name: False if kind is FactType.BOOLEAN else 0 for name, kind in GATE_FACTS.items() if kind is not FactType.STRING
}
"""What they are for a call of which nothing is out of the ordinary, where a case does not say."""

LIVE: frozenset[str] = frozenset({LEVEL_FACT})
OF_ARGUMENTS: frozenset[str] = frozenset({"anomaly_score", "anomaly_known", "anomaly_parts"})


def judged_again(kept: Mapping[str, Json], now: Mapping[str, Json], *, is_edit: bool = False) -> dict[str, Json]:
    """The facts for judging a call again: what was kept of its first judgement, but for what is made anew."""
    anew = LIVE | OF_ARGUMENTS if is_edit else LIVE
    return {**now, **{name: value for name, value in kept.items() if name not in anew}}
