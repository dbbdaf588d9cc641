"""`interlock policy check FILE…`: does a set of files load, do its cases hold, and what in it looks unintended.

Rules of this module:
* Errors are what keeps a set from loading, or a case that comes out otherwise; advice never is. The exit code is 0 if
  there are none, 1 if not.
* Advice is about rules that can do nothing, or more than their author may think.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from policies.cases import failures, policies_of, read_cases
from policies.constraints import FactCap, said
from policies.errors import PolicyErrors
from policies.facts import Fact
from policies.loader import read_named
from policies.model import Effect
from policies.schema import load_snapshot
from policies.snapshot import Policy, PolicySnapshot, Rule


def check_paths(paths: Sequence[Path]) -> tuple[str, int]:
    """`check`, for files on disk."""
    try:
        return check(read_named(paths))
    except PolicyErrors as bad:
        return _failed(bad), 1


def check(files: Mapping[str, str]) -> tuple[str, int]:
    """The report on a file set (name -> text), and the exit code."""
    try:
        cases = read_cases(files)
        snapshot = load_snapshot(policies_of(files))
    except PolicyErrors as bad:
        return _failed(bad), 1
    lines = [_summary(policy) for policy in snapshot.all_policies]
    lines += [f"advice: {line}" for line in _advice(snapshot)]
    wrong = list(failures(cases, snapshot))
    lines += wrong
    if cases:
        failed = len({line.split(": ", 1)[0] for line in wrong})
        lines.append(f"cases: {len(cases) - failed} of {len(cases)} come out as wanted")
    lines.append("failed: cases come out otherwise" if wrong else f"ok: snapshot {snapshot.id}")
    return "\n".join(lines), 1 if wrong else 0


def _failed(bad: PolicyErrors) -> str:
    count = len(bad.errors)
    return "\n".join([*(str(error) for error in bad.errors), f"failed: {count} error{'s' if count > 1 else ''}"])


def _summary(policy: Policy) -> str:
    counts: dict[str, int] = {}
    for rule in policy.rules:
        counts[rule.effect.value] = counts.get(rule.effect.value, 0) + 1
    rules = ", ".join(f"{number} {effect}" for effect, number in counts.items()) or "no rules"
    default = f", default {policy.default.effect}" if policy.default else ""
    name = "" if policy.name == policy.file else f" ({policy.name})"
    return f"{policy.file}{name}: {rules}{default}"


def _advice(snapshot: PolicySnapshot) -> Iterator[str]:
    for policy in snapshot.all_policies:
        yield from _hidden_rules(policy)
        for rule in policy.rules:
            yield from _unbound_facts(rule, snapshot.facts)
            yield from _constraints(rule, snapshot)
    for entry in snapshot.classify:
        if entry.risk_tags is None:
            yield f"{entry.file}:{entry.line}: no risk_tags; say which there are, or risk_tags: [] for none"
        patterns = entry.tools.patterns if entry.tools else ()
        if any(pattern.text in ("*", "**", "*/*", "*/**") for pattern in patterns):
            yield f"{entry.file}:{entry.line}: this classifies every tool of every server, also ones nobody looked at"


def _constraints(rule: Rule, snapshot: PolicySnapshot) -> Iterator[str]:
    if rule.effect is Effect.ALLOW_WITH_CONSTRAINTS and not rule.constraints:
        usual = ", ".join(f"{bound.kind} {said(bound.value)}" for bound in snapshot.default_constraints)
        yield f"{rule.file}:{rule.line}: rule '{rule.id}' has no constraints: held to {usual}"
    for bound in rule.constraints:
        fact = snapshot.facts[bound.check.name] if isinstance(bound.check, FactCap) else None
        if fact is not None and fact.path is None and not fact.by_gate:
            yield (
                f"{rule.file}:{rule.line}: rule '{rule.id}' never holds a call to {bound.kind}:"
                f" no file says where '{fact.name}' stands"
            )


def _hidden_rules(policy: Policy) -> Iterator[str]:
    """Rules after one that matches every call are never tried."""
    for position, rule in enumerate(policy.rules[:-1]):
        matches_all = rule.condition is None and not rule.match.about_tool and not rule.match.about_call
        if matches_all and not rule.effect.is_allowing:
            hidden = policy.rules[position + 1]
            yield f"{hidden.file}:{hidden.line}: never tried: rule '{rule.id}' before it matches every call"
            return


def _unbound_facts(rule: Rule, facts: Mapping[str, Fact]) -> Iterator[str]:
    for name in rule.facts:
        if facts[name].path is None and not facts[name].by_gate:
            yield (
                f"{rule.file}:{rule.line}: rule '{rule.id}' never matches by '{name}': no file says where it stands"
                f" (facts: {{{name}: {{path: $.args.…}}}})"
            )
