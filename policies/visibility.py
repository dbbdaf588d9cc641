"""Which of a server's tools an agent is shown in lists: `hidden(snapshot, agent, server, tools)`. Pure.

Rules of this module:
* Hiding is no protection and never widens anything: a hidden tool that is called all the same is judged as ever, and a
  shown one is not allowed by being shown.
* Each file with `visibility` is asked; what one of them hides is hidden. Within a file `show` excepts from its `hide`
  and `hide_denied`; with `show` alone, only what it names is shown.
* `hide` is read as a rule that denies is, `show` as one that allows: in doubt a tool is hidden (P10).
* `hide_denied` hides what this agent cannot call whatever it sends: where a policy denies it without a condition, or
  where no rule of any policy could speak for it. A rule that might is enough to show the tool.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from policies.criteria import Match
from policies.criteria.agents import Agents
from policies.criteria.base import Target, Truth, View
from policies.criteria.groups import Groups
from policies.facts import FactReader
from policies.model import Agent, Direction, Effect, ToolCall
from policies.patterns import SUBJECT_CHARS_MAX
from policies.snapshot import Policy, PolicySnapshot, Profile, Standing, standing

_ANY_TIME = datetime(2000, 1, 1, tzinfo=UTC)  # nothing that is asked here looks at the time


def hidden(snapshot: PolicySnapshot, agent: Agent, server: str, tools: Iterable[str]) -> frozenset[str]:
    """Those of the tools that this agent is not shown."""
    if not snapshot.visibility:
        return frozenset()
    return frozenset(tool for tool in tools if _is_hidden(snapshot, agent, server, tool))


def _is_hidden(snapshot: PolicySnapshot, agent: Agent, server: str, tool: str) -> bool:
    call = ToolCall(server, tool, {}, agent)
    if len(call.name) > SUBJECT_CHARS_MAX:
        return True  # no pattern is matched against such a name, and every call of it is denied
    profile = snapshot.profile(server, tool, call.method, Direction.AGENT_TO_TOOL)
    asked = _Asked(snapshot, call, profile)
    for one in snapshot.visibility:
        if any(asked.fits(match, Effect.ALLOW) for match in one.show):
            continue
        is_named = any(asked.fits(match, Effect.DENY) for match in one.hide)
        only_shows = bool(one.show) and not one.hide and not one.hides_denied
        if is_named or only_shows or (one.hides_denied and asked.is_denied_whatever_it_sends()):
            return True
    return False


@dataclass(frozen=True, slots=True)
class _Asked:
    """One tool as one agent would call it."""

    snapshot: PolicySnapshot
    call: ToolCall
    profile: Profile

    @property
    def _view(self) -> View:
        return View(self.call, self.profile.labels, FactReader(self.call, {}, {}), _ANY_TIME)

    def fits(self, match: Match, effect: Effect) -> bool:
        """Whether an entry is about this tool and this agent. Its keys are those of `schema_visibility.py` only."""
        call = self.call
        target = Target(call.server, call.tool, call.method, call.direction, self.profile.labels)
        if standing(match, effect, target).why_not is not None:
            return False
        view, allowing = self._view, effect.is_allowing
        return all(criterion.answer(view, allowing=allowing).truth is Truth.YES for criterion in match.about_call)

    def is_denied_whatever_it_sends(self) -> bool:
        policies, standings = self.snapshot.policies, self.profile.standings
        heard = [self._first_word(policy, known) for policy, known in zip(policies, standings, strict=True)]
        if self.snapshot.autonomy is not None:  # which level is the agent's is not asked here: any may speak
            levels = zip(self.snapshot.autonomy.levels, self.profile.levels, strict=True)
            spoken = {self._first_word(level, known) for level, known in levels}
            heard.append(True if True in spoken else None)
        return False in heard or not any(heard)

    def _first_word(self, policy: Policy, standings: tuple[Standing, ...]) -> bool | None:
        """False: this policy denies it for certain. True: it may say something else. None: it says nothing."""
        view = self._view
        for rule, known in zip(policy.rules, standings, strict=True):
            if known.why_not is not None:
                continue
            about = rule.match.about_call
            who = [one for one in about if isinstance(one, Agents | Groups)]
            if any(one.answer(view, allowing=rule.effect.is_allowing).truth is not Truth.YES for one in who):
                continue
            is_certain = len(who) == len(about) and rule.condition is None
            if rule.effect is not Effect.DENY:
                return True
            if is_certain:
                return False
        return True if policy.default is not None and self.profile.labels.is_classified else None
