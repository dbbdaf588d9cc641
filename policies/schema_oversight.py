"""The oversight models in a rule: their names, `veto_window_sec`, `require_review_after`, what silence may approve.

Rules of this module (SEMANTICS §1.10, §1.11):
* A name of a model is a spelling of a decision, nothing else: `in_the_loop` asks, `on_the_loop` lets a call go unless
  people veto it, `out_of_the_loop` allows.
* A window belongs to a rule that people may veto; elsewhere it would promise what nobody waits for.
* A rule that names a tool in full and would approve by itself what the labels show to be of more than low risk is a
  mistake at load. For tools it names otherwise the tier decides when the time is up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from policies.classify import ClassifyEntry, classify
from policies.criteria.base import Target
from policies.errors import PolicyError
from policies.model import Direction, Effect, OnTimeout, Oversight, Risk
from policies.patterns import Pattern
from policies.reading import Node
from policies.snapshot import Policy, Rule, standing

VETO_WINDOW_SEC_MAX = 86_400

MODELS: Mapping[str, Effect] = {
    Oversight.IN_THE_LOOP.value: Effect.REQUIRE_APPROVAL,
    Oversight.ON_THE_LOOP.value: Effect.ALLOW_UNLESS_VETOED,
    Oversight.OUT_OF_THE_LOOP.value: Effect.ALLOW,
}


def effect_of(word: str) -> Effect:
    """The effect of a decision, by its own name or by that of a model."""
    return MODELS.get(word) or Effect(word)


def read_window(children: Mapping[str, Node], effect: Effect | None) -> int:
    """For how long a call that people may veto waits for them; 0: it goes at once."""
    node = children.get("veto_window_sec")
    if node is None:
        return 0
    if effect not in (None, Effect.ALLOW_UNLESS_VETOED):
        node.mistake("a window in a rule nobody can veto", "use 'decision: allow_unless_vetoed'", at_key=True)
        return 0
    return node.whole(0, VETO_WINDOW_SEC_MAX) or 0


def read_review_after(children: Mapping[str, Node], effect: Effect | None) -> bool:
    """Whether people look at the call once it is over."""
    node = children.get("require_review_after")
    if node is None:
        return False
    if effect is not None and not effect.is_allowing:
        node.mistake("a review afterwards in a rule that lets nothing go", "use it in a rule that allows", at_key=True)
    return bool(node.truth())


def approving_in_silence(policies: Iterable[Policy], entries: Sequence[ClassifyEntry]) -> Iterator[PolicyError]:
    """Rules that approve what nobody answered, though the files say that it is of more than low risk."""
    for policy in policies:
        for rule in policy.rules:
            if rule.approval is None or rule.approval.on_timeout is not OnTimeout.APPROVE:
                continue
            for server, tool in _literals(rule.match.tools.patterns.patterns if rule.match.tools else ()):
                risk = _risk(rule, entries, server, tool)
                if risk in (Risk.MEDIUM, Risk.HIGH):
                    yield PolicyError(
                        rule.file,
                        rule.line,
                        rule.column,
                        f"'on_timeout: approve' in a rule about {server}/{tool}, which is of {risk} risk",
                        "use deny or escalate, or add 'risk: low' to the match",
                    )
                    break


def _literals(patterns: Iterable[Pattern]) -> Iterator[tuple[str, str]]:
    """Tools that are named in full, as server and tool."""
    for pattern in patterns:
        server, slash, tool = pattern.text.partition("/")
        if slash and pattern.is_literal:
            yield server, tool


def _risk(rule: Rule, entries: Sequence[ClassifyEntry], server: str, tool: str) -> Risk | None:
    """The tier of this tool, where the rule can be about it."""
    labels = classify(entries, server, tool, "tools/call")
    target = Target(server, tool, "tools/call", Direction.AGENT_TO_TOOL, labels)
    return labels.risk if standing(rule.match, rule.effect, target).why_not is None else None
