"""The gate's hold on the template: forking, refusing, starting anew, ending."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import closing

import pytest

from policies.model import OutputRules
from proxy import inspector_template
from proxy.inspector_frames import LENGTH, Job, inspection_of, rules_frame
from proxy.inspector_template import InspectorsDown, Template
from proxy.inspector_worker import WorkerSettings
from redaction.model import Outcome, Surface

SETTINGS = WorkerSettings(("EMAIL_ADDRESS",), 0.4, ("US",), (), 1_000_000, 5.0)


@pytest.fixture
async def template() -> AsyncIterator[Template]:
    template = Template(SETTINGS, {})
    yield template
    await template.close()


async def forked(template: Template) -> tuple[int, socket.socket]:
    ours, theirs = socket.socketpair()
    with theirs:
        process_id = await template.fork(theirs)
    ours.setblocking(False)
    return process_id, ours


async def received(ours: socket.socket, count: int) -> bytes:
    """Up to `count` bytes; fewer if the other end has gone."""
    data = b""
    async with asyncio.timeout(10):
        while len(data) < count:
            try:
                chunk = await asyncio.get_running_loop().sock_recv(ours, count - len(data))
            except ConnectionResetError:
                return data
            if not chunk:
                return data
            data += chunk
    return data


async def is_working(ours: socket.socket) -> bool:
    job = Job(rules_frame(OutputRules()), Surface.RESULT.value, b"", "a@b.co").frame()
    await asyncio.get_running_loop().sock_sendall(ours, LENGTH.pack(len(job)) + job)
    head = await received(ours, LENGTH.size)
    if not head:
        return False
    answer = await received(ours, LENGTH.unpack(head)[0])
    return inspection_of(answer, "a@b.co").outcome is Outcome.REDACT


async def test_workers_are_forked_killed_alone_and_forked_again(template: Template) -> None:
    """One test, because starting takes a second."""
    (first, one), (second, two) = await forked(template), await forked(template)
    with closing(one), closing(two):
        assert (first != second, await is_working(one), await is_working(two)) == (True, True, True)
        template.kill(first)
        assert await received(one, 1) == b""
        assert await is_working(two)
        template.kill(os.getpid())  # not its child: nothing happens
        _, three = await forked(template)
        with closing(three):
            assert await is_working(three)
        await template.close()
        assert await received(two, 1) == b""


async def test_a_template_that_has_gone_is_started_anew_with_the_next_fork(template: Template) -> None:
    _, one = await forked(template)
    with closing(one):
        assert template._process is not None
        template._process.kill()
        template._process.wait()
        assert await is_working(one), "its workers go on"
        ours, theirs = socket.socketpair()
        with ours, theirs, pytest.raises(InspectorsDown):
            await template.fork(theirs)
        _, two = await forked(template)
        with closing(two):
            assert await is_working(two)


async def test_a_template_that_does_not_start_says_so(template: Template, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspector_template, "_ROOT", "/nowhere")
    monkeypatch.setattr(inspector_template, "_BOOT", "raise SystemExit(3)")
    with pytest.raises(InspectorsDown, match="ended while it started"):
        await forked(template)


async def test_an_interpreter_that_is_not_there_says_so(template: Template, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(InspectorsDown, match="could not be started: No such file"):
        await forked(template)


async def test_a_template_that_does_not_answer_is_given_up(template: Template, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspector_template, "START_SEC_MAX", 0.2)
    monkeypatch.setattr(inspector_template, "CLOSE_SEC_MAX", 0.2)
    monkeypatch.setattr(inspector_template, "_BOOT", "import time; time.sleep(60)")
    with pytest.raises(InspectorsDown, match=r"did not answer within 0\.2 s"):
        await forked(template)


async def test_killing_and_closing_without_a_template_is_nothing(template: Template) -> None:
    template.kill(1)
    await template.close()
    await template.close()


async def test_a_template_that_stops_answering_is_killed_and_started_anew(
    template: Template, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, one = await forked(template)
    assert template._process is not None
    stopped = template._process
    monkeypatch.setattr(inspector_template, "FORK_SEC_MAX", 0.2)
    with closing(one):
        stopped.send_signal(signal.SIGSTOP)
        with pytest.raises(InspectorsDown, match=r"did not answer within 0\.2 s"):
            await forked(template)
        assert stopped.returncode == -signal.SIGKILL
        assert await is_working(one), "its workers go on"
        monkeypatch.undo()
        _, two = await forked(template)
        with closing(two):
            assert await is_working(two)


async def test_a_fork_that_was_given_up_is_not_taken_for_the_next(template: Template) -> None:
    """The answer to the first would name another process, and a hung worker's kill would end the wrong one."""
    _, one = await forked(template)
    given_up = asyncio.ensure_future(forked(template))
    await asyncio.sleep(0)
    given_up.cancel()
    with pytest.raises(asyncio.CancelledError):
        await given_up
    process_id, two = await forked(template)
    with closing(one), closing(two):
        template.kill(process_id)
        assert await received(two, 1) == b""
        assert await is_working(one)


async def test_nothing_is_started_after_the_close(template: Template) -> None:
    _, one = await forked(template)
    with closing(one):
        closes, late = asyncio.ensure_future(template.close()), asyncio.ensure_future(forked(template))
        await closes
        with pytest.raises(InspectorsDown, match="closed"):
            await late
    assert template._process is None
