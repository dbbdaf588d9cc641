"""Taking out of a held output what was found in it: the same inspector, asked to redact where it would quarantine.

Rules of this module:
* Nothing is taken out here: the inspector does, with its rules turned milder in one way only, and looks again at what
  it made (P8). What it would still hold cannot be redacted, and is said so.
* A row of another tenant, a secret in a name, an output that cannot be read: there is nothing to take out of these.
* The rules are those in force now, for the call as it was sent.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Protocol

from policies.model import Do, JsonObject, OutputRules, ToolCall
from proxy.telling import inspection_json
from redaction.model import Inspection, Outcome, Surface
from review.model import CallRecord
from review.ports import Redacted


class Judges(Protocol):
    """What `proxy/judging.py` knows of a call's output."""

    def output_rules(self, call: ToolCall, kept: CallRecord | None = None) -> OutputRules: ...
    async def call_now(self, record: CallRecord) -> ToolCall: ...


class Inspects(Protocol):
    async def inspect(
        self, message: object, *, rules: OutputRules, surface: Surface, output_schema: JsonObject | None = None
    ) -> Inspection: ...


class Redacting:
    """Implements `review.ports.Redactor`."""

    def __init__(self, judging: Judges, inspectors: Inspects) -> None:
        self._judging, self._inspectors = judging, inspectors

    async def redact(self, call: CallRecord, let_through: frozenset[str]) -> Redacted:
        """Raises: ValueError when retention has erased the call."""
        now = await self._judging.call_now(call)
        definition = now.definition
        inspection = await self._inspectors.inspect(
            call.outcome,
            rules=redacting(self._judging.output_rules(now, call), let_through),
            surface=Surface.ERROR if "error" in call.outcome else Surface.RESULT,
            output_schema=definition.output_schema if definition is not None else None,
        )
        told = inspection_json(inspection)
        if inspection.outcome is Outcome.QUARANTINE:
            return Redacted(None, told, why_not=inspection.why)
        return Redacted(inspection.message, told)


def redacting(rules: OutputRules, let_through: Iterable[str]) -> OutputRules:
    """The rules with every quarantine of a field or a kind turned into taking it out; `same` rules stay as they are."""
    detect = {kind: _milder(do) for kind, do in rules.detect.items()}
    passed = {kind.lower() for kind in let_through}
    detect = {kind: do for kind, do in detect.items() if kind.lower() not in passed} | dict.fromkeys(passed, Do.ALLOW)
    fields = tuple(replace(rule, do=Do.REMOVE) if rule.do is Do.QUARANTINE else rule for rule in rules.fields)
    return replace(rules, detect=detect, fields=fields, default_do=_milder(rules.default_do), always_review=False)


def _milder(do: Do) -> Do:
    return Do.REPLACE if do is Do.QUARANTINE else do
