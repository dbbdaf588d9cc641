"""Secrets that can be told for certain by their shape (secret_rules.py has the shapes).

Rules of this module:
* A text is looked at only if it holds a literal of a rule, or stands under a key that a rule names.
* Every pattern is linear: no repetition inside a repetition, every length bounded.
* A JWT counts only if its header decodes to a JSON object that names an algorithm.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Sequence

from redaction.detectors.base import Hit, Texts
from redaction.detectors.secret_rules import SECRET_KINDS, SECRET_RULES, SecretRule
from redaction.paths import normal_name

DETECTOR = "secrets"
BARE_VALUE = re.compile(r"[A-Za-z0-9/+]{40}")
_BARE_CHARS = 40
_TELLING = frozenset("_-:./=")  # most texts lack most of these, and so need not be searched for what holds them


class SecretsDetector:
    """All rules of the table."""

    name = DETECTOR
    kinds = SECRET_KINDS

    def __init__(self, rules: Sequence[SecretRule] = SECRET_RULES) -> None:
        self._rules = [(rule, re.compile(rule.pattern)) for rule in rules]
        self._literals: dict[str, list[str]] = {}  # by a character that each of them holds, "" where none is telling
        for literal in dict.fromkeys(literal for rule in rules for literal in rule.literals):
            sign = next((character for character in literal if character in _TELLING), "")
            self._literals.setdefault(sign, []).append(literal)

    def select(self, texts: Texts) -> Iterable[int]:
        # A bare key stands alone: which key it is under is not known here, its length is.
        bare = {i for i, text in enumerate(texts.texts) if len(text) == _BARE_CHARS}
        possible = [one for sign, literals in self._literals.items() if sign in texts.joined for one in literals]
        return texts.holding(possible) | bare

    def detect(self, text: str, context: str, *, is_number: bool) -> Sequence[Hit]:
        if is_number:
            return ()
        name = normal_name(context)
        hits: list[Hit] = []
        for rule, pattern in self._rules:
            if any(literal in text for literal in rule.literals):
                hits.extend(
                    Hit(rule.kind, DETECTOR, 1.0, *match.span("secret" if "secret" in pattern.groupindex else 0))
                    for match in pattern.finditer(text)
                    if rule.kind != "jwt" or _is_jwt(match[0])
                )
            if name in rule.keys and BARE_VALUE.fullmatch(text):
                hits.append(Hit(rule.kind, DETECTOR, 1.0, 0, len(text)))
        return hits


def _is_jwt(token: str) -> bool:
    header = token.partition(".")[0]
    try:
        decoded = base64.urlsafe_b64decode(header + "=" * (-len(header) % 4))
    except (binascii.Error, ValueError):
        return False
    return decoded.startswith(b"{") and b'"alg"' in decoded
