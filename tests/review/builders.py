"""Builders for the reviewers' side: a desk over memory, a call that waits, people, a policy that judges edits."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from typing import Any

from audit.masks import commit
from policies.model import Approval, Classification, Decision, Effect, JsonObject, Risk
from review import decisions
from review.binding import binding, release_binding
from review.desk import Desk, InboxSettings, Seen
from review.inbox import Inbox
from review.model import (
    Account,
    CallRecord,
    CallState,
    Reviewer,
    ReviewKind,
    ReviewRecord,
    ReviewState,
)
from review.ports import Change, InsertCall, InsertReview, Ladder, Redacted, Switch
from tests.review.memory_records import MemoryRecords

NOW = 1_800_000_000.0
KEY = b"k" * 32


class Clock:
    """Time that passes when told to."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def pass_sec(self, sec: float) -> None:
        self.now += sec


class Rung:
    """A bell that remembers."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def ring(self, call_id: str) -> None:
        self.calls.append(call_id)


class Blackout:
    """Takes `AKIA…` out of every text, unless a test lets it through or says that it cannot be done."""

    def __init__(self) -> None:
        self.why_not = ""
        self.meanwhile: Callable[[], Awaitable[object]] | None = None

    async def redact(self, call: CallRecord, let_through: frozenset[str]) -> Redacted:
        if self.meanwhile is not None:
            await self.meanwhile()
        if self.why_not:
            return Redacted(None, {}, self.why_not)
        if "aws_access_key" in let_through:
            return Redacted(call.outcome, {"outcome": "allow"})
        return Redacted(_without_keys(call.outcome), {"outcome": "redact"})


def _without_keys(value: Any) -> Any:
    match value:
        case str():
            return re.sub(r"AKIA\w+", "[REDACTED]", value)
        case dict():
            return {key: _without_keys(one) for key, one in value.items()}
        case list():
            return [_without_keys(one) for one in value]
        case _:
            return value


class RefundPolicy:
    """Judges edits as a small refund policy would: up to 100 goes, up to 10,000 asks, above is denied.

    Above 5,000 the tier is high; amounts that end in 7 also ask `legal`, so a test can make another rule ask.
    """

    async def judge_edit(self, call: CallRecord, arguments: JsonObject) -> Decision:
        amount = arguments.get("amount")
        if not isinstance(amount, int) or isinstance(amount, bool):
            raise ValueError("$.amount: expected an integer")
        return refund_decision(amount)


def refund_decision(amount: int, *, approval: Approval | None = None) -> Decision:
    if amount <= 100:
        return Decision(Effect.ALLOW, "small refunds go", ("refunds#small",), "v1:aaaa", _labels(Risk.LOW))
    if amount > 10_000:
        return Decision(Effect.DENY, "refunds over 10,000 are not made here", ("refunds#huge",), "v1:aaaa")
    rules = ["refunds#ask-over-100"] + (["refunds#legal"] if amount % 10 == 7 else [])
    tier = Risk.HIGH if amount > 5_000 else Risk.MEDIUM
    return Decision(
        Effect.REQUIRE_APPROVAL,
        "refunds over 100 need a person",
        tuple(rules),
        "v1:aaaa",
        _labels(tier),
        approval=approval or Approval(),
    )


def _labels(risk: Risk) -> Classification:
    return Classification(
        True, frozenset({"job.refund.process"}), frozenset({"financial", "write"}), risk, reversible=False
    )


def refund(amount: int = 250, **changes: Any) -> CallRecord:
    """A refund proposed by an agent and waiting for people."""
    call = CallRecord(
        id="c-1",
        agent="refund-bot",
        server="payments",
        tool="refund.create",
        method="tools/call",
        state=CallState.WAITING,
        created_at=NOW,
        updated_at=NOW,
        repeat_key="key-1",
        proposed_digest="hmac-sha256:00",
        snapshot="v1:aaaa",
        review_id="r-1",
        proposed={"arguments": {"amount": amount, "customer": "c_81"}, "input_responses": None},
        decision=decisions.to_json(refund_decision(amount)),
        definition_digest="sha256:def",
    )
    return replace(call, **changes)


def held_output(**changes: Any) -> CallRecord:
    """A call whose output is held."""
    outcome = {"result": {"content": [{"type": "text", "text": "key AKIAABCDEFGHIJKLMNOP"}]}}
    inspection = {
        "findings": [{"path": "$.result.content[0].text", "kind": "aws_access_key", "detector": "secrets"}],
        "why": "x",
    }
    return refund(
        **{
            "state": CallState.QUARANTINED,
            "outcome": outcome,
            "inspection": inspection,
            "tool": "secrets.read",
            **changes,
        }
    )


def question(call: CallRecord, approval: Approval | None = None, **changes: Any) -> ReviewRecord:
    """The review of a waiting call, bound to exactly it."""
    asked = approval or Approval()
    expires_at = changes.pop("expires_at", NOW + asked.timeout_sec)
    is_release = call.state is CallState.QUARANTINED
    rules = tuple(decisions.determining(call.decision))
    digest = (
        release_binding(call, expires_at=expires_at, nonce="n-0")
        if is_release
        else binding(call, expires_at=expires_at, nonce="n-0", rules=rules)
    )
    review = ReviewRecord(
        id=call.review_id or "r-1",
        call_id=call.id,
        kind=ReviewKind.RELEASE if is_release else ReviewKind.APPROVAL,
        state=ReviewState.QUARANTINED if is_release else ReviewState.PARKED,
        opened_at=NOW,
        expires_at=expires_at,
        approval=asked,
        binding=digest,
        nonce="n-0",
        answered_rules=() if is_release else rules,
    )
    return replace(review, **changes)


PEOPLE: Mapping[str, Account] = {
    account.name: account
    for account in (
        Account("anna", None, ("reviewer",), ("finance",)),
        Account("bob", None, ("reviewer",), ("finance", "legal")),
        Account("carol", None, ("reviewer",), ("legal",)),
        Account("sam", None, ("security",), ()),
        Account("lea", None, ("reviewer",), ("leads",)),
        Account("aud", None, ("auditor",), ()),
        Account("root", None, ("admin",), ()),
        Account("omar", None, ("reviewer",), ("finance",), ("refund-bot",)),
    )
}


class Directory:
    """People as the accounts in the store have them now."""

    def __init__(self, records: MemoryRecords) -> None:
        self._records = records

    async def reviewer(self, name: str) -> Reviewer | None:
        account = self._records.accounts_by_name.get(name)
        if account is None or account.disabled:
            return None
        roles, teams, owned = frozenset(account.roles), frozenset(account.teams), frozenset(account.owns_agents)
        return Reviewer(name, roles, teams, owned)


@dataclass
class World:
    """An inbox over memory, with everything a test may want to look at."""

    records: MemoryRecords = field(default_factory=MemoryRecords)
    clock: Clock = field(default_factory=Clock)
    bell: Rung = field(default_factory=Rung)
    redactor: Blackout = field(default_factory=Blackout)
    settings: InboxSettings = field(default_factory=InboxSettings)
    switch: Switch | None = None
    ladder: Ladder | None = None

    def __post_init__(self) -> None:
        self.records.accounts_by_name.update(PEOPLE)
        numbers = count(1)
        self.desk = Desk(
            records=self.records,
            judge=RefundPolicy(),
            bell=self.bell,
            people=Directory(self.records),
            clock=self.clock,
            nonce=lambda: f"n-{next(numbers)}",
            commit=partial(commit, KEY),
            inventory=self.records,
            redactor=self.redactor,
            switch=self.switch,
            ladder=self.ladder,
            settings=self.settings,
        )
        self.inbox = Inbox(self.desk)

    def park(self, call: CallRecord | None = None, approval: Approval | None = None, **changes: Any) -> ReviewRecord:
        call = call or refund()
        review = question(call, approval, **changes)
        self.records.calls[call.id], self.records.reviews[review.id] = call, review
        self.records.told(Change(rows=(InsertCall(call), InsertReview(review))))
        return review

    def seen(self, review_id: str = "r-1", looked_ms: int = 4200) -> Seen:
        review = self.records.reviews[review_id]
        return Seen(review.version, review.binding, looked_ms)

    @property
    def review(self) -> ReviewRecord:
        return self.records.reviews["r-1"]

    @property
    def call(self) -> CallRecord:
        return self.records.calls["c-1"]


def person(name: str, login: str = "password") -> Reviewer:
    account = PEOPLE[name]
    return Reviewer(name, frozenset(account.roles), frozenset(account.teams), frozenset(account.owns_agents), login)
