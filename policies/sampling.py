"""Sampled audit: how likely a finished call is to be judged by a person, and by whom (SEMANTICS §1.13, §1.14).

Rules of this module:
* Pure. What the chance is stands here; whether a call is chosen is drawn from the record (`audit/sampling.py`).
* `uniform`: the rate. `stratified`: the rate times the highest weight that fits the call, at most 1; where none fits
  the weight is 1. `systematic`: every nth call, n being one over the rate.
* `mandatory`: always, by criteria that read doubt strictly: a bound fact that cannot be known makes the call one of
  them, a fact of another tool does not.
* Several files may sample: the highest chance holds, and everybody any of them names is asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from policies.criteria import Match
from policies.criteria.base import Patterns, Target, View, may_hold
from policies.facts import Fact, FactReader
from policies.model import Classification, Json, ToolCall

ACTIONS = "_actions"  # a key of `routing` is a risk tag and this
DEFAULT = "default"


class Strategy(StrEnum):
    UNIFORM = "uniform"
    STRATIFIED = "stratified"
    SYSTEMATIC = "systematic"


@dataclass(frozen=True, slots=True)
class Weight:
    """How much more, or less, often calls with such a label are chosen."""

    key: str  # risk_tags · topics
    labels: Patterns
    weight: float

    def fits(self, labels: Classification) -> bool:
        said = labels.risk_tags if self.key == "risk_tags" else labels.topics
        return self.labels.match_labels(said, allowing=True)


@dataclass(frozen=True, slots=True)
class Mandatory:
    """Calls that are always judged. `line` is where the file says so."""

    match: Match
    line: int


@dataclass(frozen=True, slots=True)
class SamplingPlan:
    """`audit` of one file."""

    policy: str
    rate: float = 0.0
    strategy: Strategy = Strategy.STRATIFIED
    weights: tuple[Weight, ...] = ()
    mandatory: tuple[Mandatory, ...] = ()
    routing: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Chance:
    """How likely a call is to be judged, why, and the teams that are asked. `every`: by counting, not by a draw."""

    share: float
    why: tuple[str, ...]
    teams: tuple[str, ...] = ()
    every: int | None = None


def chance_of(
    call: ToolCall,
    plans: Sequence[SamplingPlan],
    labels: Classification,
    facts: Mapping[str, Fact],
    gate_facts: Mapping[str, Json],
    *,
    at: datetime,
) -> Chance | None:
    """The chance of a call that was answered; None where nothing samples it."""
    if not plans:
        return None
    view = View(call, labels, FactReader(call, facts, gate_facts), at)
    target = Target(call.server, call.tool, call.method, call.direction, labels)
    always = [
        f"{plan.policy}#audit:{one.line}" for plan in plans for one in plan.mandatory if _holds(one.match, target, view)
    ]
    teams = tuple(dict.fromkeys(team for plan in plans for team in teams_of(plan.routing, labels)))
    if always:
        return Chance(1.0, tuple(always), teams)
    shares = [(_share(plan, labels), plan) for plan in plans if plan.rate > 0]
    if not shares:
        return None
    share, plan = max(shares, key=lambda one: one[0])
    every = round(1 / plan.rate) if plan.strategy is Strategy.SYSTEMATIC else None
    return Chance(share, (f"{plan.policy}#audit",), teams, every)


def teams_of(routing: Mapping[str, str], labels: Classification) -> list[str]:
    """Who is asked about a call with these labels: every team whose tag it has, else the default."""
    named = [routing[f"{tag}{ACTIONS}"] for tag in sorted(labels.risk_tags) if f"{tag}{ACTIONS}" in routing]
    return named or [team for name, team in routing.items() if name == DEFAULT]


def _share(plan: SamplingPlan, labels: Classification) -> float:
    if plan.strategy is not Strategy.STRATIFIED:
        return plan.rate
    fitting = [one.weight for one in plan.weights if one.fits(labels)]
    return min(1.0, plan.rate * max(fitting, default=1.0))


def _holds(match: Match, target: Target, view: View) -> bool:
    """Whether a call is one of those: unless it surely is not."""
    is_about_tool = all(criterion.holds(target, allowing=False) is None for criterion in match.about_tool)
    return is_about_tool and may_hold(match.about_call, view)
