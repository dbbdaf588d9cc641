"""Which lives are about a call just now: whose agent waits for it, and who is being given its answer.

Rules of this module:
* Memory only: after a restart nobody waits and nobody is being answered.
* An answer is settled by the life that gave it, not by another's that reads the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.exchange import Answer

if TYPE_CHECKING:
    from proxy.life import Life


class Lives:
    """By call; made and asked by the runner, told by each life."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[Life]] = {}
        self._answering: dict[str, list[Life]] = {}

    def attach(self, call_id: str, life: Life) -> None:
        """This life's agent waits for the call."""
        self._waiting.setdefault(call_id, set()).add(life)

    def detach(self, call_id: str, life: Life) -> None:
        """It waits no more."""
        lives = self._waiting.get(call_id)
        if lives is not None:
            lives.discard(life)
            if not lives:
                del self._waiting[call_id]

    def answering(self, call_id: str, life: Life) -> None:
        """The answer is the door's now; it says whether it was delivered."""
        self._answering.setdefault(call_id, []).append(life)

    def given(self, answer: Answer) -> Life | None:
        """The life that gave this very answer, once: it is not being answered any more."""
        lives = self._answering.get(answer.call_id, [])
        life = next((one for one in lives if one.is_giving(answer)), None)
        if life is not None:
            lives.remove(life)
            if not lives:
                del self._answering[answer.call_id]
        return life

    def is_awaited(self, call_id: str) -> bool:
        """True while an agent that has not left waits for this call, or is just being answered."""
        lives = (*self._waiting.get(call_id, ()), *self._answering.get(call_id, ()))
        return any(not life.exchange.left.is_set() for life in lives)

    def all(self) -> set[Life]:
        """Every life that waits for something: for people, for its tool, or for another's outcome."""
        return {life for lives in self._waiting.values() for life in lives}

    def are_about(self, call_id: str) -> bool:
        """True while one of them still has to record what becomes of this call, be its agent here or not."""
        return call_id in self._waiting or call_id in self._answering
