"""Keys of the language whose enforcement comes with a later release: a policy that uses one does not load (P1).

Rules of this module:
* A table per place, key -> what it is. Whoever builds the enforcement removes the line here and adds the key where it
  is read. Nothing else in the product knows these words.
"""

from __future__ import annotations

from collections.abc import Mapping

TOP_LATER: Mapping[str, str] = {
    "trigger": "workflows",
    "steps": "workflows",
    "routing": "routing of reviews",
    "approval_queue_policy": "reviewer operations",
    "fatigue_controls": "reviewer operations",
    "evidence_contract": "reviewer operations",
    "budgets": "budgets over a window",
}

RULE_LATER: Mapping[str, str] = {
    "shadow": "shadow policies",
}

CONSTRAINTS_LATER: Mapping[str, str] = {
    "max_calls": "calls per window",
    "max_sum_": "budgets over a window",
}

APPROVAL_LATER: Mapping[str, str] = {
    "passkey": "signing with a passkey",
    "required_fields": "the evidence contract",
}

FACTS_LATER: Mapping[str, str] = {
    "args_findings": "a fact the gate makes",
}

MATCH_LATER: Mapping[str, str] = {
    **FACTS_LATER,
    "sum_": "budgets over a window",
}
