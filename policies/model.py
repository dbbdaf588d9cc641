"""The words everything here is said in: a tool call, who makes it, what a rule and the decision point say.

Rules of this module:
* Values only. Nothing here reads a clock, a file or the environment, and nothing imports another of our packages.
* Everything is frozen. JSON values inside are immutable by convention: whoever needs to change one copies it.
* An effect's strictness is an order, declared once, in `Effect`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

type Json = None | bool | int | float | str | list[Json] | dict[str, Json]
type JsonObject = dict[str, Any]


class Effect(StrEnum):
    """What one rule says, from the mildest to the strictest; policies are combined in the order of `strictness`."""

    ALLOW = "allow"
    ALLOW_WITH_CONSTRAINTS = "allow_with_constraints"
    ALLOW_UNLESS_VETOED = "allow_unless_vetoed"
    REQUIRE_APPROVAL = "require_approval"
    DENY = "deny"

    @property
    def strictness(self) -> int:
        return _STRICTNESS[self]

    @property
    def is_allowing(self) -> bool:
        """True for effects that let a call go without a person: errors must never make such a rule match (P10)."""
        return self in (Effect.ALLOW, Effect.ALLOW_WITH_CONSTRAINTS, Effect.ALLOW_UNLESS_VETOED)


_STRICTNESS = {effect: place for place, effect in enumerate(Effect)}


class OnTimeout(StrEnum):
    """What an unanswered question means, strictest first when several rules ask (SEMANTICS §1.6)."""

    DENY = "deny"
    ESCALATE = "escalate"
    APPROVE = "approve"


class Oversight(StrEnum):
    """The three oversight models, strictest first: a person decides before, may step in meanwhile, or looks later."""

    IN_THE_LOOP = "in_the_loop"
    ON_THE_LOOP = "on_the_loop"
    OUT_OF_THE_LOOP = "out_of_the_loop"


class Risk(StrEnum):
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class Direction(StrEnum):
    """Who speaks to whom: agents call tools; a tool server may ask the agent (sampling, elicitation), which answers."""

    AGENT_TO_TOOL = "agent_to_tool"
    TOOL_TO_AGENT = "tool_to_agent"
    AGENT_ANSWER = "agent_answer"


@dataclass(frozen=True, slots=True)
class Agent:
    """Who calls, as authenticated by a door. `on_behalf_of` is a person the agent names; it is stated, not proven."""

    id: str
    groups: tuple[str, ...] = ()
    anonymous: bool = False
    on_behalf_of: str | None = None


@dataclass(frozen=True, slots=True)
class ToolDefinition:
    """What a server says a tool is, as the gate listed it. `digest` covers name, description, schemas, annotations."""

    name: str
    digest: str
    input_schema: JsonObject
    output_schema: JsonObject | None = None
    description: str = ""
    annotations: JsonObject = field(default_factory=dict)
    drifted: bool = False  # new or changed since a person last looked at the server's inventory (SEMANTICS §1.17)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One act on a tool, in the one canonical form that is judged, hashed, shown, stored and sent (P2).

    `tool` is the tool's own name for `tools/call`, and `mcp.<method>` for every other MCP request that reads or acts
    (SEMANTICS §1.9), with the request's params as `arguments`. `input_responses` is what a multi-round retry adds, and
    `request_state` the tool's own opaque word that it hands back: what a retry does may depend on either.
    """

    server: str
    tool: str
    arguments: JsonObject
    agent: Agent
    session: str | None = None
    method: str = "tools/call"
    direction: Direction = Direction.AGENT_TO_TOOL
    input_responses: JsonObject | None = None
    request_state: str | None = None
    definition: ToolDefinition | None = None
    self_reported: Mapping[str, Any] = field(default_factory=dict)  # what the agent says of itself: no argument (§1.5)

    @property
    def name(self) -> str:
        """`server/tool`, the form that patterns with a slash are tried against."""
        return f"{self.server}/{self.tool}"


@dataclass(frozen=True, slots=True)
class Classification:
    """The labels a snapshot's `classify` entries give a call. `is_classified` is False when no entry covers it."""

    is_classified: bool = False
    topics: frozenset[str] = frozenset()
    risk_tags: frozenset[str] = frozenset()
    risk: Risk | None = None
    reversible: bool | None = None
    oversight: Oversight | None = None


@dataclass(frozen=True, slots=True)
class Approval:
    """How a review is to be held; the merged demand of every rule that asked (SEMANTICS §1.6).

    `teams` must each be satisfied by `quorum[team]` reviewers. Times are seconds. `on_timeout` None: the rule does not
    say; merging settles it by the call's own tier, and who meets it unsettled denies. `undo_sec` None: the rules do
    not say, and the reviewers' side takes its own default for the call's tier.
    """

    teams: tuple[str, ...] = ()
    quorum: Mapping[str, int] = field(default_factory=dict)
    timeout_sec: int = 14_400
    on_timeout: OnTimeout | None = None
    escalate_to: str | None = None
    grant_expires_sec: int = 3_600
    undo_sec: int | None = None
    require_comment: bool = False
    four_eyes: bool = False
    on_disconnect_execute: bool = False

    @property
    def unanswered(self) -> OnTimeout:
        """What no answer means; a demand that nobody settled denies."""
        return self.on_timeout or OnTimeout.DENY


@dataclass(frozen=True, slots=True)
class Constraint:
    """A bound the gate itself enforces on an allowed call: `kind` names the enforcer, `value` its parameter."""

    kind: str
    value: Json
    rule: str = ""


@dataclass(frozen=True, slots=True)
class TraceStep:
    """One rule tried: why it did or did not match, and what it read. Shown to reviewers, never to agents."""

    policy: str
    rule: str
    matched: bool
    effect: Effect | None
    why: str
    facts: Mapping[str, Json] = field(default_factory=dict)
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What the decision point answered. `determining` names the rules (`policy#rule`) whose effect this is.

    `trace` holds every rule tried in every policy, in order; `agent_message` is the only text an agent may be shown.
    `approval` is there where people are asked, or may be: also while a veto is waited for. `veto_window_sec` is for how
    long (0: not at all), where the effect is `allow_unless_vetoed`; `review_after` whether people look at the call
    once it is over.
    """

    effect: Effect
    reason: str
    determining: tuple[str, ...]
    snapshot: str
    classification: Classification = field(default_factory=Classification)
    trace: tuple[TraceStep, ...] = ()
    approval: Approval | None = None
    constraints: tuple[Constraint, ...] = ()
    agent_message: str | None = None
    facts: Mapping[str, Json] = field(default_factory=dict)
    errors: tuple[str, ...] = ()
    veto_window_sec: int | None = None
    review_after: bool = False
    gate_facts: Mapping[str, Json] = field(default_factory=dict)  # all that the gate gave, read by a rule or not
    self_reported: Mapping[str, Json] = field(default_factory=dict)  # what the agent said of itself with the call

    @property
    def goes_at_once(self) -> bool:
        """Whether nobody needs to be asked or waited for: plainly allowed, or vetoable with no window."""
        match self.effect:
            case Effect.ALLOW:
                return True
            case Effect.ALLOW_WITH_CONSTRAINTS:  # only with what it is held to
                return bool(self.constraints)
            case Effect.ALLOW_UNLESS_VETOED:
                return self.veto_window_sec == 0
            case _:
                return False

    @property
    def waits_for_people(self) -> bool:
        """Whether the call goes no further just now: people must decide, or may veto it for a while."""
        return self.effect is Effect.REQUIRE_APPROVAL or bool(self.veto_window_sec)

    @property
    def denied_by_rule(self) -> bool:
        """A deny that a rule spoke, as against default deny or an error of ours (SEMANTICS §1.12 counts only these)."""
        return self.effect is Effect.DENY and bool(self.determining)

    @property
    def violates_policy(self) -> bool:
        """Denied by a rule that somebody wrote: a built-in one, such as for arguments that do not fit, is none."""
        return self.denied_by_rule and any(not ref.startswith("interlock/") for ref in self.determining)


class Do(StrEnum):
    """What a rule does to what it found."""

    REPLACE = "replace"
    MASK = "mask"
    REMOVE = "remove"
    QUARANTINE = "quarantine"
    ALLOW = "allow"


@dataclass(frozen=True, slots=True)
class FieldRule:
    """An output rule's line about a field: JSONPath, what to do, why. `keep_last` is for `mask`."""

    path: str
    do: Do
    reason: str = ""
    keep_last: int = 4


@dataclass(frozen=True, slots=True)
class SameRule:
    """Every value at `path` must equal `expected`, read from the call's arguments; else `otherwise` is done."""

    path: str
    expected: Json
    otherwise: Do = Do.QUARANTINE


@dataclass(frozen=True, slots=True)
class OutputRules:
    """The rules that apply to one output, selected by match: all apply, the strictest wins (SEMANTICS §1.20)."""

    fields: tuple[FieldRule, ...] = ()
    detect: Mapping[str, Do] = field(default_factory=dict)  # finding kind -> action
    default_do: Do = Do.REPLACE  # for detected kinds no rule names
    same: tuple[SameRule, ...] = ()
    always_review: bool = False
    keep_last: int = 4
    determining: tuple[str, ...] = ()  # `policy#rule` of every output rule that applies
