"""The stream of what a tool says unasked."""

from __future__ import annotations

from proxy.upstreams.push import PushStream


async def test_messages_wait_for_a_reader() -> None:
    push = PushStream()
    push.offer({"n": 0}, 1)
    reply = push.open()
    push.finish()
    assert [incoming.message async for incoming in reply.incoming] == [{"n": 0}]


async def test_a_later_reader_takes_over_with_what_is_unread() -> None:
    push = PushStream()
    first = push.open()
    push.offer({"n": 0}, 1)
    second = push.open()
    push.offer({"n": 1}, 1)
    push.finish()
    assert [incoming.message async for incoming in first.incoming] == []
    assert [incoming.message async for incoming in second.incoming] == [{"n": 0}, {"n": 1}]


async def test_it_is_open_while_its_present_reader_is_there() -> None:
    push = PushStream()
    assert not push.is_open
    first = push.open()
    second = push.open()
    await first.close()
    assert push.is_open
    await second.close()
    assert not push.is_open


async def test_a_finished_stream_ends_for_late_readers_too() -> None:
    push = PushStream()
    push.open()
    push.finish()
    assert not push.is_open
