"""How many interim answers (1xx) a tool server may send before it answers: few. No client of ours asks for any.

Rules of this module:
* aiohttp passes over interim answers for as long as they come, at any speed. They are counted where it reads them; past
  the limit the connection counts as broken, and what was sent on it is doubt like any other (P5, P14).
* Only reading is counted; everything else of the connection is the connection's own.
"""

from __future__ import annotations

from typing import Any

INTERIM_ANSWERS_MAX = 32


class TooManyInterim(OSError):
    """The server sent more interim answers than anybody needs."""


class Counted:
    """A client connection, or its protocol, whose interim answers are counted as they are read."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self._read = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    @property
    def protocol(self) -> Any:
        """The connection's protocol, counted from now on."""
        inner = self._inner.protocol
        return Counted(inner) if inner is not None else None

    async def read(self) -> Any:
        """The next head and its payload. Raises: TooManyInterim."""
        if self._read > INTERIM_ANSWERS_MAX:
            raise TooManyInterim(f"it sent more than {INTERIM_ANSWERS_MAX} interim answers")
        self._read += 1
        return await self._inner.read()
