"""The words of the reviewers' side: a call as it is kept, the review of it, a reviewer, a vote.

Rules of this module:
* Values only; rows are immutable snapshots of what the store holds. A change is a new row written by compare-and-set.
* A call's `state` says where it is; while it is `WAITING`, its review's `state` says the rest (review/lifecycle.py).
* Times are seconds since the epoch as floats; durations carry `_sec` in their names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any

from policies.model import Approval, JsonObject
from review.shape import Leaf


class CallState(StrEnum):
    """Where a kept call is. `proxy/gate.py` holds the table of moves."""

    DENIED = "denied"
    WAITING = "waiting"  # a review is open or its grant unspent: see the review's state
    CLOSED = "closed"  # its review ended without a dispatch
    DISPATCHING = "dispatching"
    ANSWERED = "answered"
    FAILED_BEFORE_SEND = "failed_before_send"
    FAILED_AFTER_SEND = "failed_after_send"
    IN_DOUBT = "in_doubt"
    RESOLVED = "resolved"
    QUARANTINED = "quarantined"
    RELEASED = "released"
    DESTROYED = "destroyed"


class ReviewKind(StrEnum):
    APPROVAL = "approval"
    RELEASE = "release"
    AFTERWARDS = "afterwards"  # a sample: a finished call chosen for human judgement
    PROMOTION = "promotion"  # of an agent to its next autonomy level


class ReviewState(StrEnum):
    """A review's life, SEMANTICS §2."""

    VETOABLE = "vetoable"  # goes by itself once its window has passed
    VETOED = "vetoed"
    PARKED = "parked"
    APPROVING = "approving"  # n of m
    APPROVED = "approved"  # decided; may still be undone
    SPENDABLE = "spendable"
    SPENT = "spent"
    REJECTED = "rejected"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"
    STOPPED = "stopped"
    LAPSED = "lapsed"
    QUARANTINED = "quarantined"
    RELEASED = "released"
    DESTROYED = "destroyed"
    UNJUDGED = "unjudged"  # over, and nobody has said yet what they think of it
    JUDGED_OK = "judged_ok"
    JUDGED_WRONG = "judged_wrong"
    JUDGED_HARMFUL = "judged_harmful"

    @property
    def is_open(self) -> bool:
        """Still a question to people that something waits for: a call, or its output. Judging afterwards is none."""
        return self in _OPEN


_OPEN = (
    ReviewState.VETOABLE,
    ReviewState.PARKED,
    ReviewState.APPROVING,
    ReviewState.APPROVED,
    ReviewState.QUARANTINED,
)


class Verdict(StrEnum):
    """What one reviewer says."""

    APPROVE = "approve"
    REJECT = "reject"
    EDIT = "edit"  # approve with changed arguments
    ESCALATE = "escalate"
    RELEASE = "release"
    DESTROY = "destroy"
    VETO = "veto"  # no to what would have gone by itself
    UNDO = "undo"  # takes an approval back before it is spent
    OK = "ok"  # of a call that is over: as it should be
    WRONG = "wrong"
    HARMFUL = "harmful"
    COMMENT = "comment"  # decides nothing


@dataclass(frozen=True, slots=True)
class Reviewer:
    """Who decides, and how they logged in. `owns_agents` are agents whose calls they may not review under four eyes."""

    name: str
    roles: frozenset[str] = frozenset({"reviewer"})  # reviewer · security · auditor · admin
    teams: frozenset[str] = frozenset()
    owns_agents: frozenset[str] = frozenset()
    login: str = "password"  # password · link · cli


@dataclass(frozen=True, slots=True)
class Account:
    """A reviewer's local account. `password_hash` is argon2id, None until the first login link was used.

    Sessions begun before `sessions_from` are void: it moves when the password changes or the account is disabled.
    """

    name: str
    password_hash: str | None
    roles: tuple[str, ...] = ("reviewer",)
    teams: tuple[str, ...] = ()
    owns_agents: tuple[str, ...] = ()
    disabled: bool = False
    created_at: float = 0.0
    sessions_from: float = 0.0


@dataclass(frozen=True, slots=True)
class LoginSession:
    """A logged-in reviewer. `token_hash` is sha256 of the cookie or bearer token; the token itself is never stored."""

    token_hash: str
    account: str
    created_at: float
    expires_at: float
    last_seen_at: float
    login: str = "password"


@dataclass(frozen=True, slots=True)
class LoginLink:
    """A one-time link (ten minutes)."""

    token_hash: str
    account: str
    expires_at: float


@dataclass(frozen=True, slots=True)
class Vote:
    """One reviewer's act on one review. `shown_digest` is the digest of exactly what they were shown (P11)."""

    review_id: str
    reviewer: str
    verdict: Verdict
    at: float
    comment: str = ""
    shown_digest: str = ""
    looked_ms: int = 0
    login: str = "password"
    team: str = ""


@dataclass(frozen=True, slots=True)
class Precedent:
    """One review that people settled, under a commitment to the shape of its call. `at` is when they did."""

    review_id: str
    shape: str
    at: float


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What a list left out of a call: how large its arguments are, and the first of them if they were read at all."""

    size_bytes: int
    first: tuple[Leaf, ...] = ()


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One call as kept. `proposed`, `approved`, `outcome` are sealed at rest, and None once retention has erased them.

    `decision` is the JSON of the Decision under which it stands, in the form of `review/decisions.py`.
    `outcome` is the inspected JSON-RPC response, or the original one while quarantined. `delivered_at` is set when the
    answer was provably written to the agent. `left_out` is set where a list carries it without what it would send.
    """

    id: str
    agent: str
    server: str
    tool: str
    method: str
    state: CallState
    created_at: float
    updated_at: float
    repeat_key: str
    proposed_digest: str
    snapshot: str
    version: int = 1
    session: str | None = None
    on_behalf_of: str | None = None
    direction: str = "agent_to_tool"
    review_id: str | None = None
    previous_id: str | None = None  # the expired, lapsed or superseded call this one continues
    proposed: JsonObject | None = None  # {"arguments": …, "input_responses": …, "request_state": …}
    approved: JsonObject | None = None  # same shape; present once a reviewer changed it, else proposed is what is sent
    decision: JsonObject = field(default_factory=dict)
    definition_digest: str | None = None
    outcome: Any = None
    outcome_kind: str | None = None  # allow · redact · quarantine · error
    inspection: JsonObject = field(default_factory=dict)  # findings, redactions, why: never values
    delivered_at: float | None = None
    dispatched_at: float | None = None
    answered_at: float | None = None
    failure: str | None = None
    resolution: str | None = None
    labels: Mapping[str, Any] = field(default_factory=dict)  # client name, agent_waiting_since …
    left_out: LeftOut | None = None  # never stored

    @property
    def to_send(self) -> JsonObject | None:
        """The form that is sent: approved where a reviewer changed it, else as proposed.

        Raises: ValueError for a call that a list carries without it: nothing is decided on half a call.
        """
        if self.left_out is not None:
            raise ValueError(f"call {self.id} was read for a list, without its arguments")
        return self.approved if self.approved is not None else self.proposed


@dataclass(frozen=True, slots=True)
class ReviewRecord:
    """One question to people. `binding` is the digest an approval binds (P6); `nonce` makes it this one question."""

    id: str
    call_id: str
    kind: ReviewKind
    state: ReviewState
    opened_at: float
    expires_at: float
    approval: Approval
    binding: str
    nonce: str
    version: int = 1
    answered_rules: tuple[str, ...] = ()  # the asking rules this review answers (`policy#rule`)
    undo_until: float | None = None
    grant_expires_at: float | None = None
    settled_at: float | None = None
    settled_by: str | None = None
    comment: str = ""
    escalated_to: str | None = None
    claimed_by: str | None = None
    claimed_until: float | None = None

    @property
    def is_by_policy(self) -> bool:
        """Whether its grant comes of nobody having answered: the approver is then `policy:<rule>@<snapshot>`."""
        return (self.settled_by or "").startswith("policy:")


@dataclass(frozen=True, slots=True)
class AgentStanding:
    """Where an agent stands in a domain, as it is kept: its level, since when, and its track record."""

    agent: str
    domain: str
    level: int = 0
    since: float = 0.0
    outcomes: list[list[object]] = field(default_factory=list)  # of `policies/track_record.py`
    review_id: str | None = None  # the open question whether to promote it

    @property
    def id(self) -> str:
        return f"{self.agent}\n{self.domain}"  # no name holds a line break


class StopScope(StrEnum):
    """What a stop is about."""

    ALL = "all"
    AGENT = "agent"
    SERVER = "server"


@dataclass(frozen=True, slots=True)
class Stop:
    """One stop. `ordered_by` is who did, as the record names them: `reviewer:maria`, or `local:root` on the machine."""

    id: str
    scope: StopScope
    target: str  # a name or a pattern with `*`; `*` for all
    ordered_by: str
    why: str
    at: float
    login: str = "password"  # password · link · cli · local
    lifted_at: float | None = None
    lifted_by: str | None = None
    lifted_why: str = ""

    def covers(self, agent: str, server: str) -> bool:
        """Whether nothing of this agent at this server may go on."""
        match self.scope:
            case StopScope.ALL:
                return True
            case StopScope.AGENT:
                return fits(self.target, agent)
            case StopScope.SERVER:
                return fits(self.target, server)

    @property
    def says(self) -> str:
        """What is stopped, in a word or two."""
        return "everything" if self.scope is StopScope.ALL else f"{self.scope.value} {self.target}"


@dataclass(frozen=True, slots=True)
class Reached:
    """What a stop has met so far."""

    questions_stopped: int = 0  # calls that waited for people, and grants that were not spent
    calls_cut: int = 0  # calls that were being sent or inspected
    streams_cut: int = 0
    processes_ended: int = 0


@dataclass(frozen=True, slots=True)
class Standing:
    """A stop in force. `is_recorded`: its entry is in the record; `is_kept`: its file is on the disk."""

    stop: Stop
    reached: Reached = Reached()
    is_recorded: bool = False
    is_kept: bool = False


def fits(pattern: str, name: str) -> bool:
    """`*` stands for any text; everything else for itself."""
    return pattern == name or ("*" in pattern and fnmatchcase(name, pattern.replace("[", "[[]").replace("?", "[?]")))
