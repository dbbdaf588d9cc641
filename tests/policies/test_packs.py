"""The shipped packs: each does what its cases say, whatever its servers are called, alone and beside all others; and
the shipped vocabulary, which is in every file set, bound to nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from policies.case_run import coverage, run_cases
from policies.cases import read_cases
from policies.check import check
from policies.decide import decide
from policies.errors import PolicyErrors
from policies.facts import Fact, FactType
from policies.lint import warnings
from policies.model import Direction, Effect
from policies.packs import (
    EVERY_SERVER,
    VOCABULARY,
    PackEntry,
    pack_cases,
    pack_names,
    pack_policy,
    pack_texts,
    pack_tools,
    read_entry,
    vocabulary,
)
from policies.schema import load_snapshot
from redaction.detectors.base import DEFAULT_KINDS
from redaction.detectors.secret_rules import SECRET_KINDS
from tests.policies.builders import errors_of, snapshot

LABELS = {"labels.yaml": (Path(__file__).parents[1] / "cases" / "packs" / "labels.yaml").read_text(encoding="utf-8")}
STRICTER = [Effect.ALLOW, Effect.REQUIRE_APPROVAL, Effect.DENY]


def entry(name: str, *servers: str) -> PackEntry:
    return PackEntry(name, () if name == EVERY_SERVER else servers)


def files(pack: PackEntry) -> dict[str, str]:
    beside = LABELS if pack.name == EVERY_SERVER else {}
    return beside | {pack.file: pack_policy(pack)}


def every_pack() -> list[PackEntry]:
    return [entry(name, f"the-{name}") for name in pack_names()]


@pytest.mark.parametrize("name", pack_names())
@pytest.mark.parametrize("servers", [("one",), ("One_2", "other-one")])
def test_a_pack_does_what_its_cases_say_and_nothing_in_it_looks_unintended(name: str, servers: tuple[str, ...]) -> None:
    pack = entry(name, *servers)
    report, code = check(files(pack) | {f"{pack.file}_test.yaml": pack_cases(pack)})
    assert (code, "advice" in report) == (0, False), report
    assert "{server}" not in pack_policy(pack)
    loaded = load_snapshot(files(pack), detector_kinds={*DEFAULT_KINDS, *SECRET_KINDS})
    outcomes = run_cases(read_cases({"c_test.yaml": pack_cases(pack)}), loaded, iter(range(1_000)).__next__)
    assert [rule.id for rule in coverage(loaded, outcomes).unreached] == []
    assert warnings(loaded) == []


@pytest.mark.parametrize("name", pack_names())
def test_a_pack_s_cases_hold_for_its_second_server_too(name: str) -> None:
    pack = entry(name, "first", "second")
    swapped = entry(name, "second", "first")
    report, code = check(files(pack) | {"c_test.yaml": pack_cases(swapped)})
    assert code == 0, report


def test_beside_all_other_packs_none_becomes_milder() -> None:
    packs = every_pack()
    loaded = load_snapshot(LABELS | {pack.file: pack_policy(pack) for pack in packs})
    for pack in packs:
        for case in read_cases({"c_test.yaml": pack_cases(pack)}):
            got = decide(case.call, loaded, case.facts, at=case.at).effect
            assert STRICTER.index(got) >= STRICTER.index(Effect(case.want["effect"])), case.note


@pytest.mark.parametrize("name", sorted(set(pack_names()) - {EVERY_SERVER}))
def test_every_tool_that_a_pack_knows_has_topic_tags_risk_and_says_whether_it_can_be_undone(name: str) -> None:
    loaded = load_snapshot(files(entry(name, "s")))
    assert pack_tools()[name]
    for tool in sorted(pack_tools()[name]):
        labels = loaded.profile("s", tool, "tools/call", Direction.AGENT_TO_TOOL).labels
        assert labels.is_classified, tool
        assert labels.topics, tool
        assert all(re.fullmatch(r"job\.[a-z]+\.[a-z-]+", topic) for topic in labels.topics), tool
        assert labels.risk_tags, tool
        assert labels.risk is not None, tool
        assert labels.reversible is not None, tool


@pytest.mark.parametrize("name", pack_names())
def test_a_pack_says_which_server_it_was_written_for_and_talks_to_agents_where_it_stops_them(name: str) -> None:
    assert name == EVERY_SERVER or re.search(r"Written for .*\d", pack_policy(entry(name, "s")), re.DOTALL)
    [policy] = [p for p in load_snapshot(files(entry(name, "s"))).policies if p.name == f"pack/{name}"]
    for rule in policy.rules:
        assert not rule.reason.startswith("Rule "), rule.id
        assert rule.effect.is_allowing or rule.agent_message, rule.id


@pytest.mark.parametrize("name", pack_names())
def test_a_pack_kept_as_a_file_of_one_s_own_still_does_what_its_cases_say(name: str) -> None:
    pack = entry(name, "mine")
    assert "yaml-language-server" not in pack_policy(pack)
    beside = LABELS if name == EVERY_SERVER else {}
    report, code = check(beside | {"own.yaml": pack_policy(pack), "own_test.yaml": pack_cases(pack)})
    assert code == 0, report


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("pack:git", PackEntry("git", ("git",))),
        ("pack:git=code", PackEntry("git", ("code",))),
        ("pack:git=code, other", PackEntry("git", ("code", "other"))),
        ("pack:baseline", PackEntry("baseline", ())),
    ],
)
def test_a_pack_is_named_with_the_servers_it_is_for(text: str, wanted: PackEntry) -> None:
    assert read_entry(text) == wanted


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pack:gti", "there is no pack 'gti' (did you mean 'git'?)"),
        ("pack:", "there is no pack ''"),
        ("pack:vocabulary", "there is no pack 'vocabulary'"),
        ("pack:../vocabulary", "there is no pack"),
        ("pack:git=", "'' cannot name a server"),
        ('pack:git=a"b', "cannot name a server"),
        ("pack:git=a*", "cannot name a server"),
        ("pack:git=a,a", "a server is named twice"),
        ("pack:baseline=a", "speaks of every server"),
    ],
)
def test_p01_what_names_no_pack_or_no_server_is_a_mistake(text: str, message: str) -> None:
    with pytest.raises(PolicyErrors) as raised:
        pack_texts([text])
    assert message in str(raised.value)


def test_one_pack_has_one_entry() -> None:
    assert list(pack_texts(["pack:git=a", "pack:git=a", "pack:sqlite"])) == ["pack:git", "pack:sqlite"]
    with pytest.raises(PolicyErrors, match="is named twice") as raised:
        pack_texts(["pack:git=a", "pack:git=b", "pack:nothing"])
    assert len(raised.value.errors) == 2


# ---- the vocabulary


def test_the_seeds_facts_are_known_and_bound_to_nothing() -> None:
    facts = snapshot("rules: [{id: a, decision: deny}]").facts
    assert facts["estimated_cost"] == Fact("estimated_cost")
    assert facts["amount_usd"].path is None
    assert facts["affected_users"] == Fact("affected_users", FactType.INTEGER)


def test_the_vocabulary_is_no_part_of_the_snapshot_s_files() -> None:
    one = snapshot("rules: [{id: a, decision: deny}]")
    assert set(one.files) == {"p1.yaml"}
    assert [policy.name for policy in one.policies] == ["p1.yaml"]


def test_the_vocabulary_loads_as_a_file_too() -> None:
    assert load_snapshot({"vocabulary.yaml": vocabulary()}).facts["amount"].path is None


def test_a_file_binds_a_name_of_the_vocabulary_and_keeps_its_type() -> None:
    assert snapshot("facts: {amount: {path: $.args.sum}}").facts["amount"].path is not None
    assert errors_of("facts: {amount: {path: $.args.sum, type: string}}") == [
        f"p1.yaml:1:9: 'amount' is defined otherwise in {VOCABULARY}, line 7 (a fact has one definition)"
    ]
