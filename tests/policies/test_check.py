"""`interlock policy check`: the report and the exit code."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from policies.check import check, check_paths
from policies.schema import load_snapshot

GOOD = {"a.yaml": "rules: [{match: {tools: x}, decision: allow}, {decision: deny}]\ndefault: allow\n"}


def test_a_set_that_loads_is_summed_up() -> None:
    snapshot = load_snapshot(GOOD)
    assert check(GOOD) == (f"a.yaml: 1 allow, 1 deny, default allow\nok: snapshot {snapshot.id}", 0)
    report, _ = check({"a.yaml": "name: refunds\nfacts: {x: {path: $.args.x}}"})
    assert report.startswith("a.yaml (refunds): no rules\n")


def test_every_error_is_reported_and_the_exit_code_is_1() -> None:
    assert check({"a.yaml": "rules: [{decision: alow}, {decision: deny, id: 5}]"}) == (
        "a.yaml:1:20: decision cannot be 'alow' (did you mean 'allow'?)\n"
        "a.yaml:1:48: id must be text, not a number\n"
        "failed: 2 errors",
        1,
    )
    assert check({"a.yaml": ""})[0].endswith("failed: 1 error")


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        (
            "rules: [{id: a, match: {estimated_cost_above: 1}, decision: deny}]",
            "a.yaml:1: rule 'a' never matches by 'estimated_cost': no file says where it stands"
            " (facts: {estimated_cost: {path: $.args.…}})",
        ),
        ("classify: [{tools: a, topics: t}]", "a.yaml:1: no risk_tags; say which there are, or risk_tags: [] for none"),
        (
            "classify: [{tools: '**', risk_tags: []}]",
            "a.yaml:1: this classifies every tool of every server, also ones nobody looked at",
        ),
        (
            "rules:\n  - {id: a, decision: deny}\n  - {id: b, decision: allow}",
            "a.yaml:3: never tried: rule 'a' before it matches every call",
        ),
    ],
)
def test_advice_is_given_about_what_looks_unintended(text: str, advice: str) -> None:
    report, code = check({"a.yaml": text})
    assert f"advice: {advice}" in report.splitlines()
    assert code == 0


@pytest.mark.parametrize(
    "text",
    [
        "rules: [{match: {servers: x}, decision: deny}, {decision: deny}]",
        "rules: [{decision: allow}, {decision: deny}]",
        "classify: [{servers: s, risk_tags: []}]",
        "facts: {x: {path: $.args.x}}\nrules: [{match: {x_above: 1}, decision: deny}]",
    ],
)
def test_no_advice_without_need(text: str) -> None:
    assert "advice" not in check({"a.yaml": text})[0]


def test_files_are_read_from_disk(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(dedent(GOOD["a.yaml"]))
    report, code = check_paths([file])
    assert (report.splitlines()[0], code) == (f"{file}: 1 allow, 1 deny, default allow", 0)
    report, code = check_paths([file, tmp_path / "gone.yaml"])
    assert (report, code) == (
        f"{tmp_path}/gone.yaml:1:1: cannot be read: No such file or directory\nfailed: 1 error",
        1,
    )
