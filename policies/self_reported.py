"""What an agent says about itself: facts that a rule may read only to ask or to deny (SEMANTICS §1.5, P9).

Rules of this module:
* They are no part of the call's arguments, of what an approval is bound to, or of what makes two calls identical.
* Bound to every call; one that is not said is missing, one that is no such value is in doubt: both are read strictly,
  so that neither silence nor nonsense frees a call.
"""

from __future__ import annotations

from collections.abc import Mapping

from policies.facts import Fact, FactType

SELF_REPORTED: Mapping[str, Fact] = {
    "confidence": Fact("confidence", FactType.NUMBER, minimum=0, maximum=1, by_agent=True),
    "reasoning": Fact("reasoning", FactType.STRING, by_agent=True),
}
