"""Cases beside policies: what a case says is what `decide` is asked, and no rule hides in a case file."""

from __future__ import annotations

from pathlib import Path

import pytest

from policies.cases import policies_of, read_cases
from policies.check import check
from policies.errors import PolicyErrors
from policies.loader import PolicyLoader

POLICY = """
classify:
  - {tools: [shop/look], topics: [job.shop.read], risk_tags: [read]}
rules:
  - {id: looks, match: {tools: [shop/look]}, decision: allow, reason: Looking changes nothing}
  - {id: asks, match: {tools: ["shop/*"]}, decision: require_approval}
  - {id: night, match: {tools: [ops/stop], hours: {from: "22:00", to: "06:00", zone: UTC}}, decision: allow}
"""
CASES = """note: What the shop's rules must do.
cases:
  - {note: looking is allowed, call: {tool: shop/look}, want: {effect: allow, rules: [p.yaml#looks]}}
  - {note: buying asks, call: {tool: shop/buy, args: {amount: 5}}, want: {effect: require_approval}}
  - {note: a changed tool asks, call: {tool: shop/look, drifted: true}, want: {effect: require_approval}}
  - {note: others are denied, call: {tool: bank/pay, agent: anna, groups: [ops]}, want: {effect: deny, rules: []}}
  - {note: a resource too, call: {tool: shop/mcp.resources/read, method: resources/read}, want: {effect: deny}}
  - {note: at night, call: {tool: ops/stop}, at: "2026-01-07T23:00:00+00:00", want: {effect: allow}}
  - {note: and not by day, call: {tool: ops/stop}, want: {effect: deny}}
"""


def errors(text: str) -> list[str]:
    with pytest.raises(PolicyErrors) as raised:
        read_cases({"p_test.yaml": text})
    return [str(error) for error in raised.value.errors]


def test_cases_that_come_out_as_wanted_are_counted() -> None:
    report, code = check({"p.yaml": POLICY, "p_test.yaml": CASES})
    assert code == 0, report
    assert "cases: 7 of 7 come out as wanted\nok: snapshot" in report


def test_a_case_that_comes_out_otherwise_is_named_with_its_place_and_fails_the_check() -> None:
    wrong = CASES.replace("args: {amount: 5}}, want: {effect: require_approval}", "}, want: {effect: allow}")
    report, code = check({"p.yaml": POLICY, "p_test.yaml": wrong})
    assert code == 1
    assert "p_test.yaml:4: buying asks: effect is 'require_approval', and 'allow' is wanted" in report
    assert report.endswith("cases: 6 of 7 come out as wanted\nfailed: cases come out otherwise")


def test_p01_rules_in_a_case_file_are_an_error_and_never_silently_no_rules(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("rules: [{decision: allow, match: {tools: [a/b]}}]", encoding="utf-8")
    loader = PolicyLoader(["*.yaml"], tmp_path)
    assert list(loader.load().files) == ["p.yaml"]
    (tmp_path / "load_test.yaml").write_text("rules: [{decision: deny}]", encoding="utf-8")
    with pytest.raises(PolicyErrors, match="holds cases and no rules"):
        loader.load()
    (tmp_path / "load_test.yaml").write_text(CASES, encoding="utf-8")
    assert list(loader.load().files) == ["p.yaml"]


def test_a_case_file_is_no_part_of_the_snapshot() -> None:
    assert policies_of({"p.yaml": POLICY, "p_test.yaml": CASES}) == {"p.yaml": POLICY}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cases: []", "p_test.yaml:1:8: cases must be a list with at least one item, not an empty list"),
        ("note: x", "p_test.yaml:1:1: no cases in a file named *_test.yaml"),
        ("cases: [{call: {tool: a/b}}]", "this case has no want"),
        ("cases: [{want: {effect: deny}}]", "this case has no call"),
        ("cases: [{call: {tool: b}, want: {effect: deny}}]", "p_test.yaml:1:23: a tool is written server/name"),
        ("cases: [{call: {tool: a/b}, want: {effect: alow}}]", "did you mean 'allow'?"),
        ("cases: [{call: {tool: a/b, arg: 1}, want: {effect: deny}}]", "did you mean 'args'?"),
        ("cases: [{call: {tool: a/b}, want: {}}]", "this case wants nothing"),
        ("cases: [{call: {tool: a/b}, at: noon, want: {effect: deny}}]", "this is no time"),
        ('cases: [{call: {tool: a/b}, at: "2026-01-07T12:00:00", want: {effect: deny}}]', "this time has no zone"),
        ("cases: {", "p_test.yaml:1"),
    ],
)
def test_mistakes_in_case_files_say_where_and_how_to_mend_them(text: str, said: str) -> None:
    assert any(said in error for error in errors(text)), errors(text)
