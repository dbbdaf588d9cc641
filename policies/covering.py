"""Whether one rule matches whatever another matches. What is said here is so; what cannot be shown is not said.

Rules of this module:
* `covers(wide, narrow)` is about every call there could be. Where `narrow` matches by doubt (a fact missing, a tool not
  listed or not classified), `wide` must match by it too: a rule that allows never does, one that asks or denies does.
* Between criteria of one kind the patterns, tiers, hours and bounds are compared as sets. A kind this module does not
  know covers only what is equal to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import inf

from policies.classify import ClassifyEntry
from policies.condition import Condition
from policies.condition_tokens import Kind, Token, tokens_of
from policies.criteria.agents import Agents
from policies.criteria.base import AboutCall, AboutTool, Patterns
from policies.criteria.fact import FactAbove, FactBelow, FactIs
from policies.criteria.groups import Groups
from policies.criteria.hours import Hours
from policies.criteria.methods import Methods
from policies.criteria.reversible import IsReversible
from policies.criteria.risk import IsRisk
from policies.criteria.risk_tags import RiskTags
from policies.criteria.servers import Servers
from policies.criteria.tools import Tools
from policies.criteria.topics import Topics
from policies.pattern_sets import is_disjoint, is_tool_within, is_within, shared_tool
from policies.patterns import Pattern
from policies.snapshot import Rule

type Criterion = AboutTool | AboutCall
type Relation = Callable[[str, str], bool]  # of two patterns

_LABELS = (Topics, RiskTags, Groups, Servers, Methods, Agents)
_FACTS = (FactAbove, FactBelow, FactIs)


@dataclass(frozen=True, slots=True)
class Span:
    """The numbers from `low` to `high` that a comparison is true for; a bound that is `open` does not belong to it."""

    name: str
    low: float = -inf
    low_open: bool = False
    high: float = inf
    high_open: bool = False

    def holds(self, other: Span) -> bool:
        """Whether every number of the other lies in this one."""
        if self.name != other.name:
            return False
        low = other.low > self.low or (other.low == self.low and (other.low_open or not self.low_open))
        high = other.high < self.high or (other.high == self.high and (other.high_open or not self.high_open))
        return low and high


def covers(wide: Rule, narrow: Rule, classify: Sequence[ClassifyEntry] = ()) -> bool:
    """Whether `wide` matches every call that `narrow` matches. `classify`: the labels that tools have in their set."""
    if wide.effect.is_allowing:
        if not _is_as_free(wide, narrow):
            return False
    elif wide.skips_missing and wide.facts and not narrow.effect.is_allowing:
        return False
    given: tuple[Criterion, ...] = (*narrow.match.about_tool, *narrow.match.about_call)
    spans = list(_spans(narrow))
    wanted: tuple[Criterion, ...] = (*wide.match.about_tool, *wide.match.about_call)
    return all(
        any(_implies(have, want, narrow, wide) or _is_labelled(have, want, wide, classify) for have in given)
        or _is_spanned(want, spans)
        for want in wanted
    ) and _condition_holds(wide, narrow, spans)


def cannot_both_match(one: Rule, other: Rule) -> bool:
    """Whether no call could match both: their tools or servers have none in common, as far as it can be shown."""
    for mine in one.match.about_tool:
        for theirs in other.match.about_tool:
            if isinstance(mine, Tools) and isinstance(theirs, Tools):
                if _apart(mine.patterns, theirs.patterns, lambda a, b: shared_tool(a, b) is None):
                    return True
            elif isinstance(mine, Servers) and isinstance(theirs, Servers):
                if _apart(mine.patterns, theirs.patterns, is_disjoint):
                    return True
            elif type(mine) is type(theirs) and _is_another_value(mine, theirs):
                return True
    return False


def _is_as_free(wide: Rule, narrow: Rule) -> bool:
    """Whether a rule that allows is barred from nothing that `narrow` matches: unlisted, unclassified, ambiguous."""
    tools = wide.match.tools
    if tools is None:
        return narrow.effect.is_allowing and not _names_some(narrow)
    if tools.patterns.needs_all or not all("/" in one.text or one.is_catch_all for one in tools.patterns.patterns):
        return False
    if narrow.match.tools is None:
        return False
    mine, theirs = tools.patterns.patterns, narrow.match.tools.patterns
    if narrow.effect.is_allowing:
        return not theirs.needs_all and all(
            any(is_tool_within(p.text, q.text) and _plainness(q) >= _plainness(p) for q in mine)
            for p in theirs.patterns
        )
    literal = {one.text for one in mine if one.is_literal}
    has_facts = bool(wide.facts) or wide.condition is not None
    return not has_facts and not theirs.needs_all and all(one.text in literal for one in theirs.patterns)


def _names_some(rule: Rule) -> bool:
    tools = rule.match.tools
    return tools is not None and any(_plainness(pattern) > 0 for pattern in tools.patterns.patterns)


def _plainness(pattern: Pattern) -> int:
    """How plainly it can name a tool at most; exactly so for a pattern with a slash."""
    if pattern.is_literal:
        return 2
    before = pattern.text[: pattern.text.index("*")]
    return 1 if "/" in before or "." in before else 0


def _implies(have: Criterion, want: Criterion, narrow: Rule, wide: Rule) -> bool:
    """Whether `want` holds in the wide rule wherever `have` holds in the narrow one."""
    lenient, strict = narrow.effect.is_allowing, not wide.effect.is_allowing
    if isinstance(have, Tools) and isinstance(want, Tools):
        return _all_within(have.patterns, want.patterns, is_tool_within, by_all=strict, any_label=not lenient)
    if isinstance(have, _LABELS) and isinstance(want, _LABELS) and type(have) is type(want):
        return _all_within(have.patterns, want.patterns, is_within, by_all=strict, any_label=not lenient)
    if isinstance(have, IsRisk) and isinstance(want, IsRisk):
        return have.wanted <= want.wanted and (strict or lenient)
    if isinstance(have, IsReversible) and isinstance(want, IsReversible):
        return have.wanted is want.wanted and (strict or lenient)
    if isinstance(have, Hours) and isinstance(want, Hours):
        return set(have.spans) <= set(want.spans)
    if isinstance(have, _FACTS) and not (strict or lenient):
        return False
    if isinstance(have, FactIs) and isinstance(want, FactIs):
        return have.name == want.name and set(have.wanted) <= set(want.wanted)
    return have == want and (narrow.effect.is_allowing == wide.effect.is_allowing or isinstance(have, _FACTS))


def _is_labelled(have: Criterion, want: Criterion, wide: Rule, classify: Sequence[ClassifyEntry]) -> bool:
    """Whether the tools that `have` names all carry the topics or tags that `want` asks for, by `classify`."""
    if not (isinstance(have, Tools) and isinstance(want, Topics | RiskTags)):
        return False
    is_topic, allowing = isinstance(want, Topics), wide.effect.is_allowing

    def labelled(pattern: Pattern) -> bool:
        text = "**" if pattern.is_catch_all else pattern.text
        labels = frozenset[str]().union(*(_sure_labels(entry, text, is_topic=is_topic) for entry in classify))
        return want.patterns.match_labels(labels, allowing=allowing)

    quantify = any if have.patterns.needs_all else all
    return quantify(map(labelled, have.patterns.patterns))


def _sure_labels(entry: ClassifyEntry, tools: str, *, is_topic: bool) -> frozenset[str]:
    """The labels an entry gives to every tool of a pattern; none if it is not sure to cover them all."""
    if entry.tools is None or entry.tools.needs_all or entry.servers is not None or entry.methods is not None:
        return frozenset()
    if not any(is_tool_within(tools, bound.text) for bound in entry.tools.patterns):
        return frozenset()
    return entry.topics if is_topic else entry.risk_tags or frozenset()


def _all_within(have: Patterns, want: Patterns, within: Relation, *, by_all: bool, any_label: bool) -> bool:
    """Patterns of one key. `by_all`: a catch-all of `want` holds whatever there is; `any_label`: one of `have` says
    nothing of what there is."""

    def implied(p: Pattern, q: Pattern) -> bool:
        if q.is_catch_all and by_all:
            return True
        if p.is_catch_all and any_label:
            return False
        return within(p.text, q.text)

    def holds(ps: Iterable[Pattern]) -> bool:
        known = list(ps)
        found = [any(implied(p, q) for p in known) for q in want.patterns]
        return all(found) if want.needs_all else any(found)

    return holds(have.patterns) if have.needs_all else all(holds((p,)) for p in have.patterns)


def _apart(have: Patterns, want: Patterns, is_apart: Relation) -> bool:
    """No name fits both. A catch-all may fit anything."""
    if any(pattern.is_catch_all for pattern in (*have.patterns, *want.patterns)):
        return False
    if have.needs_all or want.needs_all:
        return False
    return all(is_apart(p.text, q.text) for q in want.patterns for p in have.patterns)


def _is_another_value(one: object, other: object) -> bool:
    if isinstance(one, Methods) and isinstance(other, Methods):
        return _apart(one.patterns, other.patterns, is_disjoint)
    return False


# --- facts and conditions


def _condition_holds(wide: Rule, narrow: Rule, spans: list[Span]) -> bool:
    """Whether the wide rule's condition holds (or is in doubt together with the narrow one)."""
    wanted = wide.condition
    if wanted is None:
        return True
    strict, lenient = not wide.effect.is_allowing, narrow.effect.is_allowing
    if not (strict or lenient):
        return False
    if narrow.condition is not None and narrow.condition.text == wanted.text:
        return True
    needed = compared(wanted)
    return needed is not None and all(any(want.holds(have) for have in spans) for want in needed)


def _is_spanned(want: Criterion, spans: list[Span]) -> bool:
    span = _span_of(want)
    return span is not None and any(span.holds(have) for have in spans)


def _spans(rule: Rule) -> Iterator[Span]:
    """What a rule that matches says of numbers: each of them is so, or the fact is in doubt."""
    for criterion in rule.match.about_call:
        if (span := _span_of(criterion)) is not None:
            yield span
    if rule.condition is None:
        return
    known = compared(rule.condition) or []
    # In a rule that asks or denies, doubt about one fact lets the whole condition pass, whatever the others are.
    if rule.effect.is_allowing or len({span.name for span in known}) == 1:
        yield from known


def _span_of(criterion: Criterion) -> Span | None:
    if isinstance(criterion, FactAbove):
        return Span(criterion.name, low=criterion.bound, low_open=True)
    if isinstance(criterion, FactBelow):
        return Span(criterion.name, high=criterion.bound, high_open=True)
    return None


def compared(condition: Condition) -> list[Span] | None:
    """The comparisons that a condition is made of, joined by AND alone; None if there is anything else in it."""
    parts: list[list[Token]] = [[]]
    for token in tokens_of(condition.text):
        if token.kind is Kind.SIGN and token.text == "&&":
            parts.append([])
        else:
            parts[-1].append(token)
    spans = [_comparison(part) for part in parts]
    return None if None in spans else [span for span in spans if span is not None]


def _comparison(tokens: list[Token]) -> Span | None:
    """`name < 5`, and the like with another sign or a negative number."""
    words = [token.text for token in tokens]
    if len(words) == 4 and words[2] == "-":
        words = [words[0], words[1], f"-{words[3]}"]
        tokens = [tokens[0], tokens[1], tokens[3]]
    if len(words) != 3 or [token.kind for token in tokens] != [Kind.NAME, Kind.SIGN, Kind.NUMBER]:
        return None
    try:
        bound = float(words[2])
    except ValueError:  # hexadecimal, unsigned
        return None
    match words[1]:
        case ">" | ">=":
            return Span(words[0], low=bound, low_open=words[1] == ">")
        case "<" | "<=":
            return Span(words[0], high=bound, high_open=words[1] == "<")
        case "==":
            return Span(words[0], low=bound, high=bound)
        case _:
            return None
