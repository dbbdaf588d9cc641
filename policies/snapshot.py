"""A snapshot: all loaded policies as one immutable value, known by the hash of its files.

Rules of this module:
* `id` is `v1:` and the first twelve hex digits of a SHA-256 over the files' names and texts, sorted by name, each
  preceded by its length; `digest` is the whole. Same files, same id, wherever they were loaded.
* What depends on the tool alone (its labels, which rules can be about it at all) is worked out once per tool and kept,
  bounded; it is derived from the value and no part of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache

from policies.autonomy import Autonomy
from policies.classify import ClassifyEntry, classify
from policies.condition import Condition
from policies.constraints import DEFAULTS, Bound
from policies.criteria import Match
from policies.criteria.base import Target
from policies.facts import Fact
from policies.json_path import JsonPath
from policies.model import Approval, Classification, Direction, Do, Effect, FieldRule, TraceStep
from policies.patterns import Naming
from policies.sampling import SamplingPlan

PROFILES_MAX = 4_096
ANY_KIND = "*"  # in `detect`: every kind of finding that no other line names


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. `line` and `column` are where it stands in `file`."""

    policy: str
    id: str
    effect: Effect
    match: Match = field(default_factory=Match)
    condition: Condition | None = None
    reason: str = ""
    agent_message: str | None = None
    approval: Approval | None = None
    veto_window_sec: int = 0
    review_after: bool = False
    skips_missing: bool = False
    constraints: tuple[Bound, ...] = ()
    asks_on_violation: bool = False
    file: str = ""
    line: int = 1
    column: int = 1
    facts: tuple[str, ...] = field(init=False, default=())  # every fact it reads

    def __post_init__(self) -> None:
        read = () if self.condition is None else tuple(name for name, _ in self.condition.facts)
        object.__setattr__(self, "facts", tuple(dict.fromkeys((*self.match.facts, *read))))

    @property
    def ref(self) -> str:
        """`policy#rule`, the name a decision calls it by."""
        return f"{self.policy}#{self.id}"


@dataclass(frozen=True, slots=True)
class Policy:
    """One file's rules, in order, and the rule that speaks for a classified call when none of them does, if any."""

    name: str
    file: str
    rules: tuple[Rule, ...] = ()
    default: Rule | None = None


@dataclass(frozen=True, slots=True)
class SameAs:
    """Every value at `path` of an output must equal the call's value at `equals`; else `otherwise`."""

    path: str
    equals: JsonPath
    otherwise: Do


@dataclass(frozen=True, slots=True)
class OutputRule:
    """One output rule. `strict` is its match as a rule that tightens reads it, `lenient` as one that allows does."""

    policy: str
    id: str
    strict: Match = field(default_factory=Match)
    lenient: Match = field(default_factory=Match)
    fields: tuple[FieldRule, ...] = ()
    detect: Mapping[str, Do] = field(default_factory=dict)
    same: tuple[SameAs, ...] = ()
    always_review: bool = False
    keep_last: int | None = None

    @property
    def ref(self) -> str:
        return f"{self.policy}#{self.id}"


@dataclass(frozen=True, slots=True)
class Visibility:
    """What one file says of lists of tools: which are hidden, what is excepted, and whether those denied are hidden."""

    policy: str
    hide: tuple[Match, ...] = ()
    show: tuple[Match, ...] = ()
    hides_denied: bool = False


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of one rule for one tool before a call is looked at: why it is not about it, how it names it."""

    why_not: str | None
    naming: Naming
    step: TraceStep | None = None  # the trace's line where it is not about the tool


@dataclass(frozen=True, slots=True)
class Profile:
    """What is known of one tool: its labels and how each rule stands to it, per policy and per autonomy level; each
    output rule as it tightens and as it allows."""

    labels: Classification
    standings: tuple[tuple[Standing, ...], ...]
    output: tuple[tuple[Standing, Standing], ...] = ()
    levels: tuple[tuple[Standing, ...], ...] = ()


@dataclass(frozen=True)
class PolicySnapshot:
    """All policies of a set, with the texts they were read from."""

    files: Mapping[str, str]
    policies: tuple[Policy, ...] = ()
    facts: Mapping[str, Fact] = field(default_factory=dict)
    classify: tuple[ClassifyEntry, ...] = ()
    output: tuple[OutputRule, ...] = ()
    autonomy: Autonomy | None = None
    visibility: tuple[Visibility, ...] = ()
    default_constraints: tuple[Bound, ...] = DEFAULTS
    sampling: tuple[SamplingPlan, ...] = ()
    digest: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "digest", digest_of(self.files))
        object.__setattr__(self, "_profiles", lru_cache(maxsize=PROFILES_MAX)(self._profile))

    @property
    def id(self) -> str:
        return f"v1:{self.digest[:12]}"

    @property
    def all_policies(self) -> tuple[Policy, ...]:
        """The policies, and the levels, of which each agent has one."""
        return self.policies if self.autonomy is None else (*self.policies, *self.autonomy.levels)

    def profile(self, server: str, tool: str, method: str, direction: Direction) -> Profile:
        """The tool's labels and the rules that can be about it."""
        profile: Profile = self._profiles(server, tool, method, direction)  # type: ignore[attr-defined]  # set in __post_init__
        return profile

    def _profile(self, server: str, tool: str, method: str, direction: Direction) -> Profile:
        labels = classify(self.classify, server, tool, method)
        target = Target(server, tool, method, direction, labels)
        return Profile(
            labels,
            tuple(tuple(_standing_of(rule, target) for rule in policy.rules) for policy in self.policies),
            tuple(
                (standing(rule.strict, Effect.DENY, target), standing(rule.lenient, Effect.ALLOW, target))
                for rule in self.output
            ),
            tuple(
                tuple(_standing_of(rule, target) for rule in level.rules)
                for level in (self.autonomy.levels if self.autonomy is not None else ())
            ),
        )


def _standing_of(rule: Rule, target: Target) -> Standing:
    known = standing(rule.match, rule.effect, target)
    if known.why_not is None:
        return known
    return replace(known, step=TraceStep(rule.policy, rule.id, False, rule.effect, known.why_not))


def standing(match: Match, effect: Effect, target: Target) -> Standing:
    """Whether a rule can be about the tool. One that allows frees an unclassified tool only by naming it (§1.3)."""
    allowing = effect.is_allowing
    tools = match.tools
    naming = Naming.NOT if tools is None else tools.naming(target.server, target.tool)
    for criterion in match.about_tool:
        if (why_not := criterion.holds(target, allowing=allowing)) is not None:
            return Standing(why_not, naming)
    if allowing and not target.labels.is_classified and naming is Naming.NOT:
        return Standing("the tool is not classified, and the rule does not name it", naming)
    return Standing(None, naming)


def digest_of(files: Mapping[str, str]) -> str:
    """The hash a snapshot is known by."""
    digest = hashlib.sha256()
    for name in sorted(files):
        for part in (name.encode(), files[name].encode()):
            digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()
