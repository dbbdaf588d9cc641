"""The decision point against a naive second one, and what must hold of any set of policies (P1, P10)."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from policies.decide import decide
from policies.model import Agent, Decision, ToolCall
from policies.schema import load_snapshot
from policies.snapshot import PolicySnapshot
from tests.policies.builders import NOON, call
from tests.policies.reference_decide import (
    ASKING,
    Answer,
    facts_given,
    reference_decide,
    reference_review_after,
    reference_terms,
    said_by,
)

SERVERS, TOOLS, AGENTS = ("a", "b"), ("read", "write", "x.read", "deep/read"), ("bot", "other")
PATTERNS = (
    "a/read",
    "a.read",
    "read",
    "a/*",
    "b.*",
    "*/read",
    "*.read",
    "r*",
    "*",
    "**",
    "a/**",
    "x.read",
    "a/deep/read",
)
BROAD = ("a/**", "b/**", "*/read", "a.*", "**")
TOPICS, TAGS = ("job.crm.read", "job.crm.write"), ("read", "write", "prod", "egress")
FACTS = {
    "cost": {"path": "$.args.cost", "tools": ["a/*"], "min": 0},
    "people": {"path": "$.args.people", "tools": ["*/read", "b/**"]},
}
COMPARED = (*sorted(FACTS), "retry_count")
NUMBERS = (-5, 0, 50, 100, 150)

some = lambda words, most=2: st.lists(st.sampled_from(words), min_size=1, max_size=most, unique=True)  # noqa: E731 - a word for a table
any_or_all = lambda words: some(words) | some(words).map(lambda chosen: {"all": chosen})  # noqa: E731 - as above
comparisons = st.builds(
    "{} {} {}".format, st.sampled_from(COMPARED), st.sampled_from([">", "<", "<="]), st.sampled_from(NUMBERS)
)
joined = comparisons | st.builds("{} {} {}".format, comparisons, st.sampled_from(["AND", "OR"]), comparisons)
levels = st.integers(0, 3)
conditions = joined | joined.map("NOT ({})".format)
match_parts: dict[str, st.SearchStrategy[Any]] = {
    "tools": some(PATTERNS),
    "topics": any_or_all((*TOPICS, "job.*", "*.read", "*")),
    "risk_tags": any_or_all((*TAGS, "*")),
    "servers": some((*SERVERS, "*"), 1),
    "risk": some(("low", "medium", "high")),
    "reversible": st.booleans(),
    "oversight": some(("in_the_loop", "on_the_loop", "out_of_the_loop")),
    "agents": some(AGENTS, 1),
    **{f"{name}_{side}": st.sampled_from(NUMBERS) for name in COMPARED for side in ("above", "below")},
}


# Most rules allow: that is where errors cost most.
DECISIONS = (
    *("allow", "allow_with_constraints", "out_of_the_loop"),
    *("deny", "require_approval", "in_the_loop", "allow_unless_vetoed", "on_the_loop"),
)
timeouts = st.sampled_from([{}, {"on_timeout": "deny"}, {"on_timeout": "escalate"}, {"on_timeout": "approve"}])
leaving = st.sampled_from([{}, {"on_disconnect": "wait"}, {"on_disconnect": "execute"}])

constraints = st.fixed_dictionaries(
    {},
    optional={
        "max_runtime_sec": st.sampled_from([30, 60, 90]),
        "max_response_bytes": st.sampled_from([10, 20]),
        **{f"max_{name}": st.sampled_from(NUMBERS) for name in FACTS},
        "network_allowlist": some(("ok.example", "good.example")),
        "pin": st.sampled_from([{"$.args.note": True}, {"$.args.note": "150"}]),
        "forbid": st.just(["$.args.note"]),
    },
).filter(bool)


@st.composite
def rules(draw: st.DrawFn, decisions: tuple[str, ...] = DECISIONS) -> dict[str, Any]:
    rule: dict[str, Any] = {"decision": draw(st.sampled_from(decisions))}
    how_many = draw(st.sampled_from((0, 1, 1, 2)))
    keys = draw(st.lists(st.sampled_from(sorted(match_parts)), min_size=how_many, max_size=how_many, unique=True))
    if keys:
        rule["match"] = {key: draw(match_parts[key]) for key in keys}
    if draw(st.integers(0, 9)) == 0:
        rule.setdefault("match", {})[f"autonomy_level_{draw(st.sampled_from(['above', 'below']))}"] = draw(levels)
    if draw(st.integers(0, 2)) == 0:
        rule["condition"] = draw(conditions)
    said = said_by(rule)
    if said in ASKING and draw(st.booleans()):
        rule["when_missing"] = "skip"
    if said not in ASKING and draw(st.integers(0, 3)) == 0:
        rule["require_review_after"] = draw(st.booleans())
    if said == "allow_unless_vetoed" and draw(st.booleans()):
        rule["veto_window_sec"] = draw(st.sampled_from([0, 5, 60]))
    if (said == "require_approval" or rule.get("veto_window_sec")) and draw(st.booleans()):
        terms = draw(timeouts) | draw(leaving)
        if terms != {"on_timeout": "approve", "on_disconnect": "execute"} and not _shows_more_than_low(rule, terms):
            rule["approval"] = terms
    if said != "deny" and draw(st.integers(0, 2)) == 0:
        rule["constraints"] = draw(constraints)
        rule["on_violation"] = draw(st.sampled_from(["deny", "ask"]))
    return rule


def _shows_more_than_low(rule: dict[str, Any], terms: dict[str, str]) -> bool:
    """What does not load: approving in silence in a rule that speaks of tiers, or of a tool named in full."""
    match = rule.get("match", {})
    return terms.get("on_timeout") == "approve" and bool({"risk", "tools"} & set(match))


@st.composite
def entries(draw: st.DrawFn) -> dict[str, Any]:
    entry = {
        "tools": draw(some(PATTERNS) | some(BROAD, 3)),
        "topics": draw(some(TOPICS)),
        "risk_tags": draw(some(TAGS, 3)),
    }
    if draw(st.booleans()):
        entry["risk"] = draw(st.sampled_from(["low", "medium", "high"]))
    if draw(st.booleans()):
        entry["reversible"] = draw(st.booleans())
    if draw(st.booleans()):
        entry["oversight"] = draw(st.sampled_from(["in_the_loop", "on_the_loop", "out_of_the_loop"]))
    return entry


@st.composite
def policies(draw: st.DrawFn) -> list[dict[str, Any]]:
    files: list[dict[str, Any]] = [{"name": "base", "facts": FACTS}]
    labels = draw(st.lists(entries(), max_size=3) | st.lists(entries(), min_size=1, max_size=3))
    if labels:
        files[0]["classify"] = labels
    several = st.lists(st.lists(rules(), min_size=1, max_size=3), min_size=1, max_size=3)
    for number, chosen in enumerate(draw(several)):
        file: dict[str, Any] = {
            "name": f"p{number}",
            "rules": [{"id": f"r{i}", **rule} for i, rule in enumerate(chosen)],
        }
        if draw(st.integers(0, 3)) == 0:
            file["default"] = draw(st.sampled_from(["allow", "require_approval", "allow_with_constraints"]))
        files.append(file)
    if draw(st.integers(0, 2)) == 0:
        ladder = [draw(st.lists(rules(), min_size=1, max_size=2)) for _ in range(draw(st.integers(1, 3)))]
        files[-1]["autonomy_levels"] = {
            f"level_{number}": {"rules": [{"id": f"r{i}", **rule} for i, rule in enumerate(chosen)]}
            for number, chosen in enumerate(ladder)
        }
    return files


values = st.sampled_from(NUMBERS) | st.sampled_from(NUMBERS) | st.sampled_from(["150", None, [150], True, 99.5])
arguments = st.dictionaries(st.sampled_from(["cost", "people", "note"]), values, max_size=3)
seldom = st.integers(0, 4).map(lambda number: number == 0)
notes = st.fixed_dictionaries(
    {}, optional={"note": st.sampled_from(["https://ok.example/a.bc", "https://bad.example", "150", True, None])}
)
calls = st.builds(
    lambda server, tool, args, note, agent, is_unlisted, drifted: call(
        f"{server}/{tool}", args | note, agent=Agent(agent), is_listed=not is_unlisted, drifted=drifted
    ),
    st.sampled_from(SERVERS),
    st.sampled_from(TOOLS),
    arguments,
    notes,
    st.sampled_from(AGENTS),
    seldom,
    seldom,
)


told_levels = st.none() | levels | levels  # None: the gate did not say


def loaded(files: list[dict[str, Any]]) -> PolicySnapshot:
    """JSON is YAML."""
    return load_snapshot({f"{file['name']}.yaml": json.dumps(file) for file in files})


def terms_of(decision: Decision) -> tuple[int | None, str | None]:
    on_timeout = decision.approval.on_timeout if decision.approval is not None else None
    return decision.veto_window_sec, on_timeout.value if on_timeout is not None else None


def told(one: ToolCall, level: int | None) -> dict[str, Any]:
    given_but_level = {name: value for name, value in facts_given(one).items() if name != "autonomy_level"}
    return given_but_level if level is None else {**given_but_level, "autonomy_level": level}


def judged(files: list[dict[str, Any]], one: ToolCall, level: int | None = 1) -> tuple[str, tuple[str, ...]]:
    decision = decide(one, loaded(files), told(one, level), at=NOON)
    return decision.effect.value, decision.determining


@given(policies(), calls, told_levels)
@settings(max_examples=250)
@example([{"name": "base", "facts": FACTS}], call("a/read"), None)
def test_it_agrees_with_the_naive_decision_point(files: list[dict[str, Any]], one: ToolCall, level: int | None) -> None:
    decision = decide(one, loaded(files), told(one, level), at=NOON)
    assert compared(decision) == reference_decide(files, one, level)
    assert terms_of(decision) == reference_terms(files, one, level)
    assert decision.review_after == reference_review_after(files, one, level)


def compared(decision: Decision) -> Answer:
    held = sorted((kept.kind, str(kept.value), kept.rule) for kept in decision.constraints)
    return decision.effect.value, decision.determining, held


def test_the_cases_are_about_every_way_a_decision_comes_about() -> None:
    """A generator whose calls are nearly all denied by silence would compare nothing."""
    seen: Counter[str] = Counter()

    @given(policies(), calls, told_levels)
    @settings(max_examples=500, derandomize=True, database=None, deadline=None)
    def look(files: list[dict[str, Any]], one: ToolCall, level: int | None) -> None:
        decision = decide(one, loaded(files), told(one, level), at=NOON)
        seen["by a level"] += any(":level_" in ref for ref in decision.determining)
        by = "default" if any(ref.endswith("#default") for ref in decision.determining) else "rule"
        seen[f"{decision.effect} by {by if decision.determining else 'silence'}"] += 1
        seen["unclassified, and a rule spoke"] += not decision.classification.is_classified and by == "rule"
        seen["held"] += bool(decision.constraints)
        seen["violated"] += any(
            one in step.why for one in ("is not in it", "is above it", "stands at") for step in decision.trace
        )
        seen["several voices"] += sum(step.matched for step in decision.trace) > 1
        for step in decision.trace:
            seen["doubt that matched" if step.matched else "doubt that did not"] += step.error is not None
            seen["unbound"] += "not bound" in step.why
            seen["skipped"] += step.why.endswith("skipped")

    look()
    assert seen["allow by rule"] > 5, seen
    assert seen["allow_with_constraints by rule"] > 5, seen
    assert seen["held"] > 5, seen
    assert seen["violated"] > 5, seen
    assert seen["require_approval by rule"] > 20, seen
    assert seen["deny by rule"] > 20, seen
    assert seen["allow_unless_vetoed by rule"] > 0, seen
    assert seen["deny by silence"] < 260, seen
    for way in (
        "allow by default",
        "several voices",
        "doubt that matched",
        "doubt that did not",
        "unbound",
        "skipped",
        "by a level",
    ):
        assert seen[way] > 1, (way, seen)
    assert seen["unclassified, and a rule spoke"] > 20, seen


@pytest.mark.long
@given(policies(), st.lists(st.tuples(calls, told_levels), min_size=20, max_size=20))
@settings(max_examples=2_000)
def test_it_agrees_with_the_naive_decision_point_in_tens_of_thousands_of_cases(
    files: list[dict[str, Any]], many: list[tuple[ToolCall, int | None]]
) -> None:
    one_snapshot = loaded(files)
    for one, level in many:
        decision = decide(one, one_snapshot, told(one, level), at=NOON)
        assert compared(decision) == reference_decide(files, one, level)
        assert terms_of(decision) == reference_terms(files, one, level)
        assert decision.review_after == reference_review_after(files, one, level)


@given(policies(), calls, rules(decisions=("deny", "require_approval")))
@settings(max_examples=80)
def test_p01_a_further_policy_that_denies_or_asks_never_turns_a_refusal_into_an_allow(
    files: list[dict[str, Any]], one: ToolCall, rule: dict[str, Any]
) -> None:
    before, _ = judged(files, one)
    after, _ = judged([*files, {"name": "more", "rules": [{"id": "new", **rule}]}], one)
    if not before.startswith("allow"):
        assert not after.startswith("allow")


@given(policies(), calls, rules(decisions=("deny",)), st.integers(0, 3))
@settings(max_examples=80)
def test_p01_a_denying_rule_put_anywhere_never_turns_a_refusal_into_an_allow(
    files: list[dict[str, Any]], one: ToolCall, rule: dict[str, Any], place: int
) -> None:
    before, _ = judged(files, one)
    target = next((file for file in files if "rules" in file), None)
    if target is None:
        return
    changed = [*target["rules"][:place], {"id": "new", **rule}, *target["rules"][place:]]
    after, _ = judged([{**file, "rules": changed} if file is target else file for file in files], one)
    if not before.startswith("allow"):
        assert not after.startswith("allow")


@given(policies(), calls)
@settings(max_examples=60)
def test_a_policy_that_denies_everything_trumps_all(files: list[dict[str, Any]], one: ToolCall) -> None:
    effect, determining = judged([*files, {"name": "last", "rules": [{"id": "no", "decision": "deny"}]}], one)
    assert effect == "deny"
    assert "last#no" in determining


@given(policies(), calls, st.sampled_from(["cost", "people"]), values)
@settings(max_examples=80)
def test_p10_a_value_that_cannot_be_known_frees_no_call_that_every_known_value_keeps(
    files: list[dict[str, Any]], one: ToolCall, name: str, value: Any
) -> None:
    """What is allowed with a doubtful value is allowed whatever the value were: no rule looked at it."""
    doubtful = call(one.name, {**one.arguments, name: "x"}, agent=one.agent, is_listed=one.definition is not None)
    known = call(one.name, {**one.arguments, name: value}, agent=one.agent, is_listed=one.definition is not None)
    first_only = [{**file, "rules": file["rules"][:1]} if "rules" in file else file for file in files]
    no_defaults = [{key: part for key, part in file.items() if key != "default"} for file in first_only]
    no_caps = [{**file, "rules": [_uncapped(rule) for rule in file.get("rules", ())]} for file in no_defaults]
    shown = [file if file["rules"] else {key: part for key, part in file.items() if key != "rules"} for file in no_caps]
    if judged(shown, doubtful)[0].startswith("allow"):
        assert judged(shown, known)[0].startswith("allow")


def _uncapped(rule: dict[str, Any]) -> dict[str, Any]:
    """A cap is about how much a value is, and so refuses some that are known."""
    kept = {key: part for key, part in rule.get("constraints", {}).items() if key.removeprefix("max_") not in FACTS}
    plain = {key: part for key, part in rule.items() if key not in ("constraints", "on_violation")}
    return plain | ({"constraints": kept} if kept else {})


@given(policies(), calls)
@settings(max_examples=60)
def test_same_input_same_answer_and_every_error_is_in_the_trace(files: list[dict[str, Any]], one: ToolCall) -> None:
    one_snapshot = loaded(files)
    first, second = (decide(one, one_snapshot, facts_given(one), at=NOON) for _ in range(2))
    assert first == second
    assert len(first.errors) == sum(1 for step in first.trace if step.error)
    assert not first.effect.is_allowing or first.determining
