"""Names for calls, reviews and stops: time-ordered, unguessable enough to be shown, short enough to be read out.

Rules of this module:
* The only importer of the uuid library; everyone else is given an `Ids`.
* An id is `<kind>_` and 26 Crockford base32 characters of a UUIDv7 (RFC 9562 §5.7); the last six are its spoken handle.
* An id is a name, never a credential: whoever presents one must also be who they say.
"""

from __future__ import annotations

import base64
import secrets

import uuid_utils

# From RFC 4648's digits to Crockford's.
_AS_CROCKFORD = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", b"0123456789ABCDEFGHJKMNPQRSTVWXYZ")


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
    """26 digits. Their 130 bits are no whole bytes, so they are the end of 160 bits, which are."""
    return base64.b32encode(number.to_bytes(20, "big"))[-26:].translate(_AS_CROCKFORD).decode("ascii")
