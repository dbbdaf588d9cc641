"""`audit.chain`: an entry's exact bytes, its link, and finding the first place where a run contradicts itself."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from audit.chain import ENTRY_BYTES_MAX, START, ChainBroken, Head, link, prepare, verify_run
from audit.entry import EntryDraft, EntryKind
from audit.verify import verify_file
from tests.audit.builders import T0, a_chain, chained, draft, jsonl, stored

bodies = st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(-1e300, 1e300) | st.text("aé\n😀"),
        lambda inner: st.lists(inner) | st.dictionaries(st.text("abß"), inner),
        max_leaves=10,
    ),
)


@given(bodies, st.none() | st.text("call_1"), st.text("agent:ü"), st.integers(0, 2**53 - 2))
def test_an_entry_is_exactly_the_canonical_json_of_its_ten_keys(
    body: dict[str, Any], call_id: str | None, actor: str, seq: int
) -> None:
    entry = EntryDraft(EntryKind.GRANT_SPENT, T0 + 0.25, actor, call_id, body)
    previous = Head(seq, "ab" * 32)
    linked = link(prepare(entry, node="n1", boot="b1"), previous)
    whole = {
        "v": "v1",
        "seq": seq + 1,
        "prev": "ab" * 32,
        "node": "n1",
        "boot": "b1",
        "kind": "grant_spent",
        "at_us": 1_800_000_000_250_000,
        "actor": actor,
        "call_id": call_id,
        "body": body,
    }
    assert linked.data == rfc8785.dumps(whole)
    assert linked.head == Head(seq + 1, hashlib.sha256(linked.data).hexdigest())
    assert linked.call_id == call_id


def test_the_first_entry_links_to_zeros() -> None:
    (first,) = a_chain(1)
    assert json.loads(first.data)["prev"] == "0" * 64
    assert json.loads(first.data)["seq"] == 1


def test_each_entry_links_to_the_hash_of_the_one_before() -> None:
    chain = a_chain(5)
    assert [json.loads(one.data)["prev"] for one in chain[1:]] == [one.head.hash for one in chain[:-1]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"body": ["not", "an", "object"]}, "is not an object"),
        ({"body": {"n": 2**53}}, "cannot be written as canonical JSON"),
        ({"body": {"s": "\ud800"}}, "cannot be written as canonical JSON"),
        ({"actor": "\udfff"}, "cannot be written as canonical JSON"),
        ({"at": float("nan")}, "is not a time"),
        ({"at": float("inf")}, "is not a time"),
        ({"at": -1.0}, "is not a time"),
        ({"at": 9e9}, "is not a time"),
    ],
)
def test_what_cannot_be_recorded_exactly_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        prepare(draft(**changes), node="n1", boot="b1")


def test_an_entry_may_be_as_long_as_the_limit_and_no_longer() -> None:
    empty = len(prepare(draft(body={"text": ""}), node="n1", boot="b1").prefix) + 1
    fits = "x" * (ENTRY_BYTES_MAX - empty)
    assert len(prepare(draft(body={"text": fits}), node="n1", boot="b1").prefix) + 1 == ENTRY_BYTES_MAX
    with pytest.raises(ValueError, match="over the limit of 1048576"):
        prepare(draft(body={"text": fits + "x"}), node="n1", boot="b1")


def test_a_whole_run_verifies_to_its_head() -> None:
    chain = a_chain(20)
    assert verify_run(stored(chain)) == chain[-1].head


def test_a_part_of_a_run_verifies_after_the_head_before_it() -> None:
    chain = a_chain(20)
    assert verify_run(stored(chain[10:]), after=chain[9].head) == chain[-1].head


def test_an_empty_run_ends_where_it_began() -> None:
    assert verify_run([]) == START


def test_d10_a_clock_that_jumps_does_not_disturb_the_order(tmp_path: Path) -> None:
    """The order is that of `seq`; times are only told."""
    chain = chained([draft(1, at=T0 + jump) for jump in (0, 86_400, -86_400, 1)])
    assert verify_run(stored(chain)) == chain[-1].head
    assert verify_file(jsonl(tmp_path / "record", chain), deep=True).entries == 4


def broken(entries: list[tuple[int, bytes, str]]) -> tuple[int, str]:
    with pytest.raises(ChainBroken) as caught:
        verify_run(entries)
    assert str(caught.value) == f"entry {caught.value.seq}: {caught.value.why}"
    return caught.value.seq, caught.value.why


def test_an_edited_entry_is_the_first_bad_one() -> None:
    entries = stored(a_chain(10))
    seq, data, digest = entries[6]
    entries[6] = (seq, data.replace(b'"allow"', b'"deny!"'), digest)
    assert broken(entries)[0] == 7
    assert "its bytes hash to" in broken(entries)[1]


def test_an_edited_entry_with_a_new_hash_is_contradicted_by_the_next() -> None:
    entries = stored(a_chain(10))
    seq, data, _ = entries[6]
    edited = data.replace(b'"allow"', b'"deny!"')
    entries[6] = (seq, edited, hashlib.sha256(edited).hexdigest())
    assert broken(entries) == (8, f"does not follow entry 7 with hash {entries[6][2]}")


def test_a_deleted_entry_is_named_as_missing() -> None:
    entries = stored(a_chain(10))
    del entries[3]
    assert broken(entries) == (4, "is missing: 5 stands in its place")


def test_a_repeated_entry_is_named() -> None:
    entries = stored(a_chain(10))
    entries.insert(4, entries[3])
    assert broken(entries) == (5, "is missing: 4 comes again")


def test_entries_that_changed_places_are_found_at_the_first_of_them() -> None:
    entries = stored(a_chain(10))
    (seq_a, data_a, hash_a), (seq_b, data_b, hash_b) = entries[2], entries[5]
    entries[2], entries[5] = (seq_a, data_b, hash_b), (seq_b, data_a, hash_a)
    assert broken(entries)[0] == 3


def test_an_entry_put_in_between_is_found() -> None:
    chain = a_chain(10)
    (forged,) = chained([draft(99)], after=chain[4].head)
    later = [(seq + 1, data, digest) for seq, data, digest in stored(chain[5:])]
    entries = [*stored(chain[:5]), (6, forged.data, forged.head.hash), *later]
    assert broken(entries)[0] == 7


@given(st.integers(0, 9), st.integers(0, 400), st.integers(1, 255))
def test_any_changed_byte_is_found_in_its_entry(number: int, at: int, flip: int) -> None:
    entries = stored(a_chain(10))
    seq, data, digest = entries[number]
    at %= len(data)
    entries[number] = (seq, data[:at] + bytes([data[at] ^ flip]) + data[at + 1 :], digest)
    assert broken(entries)[0] == number + 1
