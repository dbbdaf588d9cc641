"""How many questions to people are open, in all and by agent, and whether one more may be asked (P14).

Rules of this module:
* A place is taken before the question is written, in one step with looking whether there is one: calls that come at
  once cannot pass the cap together (traps T19).
* A question counts until it has been seen to be over. A bell says only that something about it changed; whoever hears
  it looks (`doubtful`), and until somebody has, it counts.
"""

from __future__ import annotations

import itertools
from enum import Enum, auto


class Full(Enum):
    """Which cap is reached."""

    IN_ALL = auto()
    OF_AGENT = auto()


class OpenQuestions:
    """Memory only, rebuilt from the store at start."""

    def __init__(self, *, open_max: int, of_agent_max: int) -> None:
        self._open_max, self._of_agent_max = open_max, of_agent_max
        self._agent_of: dict[str, str] = {}
        self._of_agent: dict[str, int] = {}
        self._doubtful: dict[str, None] = {}
        self._places = itertools.count()

    def full_for(self, agent: str) -> Full | None:
        """Whether no further question of this agent may be asked now."""
        if len(self._agent_of) >= self._open_max:
            return Full.IN_ALL
        return Full.OF_AGENT if self._of_agent.get(agent, 0) >= self._of_agent_max else None

    def take_place(self, agent: str) -> str:
        """Count a question that is about to be asked; `over` with the name returned gives the place back."""
        place = f"place {next(self._places)}"
        self.count(place, agent)
        return place

    def count(self, call_id: str, agent: str) -> None:
        """This call's question is open. Counting it twice counts once."""
        self._doubtful.pop(call_id, None)
        if call_id not in self._agent_of:
            self._agent_of[call_id] = agent
            self._of_agent[agent] = self._of_agent.get(agent, 0) + 1

    def over(self, call_id: str) -> None:
        """It is no question any more."""
        self._doubtful.pop(call_id, None)
        agent = self._agent_of.pop(call_id, None)
        if agent is None:
            return
        self._of_agent[agent] -= 1
        if not self._of_agent[agent]:
            del self._of_agent[agent]

    def changed(self, call_id: str) -> bool:
        """Something about this call changed: True if it is counted, and should be looked at."""
        if call_id not in self._agent_of:
            return False
        self._doubtful[call_id] = None
        return True

    def doubtful(self) -> tuple[str, ...]:
        """Counted calls that changed and have not been looked at since: few, unless the store was down meanwhile."""
        return tuple(self._doubtful)
