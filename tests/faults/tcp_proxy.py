"""A network that misbehaves: a TCP proxy between two honest ends, told what to do with each direction.

Rules of this module:
* It knows bytes and connections, and nothing of what they mean. Trouble begins after so many bytes of a direction.
* Every connection made while a trouble is set has it; `Trouble()` passes everything on.
* It runs in the event loop of its user, on a free port of loopback.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

from tests.blackbox.servers.counting import reset


class How(StrEnum):
    """What happens to a direction once its bytes are used up."""

    PASS = "pass"
    RESET = "reset"  # both ends see a TCP reset
    CLOSE = "close"  # both ends see an orderly end
    HALF_CLOSE = "half close"  # the receiver sees the end; the sender's other direction goes on
    DROP = "drop"  # nothing more arrives, and nobody is told


@dataclass(frozen=True)
class Direction:
    """`after` bytes arrive; then `how`. `each` is how many bytes arrive at a time, `wait_sec` the pause between."""

    how: How = How.PASS
    after: int = 0
    each: int = 65_536
    wait_sec: float = 0.0


@dataclass(frozen=True)
class Trouble:
    """What the network does: `out` to what the client sends, `back` to what the server sends."""

    out: Direction = field(default_factory=Direction)
    back: Direction = field(default_factory=Direction)


class TcpProxy:
    """Between whoever connects to `port` and `target_port`, both on loopback."""

    def __init__(self, target_port: int) -> None:
        self.target_port = target_port
        self.trouble = Trouble()
        self.connections = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def close_door(self) -> None:
        """From now on nobody can connect; what is connected stays so."""
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        trouble = self.trouble
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self.target_port)
        except OSError:
            reset(writer)
            return
        both = (writer, server_writer)
        pumps = [
            asyncio.ensure_future(_pump(reader, server_writer, both, trouble.out)),
            asyncio.ensure_future(_pump(server_reader, writer, both, trouble.back)),
        ]
        try:
            await asyncio.gather(*pumps)
        except OSError:
            pass  # one of the ends has gone: that is its right
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            for end in both:
                end.close()


async def _pump(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    both: tuple[asyncio.StreamWriter, asyncio.StreamWriter],
    direction: Direction,
) -> None:
    left = direction.after
    while data := await reader.read(direction.each if direction.how is How.PASS else max(1, min(direction.each, left))):
        if direction.how is not How.PASS:
            if left == 0:
                await _strike(reader, writer, both, direction.how)
                return
            left -= len(data)
        writer.write(data)
        await writer.drain()
        if direction.wait_sec:
            await asyncio.sleep(direction.wait_sec)
        if direction.how is not How.PASS and left == 0:
            await _strike(reader, writer, both, direction.how)
            return
    with contextlib.suppress(OSError):
        writer.write_eof()


async def _strike(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    both: tuple[asyncio.StreamWriter, asyncio.StreamWriter],
    how: How,
) -> None:
    match how:
        case How.RESET:
            for end in both:
                reset(end)
        case How.CLOSE:
            for end in both:
                end.close()
        case How.HALF_CLOSE:
            writer.write_eof()
        case How.DROP:
            while await reader.read(65_536):
                pass
