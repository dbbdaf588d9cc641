"""The worker's own side: answering jobs, checking schemas, and ending when it must."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from threading import Thread
from typing import Any

import pytest

from policies.model import Do, FieldRule, OutputRules
from proxy.inspector_frames import LENGTH, Job, inspection_of, rules_frame
from proxy.inspector_worker import StrictCodec, WorkerSettings, inspector, work
from redaction.embedded import AmbiguousJson, NotJson
from redaction.model import Inspection, Outcome, Surface

SETTINGS = WorkerSettings((), 0.4, ("US", "GB"), ("image/*",), 4 * 1024 * 1024, 5.0)
CARD = {"jsonrpc": "2.0", "id": 1, "result": {"content": [], "structuredContent": {"card": 4111111111111111}}}

type Ask = Callable[..., Inspection]


@pytest.fixture(scope="module")
def answer() -> Callable[[bytes], bytes]:
    return inspector(SETTINGS)


@pytest.fixture
def ask(answer: Callable[[bytes], bytes]) -> Ask:
    def asked(message: Any, rules: OutputRules | None = None, schema: bytes = b"") -> Inspection:
        frame = Job(rules_frame(rules or OutputRules()), Surface.RESULT.value, schema, message).frame()
        return inspection_of(answer(frame), message)

    return asked


def schema(kind: str) -> bytes:
    import pickle

    return pickle.dumps({"type": "object", "properties": {"card": {"type": kind}}, "required": ["card"]})


def test_a_job_is_answered_with_an_inspection(ask: Ask) -> None:
    inspection = ask("write to a@b.co")
    assert (inspection.outcome, inspection.message) == (Outcome.REDACT, "write to [REDACTED]")


@pytest.mark.parametrize(("kind", "outcome"), [("string", Outcome.REDACT), ("integer", Outcome.QUARANTINE)])
def test_redacted_content_must_fit_the_tools_output_schema(ask: Ask, kind: str, outcome: Outcome) -> None:
    assert ask(CARD, schema=schema(kind)).outcome is outcome


@pytest.mark.parametrize("frame", [b"\x80\x05N.", b"\x80\x05]."])
def test_a_schema_that_cannot_be_checked_fits_nothing(ask: Ask, frame: bytes) -> None:
    assert ask(CARD, schema=frame).outcome is Outcome.QUARANTINE


def test_a_rule_that_cannot_be_read_quarantines(ask: Ask) -> None:
    inspection = ask("x", OutputRules(fields=(FieldRule("$..[", Do.REPLACE),)))
    assert (inspection.outcome, "cannot be read" in inspection.why) == (Outcome.QUARANTINE, True)


@pytest.mark.parametrize(
    ("text", "error"),
    [("{", NotJson), ('{"a":1,"a":1}', AmbiguousJson), ("[NaN]", AmbiguousJson), ('["\ud800"]', AmbiguousJson)],
)
def test_texts_are_read_by_the_houses_strict_reader(text: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        StrictCodec(1000).read(text)


def test_a_text_beyond_the_limit_is_not_read() -> None:
    with pytest.raises(AmbiguousJson):
        StrictCodec(10).read("[" + "1," * 10 + "1]")


@pytest.mark.parametrize("field", ["entities", "phone_regions"])
def test_a_setting_that_does_not_exist_is_an_error(field: str) -> None:
    values = {"entities": (), "phone_regions": ("US",)} | {field: ("NOWHERE",)}
    with pytest.raises(ValueError, match=f"inspection.{field}"):
        inspector(WorkerSettings(values["entities"], 0.4, values["phone_regions"], (), 1000, 5.0))


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def frame(data: bytes) -> bytes:
    return LENGTH.pack(len(data)) + data


def test_work_answers_one_job_after_the_other_and_ends_with_the_socket() -> None:
    """In a process of its own: alarms belong to the main thread."""
    ours, theirs = socket.socketpair()
    code = (
        "import socket, sys; from proxy.inspector_worker import work; "
        "work(socket.socket(fileno=int(sys.argv[1])), lambda job: job[::-1], 5.0)"
    )
    with ours, theirs:
        worker = subprocess.Popen([sys.executable, "-c", code, str(theirs.fileno())], pass_fds=[theirs.fileno()])
        theirs.close()
        ours.sendall(frame(b"abc")[:5])
        ours.sendall(frame(b"abc")[5:] + frame(b"x" * 200_000))
        received = b""
        while len(received) < 7 + 200_004:
            received += ours.recv(1 << 20)
        assert received == frame(b"cba") + frame(b"x" * 200_000)
        ours.close()
        assert worker.wait(10) == 0


def test_work_ends_with_half_a_frame_and_with_one_too_large(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    ours.sendall(LENGTH.pack(2**31))
    work(theirs, lambda job: job, 5.0)
    ours.sendall(frame(b"abc")[:5])
    ours.shutdown(socket.SHUT_WR)
    done = Thread(target=work, args=(theirs, lambda job: job, 5.0))
    done.start()
    done.join(5)
    assert not done.is_alive()


def test_p08_a_worker_that_hangs_ends_itself() -> None:
    ours, theirs = socket.socketpair()
    code = (
        "import socket, sys; from proxy.inspector_worker import work\n"
        "def hang(job):\n while True: pass\n"
        "work(socket.socket(fileno=int(sys.argv[1])), hang, -0.8)"
    )
    with ours, theirs:
        worker = subprocess.Popen([sys.executable, "-c", code, str(theirs.fileno())], pass_fds=[theirs.fileno()])
        ours.sendall(frame(b"abc"))
        assert worker.wait(20) == -signal.SIGALRM


FAILS = """
import sys
from proxy.inspector_worker import _say_where
sys.excepthook = _say_where
int("536-90-4399")
"""


def test_an_unexpected_end_says_where_and_never_with_which_value() -> None:
    done = subprocess.run([sys.executable, "-c", FAILS], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("interlock inspector ended: ValueError in <module>")
    assert "536" not in done.stderr
