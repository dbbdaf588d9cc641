"""The kill switch from the terminal: a file where one may write, the listener elsewhere, and what each says."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from policies.model import JsonObject
from proxy import stop_cli
from proxy.reviewer_client import NoAddress, Refused, Unreachable
from proxy.stop_cli import Asked, run
from proxy.stop_files import StopFiles
from proxy.store import place
from review.model import StopScope

REACHED = {"questions_stopped": 2, "calls_cut": 1, "streams_cut": 0, "processes_ended": 0}
CONFIG = """
version: v1
data_dir: data
policies: [p.yaml]
servers: {payments: {url: "http://127.0.0.1:9/mcp"}}
agents: {support-bot: {key_sha256: "%s"}}
""" % ("a" * 64)


class Listener:
    """The reviewers' listener as a client sees it."""

    def __init__(self) -> None:
        self.standing: list[JsonObject] = []
        self.lifted: list[tuple[str, str]] = []
        self.is_there = True
        self.fails: Exception | None = None

    def __call__(self, url: str, _token: str = "") -> Listener:
        self.url = url
        return self

    def answers(self) -> bool:
        return self.is_there

    def stops(self) -> list[JsonObject]:
        if self.fails is not None:
            raise self.fails
        return list(self.standing)

    def stop(self, scope: str, target: str, why: str) -> JsonObject:
        if self.fails is not None:
            raise self.fails
        stop = {"id": "stop_1", "scope": scope, "target": target, "why": why, "ordered_by": "reviewer:anna", "at": 0.0}
        self.standing.append({**stop, "is_recorded": False, "reached": REACHED})
        return self.standing[-1]

    def lift(self, stop_id: str, why: str) -> JsonObject:
        self.lifted.append((stop_id, why))
        return {"id": stop_id}


@pytest.fixture(autouse=True)
def listener(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Listener:
    one = Listener()
    monkeypatch.setattr(stop_cli, "ReviewerClient", one)
    monkeypatch.setattr(stop_cli, "load_sessions", lambda _file: {})
    monkeypatch.setattr(stop_cli, "IN_FORCE_SEC", 0.2)
    monkeypatch.setattr(stop_cli, "SETTLED_SEC", 0.2)
    monkeypatch.delenv("SUDO_USER", raising=False)
    monkeypatch.delenv("INTERLOCK_REVIEW_URL", raising=False)
    (tmp_path / "interlock.yaml").write_text(CONFIG)
    (tmp_path / "data").mkdir(mode=0o700)
    return one


@pytest.fixture
def here(tmp_path: Path) -> dict[str, Any]:
    return {"config": tmp_path / "interlock.yaml"}


@pytest.fixture
def files(tmp_path: Path) -> StopFiles:
    return StopFiles(tmp_path / "data")


@pytest.fixture
def running(tmp_path: Path) -> Iterator[place.Lock]:
    lock = place.take(tmp_path / "data" / "interlock.db")
    (tmp_path / "data" / "interlock.db.lock").write_text("pid 999999999\n")  # not this process: it would be ended
    yield lock
    lock.release()


def only(files: StopFiles) -> Any:
    (found,) = files.read_all()
    return found.stop


def test_on_the_machine_a_stop_is_on_the_disk_without_a_login(
    here: dict[str, Any], files: StopFiles, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUDO_USER", "maria")
    assert run("stop", Asked(**here, agent="support-*", why="it leaks")) == 0
    stop = only(files)
    assert (stop.scope, stop.target, stop.why, stop.login) == (
        StopScope.AGENT,
        "support-*",
        "it leaks (sudo: maria)",
        "local",
    )
    out = capsys.readouterr().out
    assert "Stopped: agent support-*" in out
    assert "The gate is not running: nothing is sent. It stays stopped when it is started." in out


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ({"agent": "suport-bot"}, "the nearest is 'support-bot'"),
        ({"server": "pay"}, "the nearest is 'payments'"),
        ({}, "say what: one of --all"),
        ({"everything": True, "agent": "support-bot"}, "say what: one of --all"),
    ],
)
def test_what_names_nothing_stops_nothing(
    here: dict[str, Any], files: StopFiles, capsys: pytest.CaptureFixture[str], what: dict[str, Any], says: str
) -> None:
    assert run("stop", Asked(**here, **what)) == 2
    assert says in capsys.readouterr().err
    assert files.read_all() == []


def test_it_waits_until_the_gate_has_it_in_force_and_says_what_it_reached(
    here: dict[str, Any],
    files: StopFiles,
    running: place.Lock,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stop_cli, "IN_FORCE_SEC", 20)
    monkeypatch.setattr(stop_cli, "SETTLED_SEC", 20)

    def gate() -> None:
        while not files.names():
            pass
        (name,) = files.names()
        files.note(name, {"in_force": True})
        files.note(name, {"in_force": True, "is_settled": True, "reached": REACHED})

    thread = threading.Thread(target=gate)
    thread.start()
    assert run("stop", Asked(**here, everything=True)) == 0
    thread.join()
    out = capsys.readouterr().out
    assert "The gate has it in force: nothing more is sent." in out
    assert "It ended 2 questions and 0 streams, cut 1 calls" in out


def test_a_gate_that_cannot_say_that_it_has_ended_what_waits_is_told_as_that(
    here: dict[str, Any], files: StopFiles, running: place.Lock, capsys: pytest.CaptureFixture[str]
) -> None:
    noted = StopFiles.noted
    StopFiles.noted = lambda self, name: {"in_force": True}  # type: ignore[method-assign,assignment]
    try:
        assert run("stop", Asked(**here, everything=True)) == 1
    finally:
        StopFiles.noted = noted  # type: ignore[method-assign]
    assert "look at its log" in capsys.readouterr().out


def test_a_gate_that_does_not_react_and_cannot_be_seen_is_said_to_go_on(
    here: dict[str, Any],
    running: place.Lock,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("stop", Asked(**here, everything=True)) == 3
    assert "end it there, by force (kill -9)" in capsys.readouterr().err


def test_elsewhere_it_goes_through_the_listener(listener: Listener, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("stop", Asked(url="http://gate:8611/", server="payments", why="x")) == 0
    assert (listener.standing[0]["scope"], listener.standing[0]["target"]) == ("server", "payments")
    out = capsys.readouterr().out
    assert "Stopped: server payments (stop_1)" in out
    assert "The record cannot be written at the moment" in out


def test_a_full_disk_leaves_the_listener(
    here: dict[str, Any], listener: Listener, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data" / "stops").write_text("no directory")
    assert run("stop", Asked(**here, everything=True)) == 0
    assert listener.standing[0]["scope"] == "all"
    assert "trying the reviewers' listener" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("problem", "code", "says"),
    [
        (Refused("not_logged_in", "x"), 1, "interlock login NAME --url http://gate"),
        (Refused("role_missing", "This needs an admin.\x1b[31m"), 1, "This needs an admin."),
        (Unreachable("nobody answers"), 3, "nobody answers"),
        (NoAddress("no address"), 2, "no address"),
    ],
)
def test_a_listener_that_says_no_or_nothing_is_told_with_its_code(
    listener: Listener, capsys: pytest.CaptureFixture[str], problem: Exception, code: int, says: str
) -> None:
    listener.fails = problem
    assert run("stop", Asked(url="http://gate", everything=True)) == code
    err = capsys.readouterr().err
    assert says in err
    assert "\x1b" not in err


def test_without_a_configuration_the_data_directory_or_the_listener_is_named(
    tmp_path: Path, files: StopFiles, capsys: pytest.CaptureFixture[str]
) -> None:
    absent = tmp_path / "absent.yaml"
    assert run("stop", Asked(config=absent, everything=True)) == 2
    assert "--data-dir DIRECTORY" in capsys.readouterr().err
    assert run("stop", Asked(config=absent, data_dir=tmp_path / "nowhere", everything=True)) == 2
    assert run("stop", Asked(config=absent, data_dir=tmp_path / "data", agent="whoever")) == 0
    assert only(files).target == "whoever"


def test_an_admin_lets_go_of_exactly_what_is_named(listener: Listener, capsys: pytest.CaptureFixture[str]) -> None:
    listener.stop("agent", "demo", "")
    listener.standing.append({**listener.standing[0], "id": "stop_2", "scope": "all", "target": "*"})
    assert run("resume", Asked(url="http://gate", agent="demo", why="mended")) == 0
    assert listener.lifted == [("stop_1", "mended")]
    out = capsys.readouterr().out
    assert "Goes on: agent demo (stop_1)" in out
    assert "Still stopped: everything" in out
    assert run("resume", Asked(url="http://gate", stop_id="stop_2", why="mended")) == 0
    assert run("resume", Asked(url="http://gate", agent="other", why="mended")) == 1
    assert "no such stop stands; what does: agent demo (stop_1), everything (stop_2)" in capsys.readouterr().err


def test_the_status_says_what_is_stopped_since_when_and_by_whom(
    here: dict[str, Any], files: StopFiles, listener: Listener, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("status", Asked(**here)) == 0
    assert "Nothing is stopped." in capsys.readouterr().out
    run("stop", Asked(**here, agent="support-bot", why="it \x1b[31mleaks"))
    (name,) = files.names()
    files.note(name, {"in_force": True, "reached": REACHED})
    capsys.readouterr()
    assert run("status", Asked(**here)) == 1
    out = capsys.readouterr().out
    assert "The gate answers at http://127.0.0.1:8611." in out
    assert "STOPPED: agent support-bot, for 0 min, by local:" in out
    assert "cut 1 calls" in out
    assert "\x1b" not in out
    listener.is_there = False
    assert run("status", Asked(**here, as_json=True)) == 3
    told = json.loads(capsys.readouterr().out)
    assert told["gate"] == {"answers": False, "runs": False}
    assert told["stops"][0]["reached"] == REACHED


def test_a_gate_that_runs_and_does_not_answer_is_told_as_that(
    here: dict[str, Any], listener: Listener, running: place.Lock, capsys: pytest.CaptureFixture[str]
) -> None:
    listener.is_there = False
    assert run("status", Asked(**here)) == 3
    assert "and does not answer at" in capsys.readouterr().out


def test_a_status_from_elsewhere_is_the_listeners(listener: Listener, capsys: pytest.CaptureFixture[str]) -> None:
    listener.stop("all", "*", "")
    assert run("status", Asked(url="http://gate")) == 1
    assert "STOPPED: everything" in capsys.readouterr().out
