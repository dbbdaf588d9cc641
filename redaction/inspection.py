"""The inspector: one message in, what may come back of it out.

Rules of this module:
* Pure: no clock, no I/O. Deadlines, processes and memory limits are the caller's (proxy/inspectors.py).
* Field rules and detectors see the whole message in one walk; what they ask for is done in one rebuild; the redacted
  message is then walked and scanned again, and again, until nothing is left to do. If that does not settle: quarantine.
* Everything that cannot be inspected in full is quarantined: `Unreadable`, a detector that gave up, a rule that cannot
  be read. There is no way from an error to ALLOW.
* An `Inspection` holds no value that was found: paths with masked keys, kinds, spans, and the redacted message.
* For ARGUMENTS nothing is changed or held: findings only.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from policies.model import Do, FieldRule, OutputRules
from redaction.apply import Change, Plan, plan_fields, plan_hits
from redaction.detectors.base import DetectorGaveUp
from redaction.embedded import JsonCodec
from redaction.fields import (
    CompiledRules,
    FieldRuleInvalid,
    compile_rules,
    find,
    is_removable,
    refuse_unreachable,
)
from redaction.model import Finding, Inspection, Outcome, Redaction, Surface
from redaction.operators import ACTIONS
from redaction.paths import Inner, Path, in_message, in_response
from redaction.rebuild import Edits, rebuild
from redaction.residue import plan_residue
from redaction.scan import Detectors
from redaction.walk import BLOB_TYPES, Unreadable, Walked, WalkLimits, walk

ROUNDS_MAX = 4
FINDINGS_MAX = 1_000
REDACTIONS_MAX = 10_000

LIMITS = WalkLimits()
STRUCTURED: Path = ("result", "structuredContent")


@dataclass(frozen=True, slots=True)
class ReadyRules:
    """Output rules with their paths read: made once for a snapshot's rules, used for many messages."""

    rules: OutputRules
    compiled: CompiledRules

    @classmethod
    def of(cls, rules: OutputRules) -> ReadyRules:
        """Raises: FieldRuleInvalid."""
        return cls(rules, compile_rules((*rules.fields, *rules.same)))


def inspect(
    message: Any,
    *,
    rules: OutputRules | ReadyRules,
    surface: Surface,
    detectors: Detectors,
    codec: JsonCodec,
    limits: WalkLimits = LIMITS,
    blob_types: Sequence[str] = BLOB_TYPES,
    still_valid: Callable[[Any], bool] | None = None,
) -> Inspection:
    """Inspect one message. `still_valid` says whether a redacted `structuredContent` fits the tool's outputSchema."""
    try:
        ready = rules if isinstance(rules, ReadyRules) else ReadyRules.of(rules)
        inspector = _Inspector(message, ready, surface, detectors, codec, limits, blob_types)
        return inspector.run(still_valid)
    except (Unreadable, DetectorGaveUp, FieldRuleInvalid) as refused:
        return Inspection(Outcome.QUARANTINE, why=str(refused))


class _Inspector:
    def __init__(
        self,
        message: Any,
        ready: ReadyRules,
        surface: Surface,
        detectors: Detectors,
        codec: JsonCodec,
        limits: WalkLimits,
        blob_types: Sequence[str],
    ) -> None:
        self.message, self.ready, self.surface = message, ready, surface
        self.detectors, self.codec, self.limits, self.blob_types = detectors, codec, limits, blob_types
        self.documents: dict[Path, Any] = {}
        rules = ready.rules
        detect = {kind.lower(): do for kind, do in rules.detect.items()}
        self.plan = Plan(surface, detect, rules.default_do, rules.keep_last)

    def run(self, still_valid: Callable[[Any], bool] | None) -> Inspection:
        plan, message = self.plan, self.message
        walked = self._walk(message, is_first=True)
        self.documents = walked.documents
        self._plan(walked, message, is_first=True)
        if self.surface is Surface.ARGUMENTS:
            return Inspection(Outcome.ALLOW, message, self._findings())
        if self.ready.rules.always_review:
            plan.quarantines.append("an output rule asks that a person sees this output first")
        rounds = 0
        while plan.edits and not plan.quarantines:
            rounds += 1
            if rounds > ROUNDS_MAX:
                plan.quarantines.append("redaction did not come to an end")
                break
            edits, plan.edits = plan.edits, Edits()
            message = rebuild(message, edits, walked.documents, self.codec)
            walked = self._walk(message, is_first=False)
            self._plan(walked, message, is_first=False)
            plan_residue(plan, walked)
        if not plan.quarantines:
            refuse_unreachable(self.ready.compiled, walked.leaves)
            self._refuse_misfit(message, still_valid)
        return self._answer(message)

    def _walk(self, message: Any, *, is_first: bool) -> Walked:
        is_arguments = self.surface is Surface.ARGUMENTS
        return walk(
            message,
            codec=self.codec,
            limits=self.limits,
            blob_types=self.blob_types,
            watch=() if is_arguments else self.ready.compiled.by_name,
            clean_keys=self.detectors.clean_keys if is_first else (),
            is_arguments=is_arguments,
        )

    def _plan(self, walked: Walked, message: Any, *, is_first: bool) -> None:
        plan = self.plan

        def can_remove(path: Path) -> bool:
            return is_removable(message, path)

        if self.ready.compiled and self.surface is not Surface.ARGUMENTS:
            meant = find(self.ready.compiled, walked, message)
            if is_first:
                plan_fields(plan, meant, can_remove)
            else:  # places may have moved; what was withheld stays withheld
                plan.allowed = {
                    one.path for one in meant if isinstance(one.rule, FieldRule) and one.rule.do is Do.ALLOW
                }
        for leaf, hits in self.detectors.scan(walked.leaves):
            plan_hits(plan, leaf, hits, can_remove, again=not is_first)

    def _homes(self) -> set[Path]:
        """Where paths of the record begin: at structuredContent, and at a text that is the output or its twin."""
        structured = whole = _structured(self.message)
        home: Path = ()
        if isinstance(whole, dict) and list(whole) == ["result"]:  # wrapped by an SDK
            structured, home = whole["result"], ("result",)
        homes: set[Path] = {STRUCTURED + home}
        blocks = {path: document for path, document in self.documents.items() if _is_text_block(path)}
        for path, document in blocks.items():
            if home and document == whole:
                homes.add((*path, Inner.JSON, *home))
            elif len(blocks) == 1 or document == structured:
                homes.add((*path, Inner.JSON))
        return homes

    def _refuse_misfit(self, message: Any, still_valid: Callable[[Any], bool] | None) -> None:
        """Raises: Unreadable, if a changed structuredContent no longer is what the tool's outputSchema promises."""
        before, after = _structured(self.message), _structured(message)
        if still_valid is None or after is before:
            return
        if after is None or not still_valid(after):
            raise Unreadable("the redacted structuredContent does not fit the tool's outputSchema")

    def _answer(self, message: Any) -> Inspection:
        plan = self.plan
        homes = self._homes() if plan.changes else ()
        redactions = tuple(dict.fromkeys(self._redaction(change, homes) for change in plan.changes))
        if len(redactions) > REDACTIONS_MAX:
            plan.quarantines.append(f"more than {REDACTIONS_MAX} fields would have to be redacted")
        if plan.quarantines:
            why = "; ".join(dict.fromkeys(plan.quarantines))
            return Inspection(Outcome.QUARANTINE, None, self._findings(), (), why)
        outcome = Outcome.REDACT if redactions else Outcome.ALLOW
        return Inspection(outcome, message, self._findings(), redactions)

    def _redaction(self, change: Change, homes: Collection[Path]) -> Redaction:
        path = in_response(change.path, homes, self.plan.masked_keys)
        return Redaction(path, change.kind, ACTIONS[change.do], change.reason)

    def _findings(self) -> tuple[Finding, ...]:
        return tuple(
            Finding(
                in_message(seen.path, self.plan.masked_keys),
                seen.kind,
                seen.detector,
                seen.hit.score if seen.hit else 1.0,
                seen.hit.start if seen.hit else None,
                seen.hit.end if seen.hit else None,
            )
            for seen in self.plan.seen[:FINDINGS_MAX]
        )


def _is_text_block(path: Path) -> bool:
    return len(path) == 4 and path[:2] == ("result", "content") and path[3] == "text"


def _structured(message: Any) -> Any:
    result = message.get("result") if isinstance(message, dict) else None
    return result.get("structuredContent") if isinstance(result, dict) else None
