"""Stops as files: durable, read strictly, and stopping everything where they cannot be understood."""

from __future__ import annotations

import json
import os
import pwd
from pathlib import Path

import pytest

from proxy.stop_files import FILE_BYTES_MAX, Found, StopFiles
from review.model import StopScope
from tests.proxy.builders import T0, stop_of

ME = f"local:{pwd.getpwuid(os.getuid()).pw_name}"


@pytest.fixture
def files(tmp_path: Path) -> StopFiles:
    found = StopFiles(tmp_path)
    found.prepare()
    return found


def only(files: StopFiles) -> Found:
    (found,) = files.read_all()
    return found


def test_a_stop_comes_back_from_its_file_whose_owner_ordered_it(files: StopFiles) -> None:
    stop = stop_of(StopScope.AGENT, "support-*", ordered_by=ME, why="it leaks", login="local")
    files.write(stop)
    assert only(files) == Found("stop_1.json", stop)
    assert oct((files.directory / "stop_1.json").stat().st_mode)[-3:] == "600"
    files.remove([files.name_of(stop)])
    assert files.read_all() == []


def test_p11_what_a_file_says_of_people_is_not_believed_only_repeated(files: StopFiles) -> None:
    files.write(stop_of(ordered_by="reviewer:maria", why="x"))
    assert only(files).stop.ordered_by == ME
    assert only(files).stop.why == "x (its file says that reviewer:maria ordered it)"


GOOD = {"id": "s", "scope": "agent", "target": "demo", "ordered_by": "x", "why": "", "at": T0, "login": "local"}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{",
        json.dumps({**GOOD, "scope": "tool"}).encode(),
        json.dumps({**GOOD, "target": ""}).encode(),
        json.dumps({**GOOD, "id": "other"}).encode(),
        json.dumps({**GOOD, "at": "now"}).encode(),
        json.dumps({**GOOD, "target": ["demo"]}).encode(),
        json.dumps({name: value for name, value in GOOD.items() if name != "why"}).encode(),
        b" " * (FILE_BYTES_MAX + 1),
    ],
)
def test_p01_a_file_that_is_not_understood_stops_everything(files: StopFiles, data: bytes) -> None:
    (files.directory / "s.json").write_bytes(data)
    found = only(files)
    assert not found.is_understood
    assert (found.stop.scope, found.stop.ordered_by, found.stop.login) == (StopScope.ALL, ME, "local")
    assert "'s.json' in stops is no stop that can be understood" in found.stop.why


def test_p01_nor_does_a_link_or_a_directory_stop_less(files: StopFiles, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text(json.dumps(GOOD))
    (files.directory / "s.json").symlink_to(tmp_path / "elsewhere")
    (files.directory / "d").mkdir()
    assert [found.stop.scope for found in files.read_all()] == [StopScope.ALL, StopScope.ALL]


def test_p01_a_file_of_another_user_stops_everything(files: StopFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    files.write(stop_of(StopScope.AGENT, "demo"))
    if os.getuid() == 0:  # whose own files are taken from everybody
        os.chown(files.directory / "stop_1.json", 4_242, -1)
    else:
        monkeypatch.setattr("os.geteuid", lambda: os.getuid() + 1)
    assert only(files).stop.scope is StopScope.ALL


def test_a_file_put_there_again_after_it_was_lifted_is_another_stop(files: StopFiles) -> None:
    touched = files.directory / "halt"
    touched.touch()
    first = only(files).stop
    os.utime(touched, ns=(1, 1))
    assert only(files).stop.id != first.id


def test_files_that_are_being_written_and_notes_are_no_stops(files: StopFiles) -> None:
    (files.directory / ".123.new").touch()
    files.note("stop_1.json", {"in_force": True})
    assert files.read_all() == []
    assert files.noted("stop_1.json") == {"in_force": True}
    assert files.noted("stop_2.json") is None
    (files.directory / ".stop_3.json.noted").write_text("[")
    assert files.noted("stop_3.json") is None
    files.remove(["stop_1.json"])
    assert files.noted("stop_1.json") is None


def test_no_directory_means_no_stops_and_one_that_goes_away_meanwhile_is_none(tmp_path: Path) -> None:
    files = StopFiles(tmp_path)
    assert files.names() == []
    assert files.read("gone.json") is None


def test_a_file_that_cannot_even_be_looked_at_stops_everything(tmp_path: Path) -> None:
    (tmp_path / "stops").write_text("no directory")
    found = StopFiles(tmp_path).read("s.json")
    assert found is not None
    assert (found.stop.scope, found.is_understood) == (StopScope.ALL, False)
