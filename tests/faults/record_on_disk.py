"""The gate's record as it lies on the disk, read from outside, whether or not the gate lives.

Rules of this module:
* Nothing of the gate is asked: the files, the offline verifier and the commitment key are enough.
* `lets_go` is what a tool asks the moment a call reaches it: by then the decision must stand there (P3).
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from contextlib import closing
from typing import Any

from audit.masks import commit
from audit.verify import Broken, verify_file
from proxy.keys import Keys
from tests.blackbox.gate_process import GateProcess

LATELY = 1_000  # entries: the decision to let a call go is among the last ones when it arrives


class Disk:
    """One gate's database."""

    def __init__(self, gate: GateProcess) -> None:
        self._path = gate.store
        keys = Keys.load_or_create(gate.base / "keys", data_dir=gate.base / "data")
        self._commit_key = keys.commit

    def verify(self) -> None:
        """Every entry, every link, deeply. Raises: Broken."""
        assert verify_file(self._path, deep=True).entries > 0

    def break_in_the_chain(self) -> str | None:
        try:
            self.verify()
        except Broken as broken:
            return str(broken)
        return None

    def commitment(self, arguments: dict[str, Any]) -> str:
        return commit(self._commit_key, {"arguments": arguments})

    def lets_go(self, arguments: dict[str, Any]) -> bool:
        """Whether the durable decision that a call with these arguments may leave stands in the record already."""
        commitment = self.commitment(arguments)
        query = "SELECT data FROM entries WHERE seq > (SELECT max(seq) - ? FROM entries) AND instr(data, ?)"
        entries = [json.loads(data) for (data,) in self._ask(query, LATELY, commitment.encode())]
        return any(_is_let_go(entry, commitment) for entry in entries)

    def calls_in(self, *states: str) -> set[str]:
        """The ids of the calls in one of these states."""
        marks = ", ".join("?" * len(states))
        return {call_id for (call_id,) in self._ask(f"SELECT id FROM calls WHERE state IN ({marks})", *states)}

    def states_of(self, arguments: dict[str, Any]) -> Counter[str]:
        """How many calls that were proposed with these arguments are in which state."""
        query = "SELECT state FROM calls WHERE proposed_digest = ?"
        return Counter(state for (state,) in self._ask(query, self.commitment(arguments)))

    def _ask(self, query: str, *values: Any) -> list[Any]:
        with closing(sqlite3.connect(f"file:{self._path}?mode=ro", uri=True)) as store:
            return store.execute(query, values).fetchall()


def _is_let_go(entry: dict[str, Any], commitment: str) -> bool:
    body = entry["body"]
    if entry["kind"] == "grant_spent":
        return bool(body["sent"] == commitment)
    return bool(entry["kind"] == "call_decided" and body["dispatched"] and body["proposed"] == commitment)
