"""The record streamed to programs: who may watch, what they see, where they begin, when it ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from audit.entry import EntryDraft, EntryKind
from review.console.settings import ConsoleSettings
from tests.review.console.builders import PASSWORD, House
from tests.review.console.test_events import Stream

DECIDED = {"server": "shop", "tool": "pay", "effect": "allow"}


def write(house: House, kind: EntryKind, call_id: str | None = None, actor: str = "gate", **body: Any) -> None:
    entries = house.world.records.entries
    entries.append(EntryDraft(kind, 1_000.0 + len(entries), actor, call_id, body))


@pytest.fixture
def house() -> House:
    house = House(settings=ConsoleSettings(stream_check_sec=0.05, tails_max=2, tails_per_session_max=1))
    house.world.records.entries.clear()
    write(house, EntryKind.GATE_STARTED)
    write(house, EntryKind.CALL_DECIDED, "call_1", "agent:anna", **DECIDED)
    write(house, EntryKind.CALL_ANSWERED, "call_1", outcome="allow")
    return house


def token_of(house: House, name: str = "anna") -> str:
    client = house.browser().client
    answer = client.post("/api/v1/login", json={"name": name, "password": PASSWORD})
    return str(answer.json()["token"])


class Watching(Stream):
    """One open stream, event by event. `served` is done when the gate has ended it."""

    served: asyncio.Task[None]

    async def event(self) -> tuple[str, Any]:
        """The next event's id (or type) and data, past keepalives."""
        while (text := await self.next()).startswith(":"):
            pass
        lines = dict(line.split(": ", 1) for line in text.strip().splitlines())
        return (lines["event"], lines["data"]) if "event" in lines else (lines["id"], json.loads(lines["data"]))


@asynccontextmanager
async def watching(
    house: House, token: str, query: str = "", *, by: type[Watching] = Watching, **headers: str
) -> AsyncIterator[Watching]:
    stream = by()
    named = {"host": "127.0.0.1:8611", "authorization": f"Bearer {token}"} | headers
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/api/v1/tail",
        "raw_path": b"/api/v1/tail",
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in named.items()],
        "scheme": "http",
        "server": ("127.0.0.1", 8611),
        "client": ("127.0.0.1", 5),
        "http_version": "1.1",
    }
    async with asyncio.TaskGroup() as group:
        stream.served = served = group.create_task(house.app(scope, stream.receive, stream.send))
        try:
            yield stream
        finally:
            stream.left.set()
            async with asyncio.timeout(5):
                await served


async def ids(house: House, token: str, query: str, **headers: str) -> list[str]:
    """Everything that is there, as ids, to the end."""
    async with watching(house, token, f"follow=0&{query}", **headers) as stream:
        found = []
        while (event := await stream.event())[0] != "over":
            found.append(event[0])
        assert event[1] == "end"
        return found


async def test_entries_come_as_they_are_written_with_whose_call_they_are_about(house: House) -> None:
    async with watching(house, await asyncio.to_thread(token_of, house), "last=3") as stream:
        number, decided = await stream.event()
        assert (number, decided["kind"], decided["about"]["tool"]) == ("2", "call_decided", "pay")
        number, answered = await stream.event()
        assert (number, answered["about"]) == ("3", {"agent": "anna", "server": "shop", "tool": "pay"})
        write(house, EntryKind.CALL_IN_DOUBT, "call_1", why="it went away")
        number, doubt = await stream.event()
        # Logging in was written as an entry too, and this reader sees no logins.
        assert (number, doubt["body"], doubt["about"]["agent"]) == ("5", {"why": "it went away"}, "anna")
        assert stream.status == 200


async def test_who_comes_back_misses_nothing_and_gets_nothing_twice(house: House) -> None:
    token = await asyncio.to_thread(token_of, house)
    assert await ids(house, token, "") == []
    assert await ids(house, token, "last=100") == ["1", "2", "3"]
    assert await ids(house, token, "last=100", last_event_id="2") == ["3"]


async def test_a_stream_can_begin_at_a_time(house: House) -> None:
    token = await asyncio.to_thread(token_of, house)
    assert await ids(house, token, "since=1002") == ["3"]
    assert await ids(house, token, "since=0") == ["1", "2", "3"]


async def test_logins_are_told_to_those_who_may_know_them_alone(house: House) -> None:
    for name, sees in (("anna", False), ("aud", True)):
        token = await asyncio.to_thread(token_of, house, name)
        assert ("4" in await ids(house, token, "last=100")) is sees


@pytest.mark.parametrize(
    ("query", "headers", "status", "code"),
    [
        ("", {"authorization": "Bearer nobody's"}, 401, "not_logged_in"),
        ("", {"authorization": ""}, 401, "not_logged_in"),
        ("last=x", {}, 422, "not_possible"),
        ("since=-1", {}, 422, "not_possible"),
        ("", {"last_event_id": "9" * 16}, 422, "not_possible"),
    ],
)
async def test_strangers_and_questions_that_cannot_be_read_get_no_stream(
    house: House, query: str, headers: dict[str, str], status: int, code: str
) -> None:
    async with watching(house, await asyncio.to_thread(token_of, house), query, **headers) as stream:
        assert json.loads(await stream.next())["error"]["code"] == code
        assert stream.status == status


async def test_an_account_without_a_role_sees_nothing(house: House) -> None:
    token = await asyncio.to_thread(token_of, house)
    people = house.world.records.accounts_by_name
    people["anna"] = replace(people["anna"], roles=())
    async with watching(house, token) as stream:
        assert json.loads(await stream.next())["error"]["code"] == "role"


async def test_streams_are_counted_and_a_place_is_free_again_when_one_ends(house: House) -> None:
    tokens = [await asyncio.to_thread(token_of, house) for _ in range(3)]
    async with watching(house, tokens[0]) as one:
        await one.next()
        async with watching(house, tokens[0]) as same:
            assert "too_many_streams" in await same.next()
        async with watching(house, tokens[1]) as other:
            await other.next()
            async with watching(house, tokens[2]) as third:
                assert "too_many_streams" in await third.next()
    assert await ids(house, tokens[0], "") == []


class Gone(Watching):
    """Whoever asked has left before the answer's first byte."""

    async def send(self, message: Any) -> None:
        raise ConnectionResetError


async def test_who_leaves_before_anything_was_sent_gives_the_place_back(house: House) -> None:
    token = await asyncio.to_thread(token_of, house)
    for _ in range(3):
        with pytest.raises(ExceptionGroup):
            async with watching(house, token, by=Gone) as stream:
                await stream.served
    assert await ids(house, token, "") == []


async def test_a_stream_ends_with_its_login_and_with_the_gate(house: House) -> None:
    token = await asyncio.to_thread(token_of, house)
    async with watching(house, token) as stream:
        await stream.next()
        house.world.records.sessions.clear()
        assert await stream.event() == ("over", "logged out")
    async with watching(house, await asyncio.to_thread(token_of, house)) as stream:
        await stream.next()
        house.pages.close()
        async with asyncio.timeout(5):
            await stream.served


async def test_a_record_that_cannot_be_read_ends_it_and_says_so(house: House) -> None:
    token = await asyncio.to_thread(token_of, house)
    async with watching(house, token) as stream:
        await stream.next()
        house.world.records.is_unreadable = True
        assert await stream.event() == ("over", "the record cannot be read just now")
