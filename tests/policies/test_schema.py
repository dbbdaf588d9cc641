"""File sets to snapshots: names, what is snapshot-wide, everything wrong at once, each with its place."""

from __future__ import annotations

import pytest

from policies.facts import FactType
from policies.model import Effect
from policies.schema import FILES_MAX, PolicyErrors, load_snapshot
from tests.policies.builders import errors_of, snapshot

RULE = "rules: [{id: a, decision: deny}]\n"


def test_every_mistake_of_every_file_is_raised_at_once() -> None:
    one = """
        version: v2
        nam: x
        rules:
          - id: a
            match: {topic: [x], amount_abov: 3}
            condition: "estimated_cst > 100"
            decision: alow
    """
    assert errors_of(one, "output: []\n") == [
        "p1.yaml:2:10: version cannot be 'v2' (valid here: v1)",
        "p1.yaml:3:1: unknown key 'nam' in a policy file (did you mean 'name'?)",
        "p1.yaml:6:13: unknown key 'topic' in match (did you mean 'topics'?)",
        "p1.yaml:6:25: unknown key 'amount_abov' in match (did you mean 'amount_above'?)",
        "p1.yaml:7:17: in the condition: there is no fact 'estimated_cst' (did you mean 'estimated_cost'?)",
        "p1.yaml:8:15: decision cannot be 'alow' (did you mean 'allow'?)",
        "p2.yaml:1:9: output must be a list with at least one item, not an empty list",
    ]


def test_a_file_that_is_not_yaml_is_told_of_alone() -> None:
    errors = errors_of("facts: {x: [", "rules: [{decision: deny, match: {x_above: 1}}]")
    assert len(errors) == 1
    assert errors[0].startswith("p1.yaml:1:")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "p1.yaml:1:1: an empty policy file (remove it, or write rules)"),
        (
            "version: v1",
            "p1.yaml:1:1: a policy file that says nothing (add rules, facts, classify, output, audit or default)",
        ),
        ("- rules", "p1.yaml:1:1: a policy file must be a map of keys, not a list"),
        ("rules: []", "p1.yaml:1:8: rules must be a list with at least one item, not an empty list"),
        ("rules: {}", "p1.yaml:1:8: rules must be a list with at least one item, not a map"),
        ("default: deny", "p1.yaml:1:10: 'deny' is what silence means (leave 'default' out)"),
        (
            "default: block",
            "p1.yaml:1:10: default cannot be 'block' (valid here: allow, allow_with_constraints, require_approval)",
        ),
    ],
)
def test_p01_a_file_that_says_nothing_or_nonsense_does_not_load(text: str, error: str) -> None:
    assert errors_of(text) == [error]


def test_p01_no_files_is_an_error_and_not_an_empty_policy() -> None:
    with pytest.raises(PolicyErrors, match="no policy files"):
        load_snapshot({})
    with pytest.raises(PolicyErrors, match=f"more than {FILES_MAX} policy files"):
        load_snapshot({f"{n}.yaml": RULE for n in range(FILES_MAX + 1)})


def test_a_policy_has_its_file_s_name_unless_it_says_another() -> None:
    one = snapshot(RULE, f"name: refunds and more\n{RULE}")
    assert [(policy.name, policy.file) for policy in one.policies] == [
        ("p1.yaml", "p1.yaml"),
        ("refunds and more", "p2.yaml"),
    ]
    assert one.policies[1].rules[0].ref == "refunds and more#a"


@pytest.mark.parametrize("name", ["interlock/built-in", "#a", "''", "5", f"'{'x' * 201}'"])
def test_a_policy_s_name_cannot_pretend_to_be_the_built_in_one(name: str) -> None:
    assert errors_of(f"name: {name}\n{RULE}")


def test_a_file_cannot_take_a_kept_name_either() -> None:
    with pytest.raises(PolicyErrors, match="cannot name a policy"):
        load_snapshot({"interlock/built-in": RULE})
    with pytest.raises(PolicyErrors, match="shipped vocabulary"):
        load_snapshot({"interlock:vocabulary": RULE})


def test_two_policies_cannot_have_one_name() -> None:
    assert errors_of(f"name: x\n{RULE}", f"name: x\n{RULE}") == [
        "p2.yaml:1:7: another policy has the name 'x' (it is in p1.yaml)"
    ]
    assert errors_of(f"name: p2.yaml\n{RULE}", RULE) == [
        "p2.yaml:1:8: another policy has the name 'p2.yaml' (it is in p1.yaml)"
    ]


def test_facts_and_labels_of_one_file_hold_for_all() -> None:
    one = snapshot(
        "rules: [{id: a, match: {cost_above: 1, topics: [t]}, condition: 'cost < 9', decision: deny}]",
        "facts: {cost: {path: $.args.cost}}\nclassify: [{tools: x, topics: t}]",
    )
    assert one.facts["cost"].type is FactType.NUMBER
    assert len(one.classify) == 1


def test_a_policy_may_be_a_default_alone() -> None:
    default = snapshot("default: require_approval").policies[0].default
    assert default is not None
    assert (default.ref, default.effect) == ("p1.yaml#default", Effect.REQUIRE_APPROVAL)


def test_gate_facts_are_known_where_they_are_given() -> None:
    text = "rules: [{id: a, match: {retry_count_above: 2}, decision: deny}]"
    assert errors_of(text) == []
    assert "there is no fact 'retry_count'" in errors_of(text, gate_facts={})[0]
    assert errors_of(text, gate_facts={"retry_count": FactType.INTEGER}) == []
    assert errors_of("facts: {tries: {path: $.args.x}}", gate_facts={"tries": FactType.INTEGER}) == [
        "p1.yaml:1:9: 'tries' is a fact the gate makes (choose another name)"
    ]
