"""`interlock tail` over a scripted gate: it goes on where it was, gives up when it must, and prints nothing twice."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from proxy import tail
from proxy.reviewer_client import NoAddress, Refused, Unreachable
from proxy.tail import SinceUnread, Wanted, run, since_of
from proxy.tail_lines import Filter


def entry(seq: int, kind: str = "gate_started") -> bytes:
    data = {"seq": seq, "at": 0.0, "kind": kind, "actor": "gate", "call_id": None, "about": None, "body": {}}
    return f"id: {seq}\ndata: {json.dumps(data)}\n\n".encode()


def over(why: str) -> bytes:
    return f"event: over\ndata: {why}\n\n".encode()


class Gate:
    """Connections by turns: each a list of pieces and, at its end, what breaks it."""

    def __init__(self, *turns: list[bytes | Exception | type[BaseException]]) -> None:
        self.turns = list(turns)
        self.asked: list[tuple[str, dict[str, str]]] = []

    def stream(self, _client: object, path: str, headers: Mapping[str, str]) -> Iterator[bytes]:
        self.asked.append((path, dict(headers)))
        for piece in self.turns.pop(0) if self.turns else [KeyboardInterrupt]:
            if isinstance(piece, bytes):
                yield piece
            else:
                raise piece


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.setattr(tail, "sessions_file", lambda: tmp_path / "none")
    pauses: list[float] = []

    def watched(gate: Gate, wanted: Wanted | None = None) -> tuple[int, list[float]]:
        monkeypatch.setattr(tail.ReviewerClient, "stream", gate.stream.__get__(gate))
        monkeypatch.setattr(
            tail.ReviewerClient, "stream", lambda client, path, headers: gate.stream(client, path, headers)
        )
        return run("http://127.0.0.1:1", wanted or Wanted(Filter()), pause=pauses.append), pauses

    return watched


def test_it_goes_on_after_the_entry_it_saw_last(watch: Any, capsys: pytest.CaptureFixture[str]) -> None:
    cut = entry(3)
    away = Unreachable("no gate")
    gate = Gate([entry(1), entry(2), cut[:20], away], [away], [away], [cut, entry(4)])
    code, pauses = watch(gate, Wanted(Filter(), last=5))
    assert code == 0
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 4
    assert [headers.get("Last-Event-ID") for _, headers in gate.asked] == [None, "2", "2", "2", "4"]
    assert pauses == [0.5, 1.0, 2.0, 0.5]
    assert err.count("waiting for it") == 2
    assert gate.asked[0][0] == "/tail?last=5"


@pytest.mark.parametrize(
    ("turn", "code", "said"),
    [
        ([Unreachable("no listener answers")], 3, "no listener answers"),
        ([NoAddress("no address")], 2, "no address"),
        ([Refused("not_logged_in", "?")], 1, "interlock login NAME"),
        ([Refused("too_many_streams", "Too many")], 1, "Too many"),
        ([entry(1), over("logged out")], 1, "interlock login NAME"),
        ([b"data: not json\n\n"], 3, "no gate"),
        ([b"data: \xff\n\n"], 3, "no gate"),
    ],
)
def test_what_cannot_go_on_is_said_with_its_exit_code(
    watch: Any, capsys: pytest.CaptureFixture[str], turn: list[Any], code: int, said: str
) -> None:
    gate = Gate(turn)
    if said == "no gate":
        gate.turns.append([NoAddress("no gate")])  # after a stream that broke it comes back, as after any other
    got, _ = watch(gate)
    assert said in capsys.readouterr().err
    assert got == (2 if said == "no gate" else code)


def test_a_gate_that_is_full_or_cannot_read_its_record_just_now_is_waited_for(watch: Any) -> None:
    busy = Refused("too_many_streams", "Too many")
    gate = Gate(
        [entry(1), over("the record cannot be read just now")], [busy], [Refused("store_down", "x")], [entry(2)]
    )
    assert watch(gate)[0] == 0
    assert len(gate.asked) == 5


def test_without_following_it_ends_at_the_end_and_a_record_that_cannot_be_read_is_no_end(
    watch: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    once = Wanted(Filter(), since=77, follows=False)
    gate = Gate([entry(1), over("end")])
    assert watch(gate, once) == (0, [])
    assert gate.asked[0][0] == "/tail?since=77&follow=0"
    assert len(capsys.readouterr().out.splitlines()) == 1
    assert watch(Gate([over("the record cannot be read just now")]), once)[0] == 3


def test_programs_get_an_object_a_line(watch: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert watch(Gate([entry(1), entry(2), over("end")]), Wanted(Filter(), follows=False, as_json=True))[0] == 0
    assert [json.loads(text)["seq"] for text in capsys.readouterr().out.splitlines()] == [1, 2]


def test_since_is_a_span_or_a_time() -> None:
    assert [since_of(text, 1_000_000) for text in ("30s", "10m", "2h", "1d")] == [999_970, 999_400, 992_800, 913_600]
    assert since_of("2026-11-21T14:00:00+00:00", 0) == 1_795_269_600
    for text in ("", "10", "m", "10y", "yesterday", "99999999999d"):
        with pytest.raises(SinceUnread, match="write 10m"):
            since_of(text, 0)
