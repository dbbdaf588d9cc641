"""Passwords: argon2id in its own file, and what a password must be. The only importer of argon2.

Rules of this module:
* argon2id with the second recommended parameters of RFC 9106 §4 (64 MiB, 3 passes, 4 lanes); a hash with others is
  renewed at the next login.
* Text is brought to NFC first, so that one password typed on two keyboards is one password (RFC 8265 §4.2.2).
* Length is the only demand (NIST SP 800-63B §5.1.1): at least 12 characters, at most 256, and not the account's name.
* Verifying against no account takes as long as against one.
"""

from __future__ import annotations

import unicodedata

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

CHARS_MIN = 12
CHARS_MAX = 256


class PasswordUnfit(ValueError):
    """A new password that cannot be taken; the message says why."""


class Passwords:
    """Hashes and verifies. `hasher` has other costs in tests only."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher(time_cost=3, memory_cost=64 * 1024, parallelism=4)
        self._nobody = self._hasher.hash("nobody has this password")

    def hash(self, password: str) -> str:
        return self._hasher.hash(_normal(password))

    def verify(self, password: str, known: str | None) -> bool:
        """Whether `password` gives `known`; with None it does the same work and says no."""
        if len(password) > CHARS_MAX:
            return False
        try:
            return self._hasher.verify(known or self._nobody, _normal(password)) and known is not None
        except (VerificationError, InvalidHashError):
            return False

    def is_outdated(self, known: str) -> bool:
        return self._hasher.check_needs_rehash(known)


def check_fit(password: str, name: str) -> None:
    """Raises: PasswordUnfit."""
    normal = _normal(password)
    if len(normal) < CHARS_MIN:
        raise PasswordUnfit(f"A password has at least {CHARS_MIN} characters; this one has {len(normal)}.")
    if len(normal) > CHARS_MAX:
        raise PasswordUnfit(f"A password has at most {CHARS_MAX} characters.")
    if name.casefold() in normal.casefold() and len(normal) < len(name) + CHARS_MIN:
        raise PasswordUnfit("A password must be more than the account's name with a few characters added.")


def _normal(password: str) -> str:
    return unicodedata.normalize("NFC", password)
