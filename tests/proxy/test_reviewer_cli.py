"""Deciding from the terminal: what is printed is inert, what is approved is what was shown."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from policies.model import JsonObject
from proxy import reviewer_cli
from proxy.reviewer_client import Listing, Refused, Unreachable
from proxy.wire import strict_json

ROW: JsonObject = {
    "review": {
        "id": "rev_01ABCDEF",
        "kind": "approval",
        "state": "parked",
        "version": 1,
        "expires_at": 4_000_000_000.0,
        "answered_rules": ["refunds#over-100"],
    },
    "call": {
        "id": "call_01GHJKMN",
        "agent": "demo",
        "server": "payments",
        "tool": "refund",
        "state": "waiting",
        "proposed": {"arguments": {"amount": 250, "note": "\x1b[31mred\u202e"}},
        "approved": None,
        "decision": {"reason": "Refunds over 100 need a person", "rules": ["refunds#over-100"]},
    },
}


class Gate:
    """The API as a client sees it."""

    url = "http://gate"

    def __init__(self, *rows: JsonObject) -> None:
        self.rows = list(rows)
        self.doubtful: list[JsonObject] = []
        self.settled: list[JsonObject] = []
        self.unlisted = 0
        self.acts: list[tuple[str, JsonObject, dict[str, Any]]] = []
        self.undoable: list[JsonObject] = []
        self.vetoable: list[JsonObject] = []
        self.over: list[JsonObject] = []
        self.undo_until: float | None = None
        self.fails: Exception | None = None
        self.token = "token"

    def login(self, name: str, password: str) -> JsonObject:
        return {"token": self.token}

    def listed(self, queue: str, *, text: str = "") -> Listing:
        if self.fails is not None:
            raise self.fails
        held = [row for row in self.rows if row["review"]["kind"] == "release"]
        waiting = [row for row in self.rows if row not in held]
        rows = {"waiting": waiting, "quarantine": held, "undoable": self.undoable, "vetoable": self.vetoable}[queue]
        more = self.unlisted if queue == "waiting" else 0
        return Listing(rows, len(rows) + more, more > 0)

    def doubts(self) -> Listing:
        return Listing(self.doubtful, len(self.doubtful), False)

    def unjudged(self) -> Listing:
        return Listing(self.over, len(self.over), False)

    def queue(self) -> JsonObject:
        return {"settled": self.settled, "in_doubt": []}

    def resolve(self, call: JsonObject, found: str, note: str) -> JsonObject:
        self.acts.append(("resolve", call, {"found": found, "note": note}))
        return {}

    def show(self, one: str) -> JsonObject:
        for call in self.doubtful:
            if one == call["id"]:
                return {"call": deepcopy(call), "review": None, "shown": None, "cannot_decide": None}
        for row in (*self.rows, *self.settled):
            if one in (row["review"]["id"], row["call"]["id"]):
                return {**deepcopy(row), "shown": "digest-1", "cannot_decide": None, "escalates_to": "leads"}
        raise Refused("not_found", f"There is no {one}.")

    def act(self, act: str, shown: JsonObject, **more: Any) -> JsonObject:
        self.acts.append((act, shown, more))
        told = {"review_id": shown["review"]["id"], "call_id": shown["call"]["id"], "undo_until": self.undo_until}
        return {"state": "spendable", "agree": 1, "needed": 1, **told}


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    one = Gate(ROW)
    monkeypatch.setattr(reviewer_cli, "ReviewerClient", lambda url, token: one)
    monkeypatch.setattr(reviewer_cli, "load_sessions", lambda file: {})
    return one


def test_a_list_says_who_wants_what_and_until_when_and_nothing_in_it_can_touch_the_terminal(
    gate: Gate, capsys: pytest.CaptureFixture[str]
) -> None:
    assert reviewer_cli.run("list", "http://gate", json=False) == 0
    out = capsys.readouterr().out
    assert "ABCDEF" in out
    assert "demo → payments/refund" in out
    assert "250" in out
    assert "\x1b" not in out
    assert "\u202e" not in out


def test_an_empty_inbox_says_so(gate: Gate, capsys: pytest.CaptureFixture[str]) -> None:
    gate.rows = []
    reviewer_cli.run("list", "http://gate", json=False)
    assert capsys.readouterr().out == "Nothing waits for people.\n"


def test_approving_sends_exactly_what_was_shown(gate: Gate, capsys: pytest.CaptureFixture[str]) -> None:
    assert reviewer_cli.run("approve", "http://gate", review="ABCDEF", comment="fine") == 0
    ((act, shown, more),) = gate.acts
    assert (act, shown["shown"], more) == ("approve", "digest-1", {"comment": "fine"})
    out = capsys.readouterr().out
    assert out.index("250") < out.index("spendable")
    assert "\x1b" not in out


def test_p06_a_script_approves_only_what_the_digest_it_gives_is_of(
    gate: Gate, capsys: pytest.CaptureFixture[str]
) -> None:
    assert reviewer_cli.run("show", "http://gate", review="ABCDEF", json=False) == 0
    assert "digest-1" in capsys.readouterr().out
    assert reviewer_cli.run("approve", "http://gate", review="ABCDEF", comment="", digest="digest-0") == 1
    assert "changed since" in capsys.readouterr().err
    assert gate.acts == []
    assert reviewer_cli.run("approve", "http://gate", review="ABCDEF", comment="", digest="digest-1") == 0
    assert len(gate.acts) == 1


def test_what_is_no_address_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert reviewer_cli.run("list", "nonsense", json=False) == 2
    assert "'nonsense' is not an address" in capsys.readouterr().err


def test_rejecting_carries_the_reason(gate: Gate) -> None:
    assert reviewer_cli.run("reject", "http://gate", review="call_01GHJKMN", comment="no receipt") == 0
    assert gate.acts[0][0] == "reject"
    assert gate.acts[0][2] == {"comment": "no receipt"}


@pytest.mark.parametrize("spoken", ["ZZZZZZ", "rev_nothing"])
def test_an_id_that_names_nothing_is_refused(gate: Gate, spoken: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert reviewer_cli.run("show", "http://gate", review=spoken, json=False) == 1
    assert capsys.readouterr().err.startswith("interlock:")


def test_a_short_id_that_names_two_questions_is_refused(gate: Gate) -> None:
    other = deepcopy(ROW)
    other["review"]["id"] = "rev_99ABCDEF"
    gate.rows.append(other)
    assert reviewer_cli.run("approve", "http://gate", review="ABCDEF", comment="") == 1
    assert gate.acts == []


def test_without_a_login_the_way_to_one_is_said(gate: Gate, capsys: pytest.CaptureFixture[str]) -> None:
    gate.fails = Refused("not_logged_in", "A session is needed.")
    assert reviewer_cli.run("list", "http://gate", json=False) == 1
    assert "interlock login NAME" in capsys.readouterr().err


def test_an_approval_is_taken_back_as_it_stands(gate: Gate, capsys: pytest.CaptureFixture[str]) -> None:
    assert reviewer_cli.run("undo", "http://gate", review="ABCDEF", comment="the wrong customer") == 0
    ((act, shown, more),) = gate.acts
    assert (act, shown["shown"], more) == ("undo", "digest-1", {"comment": "the wrong customer"})


def test_whoever_approves_is_told_for_how_long_it_can_be_taken_back(
    gate: Gate, capsys: pytest.CaptureFixture[str]
) -> None:
    gate.undo_until = 4_000_000_000.0
    reviewer_cli.run("approve", "http://gate", review="ABCDEF", comment="")
    assert "To take it back: interlock approvals undo ABCDEF" in capsys.readouterr().out


def test_approvals_that_can_be_taken_back_are_listed(gate: Gate, capsys: pytest.CaptureFixture[str]) -> None:
    gate.rows, gate.undoable = [], [ROW]
    reviewer_cli.run("list", "http://gate", json=False)
    assert "ABCDEF  approved     demo → payments/refund" in capsys.readouterr().out


def test_what_goes_by_itself_is_listed_with_its_time_and_vetoed_with_a_reason(
    gate: Gate, capsys: pytest.CaptureFixture[str]
) -> None:
    gate.vetoable = [ROW]
    reviewer_cli.run("list", "http://gate", json=False)
    assert "ABCDEF  on the loop  demo → payments/refund" in (out := capsys.readouterr().out)
    assert "s unless vetoed]" in out
    assert reviewer_cli.run("veto", "http://gate", review="rev_01ABCDEF", comment="not today") == 0
    assert [(act, more) for act, _, more in gate.acts] == [("veto", {"comment": "not today"})]


def test_calls_that_are_over_are_listed_last_and_judged(gate: Gate, capsys: pytest.CaptureFixture[str]) -> None:
    gate.over = [ROW]
    reviewer_cli.run("list", "http://gate", json=False)
    assert "ABCDEF  to judge     demo → payments/refund" in capsys.readouterr().out.splitlines()[-1]
    assert reviewer_cli.run("judge", "http://gate", review="abcdef", verdict="wrong", comment="twice") == 0
    assert [(act, more) for act, _, more in gate.acts] == [("judge", {"verdict": "wrong", "comment": "twice"})]


def test_a_gate_that_does_not_answer_is_exit_code_three(gate: Gate, capsys: pytest.CaptureFixture[str]) -> None:
    gate.fails = Unreachable("no reviewers' listener answers at http://gate")
    assert reviewer_cli.run("list", "http://gate", json=False) == 3


def test_a_name_with_line_ends_forges_no_row_of_the_list(gate: Gate, capsys: pytest.CaptureFixture[str]) -> None:
    gate.rows[0] = deepcopy(ROW)
    gate.rows[0]["call"]["tool"] = "refund\nFAKE01  asks  good-agent → up/safe"
    assert reviewer_cli.run("list", "http://gate", json=False) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1
    reviewer_cli.run("show", "http://gate", review="ABCDEF", json=False)
    assert "FAKE01" in capsys.readouterr().out.splitlines()[0]


def test_everything_an_approval_binds_is_printed_before_it(gate: Gate, capsys: pytest.CaptureFixture[str]) -> None:
    gate.rows[0] = deepcopy(ROW)
    call = gate.rows[0]["call"]
    call["on_behalf_of"] = "mara"
    call["approved"] = {"arguments": {"amount": 180}, "input_responses": {"confirm": "yes, all of them"}}
    call["approved"]["request_state"] = "of the second order"
    reviewer_cli.run("approve", "http://gate", review="ABCDEF", comment="")
    out = capsys.readouterr().out
    assert out.index("The agent proposed:") < out.index("250") < out.index("A reviewer changed it to:")
    assert out.index("changed it to:") < out.index("180") < out.index("yes, all of them") < out.index("spendable")
    assert "mara" in out
    assert out.index("yes, all of them") < out.index("of the second order") < out.index("spendable")


def test_what_deceives_the_eye_is_pointed_out(gate: Gate, capsys: pytest.CaptureFixture[str]) -> None:
    gate.rows[0] = deepcopy(ROW)
    gate.rows[0]["call"]["tool"] = "ref\u0443nd"
    reviewer_cli.run("show", "http://gate", review="ABCDEF", json=False)
    out = capsys.readouterr().out
    assert "Beware: look-alike alphabets in one word (tool)" in out
    assert "Beware: turns the direction of text (arguments)" in out


def test_numbers_are_printed_as_they_were_sent(gate: Gate, capsys: pytest.CaptureFixture[str]) -> None:
    gate.rows[0] = {**ROW, "call": {**ROW["call"], "proposed": strict_json.read(b'{"arguments": {"amount": 250.10}}')}}
    for verb, more in (("list", {"json": False}), ("list", {"json": True}), ("show", {"json": True})):
        reviewer_cli.run(verb, "http://gate", review="ABCDEF", **more)
        assert "250.10" in capsys.readouterr().out


@pytest.mark.parametrize(("typed", "code"), [("y", 0), ("YES", 0), ("", 1), ("n", 1), ("what?", 1)])
def test_somebody_at_a_terminal_is_asked_after_they_were_shown(
    gate: Gate, typed: str, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    printed: list[str] = []

    def answer(_: str) -> str:
        printed.append(capsys.readouterr().out)
        return typed

    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("builtins.input", answer)
    assert reviewer_cli.run("approve", "http://gate", review="ABCDEF", comment="") == code
    assert "250" in printed[0]
    assert len(gate.acts) == (code == 0)


def test_a_held_output_and_a_call_in_doubt_are_listed_shown_and_say_where_they_are_settled(
    gate: Gate, capsys: pytest.CaptureFixture[str]
) -> None:
    call = {**ROW["call"], "id": "call_01HELD99", "inspection": {"why": "aws_access_key found"}, "state": "quarantined"}
    gate.rows = [{"review": {**ROW["review"], "id": "rev_01HELD11", "kind": "release"}, "call": call}]
    gate.doubtful = [{**ROW["call"], "id": "call_01DOUBT1", "state": "in_doubt"}]
    reviewer_cli.run("list", "http://gate", json=False)
    listed = capsys.readouterr().out
    assert "aws_access_key found" in listed
    assert "OUBT1  in doubt" in listed
    reviewer_cli.run("show", "http://gate", review="HELD11", json=False)
    assert "http://gate/q/call_01HELD99" in capsys.readouterr().out
    reviewer_cli.run("show", "http://gate", review="doubt1", json=False)
    assert "http://gate/c/call_01DOUBT1" in capsys.readouterr().out


def test_a_session_that_can_not_be_kept_is_said(
    gate: Gate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(reviewer_cli, "sessions_file", lambda: tmp_path / "file" / "sessions.json")
    monkeypatch.setattr("builtins.input", lambda _: "")
    monkeypatch.setattr("getpass.getpass", lambda _: "correct horse battery")
    assert reviewer_cli.run("login", "http://gate", name="anna") == 1
    assert "cannot be kept" in capsys.readouterr().err


HELD: JsonObject = {
    "review": {**ROW["review"], "id": "rev_01HHHHHH", "kind": "release", "state": "quarantined"},
    "call": {
        **ROW["call"],
        "id": "call_01JJJJJJ",
        "state": "quarantined",
        "inspection": {"why": "a key", "findings": []},
    },
}


@pytest.mark.parametrize(
    ("options", "act", "more"),
    [
        ({"redacted": False, "let_through": []}, "release", {}),
        ({"redacted": True, "let_through": ["US_SSN"]}, "release_redacted", {"let_through": ["US_SSN"]}),
    ],
)
def test_a_held_output_is_let_go_in_the_form_that_was_asked_for(
    gate: Gate, options: dict[str, Any], act: str, more: JsonObject
) -> None:
    gate.rows = [HELD]
    given = {"review": "HHHHHH", "comment": "it is ours", **options}
    assert reviewer_cli.run("release", "http://gate", digest="digest-0", **given) == 1
    assert gate.acts == []
    assert reviewer_cli.run("release", "http://gate", digest="digest-1", **given) == 0
    ((did, shown, told),) = gate.acts
    assert (did, shown["review"]["id"], told) == (act, "rev_01HHHHHH", {"comment": "it is ours", **more})


def test_a_held_output_is_erased_only_after_a_yes(
    gate: Gate, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gate.rows = [HELD]
    answers = iter(["n", "y"])
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda question: next(answers))
    assert reviewer_cli.run("destroy", "http://gate", review="HHHHHH", comment="a live key") == 1
    assert "Nothing was decided." in capsys.readouterr().out
    assert gate.acts == []
    assert reviewer_cli.run("destroy", "http://gate", review="HHHHHH", comment="a live key") == 0
    assert [act for act, _, _ in gate.acts] == ["destroy"]


def test_escalating_says_who_may_answer_now(gate: Gate, capsys: pytest.CaptureFixture[str]) -> None:
    assert reviewer_cli.run("escalate", "http://gate", review="ABCDEF", comment="over my head") == 0
    assert gate.acts[0][0] == "escalate"
    assert capsys.readouterr().out == "leads may answer it too: call call_01GHJKMN\n"


def test_a_question_that_is_over_can_be_spoken_of_by_its_short_id(gate: Gate) -> None:
    gate.rows, gate.settled = [], [ROW]
    assert reviewer_cli.run("comment", "http://gate", review="ABCDEF", comment="it was right") == 0
    assert [(act, more) for act, _, more in gate.acts] == [("comment", {"comment": "it was right"})]


def test_a_doubt_is_resolved_in_the_version_that_was_shown(gate: Gate, capsys: pytest.CaptureFixture[str]) -> None:
    gate.doubtful = [{**ROW["call"], "id": "call_01DDDDDD", "state": "in_doubt", "version": 4}]
    options = {"review": "DDDDDD", "found": "did_not_happen", "comment": "their ledger has none"}
    assert reviewer_cli.run("resolve", "http://gate", **options) == 0
    ((act, call, more),) = gate.acts
    assert (act, call["version"]) == ("resolve", 4)
    assert more == {"found": "did_not_happen", "note": "their ledger has none"}
    assert capsys.readouterr().out == "resolved: call call_01DDDDDD\n"


def test_a_list_that_is_cut_says_how_much_is_missing(gate: Gate, capsys: pytest.CaptureFixture[str]) -> None:
    gate.unlisted = 4_000
    assert reviewer_cli.run("list", "http://gate", json=True) == 0
    told = capsys.readouterr()
    assert "1 of 4001 are listed (waiting); the console has them all: http://gate/" in told.err
    assert strict_json.read(told.out.encode())["total"]["waiting"] == 4_001  # type: ignore[index,call-overload]
