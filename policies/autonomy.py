"""Graduated autonomy: which rules an agent's level brings, and what it takes to rise and to fall (SEMANTICS §1.12).

Rules of this module:
* The rules of a level are one more policy, heard beside the others: first match within it, strictest between policies.
  So a level frees nothing that another policy asks about or denies.
* A level is for one agent in one domain. The domain of a call is the second segment of its topic; with several topics
  the lowest level counts; a call without a domain is at level 0, where nothing was earned.
* What a level would free is asked of a tool's labels alone. A rule that looks at the call itself is read strictly: one
  that asks or denies as matching, one that allows as not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from policies.model import Json

if TYPE_CHECKING:
    from policies.snapshot import Policy, Standing

LEVEL_FACT = "autonomy_level"
SUCCESSES_MAX = 1_000  # that a promotion may ask for: as many as are kept of one agent in one domain
PERIOD_DAYS_MAX = 90


@dataclass(frozen=True, slots=True)
class Promotion:
    """What it takes to rise by one level."""

    min_successful_actions: int = 50
    max_error_rate: float = 0.02
    review_period_days: int = 7
    requires_human_sign_off: bool = True


@dataclass(frozen=True, slots=True)
class Demotion:
    """What makes an agent fall: by one level, to the bottom, or by one where too many calls go wrong."""

    policy_violation: bool = True
    safety_incident: bool = True
    error_rate_above: float | None = None


@dataclass(frozen=True, slots=True)
class Autonomy:
    """The levels of a set of policies, lowest first. Without `promotion` nobody rises but by an admin's hand."""

    levels: tuple[Policy, ...]
    names: tuple[str, ...]
    promotion: Promotion | None = None
    demotion: Demotion = field(default_factory=Demotion)

    @property
    def last(self) -> int:
        return len(self.levels) - 1

    def held(self, level: Json) -> int:
        """The level as these policies have it: what is not a whole number is 0, what is beyond the last is the last."""
        return max(0, min(level, self.last)) if type(level) is int else 0

    def name(self, level: int) -> str:
        return self.names[self.held(level)]


def domain_of(topic: str) -> str | None:
    """The domain of a topic such as `job.crm.read`: its second segment, `crm`."""
    parts = topic.split(".")
    return parts[1] if len(parts) > 1 and parts[1] else None


def domains_of(topics: Iterable[str]) -> frozenset[str]:
    """The domains of a call's topics; empty if it has none."""
    return frozenset(domain for topic in topics if (domain := domain_of(topic)) is not None)


def lowest(topics: Iterable[str], level_in: Callable[[str], int]) -> int:
    """The level a call with these topics is at: the lowest of its domains, and 0 where a topic has none."""
    domains = [domain_of(topic) for topic in topics]
    return min((0 if domain is None else level_in(domain) for domain in domains), default=0)


def frees(policy: Policy, standings: Sequence[Standing]) -> bool:
    """Whether a level's rules let every call of a tool go without a person, as far as its labels say."""
    for rule, standing in zip(policy.rules, standings, strict=True):
        if standing.why_not is not None:
            continue
        if not rule.effect.is_allowing:
            return False
        if not rule.match.about_call and rule.condition is None:
            return True
    return False
