"""Field rules and same rules: which values of an output they mean.

Rules of this module:
* `$` is each of: the result (or error data, or params) as a whole, its `structuredContent`, every JSON document that
  stands in a text, and what an SDK wrapped in `{"result": …}`. A rule is tried on all of them.
* `$..name` is the common case: it is matched in the one walk, whatever the key's case and separators. Every other path
  is exact, and means what jsonpath-ng says it means; this is the package's only importer of it.
* A rule that means a member of the protocol (`$.content`, `$.isError`) is not carried out, and not ignored either: the
  output is quarantined. Texts, `structuredContent` and whatever is in them can be meant.
* A field rule cannot look into text that is not JSON. Where such a text holds the quoted name of a rule's field as a
  key, the output is quarantined: the field is there, and could not be taken out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from jsonpath_ng import JSONPath
from jsonpath_ng.exceptions import JSONPathError
from jsonpath_ng.ext.parser import parse
from jsonpath_ng.jsonpath import Child, Descendants, Fields, Index, Root

from policies.model import Do, FieldRule, SameRule
from redaction.paths import Inner, Path, Step, normal_name
from redaction.shape import ANYTHING, PLAIN, Member, Role, Zone, member_of, start
from redaction.walk import Form, Leaf, Unreadable, Walked

type AnyRule = FieldRule | SameRule


class FieldRuleInvalid(ValueError):
    """A path that cannot be read. Policies refuse it at load; here it quarantines."""


@dataclass(frozen=True, slots=True)
class Meant:
    """One value that a rule means."""

    rule: AnyRule
    path: Path
    value: Any


@dataclass(slots=True)
class CompiledRules:
    """Rules ready to be tried: by normal name, by a plain chain of keys, and the rest."""

    by_name: dict[str, list[AnyRule]] = field(default_factory=dict)
    chains: list[tuple[tuple[str, ...], AnyRule]] = field(default_factory=list)
    general: list[tuple[JSONPath, AnyRule]] = field(default_factory=list)
    last_names: set[str] = field(default_factory=set)  # normal names whose presence in other text is a leak

    def __bool__(self) -> bool:
        return bool(self.by_name or self.chains or self.general)


def compile_rules(rules: Iterable[AnyRule]) -> CompiledRules:
    """Read the paths once. Raises: FieldRuleInvalid."""
    compiled = CompiledRules()
    for rule in rules:
        try:
            expression = parse(rule.path)
        except (JSONPathError, ValueError, TypeError, AttributeError) as error:
            raise FieldRuleInvalid(f"the path of an output rule cannot be read: {rule.path!r}") from error
        if _starts_again(expression):
            raise FieldRuleInvalid(
                f"the path of an output rule has a $ in its middle, make it two rules: {rule.path!r}"
            )
        name, chain = _only_name(expression), _chain(expression)
        if name is not None:
            compiled.by_name.setdefault(normal_name(name), []).append(rule)
        elif chain:
            compiled.chains.append((chain, rule))
        else:
            compiled.general.append((expression, rule))
        if not (isinstance(rule, FieldRule) and rule.do is Do.ALLOW):
            compiled.last_names.update(normal_name(last) for last in _last_names(expression))
    return compiled


def find(compiled: CompiledRules, walked: Walked, message: Any) -> Iterator[Meant]:
    """Every value the rules mean, in the order of the message for named ones, then rule by rule.

    Raises: Unreadable, for a rule that means a member of the protocol.
    """
    for named in walked.named:
        for rule in compiled.by_name[named.name]:
            yield Meant(rule, named.path, named.value)
    for root in walked.roots:
        for chain, rule in compiled.chains:
            found = _follow(root.value, chain)
            if found:
                yield _allowed(Meant(rule, root.path + chain, found[0]), message)
        for expression, rule in compiled.general:
            for steps, value in _matches(expression, rule, root.value):
                yield _allowed(Meant(rule, root.path + steps, value), message)


def refuse_unreachable(compiled: CompiledRules, leaves: Sequence[Leaf]) -> None:
    """Look at the redacted message for fields nobody could take out.

    Raises: Unreadable, where a text or a key holds a rule's field as a quoted key with anything but [REDACTED].
    """
    if not compiled.last_names:
        return
    for leaf in leaves:
        if leaf.form is Form.NUMBER or ":" not in leaf.text:
            continue
        for quoted in _QUOTED_KEY.finditer(leaf.text):
            if normal_name(quoted["key"]) in compiled.last_names:
                raise Unreadable("a text that is not JSON holds a field that an output rule names")


_QUOTED_KEY = re.compile(
    r"""(?P<quote>["'])(?P<key>[^"'\\\x00-\x1f]{1,128})\\?(?P=quote)\s{0,16}:"""
    r"""(?!\s{0,16}\\?["']\[REDACTED\]\\?["'])"""
)


def _matches(expression: JSONPath, rule: AnyRule, value: Any) -> list[tuple[Path, Any]]:
    try:
        return [(_in_place(_steps(match.full_path), value), match.value) for match in expression.find(value)]
    except (TypeError, ValueError, LookupError, AttributeError, RecursionError) as error:
        # A filter compared what cannot be compared: the tool chose the types.
        raise Unreadable(f"the output rule {rule.path!r} could not be applied to this output") from error


def _in_place(steps: Path, value: Any) -> Path:
    """The steps with indices counted from the end (`[-1]`) turned into those counted from the start."""
    if all(not isinstance(step, int) or step >= 0 for step in steps):
        return steps
    placed: list[Step] = []
    for step in steps:
        placed.append(step + len(value) if isinstance(step, int) and step < 0 else step)
        value = value[placed[-1]]
    return tuple(placed)


def _allowed(meant: Meant, message: Any) -> Meant:
    """Raises: Unreadable, for a member of the protocol that is not the tool's to fill."""
    member, is_known = _member_at(message, meant.path)
    if not is_known or (member.zone is Zone.DATA and member.role is Role.DATA):
        return meant
    raise Unreadable(f"the output rule {meant.rule.path!r} means a member of the protocol, which must stay")


def is_removable(message: Any, path: Path) -> bool:
    """True for a member of an object of the tool's own; list items and what the protocol demands are replaced."""
    member, is_known = _member_at(message, path)
    return isinstance(path[-1], str) and not (is_known and member.is_required)


def _member_at(message: Any, path: Path) -> tuple[Member, bool]:
    """What the protocol says stands at a path, and whether it says anything."""
    member, is_known = start(message), True
    for step in path:
        if isinstance(step, Inner):
            member, is_known = PLAIN, False
        elif isinstance(step, str):
            known = member_of(member, step)
            member, is_known = known or ANYTHING, known is not None
    return member, is_known


def _follow(value: Any, chain: tuple[str, ...]) -> tuple[Any] | None:
    for key in chain:
        if not isinstance(value, dict) or key not in value:
            return None
        value = value[key]
    return (value,)


def _only_name(expression: JSONPath) -> str | None:
    """`name` for `$..name`."""
    match expression:
        case Descendants(left=Root(), right=Fields(fields=(str(name),))) if name != "*":
            return name
    return None


def _chain(expression: JSONPath) -> tuple[str, ...]:
    """`(a, b)` for `$.a.b`; empty for anything else."""
    match expression:
        case Fields(fields=(str(name),)) if name != "*":
            return (name,)
        case Child(left=Root(), right=right):
            return _chain(right)
        case Child(left=left, right=right):
            before, after = _chain(left), _chain(right)
            return before + after if before and after else ()
    return ()


def _last_names(expression: JSONPath) -> tuple[str, ...]:
    match expression:
        case Fields(fields=names):
            return tuple(name for name in names if name != "*")
        case Child(right=right) | Descendants(right=right):
            return _last_names(right)
    return tuple(name for part in _parts(expression) for name in _last_names(part))  # `a|b`, `a where b`


def _starts_again(expression: JSONPath, *, is_first: bool = True) -> bool:
    """True for `$.a|$.b`: jsonpath-ng takes it for `$.(a|$).b`, which nobody means and which leaves `a` where it is."""
    if isinstance(expression, Root):
        return not is_first
    return any(_starts_again(part, is_first=is_first and place == 0) for place, part in enumerate(_parts(expression)))


def _parts(expression: JSONPath) -> tuple[JSONPath, ...]:
    """The two sides of whatever has two."""
    sides = getattr(expression, "left", None), getattr(expression, "right", None)
    return tuple(side for side in sides if isinstance(side, JSONPath))


def _steps(full_path: JSONPath) -> Path:
    match full_path:
        case Child(left=left, right=right):
            return _steps(left) + _steps(right)
        case Fields(fields=names):
            return tuple(names)
        case Index(indices=indices):
            return tuple(indices)
        case Root():
            return ()
        case _:
            raise FieldRuleInvalid(f"a path leads to {type(full_path).__name__}, which is not a place in the output")
