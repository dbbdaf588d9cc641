"""A condition's text as tokens: `AND`, `OR`, `NOT` made CEL, and what can be known to be wrong without running it.

Rules of this module (traps T13, T16):
* Words are replaced by tokens, never inside strings or comments, and by replacements of equal length (`&& `, `||`,
  `!  `), so that every column in every later message is true for the text the author wrote.
* `NOT a > 1` would negate `a` alone: refused, with the brackets it needs.
* Only these things exist: names, literals, lists of literals, comparisons, arithmetic, `in`, `?:`, and the functions
  below. Members, indexes, maps, macros (`has`, `all`, `exists`, `map`, `filter`) and regexes that are not literal are
  refused: a condition sees flat values, so they could only fail, or loop.
* `==`, `!=` and `in` never fail on types in CEL (`"7" == 7` is false), so comparing a name with a literal of another
  type is found here, by `uses`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from policies.errors import nearest
from policies.facts import FactType

TEXT_CHARS_MAX = 2_048
TOKENS_MAX = 300
NESTING_MAX = 24
REGEX_CHARS_MAX = 200
REGEX_REPEAT_MAX = 99

FUNCTIONS = ("size", "startsWith", "endsWith", "contains", "matches", "int", "double", "string")
_TEXT_METHODS = ("startsWith", "endsWith", "contains", "matches")

_REPLACED = {"AND": "&& ", "OR": "||", "NOT": "!  "}


class Kind(Enum):
    NAME = "name"
    STRING = "string"
    NUMBER = "number"
    WORD = "word"  # true, false, null, in
    SIGN = "sign"


@dataclass(frozen=True, slots=True)
class Token:
    kind: Kind
    text: str
    at: int


class BadCondition(ValueError):
    """A condition that cannot be accepted; `at` is the character of its text where that shows."""

    def __init__(self, message: str, at: int = 0, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.at, self.hint = message, at, hint


@dataclass(frozen=True, slots=True)
class Use:
    """A name compared with something of a known type."""

    name: str
    type: FactType
    at: int


_TOKEN = re.compile(
    r"""
    (?P<blank>\s+|//[^\n]*)
  | (?P<string>[rR]?(?:'''(?:[^\\]|\\.)*?'''|\"{3}(?:[^\\]|\\.)*?\"{3}|'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"))
  | (?P<number>0[xX][0-9a-fA-F]+[uU]?|(?:[0-9]+\.[0-9]+|\.[0-9]+|[0-9]+)(?:[eE][-+]?[0-9]+)?[uU]?)
  | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
  | (?P<sign>&&|\|\||==|!=|<=|>=|[-+*/%<>!?:()\[\],.])
    """,
    re.VERBOSE | re.DOTALL,
)
_ENDS_OPERAND = {")", "]", "&&", "||", "?", ":", ","}
_COMPARES = {"==", "!="}
_ORDERS = {"<", "<=", ">", ">="}


def tokens_of(text: str) -> tuple[Token, ...]:
    """The tokens, with the words already made signs. Raises: BadCondition."""
    if len(text) > TEXT_CHARS_MAX:
        raise BadCondition(f"a condition longer than {TEXT_CHARS_MAX} characters", TEXT_CHARS_MAX)
    tokens: list[Token] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise BadCondition(f"'{text[at]}' means nothing in a condition", at, _character_hint(text[at]))
        if match.lastgroup != "blank":
            tokens.append(_token(match, at))
        at = match.end()
    if len(tokens) > TOKENS_MAX:
        raise BadCondition(f"a condition of more than {TOKENS_MAX} words and signs", tokens[TOKENS_MAX].at)
    if not tokens:
        raise BadCondition("an empty condition")
    return tuple(tokens)


def _token(match: re.Match[str], at: int) -> Token:
    text = match.group()
    if match.lastgroup == "name":
        if text in _REPLACED:
            return Token(Kind.SIGN, _REPLACED[text].strip(), at)
        if text in ("and", "or", "not"):
            raise BadCondition(f"'{text}' means nothing in a condition", at, f"write {text.upper()}")
        return Token(Kind.WORD if text in ("true", "false", "null", "in") else Kind.NAME, text, at)
    kind = {"string": Kind.STRING, "number": Kind.NUMBER, "sign": Kind.SIGN}[str(match.lastgroup)]
    return Token(kind, text, at)


def _character_hint(character: str) -> str:
    return {"=": "write ==", "&": "write AND", "|": "write OR", "'": "the text does not end"}.get(character, "")


def rewritten(text: str, tokens: Sequence[Token]) -> str:
    """The text with AND, OR and NOT as CEL signs, every character else in its place."""
    characters = list(text)
    for token in tokens:
        for word, sign in _REPLACED.items():
            if token.text == sign.strip() and text.startswith(word, token.at):
                characters[token.at : token.at + len(word)] = sign
    return "".join(characters)


def names_in(tokens: Sequence[Token]) -> tuple[str, ...]:
    """The names read, each once, in order; functions are not names."""
    called = {index for index, token in enumerate(tokens[:-1]) if tokens[index + 1].text == "("}
    return tuple(dict.fromkeys(t.text for index, t in enumerate(tokens) if t.kind is Kind.NAME and index not in called))


def check(tokens: Sequence[Token]) -> None:
    """Refuse what conditions do not have. Raises: BadCondition."""
    depth = 0
    for index, token in enumerate(tokens):
        before = tokens[index - 1] if index else None
        after = tokens[index + 1] if index + 1 < len(tokens) else None
        if token.text in ("(", "["):
            depth += 1
            if depth > NESTING_MAX:
                raise BadCondition(f"brackets nested more than {NESTING_MAX} deep", token.at)
        elif token.text in (")", "]"):
            depth -= 1
        if token.text == "[" and before is not None and (before.kind is Kind.NAME or before.text in (")", "]")):
            raise BadCondition("a condition sees flat values: there is nothing to index", token.at, "bind a fact")
        if token.text == "." and (after is None or after.text not in _TEXT_METHODS):
            raise BadCondition("a condition sees flat values, which have no members", token.at, "bind a fact to it")
        if token.kind is Kind.NAME and after is not None and after.text == "(":
            _check_call(tokens, index)
        if token.text == "!":
            _check_not(tokens, index)


def _check_call(tokens: Sequence[Token], index: int) -> None:
    token = tokens[index]
    if token.text not in FUNCTIONS:
        raise BadCondition(f"there is no function '{token.text}'", token.at, nearest(token.text, FUNCTIONS))
    is_method = index > 0 and tokens[index - 1].text == "."
    if (token.text in _TEXT_METHODS) != is_method:
        form = f"name.{token.text}(…)" if token.text in _TEXT_METHODS else f"{token.text}(name)"
        raise BadCondition(f"'{token.text}' is written otherwise", token.at, f"write {form}")
    if token.text == "matches":
        pattern = tokens[index + 2] if index + 2 < len(tokens) else token
        closing = tokens[index + 3] if index + 3 < len(tokens) else token
        if pattern.kind is not Kind.STRING or closing.text != ")":
            raise BadCondition("what 'matches' looks for must be a text written here", pattern.at)
        repeats = [int(count) for count in re.findall(r"[{,]\s*([0-9]+)", pattern.text)]
        if len(pattern.text) > REGEX_CHARS_MAX or any(count > REGEX_REPEAT_MAX for count in repeats):
            limits = f"at most {REGEX_CHARS_MAX} characters and {REGEX_REPEAT_MAX} repetitions"
            raise BadCondition("a regular expression too large to run at every call", pattern.at, limits)


def _check_not(tokens: Sequence[Token], index: int) -> None:
    """`!` binds tighter than a comparison: what follows must be in brackets or stand alone."""
    at = index + 1
    if at < len(tokens) and tokens[at].text != "(":
        while at < len(tokens) and tokens[at].text not in _ENDS_OPERAND:
            if tokens[at].text in _COMPARES | _ORDERS | {"in", "+", "-", "*", "/", "%"}:
                raise BadCondition(
                    "NOT would negate only what stands right after it", tokens[index].at, "write NOT (…)"
                )
            at = _after_brackets(tokens, at)


def _after_brackets(tokens: Sequence[Token], at: int) -> int:
    """The index after the token, or after the bracket that closes the one it opens."""
    depth = 0
    while at < len(tokens):
        depth += {"(": 1, ")": -1}.get(tokens[at].text, 0)
        at += 1
        if depth <= 0:
            break
    return at


def uses(tokens: Sequence[Token]) -> Iterator[Use]:
    """What types names are compared with, as far as it can be seen from the neighbours of each comparison."""
    for index, token in enumerate(tokens):
        if token.text in _COMPARES | _ORDERS:
            left = tokens[index - 1] if index else None
            right, type_right = _literal_after(tokens, index + 1)
            if left is not None and left.kind is Kind.NAME and type_right is not None:
                yield Use(left.text, type_right, left.at)
            type_left = _type(left) if left is not None else None
            if right is not None and right.kind is Kind.NAME and type_left is not None:
                yield Use(right.text, type_left, right.at)
        elif token.text == "in" and index and tokens[index - 1].kind is Kind.NAME:
            for item in _list_after(tokens, index + 1):
                if (item_type := _type(item)) is not None:
                    yield Use(tokens[index - 1].text, item_type, tokens[index - 1].at)
        elif token.text in _TEXT_METHODS and index > 1 and tokens[index - 2].kind is Kind.NAME:
            yield Use(tokens[index - 2].text, FactType.STRING, tokens[index - 2].at)


def equals(tokens: Sequence[Token]) -> Iterator[tuple[Token, Token]]:
    """Pairs of names that are compared for being equal."""
    for left, sign, right in zip(tokens, tokens[1:], tokens[2:], strict=False):
        if sign.text in _COMPARES and left.kind is Kind.NAME and right.kind is Kind.NAME:
            yield left, right


def _literal_after(tokens: Sequence[Token], index: int) -> tuple[Token | None, FactType | None]:
    if index < len(tokens) and tokens[index].text == "-":
        index += 1
    if index >= len(tokens):
        return None, None
    called = index + 1 < len(tokens) and tokens[index + 1].text in ("(", ".")
    return (None if called else tokens[index]), _type(tokens[index])


def _list_after(tokens: Sequence[Token], index: int) -> Sequence[Token]:
    if index < len(tokens) and tokens[index].text == "[":
        end = next((at for at in range(index, len(tokens)) if tokens[at].text == "]"), index)
        return tokens[index + 1 : end]
    return ()


def _type(token: Token) -> FactType | None:
    if token.kind is Kind.STRING:
        return FactType.STRING
    if token.kind is Kind.NUMBER:
        return FactType.NUMBER
    return FactType.BOOLEAN if token.text in ("true", "false") else None
