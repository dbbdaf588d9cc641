"""Row MACs: HMAC-SHA256 over every meaning-bearing column of a row, under a key outside the database (traps T12).

Rules of this module:
* Whoever can write the database but has not the key can make no row that the gate believes.
* The MAC covers the table's name and all values in their order, as ASCII JSON in the standard library's spelling of
  strings, integers and floats, which does not change between versions (`audit.canonical.ascii_json`).
* It does not show that a row was put back to an earlier state of itself, or deleted: the record tells that.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence

from audit.canonical import ascii_json
from audit.chain import Head
from audit.keyed import keyed_digest
from proxy.store.base import Tampered

type SqlValue = None | int | float | str | bytes


class RowMacs:
    """Makes and checks MACs."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def mac(self, table: str, values: Sequence[SqlValue]) -> bytes:
        """The MAC of a row. Bytes must have been replaced by their fingerprint before."""
        return keyed_digest(self._key, b"interlock/row/v1\n%b\n%b" % (table.encode("ascii"), ascii_json(values)))

    def check(self, table: str, row_id: str, values: Sequence[SqlValue], mac: object) -> None:
        """Raises: Tampered."""
        if not isinstance(mac, bytes) or not hmac.compare_digest(mac, self.mac(table, values)):
            raise Tampered(table, row_id)

    def of_head(self, head: Head) -> bytes:
        """The MAC of the chain's end."""
        return keyed_digest(self._key, f"interlock/head/v1\n{head.seq}\n{head.hash}".encode("ascii"))

    def of_database(self, database_id: bytes) -> bytes:
        """What proves at opening that these are the keys this database was written with."""
        return keyed_digest(self._key, f"interlock/key-check/v1\n{database_id.hex()}".encode("ascii"))
