"""Which finished calls are chosen for human judgement: a draw nobody can steer, and everybody can repeat afterwards.

Rules of this module (SEMANTICS §1.13):
* A period has a secret key. Its commitment stands in the record before the first draw, the key itself after the last:
  who knows the key could foresee draws, so nobody outside the gate does while it is in use, and who holds the record
  can repeat every one of them later.
* A draw is a number between 0 and 1, made of the period's key and the hash of the very entry that tells of the answer.
  That hash covers all entries before it: whoever wanted another draw would have to write another record.
* A call is chosen if its draw is below its chance, which stands in that entry in millionths. A million of them is
  always chosen.
* Pure, standard library only; an auditor can run it alone.
"""

from __future__ import annotations

import hashlib
import hmac
from fractions import Fraction

KEY_BYTES = 32
_DRAW = b"interlock sample v1\x00"
_COMMITMENT = b"interlock sampling period v1\x00"
_OFFSET = b"interlock sampling offset v1\x00"
_STEPS = 1 << 64


def commitment(key: bytes) -> str:
    """What is published of a period's key before the period. Raises: ValueError for a key of the wrong length."""
    if len(key) != KEY_BYTES:
        raise ValueError(f"a period's key has {KEY_BYTES} bytes, not {len(key)}")
    return hashlib.sha256(_COMMITMENT + key).hexdigest()


def draw(key: bytes, entry_hash: bytes) -> Fraction:
    """The number of an entry, at least 0 and below 1: 64 bits of HMAC-SHA-256 (RFC 2104)."""
    digest = hmac.digest(key, _DRAW + entry_hash, hashlib.sha256)
    return Fraction(int.from_bytes(digest[:8]), _STEPS)


def is_chosen(key: bytes, entry_hash: bytes, chance_ppm: int) -> bool:
    """Whether the call whose answer this entry tells of is a sample, at a chance of so many millionths."""
    return draw(key, entry_hash) < Fraction(chance_ppm, 1_000_000)


def is_nth(key: bytes, number: int, every: int) -> bool:
    """Whether call `number` of a period is a sample where every `every`-th is, counted from a place the key says.

    Raises: ValueError if `every` is below 1.
    """
    if every < 1:
        raise ValueError("every how many is at least 1")
    offset = int.from_bytes(hmac.digest(key, _OFFSET, hashlib.sha256)[:8]) % every
    return number % every == offset
