"""Builders for the record's tests: drafts, chains, and files that hold them."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from audit.chain import START, Head, Linked, link, prepare
from audit.entry import EntryDraft, EntryKind

T0 = 1_800_000_000.0


def draft(number: int = 0, **changes: Any) -> EntryDraft:
    fields: dict[str, Any] = {
        "kind": EntryKind.CALL_DECIDED,
        "at": T0 + number,
        "actor": "agent:demo",
        "call_id": f"call_{number}",
        "body": {"tool": "refund", "effect": "allow", "number": number},
        **changes,
    }
    return EntryDraft(**fields)


def chained(drafts: Sequence[EntryDraft], *, after: Head = START, node: str = "n1", boot: str = "b1") -> list[Linked]:
    head, linked = after, []
    for one in drafts:
        linked.append(link(prepare(one, node=node, boot=boot), head))
        head = linked[-1].head
    return linked


def a_chain(length: int) -> list[Linked]:
    return chained([draft(number) for number in range(1, length + 1)])


def stored(chain: Sequence[Linked]) -> list[tuple[int, bytes, str]]:
    return [(one.head.seq, one.data, one.head.hash) for one in chain]


def jsonl(path: Path, chain: Sequence[Linked]) -> Path:
    path.write_bytes(b"".join(one.data + b"\n" for one in chain))
    return path


def database(path: Path, chain: Sequence[Linked]) -> Path:
    """The tables of the store that a verifier reads."""
    with sqlite3.connect(path) as connection:
        connection.execute(
            "CREATE TABLE entries (seq INTEGER PRIMARY KEY NOT NULL, hash BLOB, call_id TEXT, data BLOB)"
        )
        connection.execute("CREATE TABLE head (one INTEGER PRIMARY KEY, seq INTEGER, hash BLOB, mac BLOB)")
        connection.executemany(
            "INSERT INTO entries VALUES (?, ?, ?, ?)",
            [(one.head.seq, bytes.fromhex(one.head.hash), one.call_id, one.data) for one in chain],
        )
        head = chain[-1].head if chain else START
        connection.execute("INSERT INTO head VALUES (1, ?, ?, ?)", (head.seq, bytes.fromhex(head.hash), b"m" * 32))
    connection.close()
    return path
