"""The hash chain: how an entry becomes exact bytes, and how a run of them is checked. Pure; format `v1`.

Rules of this module:
* An entry is one canonical JSON object (docs/audit-format.md); its hash is SHA-256 over exactly the bytes stored.
* It names the hash of the entry before it (`prev`) and its own place (`seq`), so nothing can be changed, left out,
  put in or moved without a later entry contradicting it.
* `prev`, `seq` and `v` are the last keys in canonical order: everything before them is made ahead of time (`prepare`),
  and linking, which must happen in commit order, is one concatenation and one hash.
* `audit/verify.py` checks the same without this module, on purpose; a test holds the two together.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass

from audit.canonical import canonical
from audit.entry import EntryDraft

FORMAT = "v1"
ENTRY_BYTES_MAX = 1024 * 1024
_US_PER_SEC = 1_000_000
_AT_SEC_MAX = 8_000_000_000  # the year 2223: microseconds stay under 2^53


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a chain: the last sequence number and the last hash, in hex."""

    seq: int
    hash: str


START = Head(0, "0" * 64)  # what the first entry of a chain links to


@dataclass(frozen=True, slots=True)
class Prepared:
    """An entry's bytes up to where the chain begins to speak."""

    prefix: bytes
    call_id: str | None


@dataclass(frozen=True, slots=True)
class Linked:
    """An entry in its place: the exact bytes to store, and the head that the chain has with it."""

    data: bytes
    head: Head
    call_id: str | None


class ChainBroken(Exception):
    """The run contradicts itself; `seq` is the first sequence number that cannot be vouched for."""

    def __init__(self, seq: int, why: str) -> None:
        super().__init__(f"entry {seq}: {why}")
        self.seq, self.why = seq, why


def prepare(draft: EntryDraft, *, node: str, boot: str) -> Prepared:
    """Everything of an entry that does not depend on its place.

    Raises: ValueError if the body is not an object RFC 8785 can carry, the time is no time, or the entry is too large.
    """
    if not isinstance(draft.body, dict):
        raise ValueError(f"the body of a {draft.kind.value} entry is not an object")
    if not math.isfinite(draft.at) or not 0 <= draft.at < _AT_SEC_MAX:
        raise ValueError(f"the time of a {draft.kind.value} entry is not a time: {draft.at!r}")
    try:
        whole = canonical(
            {
                "actor": draft.actor,
                "at_us": round(draft.at * _US_PER_SEC),
                "body": draft.body,
                "boot": boot,
                "call_id": draft.call_id,
                "kind": draft.kind.value,
                "node": node,
            }
        )
    except ValueError as error:
        raise ValueError(f"a {draft.kind.value} entry cannot be written as canonical JSON: {error}") from error
    if len(whole) > ENTRY_BYTES_MAX:
        raise ValueError(f"a {draft.kind.value} entry of {len(whole)} bytes is over the limit of {ENTRY_BYTES_MAX}")
    return Prepared(whole[:-1], draft.call_id)


def link(entry: Prepared, previous: Head) -> Linked:
    """Put an entry behind `previous`."""
    seq = previous.seq + 1
    data = entry.prefix + _tail(previous.hash, seq)
    return Linked(data, Head(seq, hashlib.sha256(data).hexdigest()), entry.call_id)


def verify_run(entries: Iterable[tuple[int, bytes, str]], *, after: Head = START) -> Head:
    """Check stored entries `(seq, bytes, hash)` that follow `after`, in order; returns the head they end in.

    Raises: ChainBroken, naming the first bad sequence number and why.
    """
    head = after
    for seq, data, stored_hash in entries:
        expected = head.seq + 1
        if seq != expected:
            found = f"{seq} stands in its place" if seq > expected else f"{seq} comes again"
            raise ChainBroken(expected, f"is missing: {found}")
        if not data.endswith(_tail(head.hash, seq)):
            raise ChainBroken(seq, f"does not follow entry {head.seq} with hash {head.hash}")
        computed = hashlib.sha256(data).hexdigest()
        if computed != stored_hash:
            raise ChainBroken(seq, f"its bytes hash to {computed}, not to the stored {stored_hash}")
        head = Head(seq, computed)
    return head


def _tail(previous_hash: str, seq: int) -> bytes:
    return b',"prev":"%b","seq":%d,"v":"v1"}' % (previous_hash.encode("ascii"), seq)
