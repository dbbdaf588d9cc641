from __future__ import annotations

import pytest

from proxy.upstreams.interim import INTERIM_ANSWERS_MAX, Counted, TooManyInterim


class _Connection:
    def __init__(self) -> None:
        self.protocol: _Connection | None = None
        self.reads = 0

    async def read(self) -> str:
        self.reads += 1
        return "head"

    def release(self) -> str:
        return "released"


async def test_p14_the_answer_after_the_last_interim_one_that_is_borne_is_read_and_no_more() -> None:
    protocol = _Connection()
    counted = Counted(protocol)
    for _ in range(INTERIM_ANSWERS_MAX + 1):
        assert await counted.read() == "head"
    with pytest.raises(TooManyInterim):
        await counted.read()
    assert protocol.reads == INTERIM_ANSWERS_MAX + 1


async def test_all_but_the_reading_is_the_connections_own() -> None:
    connection = _Connection()
    assert Counted(connection).protocol is None
    connection.protocol = _Connection()
    counted = Counted(connection)
    assert await counted.protocol.read() == "head"
    assert counted.release() == "released"
