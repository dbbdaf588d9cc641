"""The decision point: `decide(call, snapshot) -> Decision` (trust kernel). Pure: same input, same answer.

`decide` is the whole algorithm; its docstring is the specification, and `tests/policies/reference_decide.py` a second,
naive implementation of it that this one is compared with.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from operator import attrgetter
from types import MappingProxyType

from policies import built_in
from policies.arguments import ArgumentsInvalid
from policies.arguments import check as check_arguments
from policies.autonomy import LEVEL_FACT
from policies.combine import Voice, merge_approvals, public_message, reasons, strictest, veto_window
from policies.constraints import hold
from policies.criteria.base import YES, Truth, View
from policies.facts import FactReader
from policies.model import Decision, Effect, Json, ToolCall, TraceStep
from policies.patterns import SUBJECT_CHARS_MAX, Naming
from policies.snapshot import Policy, PolicySnapshot, Rule, Standing

NO_FACTS: Mapping[str, Json] = MappingProxyType({})
SILENCE = "No policy speaks for this call"

_gravity = attrgetter("truth")


def decide(
    call: ToolCall,
    snapshot: PolicySnapshot,
    gate_facts: Mapping[str, Json] = NO_FACTS,
    *,
    at: datetime,
    validate_arguments: bool = True,
    ambiguous_rules: frozenset[str] = frozenset(),
) -> Decision:
    """What may happen to `call` under `snapshot`, at the time `at`.

    1. Arguments of a `tools/call` must fit the tool's inputSchema, where it is known; else deny (`arguments-invalid`).
    2. The call gets its labels from `classify`. A call no entry covers is unclassified.
    3. Each policy is asked. Its rules are tried in order; the first that matches speaks for the policy. If none does,
       its `default`, if it has one, speaks for a classified call.
       Where there are autonomy levels, the rules of the agent's level (`autonomy_level`) are one more policy.
    4. A rule matches if all its criteria and its condition hold. If one is false, or about a fact not bound to this
       tool, it does not match. Else, if one cannot be known (a bound fact missing or in doubt, an error), a rule that
       asks or denies matches and one that allows does not. `when_missing: skip` excepts a fact that is merely missing.
    5. A rule that allows never matches by less than it must: an unclassified tool only if `tools:` names it, literally
       or by a glob whose server is literal; a `tools/call` whose definition is not known only if `tools:` names it
       literally; never if the rule is in `ambiguous_rules` (bare names that fit tools of several servers).
    6. A tool whose definition is new or changed adds one asking voice (`tool-definition-changed`) to those that spoke.
    7. The call is held to the constraints of every voice (constraints.py). Each that it violates adds a voice that
       denies, or asks where the rule says `on_violation: ask`; the others, at their tightest, are in the decision.
    8. The strictest effect any voice has is the decision; asking voices are merged into one review, and so are those
       that allow unless people veto, with the longest of their windows. Silence denies.
    9. Unless it is denied, people look at the call afterwards if any voice wants it.

    Raises: ValueError if `at` has no time zone, which no caller of ours may do.
    """
    if at.tzinfo is None:
        raise ValueError("the time of a decision needs a time zone")
    if max(len(call.name), len(call.method)) > SUBJECT_CHARS_MAX:
        return built_in.name_too_long(snapshot)
    if validate_arguments and call.method == "tools/call" and call.definition is not None:
        try:
            check_arguments(call.arguments, call.definition.input_schema)
        except ArgumentsInvalid as misfit:
            return built_in.arguments_invalid(snapshot, misfit)

    profile = snapshot.profile(call.server, call.tool, call.method, call.direction)
    view = View(call, profile.labels, FactReader(call, snapshot.facts, gate_facts), at)
    trace: list[TraceStep] = []
    voices: list[Voice] = []
    hearing = [*zip(snapshot.policies, profile.standings, strict=True)]
    if snapshot.autonomy is not None:
        level = snapshot.autonomy.held(gate_facts.get(LEVEL_FACT))
        hearing.append((snapshot.autonomy.levels[level], profile.levels[level]))
    for policy, standings in hearing:
        voice = _hear(policy, standings, view, ambiguous_rules, trace)
        if voice is not None:
            voices.append(voice)
    if voices and call.definition is not None and call.definition.drifted:
        asking = built_in.ASK_ABOUT_DEFINITION
        voices.append(asking)
        trace.append(built_in.step(asking.ref, asking.effect, asking.reason))

    held = hold(voices, snapshot.default_constraints, view)
    voices.extend(held.violations)
    trace.extend(held.trace)
    winners = strictest(voices) if voices else ()
    effect = winners[0].effect if winners else Effect.DENY
    window = veto_window(winners) if winners else None
    return Decision(
        effect=effect,
        reason=reasons(winners) if winners else SILENCE,
        determining=tuple(dict.fromkeys(voice.ref for voice in winners)),
        snapshot=snapshot.id,
        classification=profile.labels,
        trace=tuple(trace),
        approval=merge_approvals(winners, profile.labels) if effect is Effect.REQUIRE_APPROVAL or window else None,
        constraints=held.constraints if effect is not Effect.DENY else (),
        agent_message=public_message(winners),
        facts=view.facts.values(),
        errors=tuple(f"{step.policy}#{step.rule}: {step.error}" for step in trace if step.error),
        veto_window_sec=window,
        review_after=effect is not Effect.DENY and any(voice.review_after for voice in voices),
        gate_facts=gate_facts,
        self_reported=call.self_reported,
    )


def _hear(
    policy: Policy, standings: tuple[Standing, ...], view: View, ambiguous: frozenset[str], trace: list[TraceStep]
) -> Voice | None:
    """What one policy says: its first matching rule, or its default, or nothing. Adds to the trace."""
    for rule, standing in zip(policy.rules, standings, strict=True):
        step = _try(rule, standing, view, ambiguous)
        trace.append(step)
        if step.matched:
            return _voice(rule)
    if policy.default is None:
        return None
    step = _try(policy.default, _default_standing(view), view, ambiguous)
    trace.append(step)
    return _voice(policy.default) if step.matched else None


def _voice(rule: Rule) -> Voice:
    more = (rule.veto_window_sec, rule.review_after, rule.constraints, rule.asks_on_violation)
    return Voice(rule.ref, rule.effect, rule.reason, rule.agent_message, rule.approval, *more)


def _default_standing(view: View) -> Standing:
    return Standing(None if view.labels.is_classified else "the tool is not classified", Naming.NOT)


def _try(rule: Rule, standing: Standing, view: View, ambiguous: frozenset[str]) -> TraceStep:
    """One rule against one call: whether it matches and why (steps 4 and 5)."""
    if standing.step is not None:
        return standing.step
    allowing = rule.effect.is_allowing
    why_not = standing.why_not or _bars(rule, standing, view, ambiguous)
    if why_not is not None:
        return TraceStep(rule.policy, rule.id, False, rule.effect, why_not)
    answers = [criterion.answer(view, allowing=allowing) for criterion in rule.match.about_call]
    if rule.condition is not None and all(answer.truth is not Truth.NO for answer in answers):
        answers.append(rule.condition.answer(view, allowing=allowing))
    gravest = max(answers, key=_gravity, default=YES)
    facts = view.facts.values(rule.facts)
    match gravest.truth:
        case Truth.YES:
            return TraceStep(rule.policy, rule.id, True, rule.effect, "every criterion holds", facts)
        case Truth.NO | Truth.UNBOUND:
            return TraceStep(rule.policy, rule.id, False, rule.effect, gravest.why, facts)
        case Truth.MISSING if rule.skips_missing:
            return TraceStep(rule.policy, rule.id, False, rule.effect, f"{gravest.why}; skipped", facts)
        case _:
            return TraceStep(rule.policy, rule.id, not allowing, rule.effect, gravest.why, facts, gravest.why)


def _bars(rule: Rule, standing: Standing, view: View, ambiguous: frozenset[str]) -> str | None:
    """What keeps a rule that allows from matching, whatever its criteria say (step 5)."""
    if not rule.effect.is_allowing:
        return None
    if rule.ref in ambiguous:
        return "its bare tool name fits tools of several servers"
    call = view.call
    if call.method == "tools/call" and call.definition is None and standing.naming is not Naming.LITERALLY:
        return "the tool's definition is not known, and the rule does not name it literally"
    return None
