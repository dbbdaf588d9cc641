"""What is stopped at this moment: a set in memory, read by the gate whenever it would say Forward.

Rules of this module:
* Reading takes no lock and waits for nothing: a tuple that is replaced whole. Any thread may write, so that a stop
  counts before the event loop has heard of it.
* It knows nothing of disks or people: `kill_switch.py` keeps it true to them.
"""

from __future__ import annotations

import threading

from review.model import Stop


class Stopped:
    """All stops in force, by id."""

    def __init__(self) -> None:
        self._stops: tuple[Stop, ...] = ()
        self._changing = threading.Lock()

    def over(self, agent: str, server: str) -> Stop | None:
        """A stop that covers this agent at this server, or None."""
        for stop in self._stops:
            if stop.covers(agent, server):
                return stop
        return None

    def all(self) -> tuple[Stop, ...]:
        return self._stops

    def add(self, stop: Stop) -> bool:
        """In force from now on. False if it was already."""
        with self._changing:
            if any(one.id == stop.id for one in self._stops):
                return False
            self._stops = (*self._stops, stop)
            return True

    def drop(self, stop_id: str) -> None:
        """No longer in force."""
        with self._changing:
            self._stops = tuple(one for one in self._stops if one.id != stop_id)
