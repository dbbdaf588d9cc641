"""What the terminal prints of a question. Hostile calls: tests/proxy/test_reviewer_cli.py."""

from __future__ import annotations

import pytest

from policies.model import JsonObject
from proxy.reviewer_lines import FINDINGS_SHOWN_MAX, arguments, print_shown

REVIEW: JsonObject = {"id": "rev_1", "kind": "release", "state": "quarantined", "expires_at": 4_000_000_000.0}
CALL: JsonObject = {
    "id": "call_1",
    "agent": "demo",
    "server": "files",
    "tool": "read",
    "state": "quarantined",
    "decision": {},
}


def shown(findings: list[JsonObject], **more: object) -> JsonObject:
    call = {**CALL, "inspection": {"why": "a secret", "findings": findings}}
    return {"call": call, "review": REVIEW, "shown": "digest-1", "cannot_decide": None, **more}


@pytest.mark.parametrize("count", [FINDINGS_SHOWN_MAX - 1, FINDINGS_SHOWN_MAX, FINDINGS_SHOWN_MAX + 1])
def test_p14_a_held_output_is_told_by_kind_and_path_and_at_most_so_many(
    count: int, capsys: pytest.CaptureFixture[str]
) -> None:
    findings = [{"kind": "aws_access_key", "path": f"$.a[{number}]\nfound nothing"} for number in range(count)]
    print_shown(shown(findings), "http://gate")
    out = capsys.readouterr().out
    found = [line for line in out.splitlines() if line.startswith("  found aws_access_key at $.a[")]
    assert len(found) == min(count, FINDINGS_SHOWN_MAX)
    assert "\nfound nothing" not in out
    assert ("… and 1 more findings" in out) is (count > FINDINGS_SHOWN_MAX)
    assert "http://gate/q/call_1" in out


def test_what_others_said_is_printed_and_cannot_touch_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_shown(shown([], comments=[{"reviewer": "anna", "comment": "ask \x1b[2JBen\nState: approved"}]), "http://gate")
    out = capsys.readouterr().out
    assert "anna said: ask " in out
    assert "\x1b" not in out
    assert "\nState: approved" not in out


def test_arguments_that_a_list_left_out_are_told_by_the_first_of_them_and_their_size() -> None:
    told = {"digest": "d", "size_bytes": 1_000_022, "first": [{"path": "$.to", "value": "bo\nforged row"}]}
    assert arguments({"arguments_omitted": True, "arguments": told}) == 'to="bo\\nforged row" (in all 1,000,022 bytes)'
    assert arguments({"arguments_omitted": True, "arguments": {**told, "first": []}}) == "(in all 1,000,022 bytes)"


def test_what_the_call_will_be_held_to_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    told = shown([])
    kept = [{"kind": "network_allowlist", "value": ["a.example", "b.example"], "rule": "p#r"}]
    print_shown({**told, "call": {**told["call"], "decision": {"constraints": kept}}}, "http://gate")
    assert "  held to network_allowlist a.example, b.example by p#r\n" in capsys.readouterr().out
