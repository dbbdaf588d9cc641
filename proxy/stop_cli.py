"""`interlock stop`, `resume` and `status`: the kill switch from the terminal.

Rules of this module:
* `stop` needs no login where one may write the gate's data directory: it puts a stop's file there, durable before
  anything is said, and waits until the gate has it in force. A gate that does not react is ended (SIGKILL), and only a
  process that is seen to hold the lock of this database. Elsewhere it goes through the reviewers' listener.
* `resume` loosens, so it always goes through the reviewers' listener, as an admin.
* `status` reads what is there to read: files and lock where one may, else the listener.
* Exit codes: 0 done (`status`: the gate is there and nothing is stopped), 1 the gate said no, or cannot be told to have
  taken it (`status`: something is stopped), 2 wrong usage or configuration, 3 the gate cannot be reached.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from policies.model import JsonObject
from proxy.config import Config
from proxy.config_file import ConfigErrors, ConfigNotFound, Loaded, Places, load, user_config_dir
from proxy.ids import Ids
from proxy.refused_cli import exit_code
from proxy.reviewer_client import Refused, ReviewerClient, Unreachable, load_sessions
from proxy.stop_files import StopFiles, who_am_i
from proxy.store.holder import Holder, holder_of
from review.inert import marked_json, terminal
from review.model import Stop, StopScope
from review.refusals import Unacceptable
from review.stops import check_target

DATABASE = "interlock.db"
IN_FORCE_SEC = 3.0
SETTLED_SEC = 15.0
_LOOK_SEC = 0.05


class Failed(Exception):
    """It was not done; `code` is the exit code."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line was given."""

    config: Path | None = None
    data_dir: Path | None = None
    url: str | None = None
    agent: str | None = None
    server: str | None = None
    everything: bool = False
    stop_id: str | None = None
    why: str = ""
    as_json: bool = False

    @property
    def what(self) -> tuple[StopScope, str]:
        """Raises: Failed."""
        given = [
            (StopScope.ALL, "*") if self.everything else None,
            (StopScope.AGENT, self.agent) if self.agent is not None else None,
            (StopScope.SERVER, self.server) if self.server is not None else None,
        ]
        found = [(scope, target) for one in given if one is not None for scope, target in [one]]
        if len(found) != 1:
            raise Failed("say what: one of --all, --agent NAME or --server NAME", 2)
        return found[0]


@dataclass(frozen=True, slots=True)
class Gate:
    """Where the gate is, as far as this user can see it."""

    files: StopFiles | None  # None: its data directory is not ours to write
    database: Path | None
    names: dict[StopScope, list[str]] | None  # None: no configuration was read
    url: str

    def holder(self) -> Holder | None:
        return holder_of(self.database) if self.database is not None else None


def run(verb: str, asked: Asked) -> int:
    """Do one verb; the exit code."""
    try:
        gate = _gate(asked)
        try:
            return _VERBS[verb](asked, gate)
        except (Refused, Unreachable) as problem:
            return exit_code(problem, url=gate.url)
    except Failed as failed:
        print(f"interlock: {failed}", file=sys.stderr)
        return failed.code


# -- stop --------------------------------------------------------------------------------------------------------------


def _stop(asked: Asked, gate: Gate) -> int:
    scope, target = asked.what
    if gate.files is None:
        return _stop_as_reviewer(gate, scope, target, asked.why)
    if gate.names is not None:
        try:
            target = check_target(scope, target, gate.names.get(scope, []))
        except Unacceptable as unknown:
            raise Failed(unknown.message, 2) from unknown
    now = time.time()  # noqa: TID251 - a terminal's own clock
    behind = os.environ.get("SUDO_USER")
    why = f"{asked.why} (sudo: {behind})".strip() if behind else asked.why
    stop = Stop(Ids().stop(), scope, target, who_am_i(), why, now, "local")
    try:
        gate.files.write(stop)
    except OSError as error:
        return _not_written(gate, error, scope, target, asked.why)
    print(f"Stopped: {terminal(stop.says)} ({stop.id}). It is on the disk and holds over restarts.")
    return _follow(gate, gate.files, stop)


def _not_written(gate: Gate, error: OSError, scope: StopScope, target: str, why: str) -> int:
    """A full disk, a directory that is gone: the listener is the other way in."""
    print(
        f"interlock: the stop cannot be written to the disk ({error}); trying the reviewers' listener", file=sys.stderr
    )
    return _stop_as_reviewer(gate, scope, target, why)


def _follow(gate: Gate, files: StopFiles, stop: Stop) -> int:
    """Until the gate has it in force, and then until it has done what it had to do."""
    name = files.name_of(stop)
    if gate.holder() is None:
        print("The gate is not running: nothing is sent. It stays stopped when it is started.")
        return 0
    noted = _until(lambda: files.noted(name), lambda: gate.holder() is None, IN_FORCE_SEC)
    if noted is None:
        return _end_by_force(gate)
    print("The gate has it in force: nothing more is sent.")
    settled = _until(lambda: _settled(files.noted(name)), lambda: gate.holder() is None, SETTLED_SEC)
    if settled is not None:
        print(_reached(settled))
        return 0
    if gate.holder() is None:
        print("The gate was ended, with everything under way. What had been sent is in doubt; start it again.")
        return 0
    print("What waits for people is not known to be ended yet, or the record cannot be written: look at its log.")
    return 1


def _settled(noted: JsonObject | None) -> JsonObject | None:
    return noted if noted is not None and noted.get("is_settled") is True else None


def _end_by_force(gate: Gate) -> int:
    holder = gate.holder()
    if holder is None:
        print("The gate has ended: nothing is sent. It stays stopped when it is started.")
        return 0
    if not holder.end():
        raise Failed(
            f"the gate does not react, and its process ({holder.said}) cannot be seen from here: end it there, "
            "by force (kill -9)",
            3,
        )
    gone = _until(lambda: True if gate.holder() is None else None, lambda: False, SETTLED_SEC)
    if gone is None:
        raise Failed(f"the gate does not react, and its process ({holder.said}) does not end", 3)
    print("The gate did not react and was ended (SIGKILL). What had been sent is in doubt; start it again.")
    return 0


def _stop_as_reviewer(gate: Gate, scope: StopScope, target: str, why: str) -> int:
    answer = _client(gate).stop(scope.value, target, why)
    print(f"Stopped: {terminal(_says(answer))} ({answer['id']}).")
    print(_reached(answer))
    if not answer["is_recorded"]:
        print("The record cannot be written at the moment; it will tell of the stop as soon as it can.")
    return 0


# -- resume ------------------------------------------------------------------------------------------------------------


def _resume(asked: Asked, gate: Gate) -> int:
    client = _client(gate)
    standing = client.stops()
    if asked.stop_id is not None:
        chosen = [one for one in standing if one["id"] == asked.stop_id]
    else:
        scope, target = asked.what
        chosen = [one for one in standing if (one["scope"], one["target"]) == (scope.value, target)]
    if not chosen:
        kept = ", ".join(f"{_says(one)} ({one['id']})" for one in standing) or "nothing is stopped"
        raise Failed(f"no such stop stands; what does: {terminal(kept)}", 1)
    for one in chosen:
        client.lift(one["id"], asked.why)
        print(f"Goes on: {terminal(_says(one))} ({one['id']})")
    left = [_says(one) for one in standing if one not in chosen]
    if left:
        print(f"Still stopped: {terminal(', '.join(left))}")
    return 0


# -- status ------------------------------------------------------------------------------------------------------------


def _status(asked: Asked, gate: Gate) -> int:
    standing = _standing(gate)
    is_there = ReviewerClient(gate.url).answers()
    if asked.as_json:
        holder = gate.holder()
        told = {"gate": {"answers": is_there, "runs": holder is not None if gate.database else None}, "stops": standing}
        print(marked_json(told))
    else:
        _print_status(gate, standing, is_there=is_there)
    if not is_there:
        return 3
    return 1 if standing else 0


def _standing(gate: Gate) -> list[JsonObject]:
    """Raises: Refused, Unreachable, Failed."""
    if gate.files is None:
        return _client(gate).stops()
    try:
        found = gate.files.read_all()
    except OSError as error:
        raise Failed(f"the directory of stops cannot be read: {error}", 3) from error
    return [
        {
            "id": one.stop.id,
            "scope": one.stop.scope.value,
            "target": one.stop.target,
            "ordered_by": one.stop.ordered_by,
            "why": one.stop.why,
            "at": one.stop.at,
            **(gate.files.noted(one.name) or {"in_force": False}),
        }
        for one in found
    ]


def _print_status(gate: Gate, standing: list[JsonObject], *, is_there: bool) -> None:
    if is_there:
        print(f"The gate answers at {gate.url}.")
    elif (holder := gate.holder()) is not None:
        print(f"The gate runs ({holder.said}) and does not answer at {gate.url}.")
    else:
        print(f"No gate answers at {gate.url}.")
    if not standing:
        print("Nothing is stopped.")
    now = time.time()  # noqa: TID251 - a terminal's own clock, for how long ago
    for one in standing:
        print(f"STOPPED: {terminal(_says(one))}, for {_ago(now - one['at'])}, by {terminal(one['ordered_by'])}")
        if one["why"]:
            print(f"  why: {terminal(one['why'])}")
        print(f"  {_reached(one)}")
        print(f"  {one['id']}")


# -- small things ------------------------------------------------------------------------------------------------------


def _gate(asked: Asked) -> Gate:
    """Raises: Failed."""
    loaded: Loaded | None = None
    if asked.data_dir is None:
        try:
            loaded = load(asked.config, Places(os.environ, Path.cwd(), Path.home(), user_config_dir()))
        except (ConfigErrors, ConfigNotFound) as problem:
            if asked.url is None:
                other = "Without it: --data-dir DIRECTORY, or --url of the reviewers' listener"
                raise Failed(f"{problem}\n{other}", 2) from problem
    data_dir = asked.data_dir or (loaded.base / loaded.config.data_dir if loaded is not None else None)
    if asked.data_dir is not None and not asked.data_dir.is_dir():
        raise Failed(f"there is no directory {asked.data_dir}", 2)
    config = Config() if loaded is None else loaded.config
    is_ours = data_dir is not None and asked.url is None and os.access(data_dir, os.W_OK | os.X_OK)
    return Gate(
        files=StopFiles(data_dir) if data_dir is not None and is_ours else None,
        database=data_dir / DATABASE if data_dir is not None and is_ours else None,
        names=_names(loaded) if loaded is not None else None,
        url=(asked.url or os.environ.get("INTERLOCK_REVIEW_URL") or config.reviewers_listener.url()).rstrip("/"),
    )


def _names(loaded: Loaded) -> dict[StopScope, list[str]]:
    config = loaded.config
    anonymous = [config.anonymous.name] if config.anonymous.enabled else []
    return {StopScope.AGENT: sorted([*config.agents, *anonymous]), StopScope.SERVER: sorted(config.servers)}


def _client(gate: Gate) -> ReviewerClient:
    sessions = load_sessions(user_config_dir() / "reviewer-sessions.json")
    return ReviewerClient(gate.url, sessions.get(gate.url, ""))


def _until[T](look: Callable[[], T | None], is_over: Callable[[], bool], sec: float) -> T | None:
    """What `look` finds, as soon as it finds something; None after so long, or once it is over."""
    until = time.monotonic() + sec
    while (found := look()) is None and time.monotonic() < until:
        if is_over():
            return look()
        time.sleep(_LOOK_SEC)
    return found


def _says(one: JsonObject) -> str:
    return "everything" if one["scope"] == StopScope.ALL else f"{one['scope']} {one['target']}"


def _reached(one: JsonObject) -> str:
    reached: dict[str, Any] | None = one.get("reached")
    if reached is None:
        return "The gate has not told what it reached."
    return (
        f"It ended {reached['questions_stopped']} questions and {reached['streams_cut']} streams, cut "
        f"{reached['calls_cut']} calls that were under way, and ended {reached['processes_ended']} processes."
    )


def _ago(sec: float) -> str:
    minutes = max(0, int(sec)) // 60
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 48 * 60 else f"{minutes // 1440} days"


_VERBS: dict[str, Callable[[Asked, Gate], int]] = {"stop": _stop, "resume": _resume, "status": _status}
