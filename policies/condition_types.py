"""What type each part of a condition has, as far as its text shows: what can never be equal is found at load.

Rules of this module (traps T13):
* `==`, `!=` and `in` never fail on types: `size(name) == "7"` is simply false, and a rule that denies would silently
  never match. So both sides are worked out, through brackets, arithmetic, functions and `? :`.
* Whole and decimal numbers are one type here; the engine compares them by value.
* Only what is certain counts: a part whose type is not known agrees with everything. The engine has already accepted
  the text, so this reads it without asking whether it is well formed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from policies.condition_tokens import BadCondition, Kind, Token
from policies.facts import FactType

_BINARY = {"||": 1, "&&": 2, "==": 3, "!=": 3, "<": 3, "<=": 3, ">": 3, ">=": 3, "in": 3}
_BINARY |= {"+": 4, "-": 4, "*": 5, "/": 5, "%": 5}
_RETURNS = {"size": "number", "int": "number", "double": "number", "string": "string"}


@dataclass(frozen=True, slots=True)
class Type:
    """`number`, `string`, `boolean`, `null`, `list` (with its items' types) or, not known, an empty word."""

    word: str = ""
    items: tuple[Type, ...] = ()

    def differs(self, other: Type) -> bool:
        """True if no value of the one is ever equal to a value of the other."""
        return bool(self.word and other.word) and self.word != other.word

    @property
    def said(self) -> str:
        return self.word if self.word == "null" else f"a {self.word}"


_UNKNOWN, _BOOLEAN = Type(), Type("boolean")


def check_types(tokens: Sequence[Token], types: Mapping[str, FactType]) -> None:
    """Raises: BadCondition where two things are compared that are never equal."""
    _Reading(tokens, types).expression()


class _Reading:
    """One walk over the tokens, by the precedence of the operators."""

    def __init__(self, tokens: Sequence[Token], types: Mapping[str, FactType]) -> None:
        self.tokens = tokens
        self.types = types
        self.at = 0

    def word(self) -> str:
        token = self.tokens[self.at] if self.at < len(self.tokens) else None
        return token.text if token is not None and token.kind is not Kind.STRING else ""

    def expression(self) -> Type:
        condition = self.operand(1)
        if self.word() != "?":
            return condition
        self.at += 1
        yes = self.operand(1)
        self.at += 1  # the colon
        no = self.expression()
        return yes if yes == no else _UNKNOWN

    def operand(self, binds: int) -> Type:
        begin = self.at
        left = self.unary()
        while (strength := _BINARY.get(self.word(), 0)) >= binds:
            operator = self.word()
            self.at += 1
            right = self.operand(strength + 1)
            left = self.result(operator, left, right, self.tokens[begin])
        return left

    def result(self, operator: str, left: Type, right: Type, where: Token) -> Type:
        if operator in ("==", "!="):
            _compare(left, right, where)
            for one, other in zip(left.items, right.items, strict=False):
                _compare(one, other, where)
        elif operator == "in":
            for item in right.items:
                _compare(left, item, where)
        if _BINARY[operator] <= _BINARY["in"]:
            return _BOOLEAN
        return next((side for side in (left, right) if side.word in ("string", "number")), _UNKNOWN)

    def unary(self) -> Type:
        sign = self.word()
        if sign not in ("!", "-"):
            return self.member()
        self.at += 1
        inner = self.unary()
        return _BOOLEAN if sign == "!" else inner

    def member(self) -> Type:
        value = self.primary()
        while self.word() == ".":
            self.at += 2
            self.group(")")
            value = _BOOLEAN  # all methods a condition has ask for true or false
        return value

    def primary(self) -> Type:
        token = self.tokens[self.at]
        if token.kind is Kind.STRING:
            self.at += 1
            return Type("string")
        if token.text == "(":
            return next(iter(self.group(")")), _UNKNOWN)
        if token.text == "[":
            return Type("list", self.group("]"))
        self.at += 1
        if token.kind is Kind.NUMBER:
            return Type("number")
        if token.kind is Kind.WORD:
            return Type("null") if token.text == "null" else _BOOLEAN
        if self.word() == "(":
            self.group(")")
            return Type(_RETURNS.get(token.text, ""))
        declared = self.types.get(token.text)
        return _UNKNOWN if declared is None else _of(declared)

    def group(self, closing: str) -> tuple[Type, ...]:
        """The parts between brackets; the walk stands at the opening one, and then after the closing one."""
        self.at += 1
        found: list[Type] = []
        while self.at < len(self.tokens) and self.word() != closing:
            found.append(self.expression())
            if self.word() == ",":
                self.at += 1
        self.at += 1
        return tuple(found)


def _of(declared: FactType) -> Type:
    return Type("number" if declared is FactType.INTEGER else declared.value)


def _compare(left: Type, right: Type, where: Token) -> None:
    if left.differs(right):
        raise BadCondition(f"{left.said} is compared with {right.said}", where.at, "such values are never equal")
