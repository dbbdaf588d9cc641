"""The watcher's thread: in force before anybody has heard, and the process ended when the loop does not answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from proxy.stop_files import Found, StopFiles
from proxy.stop_watch import EXIT_CODE, StopWatch
from proxy.stopped import Stopped
from review.model import StopScope
from tests.proxy.builders import stop_of

SOON_SEC = 20.0


class Loop:
    """The event loop as the watcher knows it, and the end of the process."""

    def __init__(self) -> None:
        self.told: list[Found] = []
        self.was_in_force: list[bool] = []
        self.answers = True
        self.is_closed = False
        self.heard = threading.Event()
        self.ended = threading.Event()
        self.codes: list[int] = []
        self.stopped = Stopped()

    def tell(self, found: Found, answered: Callable[[], None]) -> None:
        if self.is_closed:
            raise RuntimeError("Event loop is closed")
        self.was_in_force.append(self.stopped.over("demo", "payments") is not None)
        self.told.append(found)
        if self.answers:
            answered()
        self.heard.set()

    def end(self, code: int) -> None:
        self.codes.append(code)
        self.ended.set()


@pytest.fixture
def loop() -> Loop:
    return Loop()


@pytest.fixture
def files(tmp_path: Path) -> StopFiles:
    found = StopFiles(tmp_path)
    found.prepare()
    return found


@pytest.fixture
def watch(loop: Loop, files: StopFiles) -> Iterator[StopWatch]:
    made = StopWatch(files, loop.stopped, tell=loop.tell, end=loop.end, answer_within_sec=0.05)
    yield made
    made.close()


def test_p01_a_stop_is_in_force_before_the_loop_has_heard_of_it(watch: StopWatch, loop: Loop, files: StopFiles) -> None:
    watch.start()
    files.write(stop_of(StopScope.AGENT, "demo"))
    assert loop.heard.wait(SOON_SEC)
    assert loop.was_in_force == [True]
    watch.close()
    noted = files.noted("stop_1.json")
    assert noted is not None
    assert noted["in_force"] is True
    assert loop.codes == []


def test_each_file_is_told_once_also_the_one_that_is_there_again(
    watch: StopWatch, loop: Loop, files: StopFiles
) -> None:
    files.write(stop_of())
    watch.know("stop_1.json")
    files.write(stop_of(id="stop_2"))
    watch.look()
    watch.look()
    assert [found.stop.id for found in loop.told] == ["stop_2"]
    files.remove(["stop_2.json"])
    watch.look()
    files.write(stop_of(id="stop_2"))
    watch.look()
    assert [found.stop.id for found in loop.told] == ["stop_2", "stop_2"]


def test_p01_a_loop_that_does_not_answer_is_ended_with_its_process(
    watch: StopWatch, loop: Loop, files: StopFiles, capsys: pytest.CaptureFixture[str]
) -> None:
    loop.answers = False
    files.write(stop_of())
    watch.look()
    assert loop.ended.wait(SOON_SEC)
    assert loop.codes[0] == EXIT_CODE
    noted = files.noted("stop_1.json")
    assert noted is not None
    assert noted["ended_hard"] is True
    assert "it is ended. What was under way is in doubt" in capsys.readouterr().err


def test_p01_a_disk_that_hangs_does_not_keep_the_process_from_ending(
    watch: StopWatch, loop: Loop, files: StopFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop.answers = False
    hangs = threading.Event()
    files.write(stop_of())
    monkeypatch.setattr(files, "note", lambda *_: hangs.wait(SOON_SEC))
    threading.Thread(target=watch.look, daemon=True).start()
    assert loop.ended.wait(SOON_SEC)
    assert not hangs.is_set()
    hangs.set()


def test_a_closed_loop_is_told_no_more_and_the_stop_is_in_force(watch: StopWatch, loop: Loop, files: StopFiles) -> None:
    loop.is_closed = True
    files.write(stop_of())
    watch.look()
    assert loop.stopped.over("demo", "payments") is not None


def test_a_disk_that_cannot_be_read_or_written_is_said_once(
    watch: StopWatch, loop: Loop, files: StopFiles, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files.directory.rmdir()
    (tmp_path / "stops").write_text("no directory")
    watch.look()
    watch.look()
    assert capsys.readouterr().err.count("the directory of stops cannot be read") == 1
    assert loop.told == []
