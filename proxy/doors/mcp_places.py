"""Places for streams that last: each holds a connection to the tool server for as long as its agent likes.

Rules of this module:
* So many for one agent at one server, and for all agents at one server: fewer than the connections that the gate has
  for a server's streams, which are not those for calls: streams keep nobody from calling its tools (P14).
* Past the limit the answer is quick; calls go on without the stream.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

STREAMS_PER_AGENT_MAX = 100
STREAMS_PER_SERVER_MAX = 200


class TooManyStreams(Exception):
    """The limit of open streams is reached; try later."""

    def __init__(self) -> None:
        super().__init__("Too many open streams at this server; end one or try again later.")


class StreamPlaces:
    """Counts the streams that are open or being opened."""

    def __init__(self) -> None:
        self._taken: Counter[tuple[str, str | None]] = Counter()

    @contextmanager
    def place(self, server: str, agent: str) -> Iterator[None]:
        """Hold a place for one stream. Raises: TooManyStreams."""
        of_agent, of_all = (server, agent), (server, None)
        if self._taken[of_agent] >= STREAMS_PER_AGENT_MAX or self._taken[of_all] >= STREAMS_PER_SERVER_MAX:
            raise TooManyStreams
        self._taken.update((of_agent, of_all))
        try:
            yield
        finally:
            self._taken.subtract((of_agent, of_all))
            self._taken = +self._taken  # whoever has none is forgotten
