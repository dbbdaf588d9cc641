"""So much of something, given to whoever asks, and never all of it to one (P14).

Rules of this module:
* Pure counting. Who has taken what gives exactly that back.
* One holder may have at most `PARTS` times what is still free: alone three quarters, of two each three sevenths, and so
  on. Something is always left for who comes next, nobody has to be told how many holders there are, and nothing is set
  aside for those that are not there.
"""

from __future__ import annotations

PARTS = 3


class Shares:
    """Places, or bytes, that holders take and give back."""

    __slots__ = ("_of", "most", "taken")

    def __init__(self, most: int) -> None:
        self.most = most
        self.taken = 0
        self._of: dict[str, int] = {}

    @property
    def is_full(self) -> bool:
        return self.taken >= self.most

    def of(self, holder: str) -> int:
        """What this one has."""
        return self._of.get(holder, 0)

    def fits(self, holder: str, amount: int = 1) -> bool:
        """Whether this one may have so much more."""
        free = self.most - self.taken
        return amount <= free and self._of.get(holder, 0) + amount <= PARTS * free

    def take(self, holder: str, amount: int = 1) -> None:
        """Count it, whether or not it fits: what is there is there."""
        self.taken += amount
        self._of[holder] = self._of.get(holder, 0) + amount

    def give(self, holder: str, amount: int = 1) -> None:
        """Count it no more."""
        self.taken -= amount
        left = self._of[holder] - amount
        if left:
            self._of[holder] = left
        else:
            del self._of[holder]
