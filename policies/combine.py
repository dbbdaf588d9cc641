"""Between policies: the strictest wins, and every rule that asks goes into one review (SEMANTICS §1.6).

Rules of this module:
* A `Voice` is what one policy says. `strictest` keeps the voices whose effect is the strictest; the rest are overruled.
* Asking voices are merged, never chosen between: every named team must be satisfied, with the highest quorum any rule
  wants of it; the shortest timeout and grant; the strictest `on_timeout`; comment and four eyes if any wants them; the
  longest undo; executing for an agent that has left only if every rule says so.
* An unanswered question approves only a call whose own tier is low; for any other it denies (SEMANTICS §1.11). What a
  rule that does not say makes of no answer goes by that tier: low approves, medium escalates, all else denies.
* Of several windows in which a call can be vetoed the longest counts. A review afterwards is due if any rule that spoke
  wants one, also one that was overruled by a rule that asks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from policies.constraints import Bound
from policies.model import Approval, Classification, Effect, OnTimeout, Risk

_STRICTEST_FIRST = list(OnTimeout)
_BY_TIER = {Risk.LOW: OnTimeout.APPROVE, Risk.MEDIUM: OnTimeout.ESCALATE}


@dataclass(frozen=True, slots=True)
class Voice:
    """What one policy says: the rule that spoke (`ref`), its effect, its words, and what it holds the call to."""

    ref: str
    effect: Effect
    reason: str = ""
    agent_message: str | None = None
    approval: Approval | None = None
    veto_window_sec: int = 0
    review_after: bool = False
    bounds: tuple[Bound, ...] = ()
    asks_on_violation: bool = False


def strictest(voices: Sequence[Voice]) -> tuple[Voice, ...]:
    """The voices that determine the decision, in the order of their policies."""
    highest = max(voice.effect.strictness for voice in voices)
    return tuple(voice for voice in voices if voice.effect.strictness == highest)


def merge_approvals(voices: Sequence[Voice], labels: Classification) -> Approval:
    """One review for all the rules that ask."""
    wanted = [voice.approval or Approval() for voice in voices]
    quorum: dict[str, int] = {}
    for approval in wanted:
        for team in approval.teams:
            quorum[team] = max(quorum.get(team, 1), approval.quorum.get(team, 1))
    by_tier = unanswered(labels)
    on_timeout = min((approval.on_timeout or by_tier for approval in wanted), key=_STRICTEST_FIRST.index)
    executes_alone = all(approval.on_disconnect_execute for approval in wanted)
    if on_timeout is OnTimeout.APPROVE and (labels.risk is not Risk.LOW or executes_alone):
        on_timeout = OnTimeout.DENY
    return Approval(
        teams=tuple(quorum),
        quorum=quorum,
        timeout_sec=min(approval.timeout_sec for approval in wanted),
        on_timeout=on_timeout,
        escalate_to=next((approval.escalate_to for approval in wanted if approval.escalate_to), None),
        grant_expires_sec=min(approval.grant_expires_sec for approval in wanted),
        undo_sec=max((sec for approval in wanted if (sec := approval.undo_sec) is not None), default=None),
        require_comment=any(approval.require_comment for approval in wanted),
        four_eyes=any(approval.four_eyes for approval in wanted),
        on_disconnect_execute=executes_alone,
    )


def unanswered(labels: Classification) -> OnTimeout:
    """What no answer means where a rule does not say: by the call's own tier."""
    return OnTimeout.DENY if labels.risk is None else _BY_TIER.get(labels.risk, OnTimeout.DENY)


def veto_window(winners: Sequence[Voice]) -> int | None:
    """For how long the call can be vetoed before it goes; None where that is not what was decided."""
    if winners[0].effect is not Effect.ALLOW_UNLESS_VETOED:
        return None
    return max(voice.veto_window_sec for voice in winners)


def reasons(voices: Sequence[Voice]) -> str:
    """The reasons of the rules that determine the decision, each once."""
    return "; ".join(dict.fromkeys(voice.reason for voice in voices))


def public_message(voices: Sequence[Voice]) -> str | None:
    """What an agent may be told: the first message one of these rules has for it."""
    return next((voice.agent_message for voice in voices if voice.agent_message), None)
