"""The bounded queue between a tool and one stream."""

from __future__ import annotations

import asyncio

import pytest

from proxy.tasks import spawn
from proxy.upstreams.base import UpstreamFailed
from proxy.upstreams.mailbox import Mailbox, MailboxFull


def message(number: int) -> dict[str, int]:
    return {"n": number}


async def test_messages_come_out_in_order_and_then_the_end() -> None:
    mailbox = Mailbox()
    for number in range(3):
        await mailbox.put(message(number), 10, stall_sec_max=1)
    mailbox.finish()
    assert [await mailbox.next() for _ in range(4)] == [{"n": 0}, {"n": 1}, {"n": 2}, None]


async def test_a_failure_comes_after_what_was_inside() -> None:
    mailbox = Mailbox()
    await mailbox.put(message(0), 10, stall_sec_max=1)
    mailbox.fail(UpstreamFailed("it broke", sent=True))
    assert await mailbox.next() == {"n": 0}
    with pytest.raises(UpstreamFailed, match="it broke"):
        await mailbox.next()


async def test_only_the_first_end_counts() -> None:
    mailbox = Mailbox()
    mailbox.finish()
    mailbox.fail(UpstreamFailed("too late", sent=True))
    assert await mailbox.next() is None


async def test_a_full_mailbox_makes_the_writer_wait_until_there_is_room() -> None:
    mailbox = Mailbox(messages_max=2)
    for number in range(2):
        await mailbox.put(message(number), 1, stall_sec_max=1)
    third = spawn(mailbox.put(message(2), 1, stall_sec_max=5), name="third")
    await asyncio.sleep(0)
    assert not third.done()
    assert await mailbox.next() == {"n": 0}
    await third
    assert [await mailbox.next(), await mailbox.next()] == [{"n": 1}, {"n": 2}]


async def test_a_reader_that_takes_nothing_is_given_up() -> None:
    mailbox = Mailbox(messages_max=1)
    await mailbox.put(message(0), 1, stall_sec_max=1)
    with pytest.raises(MailboxFull):
        await mailbox.put(message(1), 1, stall_sec_max=0.01)


@pytest.mark.parametrize(("second_bytes", "fits"), [(4, True), (5, True), (6, False)])
async def test_bytes_are_counted_to_the_byte(second_bytes: int, fits: bool) -> None:
    mailbox = Mailbox(bytes_max=10)
    assert mailbox.offer(message(0), 5) == []
    assert mailbox.offer(message(1), second_bytes) == ([] if fits else [message(0)])


async def test_offering_drops_the_oldest_and_says_which() -> None:
    mailbox = Mailbox(messages_max=2)
    dropped = [old for number in range(4) for old in mailbox.offer(message(number), 1)]
    assert dropped == [{"n": 0}, {"n": 1}]


async def test_a_message_larger_than_the_mailbox_is_dropped_itself() -> None:
    mailbox = Mailbox(bytes_max=10)
    mailbox.offer(message(0), 1)
    assert mailbox.offer(message(1), 11) == [message(1)]
    assert await mailbox.next() == message(0)


async def test_a_writer_waiting_for_room_goes_on_when_the_mailbox_ends() -> None:
    mailbox = Mailbox(messages_max=1)
    await mailbox.put(message(0), 1, stall_sec_max=1)
    waiting = spawn(mailbox.put(message(1), 1, stall_sec_max=5), name="waiting")
    await asyncio.sleep(0)
    mailbox.finish()
    await waiting
    assert [await mailbox.next(), await mailbox.next()] == [{"n": 0}, None]


async def test_draining_yields_until_the_end() -> None:
    mailbox = Mailbox()
    mailbox.offer(message(0), 1)
    mailbox.finish()
    assert [incoming.message async for incoming in mailbox.drain()] == [{"n": 0}]
