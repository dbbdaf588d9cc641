from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from review.console.settings import ConsoleSettings
from tests.review.console.builders import House


class Stream:
    """One open stream: its status, and what it has said so far."""

    def __init__(self) -> None:
        self.status = 0
        self.said: asyncio.Queue[str] = asyncio.Queue()
        self.left = asyncio.Event()

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        elif message.get("body"):
            await self.said.put(message["body"].decode())

    async def receive(self) -> Any:
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def next(self) -> str:
        async with asyncio.timeout(5):
            return await self.said.get()


@asynccontextmanager
async def opened(house: House, cookie: str | None) -> AsyncIterator[Stream]:
    stream = Stream()
    headers = [(b"host", b"127.0.0.1:8611")] + ([(b"cookie", f"interlock-8611={cookie}".encode())] if cookie else [])
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/events",
        "raw_path": b"/events",
        "root_path": "",
        "query_string": b"",
        "headers": headers,
        "scheme": "http",
        "server": ("127.0.0.1", 8611),
        "client": ("127.0.0.1", 5),
        "http_version": "1.1",
    }
    async with asyncio.TaskGroup() as group:
        served = group.create_task(house.app(scope, stream.receive, stream.send))
        try:
            yield stream
        finally:
            stream.left.set()
            async with asyncio.timeout(5):
                await served


async def _cookie(house: House) -> str:
    return (await house.accounts.login("anna", "correct horse battery", source="s")).token


async def test_a_stream_says_which_calls_changed_and_nothing_more(house: House) -> None:
    async with opened(house, await _cookie(house)) as stream:
        assert "event: changed" in await stream.next()
        house.pages.tell("c-7")
        assert await stream.next() == "event: changed\r\ndata: c-7\r\n\r\n"
        assert stream.status == 200


async def test_a_stream_needs_a_login(house: House) -> None:
    async with opened(house, None) as stream:
        assert "not_logged_in" in await stream.next()
        assert stream.status == 401


async def test_a_stream_ends_with_its_session(house: House) -> None:
    cookie = await _cookie(house)
    async with opened(house, cookie) as stream:
        await stream.next()
        here = await house.accounts.session(cookie, of=frozenset({"password"}))
        assert here is not None
        await house.accounts.logout(here.session)
        house.pages.tell("c-1")
        assert "event: over" in await stream.next()


async def test_a_quiet_stream_notices_that_its_session_has_ended() -> None:
    house = House(settings=ConsoleSettings(stream_check_sec=1))
    async with opened(house, await _cookie(house)) as stream:
        await stream.next()
        house.world.clock.pass_sec(3600)
        said = await stream.next()
        while said.startswith(": ping"):
            said = await stream.next()
        assert "event: over" in said


async def test_p14_streams_are_counted_and_the_count_goes_down_again() -> None:
    house = House(settings=ConsoleSettings(streams_per_session_max=1))
    cookie = await _cookie(house)
    async with opened(house, cookie) as first:
        await first.next()
        async with opened(house, cookie) as second:
            assert "too_many_streams" in await second.next()
            assert second.status == 503
    async with opened(house, cookie) as third:
        assert "event: changed" in await third.next()


async def test_p14_pages_that_open_at_once_cannot_pass_the_limit_together() -> None:
    house = House(settings=ConsoleSettings(streams_max=3))
    cookie = await _cookie(house)
    async with AsyncExitStack() as open_pages:
        pages = [await open_pages.enter_async_context(opened(house, cookie)) for _ in range(5)]
        said = [await page.next() for page in pages]
    assert [page.status for page in pages].count(200) == sum("event: changed" in one for one in said) == 3


async def test_shutting_down_ends_every_stream(house: House) -> None:
    async with opened(house, await _cookie(house)) as stream:
        await stream.next()
        house.pages.close()


async def test_a_store_that_can_not_be_read_for_a_moment_cuts_no_stream(house: House) -> None:
    async with opened(house, await _cookie(house)) as stream:
        await stream.next()
        house.world.records.is_unreadable = True
        house.pages.tell("c-1")
        assert "data: c-1" in await stream.next()
