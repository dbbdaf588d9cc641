"""One tool process: lines in, lines out, and its end."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from proxy.upstreams.child import Child, ChildCannotStart, ChildIsGone, ChildLimits, Command
from proxy.upstreams.environment import INHERITED, child_environment
from proxy.wire import strict_json
from tests.proxy.upstreams.builders import gone_within

ECHO = "import sys\nfor line in sys.stdin: print(line, end='', flush=True)"


class Heard:
    """Writes down what it hears."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self.broken: list[str] = []
        self.why: str | None = None
        self.moved = asyncio.Event()

    async def heard(self, value: Any, size: int) -> None:
        self.values.append(value)
        self.moved.set()

    def broke(self, why: str) -> None:
        self.broken.append(why)
        self.moved.set()

    def ended(self, why: str) -> None:
        assert self.why is None
        self.why = why
        self.moved.set()

    async def until(self, condition: Callable[[Heard], object]) -> None:
        async with asyncio.timeout(10):
            while not condition(self):
                self.moved.clear()
                await self.moved.wait()


type Start = Callable[..., Awaitable[tuple[Child, Heard]]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    made: list[Child] = []

    async def make(program: str, **limits: Any) -> tuple[Child, Heard]:
        heard = Heard()
        command = Command((sys.executable, "-c", program), child_environment(os.environ, {}))
        child = await Child.start("tool", command, heard, ChildLimits(grace_sec=0.2, **limits), clock=time.monotonic)
        made.append(child)
        return child, heard

    yield make
    for child in made:
        await child.end("the test is over")


async def test_what_is_written_comes_back_as_one_message(start: Start) -> None:
    child, heard = await start(ECHO)
    message = {"jsonrpc": "2.0", "id": 1, "method": "x", "params": {"text": "two\nlines – é\u2028"}}
    await child.write(message)
    await heard.until(lambda h: h.values)
    assert heard.values == [message]


async def test_numbers_of_a_result_are_kept_exactly(start: Start) -> None:
    _, heard = await start('print(\'{"big": 123456789012345678901234567890, "exact": 0.10000000000000000001}\')')
    await heard.until(lambda h: h.values)
    assert (
        strict_json.write(heard.values[0]) == b'{"big":123456789012345678901234567890,"exact":0.10000000000000000001}'
    )


async def test_both_line_ends_and_blank_lines_are_tolerated(start: Start) -> None:
    _, heard = await start("import sys; sys.stdout.write('\\r\\n\\n [1] \\r\\n{}\\n')")
    await heard.until(lambda h: h.why is not None)
    assert heard.values == [[1], {}]


@pytest.mark.parametrize(
    "line",
    ['{"a": 1, "a": 2}', '{"a": NaN}', '{"a": 1} {"b": 2}', "{", '{"a": "\\ud800"}', "[" * 9000],
)
async def test_a_message_that_is_not_strict_json_is_reported_as_broken(start: Start, line: str) -> None:
    _, heard = await start(f"print({line!r}); print('{{}}')")
    await heard.until(lambda h: h.why is not None)
    assert len(heard.broken) == 1
    assert heard.values == [{}]


async def test_stray_text_on_stdout_is_skipped(start: Start) -> None:
    _, heard = await start("print('Server listening …'); print('{}')")
    await heard.until(lambda h: h.why is not None)
    assert (heard.values, heard.broken) == ([{}], [])


async def test_endless_stray_text_ends_the_child(start: Start) -> None:
    child, heard = await start("while True: print('hello')", stray_lines_max=10)
    await heard.until(lambda h: h.why is not None)
    assert heard.why == "it wrote more than 10 lines on stdout that are no messages"
    assert not child.is_alive


@pytest.mark.parametrize(("length", "is_heard"), [(1_000, True), (1_001, False)])
async def test_a_line_may_be_as_long_as_the_limit_and_no_longer(start: Start, length: int, is_heard: bool) -> None:
    text = "x" * (length - 2)
    _, heard = await start(f"import time; print('\"{text}\"', flush=True); time.sleep(600)", line_bytes_max=1_000)
    await heard.until(lambda h: h.values or h.why is not None)
    assert (heard.values == [text]) is is_heard
    if not is_heard:
        assert heard.why == "it wrote a line longer than 1000 bytes"


async def test_a_child_that_writes_without_end_and_without_a_line_is_ended(start: Start) -> None:
    endless = "import os\nwhile True: os.write(1, b'{' * 65536)"
    _, heard = await start(endless, line_bytes_max=1_000)
    await heard.until(lambda h: h.why is not None)
    assert heard.why == "it wrote a line longer than 1000 bytes"


async def test_p14_a_child_that_keeps_writing_broken_messages_is_ended(start: Start) -> None:
    child, heard = await start("while True: print('{broken')", stray_lines_max=10)
    await heard.until(lambda h: h.why is not None)
    assert len(heard.broken) == 10
    assert not child.is_alive


async def test_p14_a_child_that_floods_its_output_leaves_others_their_turn(start: Start) -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.ensure_future(other())
    _, heard = await start("import os; os.write(1, b'{}\\n' * 5_000); os.read(0, 1)")
    at_first: list[int] = []
    hear = heard.heard

    async def noting(value: Any, size: int) -> None:
        at_first.append(turns)
        await hear(value, size)

    heard.heard = noting  # type: ignore[method-assign]
    await heard.until(lambda h: len(h.values) == 5_000)
    beside.cancel()
    assert len(set(at_first)) >= 50


async def test_what_a_child_wrote_before_it_ended_is_heard_before_its_end_is_told(start: Start) -> None:
    _, heard = await start("import os; os.write(1, b'{}\\n' * 500); os._exit(4)")
    await heard.until(lambda h: h.why is not None)
    assert len(heard.values) == 500
    assert heard.why == "it exited with status 4"


async def test_the_last_words_on_stderr_are_in_the_log_and_not_in_the_reason(start: Start) -> None:
    with capture_logs() as logs:
        _, heard = await start("import sys; sys.stderr.write('no \\x1b[31mtoken\\n'); sys.exit(1)")
        await heard.until(lambda h: h.why is not None)
    assert heard.why == "it exited with status 1 (what it said on stderr is in the log)"
    assert [entry["said"] for entry in logs if entry["event"] == "child_ended"] == ["no \\x1b[31mtoken"]


async def test_a_killed_child_says_so(start: Start) -> None:
    _, heard = await start("import os; os.kill(os.getpid(), 11)")
    await heard.until(lambda h: h.why is not None)
    assert heard.why == "it was killed by SIGSEGV"


async def test_a_full_stderr_does_not_stop_the_child(start: Start) -> None:
    _, heard = await start("import sys; sys.stderr.write('x' * 1_000_000); print('{}')")
    await heard.until(lambda h: h.values)
    assert heard.values == [{}]


async def test_a_command_that_cannot_be_started_says_why() -> None:
    with pytest.raises(ChildCannotStart, match="'no-such-command' could not be started: No such file or directory"):
        await Child.start("tool", Command(("no-such-command",), {}), Heard(), ChildLimits(), clock=time.monotonic)


async def test_a_working_directory_that_is_not_there_says_why(tmp_path: Path) -> None:
    command = Command((sys.executable,), {}, tmp_path / "gone")
    with pytest.raises(ChildCannotStart, match="gone"):
        await Child.start("tool", command, Heard(), ChildLimits(), clock=time.monotonic)


async def test_writing_to_a_child_that_is_gone_provably_wrote_nothing(start: Start) -> None:
    child, heard = await start("import sys; sys.exit(0)")
    await heard.until(lambda h: h.why is not None)
    marks: list[bool] = []
    with pytest.raises(ChildIsGone) as gone:
        await child.write({}, about_to=lambda: marks.append(True))
    assert (gone.value.wrote, marks) == (False, [])


async def test_the_mark_is_set_before_the_first_byte_may_leave(start: Start) -> None:
    child, heard = await start(ECHO)
    marks: list[int] = []
    await child.write({}, about_to=lambda: marks.append(len(heard.values)))
    assert marks == [0]


async def test_a_child_that_does_not_read_is_ended_and_the_write_counts_as_begun(start: Start) -> None:
    child, heard = await start("import time; time.sleep(600)", write_sec_max=0.3)
    with pytest.raises(ChildIsGone, match=r"did not read its input for 0\.3 s") as gone:
        await child.write({"text": "x" * 4_000_000})
    assert gone.value.wrote
    await heard.until(lambda h: h.why is not None)


async def test_ending_waits_until_the_process_is_gone(start: Start) -> None:
    child, heard = await start(ECHO)
    await child.end("enough")
    assert (heard.why, child.is_alive) == ("enough", False)
    with pytest.raises(ProcessLookupError):
        os.killpg(child.pid, 0)


async def test_a_killed_leash_takes_its_group_with_it(start: Start) -> None:
    child, heard = await start("import os, time; print(os.getpid(), flush=True); time.sleep(600)")
    await heard.until(lambda h: h.values)
    os.kill(child.pid, signal.SIGKILL)
    await heard.until(lambda h: h.why is not None)
    assert heard.why == "its process group was killed"
    assert gone_within(heard.values[0], 2)


async def test_a_stopped_leash_does_not_keep_its_group_alive(start: Start) -> None:
    child, heard = await start("import os, time; print(os.getpid(), flush=True); time.sleep(600)")
    await heard.until(lambda h: h.values)
    os.kill(child.pid, signal.SIGSTOP)
    await child.end("enough")
    assert heard.why == "enough"
    assert gone_within(heard.values[0], 2)


async def test_a_child_that_closed_its_input_is_not_written_to(start: Start) -> None:
    program = "import os, time; os.close(0); print('{}', flush=True); time.sleep(600)"
    child, heard = await start(program, write_sec_max=1)  # asyncio notices at once, uvloop does not
    await heard.until(lambda h: h.values)
    with pytest.raises(ChildIsGone):
        await child.write({"text": "x" * 10_000_000})


async def test_the_child_sees_only_the_environment_it_was_given(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTERLOCK_SECRET", "do not pass on")
    _, heard = await start("import json, os; print(json.dumps(dict(os.environ)))")
    await heard.until(lambda h: h.values)
    assert "INTERLOCK_SECRET" not in heard.values[0]
    assert set(heard.values[0]) <= set(INHERITED)
