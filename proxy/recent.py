"""Which earlier calls an identical one may have to answer to: repeat keys of calls that are not yet done with.

Rules of this module:
* Memory only, rebuilt from the store at start: a call nobody could attach to costs no read.
* When it would grow past its cap it says so (`is_complete` False) and every look-up goes to the store instead:
  forgetting an in-doubt call would mean sending it twice.
"""

from __future__ import annotations

from collections.abc import Iterable


class Recent:
    """repeat key → ids of calls, oldest first."""

    def __init__(self, *, keys_max: int = 500_000) -> None:
        self._keys_max = keys_max
        self._ids: dict[str, list[str]] = {}
        self._key_of: dict[str, str] = {}
        self.is_complete = True

    def load(self, pairs: Iterable[tuple[str, str]]) -> None:
        """From the store at start: (repeat key, call id), oldest first."""
        for key, call_id in pairs:
            self.add(key, call_id)

    def add(self, key: str, call_id: str) -> None:
        if call_id in self._key_of:
            return
        if len(self._key_of) >= self._keys_max:
            self.is_complete = False
            return
        self._ids.setdefault(key, []).append(call_id)
        self._key_of[call_id] = key

    def drop(self, call_id: str) -> None:
        """This call is done with: delivered, denied, or failed so that the next one is new."""
        key = self._key_of.pop(call_id, None)
        if key is None:
            return
        ids = self._ids[key]
        ids.remove(call_id)
        if not ids:
            del self._ids[key]

    def __contains__(self, call_id: str) -> bool:
        return call_id in self._key_of

    def ids(self, key: str) -> tuple[str, ...]:
        """Newest first."""
        return tuple(reversed(self._ids.get(key, ())))
