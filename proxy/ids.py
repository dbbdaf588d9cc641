"""Names for calls, reviews and stops: time-ordered, unguessable enough to be shown, short enough to be read out.

Rules of this module:
* The only importer of the uuid library; everyone else is given an `Ids`.
* An id is `<kind>_` and 26 Crockford base32 characters of a UUIDv7 (RFC 9562 §5.7); the last six are its spoken handle.
* An id is a name, never a credential: whoever presents one must also be who they say.
"""

from __future__ import annotations

import secrets

import uuid_utils

_DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = [first + second for first in _DIGITS for second in _DIGITS]  # by their ten bits
_SHIFTS = range(120, -1, -10)


class Ids:
    """Makes ids, nonces and tokens; tests give another with the same methods."""

    def call(self) -> str:
        return "call_" + _base32(uuid_utils.uuid7().int)

    def review(self) -> str:
        return "rev_" + _base32(uuid_utils.uuid7().int)

    def stop(self) -> str:
        return "stop_" + _base32(uuid_utils.uuid7().int)

    def nonce(self) -> str:
        return secrets.token_hex(16)

    def token(self) -> str:
        return secrets.token_urlsafe(32)


def _base32(number: int) -> str:
    """26 digits, two by two."""
    return "".join([_PAIRS[number >> shift & 1023] for shift in _SHIFTS])
