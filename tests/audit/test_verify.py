"""`audit/verify.py`: what an auditor runs alone, against databases and exports, whole and broken (threats D1)."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from audit import verify
from audit.chain import ChainBroken, verify_run
from tests.audit.builders import a_chain, chained, database, draft, jsonl, stored

type MakeFile = Callable[[Path, Any], Path]
BOTH = pytest.mark.parametrize("make", [jsonl, database])


def run(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The file copied out and run alone, by an interpreter that sees nothing of ours."""
    return subprocess.run(
        [sys.executable, "-I", "-S", *map(str, arguments)], capture_output=True, text=True, cwd=cwd, check=False
    )


@pytest.fixture
def alone(tmp_path: Path) -> Path:
    return Path(shutil.copy(verify.__file__, tmp_path / "verify.py"))


@BOTH
def test_p13_the_verifier_copied_out_alone_verifies_a_record(make: MakeFile, alone: Path, tmp_path: Path) -> None:
    chain = a_chain(20)
    file = make(tmp_path / "record", chain)
    ended = run(alone, "--deep", file)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == (
        f"{file}: unbroken: 20 entries, 1 to 20\n"
        "  from 2027-01-15T08:00:01.000Z to 2027-01-15T08:00:20.000Z\n"
        f"  head {chain[-1].head.hash}\n"
    )


@BOTH
def test_a_broken_record_ends_with_code_1_and_names_the_entry(make: MakeFile, alone: Path, tmp_path: Path) -> None:
    chain = a_chain(5)
    file = make(tmp_path / "record", [*chain[:2], *chain[3:]])
    ended = run(alone, file)
    assert ended.returncode == 1
    assert ended.stdout == f"{file}: BROKEN at entry 3: " + (
        "entry 4 stands in its place\n" if make is jsonl else "it is missing: entry 4 stands in its place\n"
    )


def test_an_unreadable_file_ends_with_code_2(alone: Path, tmp_path: Path) -> None:
    ended = run(alone, tmp_path / "absent")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("cannot read ")


@pytest.mark.parametrize("arguments", [[], ["--head", "abc", "x"], ["--nonsense", "x"]])
def test_wrong_usage_ends_with_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert verify.main(arguments) == 2
    assert "usage: verify" in capsys.readouterr().err


def test_asking_for_help_ends_with_code_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert verify.main(["--help"]) == 0
    assert "--head" in capsys.readouterr().out


def test_several_files_are_all_verified_and_one_broken_makes_the_code_1(tmp_path: Path) -> None:
    whole = jsonl(tmp_path / "whole", a_chain(3))
    bad = jsonl(tmp_path / "bad", a_chain(3)[1:])
    assert verify.main([str(whole), str(whole)]) == 0
    assert verify.main([str(whole), str(tmp_path / "absent")]) == 2
    assert verify.main([str(tmp_path / "absent"), str(bad), str(whole)]) == 1


# --- threats D1: edited, deleted, inserted, reordered, in a database


def tampered(tmp_path: Path, sql: str, *values: Any, length: int = 12) -> verify.Broken:
    file = database(tmp_path / "interlock.db", a_chain(length))
    with sqlite3.connect(file) as connection:
        connection.execute(sql, values)
    connection.close()
    with pytest.raises(verify.Broken) as caught:
        verify.verify_file(file)
    return caught.value


def test_d1_an_edited_entry_is_named(tmp_path: Path) -> None:
    error = tampered(tmp_path, "UPDATE entries SET data = replace(data, 'allow', 'deny!') WHERE seq = 7")
    assert (error.seq, error.why) == (7, "its row does not hold bytes")


def test_d1_an_edited_entry_kept_as_bytes_is_named(tmp_path: Path) -> None:
    error = tampered(tmp_path, "UPDATE entries SET data = CAST(replace(data, 'allow', 'deny!') AS BLOB) WHERE seq = 7")
    assert error.seq == 7
    assert "its bytes hash to" in error.why


def test_d1_an_edited_entry_with_its_hash_made_anew_is_named_by_the_next(tmp_path: Path) -> None:
    data = a_chain(12)[6].data.replace(b"allow", b"deny!")
    error = tampered(
        tmp_path, "UPDATE entries SET data = ?, hash = ? WHERE seq = 7", data, hashlib.sha256(data).digest()
    )
    assert error.seq == 8
    assert error.why.startswith("it follows an entry with hash ")


@pytest.mark.parametrize("seq", [1, 5, 11])
def test_d1_a_deleted_entry_is_named(tmp_path: Path, seq: int) -> None:
    error = tampered(tmp_path, "DELETE FROM entries WHERE seq = ?", seq)
    assert (error.seq, error.why) == (seq, f"it is missing: entry {seq + 1} stands in its place")


def test_d1_entries_that_changed_places_are_named(tmp_path: Path) -> None:
    fourth, ninth = a_chain(12)[3], a_chain(12)[8]
    error = tampered(
        tmp_path,
        "UPDATE entries SET data = iif(seq = 4, ?1, ?2), hash = iif(seq = 4, ?3, ?4) WHERE seq IN (4, 9)",
        ninth.data,
        fourth.data,
        bytes.fromhex(ninth.head.hash),
        bytes.fromhex(fourth.head.hash),
    )
    assert (error.seq, error.why) == (4, "entry 9 stands in its place")


def test_d1_an_entry_added_at_the_end_is_named(tmp_path: Path) -> None:
    chain = a_chain(12)
    (forged,) = chained([draft(99)], after=chain[-1].head)
    error = tampered(
        tmp_path, "INSERT INTO entries VALUES (13, ?, NULL, ?)", bytes.fromhex(forged.head.hash), forged.data
    )
    assert error.seq == 14
    assert "the head kept beside them" in error.why


def test_a_record_cut_off_at_its_end_contradicts_the_head_beside_it(tmp_path: Path) -> None:
    error = tampered(tmp_path, "DELETE FROM entries WHERE seq > 9")
    assert error.seq == 10
    assert "some were cut off" in error.why


def test_a_lost_head_is_a_broken_record(tmp_path: Path) -> None:
    assert tampered(tmp_path, "DELETE FROM head").seq == 13


def test_a_row_that_is_no_entry_is_named(tmp_path: Path) -> None:
    assert (
        tampered(tmp_path, "UPDATE entries SET data = x'7b7d' WHERE seq = 1").why == "it is not an entry of format v1"
    )


# --- parts of a record, and heads known from elsewhere


@BOTH
def test_a_head_known_from_elsewhere_finds_a_cut_off_record(make: MakeFile, tmp_path: Path) -> None:
    chain = a_chain(8)
    noted = chain[-1].head.hash
    assert verify.verify_file(make(tmp_path / "whole", chain), head=noted).head == noted
    cut = make(tmp_path / "cut", chain[:-1])
    assert verify.verify_file(cut).entries == 7  # alone, nothing tells
    with pytest.raises(verify.Broken) as caught:
        verify.verify_file(cut, head=noted)
    assert caught.value.seq == 8
    assert f"not in the head {noted}" in caught.value.why


@BOTH
def test_p13_a_head_noted_earlier_is_held_by_a_record_that_has_grown_and_by_no_other(
    make: MakeFile, tmp_path: Path
) -> None:
    chain = a_chain(8)
    file = make(tmp_path / "grown", chain)
    for noted in (verify.GENESIS, chain[0].head.hash, chain[4].head.hash, chain[-1].head.hash):
        assert verify.verify_file(file, noted=noted).entries == 8
    cut = make(tmp_path / "cut", chain[:4])
    with pytest.raises(verify.Broken) as caught:
        verify.verify_file(cut, noted=chain[4].head.hash)
    assert caught.value.seq == 5
    assert "cut off or replaced" in caught.value.why


def test_a_part_of_a_record_verifies_after_the_hash_before_it(tmp_path: Path) -> None:
    chain = a_chain(8)
    part = jsonl(tmp_path / "part", chain[4:])
    report = verify.verify_file(part, after=chain[3].head.hash)
    assert (report.entries, report.first_seq, report.last_seq) == (4, 5, 8)
    with pytest.raises(verify.Broken) as caught:
        verify.verify_file(part)
    assert caught.value.seq == 1
    with pytest.raises(verify.Broken, match="broken at entry 5: it follows an entry with hash"):
        verify.verify_file(part, after="ab" * 32)


def test_a_part_that_begins_with_no_entry_is_broken(tmp_path: Path) -> None:
    (tmp_path / "part").write_bytes(b'{"v":"v1"}\n')
    with pytest.raises(verify.Broken, match="not an entry of format v1"):
        verify.verify_file(tmp_path / "part", after="ab" * 32)


# --- files


def test_a_fresh_database_is_an_unbroken_record_of_nothing(tmp_path: Path) -> None:
    report = verify.verify_file(database(tmp_path / "interlock.db", []))
    assert report == verify.Report(0, 0, 0, "-", "-", "0" * 64)


def test_an_empty_file_is_no_record(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    with pytest.raises(verify.Unreadable, match="not one entry"):
        verify.verify_file(tmp_path / "empty")


@pytest.mark.parametrize("length", [0, 5])
def test_p13_a_record_without_its_head_is_broken_also_when_nothing_else_is_left(tmp_path: Path, length: int) -> None:
    file = database(tmp_path / "interlock.db", a_chain(length))
    with sqlite3.connect(file) as connection:
        connection.execute("DELETE FROM head")
    connection.close()
    with pytest.raises(verify.Broken, match="is gone") as broken:
        verify.verify_file(file)
    assert broken.value.seq == length + 1


@pytest.mark.parametrize("kept", ["'text'", "NULL", "5"])
def test_a_head_that_is_no_hash_breaks_the_record_and_not_the_verifier(tmp_path: Path, kept: str) -> None:
    file = database(tmp_path / "interlock.db", a_chain(5))
    with sqlite3.connect(file) as connection:
        connection.execute(f"UPDATE head SET hash = {kept}")
    connection.close()
    with pytest.raises(verify.Broken, match="no hash"):
        verify.verify_file(file)


def test_a_database_whose_schema_is_damaged_is_unreadable_whatever_its_bytes_are(tmp_path: Path) -> None:
    file = database(tmp_path / "interlock.db", a_chain(5))
    file.write_bytes(file.read_bytes().replace(b"CREATE TABLE head", b"CREATE TA\xf6LE head"))
    with pytest.raises(verify.Unreadable):
        verify.verify_file(file)


def test_a_database_of_something_else_is_no_record(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "other.db") as connection:
        connection.execute("CREATE TABLE entries (x)")
    connection.close()
    with pytest.raises(verify.Unreadable, match="not one of Interlock's"):
        verify.verify_file(tmp_path / "other.db")


def test_a_file_that_only_begins_like_a_database_is_unreadable(tmp_path: Path) -> None:
    (tmp_path / "half").write_bytes(b"SQLite format 3\0" + b"\xff" * 500)
    with pytest.raises(verify.Unreadable):
        verify.verify_file(tmp_path / "half")


def test_a_line_over_the_limit_is_unreadable(tmp_path: Path) -> None:
    (tmp_path / "long").write_bytes(b"x" * (verify.LINE_BYTES_MAX + 1))
    with pytest.raises(verify.Unreadable, match="longer than 2097152 bytes"):
        verify.verify_file(tmp_path / "long")


def test_more_entries_than_one_read_takes_are_verified_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify, "CHUNK_ROWS", 4)
    for length in (3, 4, 5, 8, 13):
        report = verify.verify_file(database(tmp_path / f"{length}.db", a_chain(length)))
        assert (report.entries, report.last_seq) == (length, length)


def test_a_database_is_opened_for_reading_only(tmp_path: Path) -> None:
    file = database(tmp_path / "interlock.db", a_chain(3))
    before = file.read_bytes()
    verify.verify_file(file)
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["interlock.db"]


def walled(tmp_path: Path) -> Path:
    """A copy of a database of which the newest entries are still in the write-ahead log."""
    file = database(tmp_path / "live.db", [])
    chain = a_chain(6)
    live = sqlite3.connect(file, isolation_level=None)
    live.execute("PRAGMA journal_mode = WAL")
    live.executemany(
        "INSERT INTO entries VALUES (?, ?, ?, ?)",
        [(one.head.seq, bytes.fromhex(one.head.hash), one.call_id, one.data) for one in chain],
    )
    live.execute("UPDATE head SET hash = ?", (bytes.fromhex(chain[-1].head.hash),))
    copies = tmp_path / "copies"
    copies.mkdir()
    for name in ("live.db", "live.db-wal"):
        shutil.copy(tmp_path / name, copies / name)
    live.close()
    return copies / "live.db"


def test_entries_that_are_only_in_the_write_ahead_log_are_verified_too(tmp_path: Path) -> None:
    assert verify.verify_file(walled(tmp_path)).entries == 6


def test_a_copy_without_a_log_on_a_read_only_medium_is_verified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = walled(tmp_path)
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    monkeypatch.setattr(verify.sqlite3, "connect", read_only_medium(sqlite3.connect))
    assert verify.verify_file(file).entries == 6


def test_a_log_that_cannot_be_read_is_not_left_out_in_silence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = walled(tmp_path)
    monkeypatch.setattr(verify.sqlite3, "connect", read_only_medium(sqlite3.connect))
    with pytest.raises(verify.Unreadable, match="copy it and its -wal file"):
        verify.verify_file(file)


def read_only_medium(connect: Callable[..., sqlite3.Connection]) -> Callable[..., sqlite3.Connection]:
    """SQLite as it is where no -shm file can be made (root may write anywhere, so modes cannot show it here)."""

    def connected(name: str, **options: Any) -> sqlite3.Connection:
        if "immutable" not in name:
            raise sqlite3.OperationalError("unable to open database file")
        return connect(name, **options)

    return connected


# --- the deep check


def deep(tmp_path: Path, *lines: bytes) -> str:
    (tmp_path / "record").write_bytes(b"".join(line + b"\n" for line in lines))
    with pytest.raises(verify.Broken) as caught:
        verify.verify_file(tmp_path / "record", deep=True)
    return str(caught.value)


def first_line(prefix: bytes) -> bytes:
    return prefix + b',"prev":"' + b"0" * 64 + b'","seq":1,"v":"v1"}'


GOOD = b'{"actor":"a","at_us":1,"body":{},"boot":"b","call_id":null,"kind":"k","node":"n"'


@pytest.mark.parametrize(
    ("was", "now", "why"),
    [
        (b'"actor":"a"', b'"actor":["a"]', "its actor is a list"),
        (b'"at_us":1', b'"at_us":true', "its at_us is a bool"),
        (b'"body":{}', b'"body":[]', "its body is a list"),
        (b'"boot":"b"', b'"boot":{}', "its boot is a dict"),
        (b'"call_id":null', b'"call_id":5', "its call_id is a int"),
        (b'"kind":"k"', b'"kind":null', "its kind is a NoneType"),
        (b'"node":"n"', b'"node":[]', "its node is a list"),
    ],
)
def test_an_entry_with_parts_of_other_types_is_found_by_the_deep_check(
    tmp_path: Path, was: bytes, now: bytes, why: str
) -> None:
    assert why in deep(tmp_path, first_line(GOOD.replace(was, now)))


@pytest.mark.parametrize(
    ("prefix", "why"),
    [
        (b'{"actor":"a"', "its keys are actor, prev, seq, v; they must be"),
        (GOOD.replace(b"{}", b'{ "a":1}'), "not in canonical form"),
        (GOOD.replace(b"{}", b'{"b":1,"a":2}'), "not in canonical form"),
        (GOOD.replace(b"{}", b'{"a":1,"a":1}'), "not in canonical form"),
        (GOOD.replace(b"{}", b'{"a":1.0}'), "not in canonical form"),
        (GOOD.replace(b"{}", b'{"a":9007199254740993}'), "not in canonical form"),
        (GOOD.replace(b"{}", b'{"a":1' + b"0" * 400 + b"}"), "not in canonical form"),
        (GOOD.replace(b"{}", b'{"a":NaN}'), "not in canonical form"),
        (GOOD.replace(b"{}", b'{"a":"\\ud800"}'), "not in canonical form"),
        (GOOD.replace(b"{}", b'{"a":"\\u00e9"}'), "not in canonical form"),
        (GOOD.replace(b"{}", b"{}}"), "it is not JSON"),
        (GOOD.replace(b"{}", b"[" * 9_000 + b"]" * 9_000), "it is not"),
        (b"[1", "it is not JSON"),
        (b"x", "it is not JSON"),
    ],
)
def test_an_entry_out_of_form_is_found_by_the_deep_check(tmp_path: Path, prefix: bytes, why: str) -> None:
    assert why in deep(tmp_path, first_line(prefix))
    assert deep(tmp_path, first_line(prefix)).startswith("broken at entry 1: ")


@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"])),
        st.floats(allow_nan=False, allow_infinity=False) | st.text(st.characters(exclude_categories=["Cs"])),
    )
)
def test_the_deep_check_knows_canonical_numbers_and_texts(body: dict[str, Any]) -> None:
    (one,) = chained([draft(1, body=body)])
    assert verify.verify_rows([verify.Row(one.data)], deep=True).entries == 1


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_are_written_as_the_reference_library_writes_them(number: float) -> None:
    assert verify._number(number).encode() == rfc8785.dumps(number)


def test_a_boot_that_comes_back_after_it_ended_is_found(tmp_path: Path) -> None:
    first = chained([draft(1)], boot="one")
    second = chained([draft(2)], after=first[-1].head, boot="two")
    third = chained([draft(3)], after=second[-1].head, boot="one")
    lines = [one.data for one in first + second]
    jsonl(tmp_path / "good", first + second)
    assert verify.verify_file(tmp_path / "good", deep=True).entries == 2
    assert deep(tmp_path, *lines, third[0].data) == (
        "broken at entry 3: it belongs to boot one, which had already ended"
    )


def test_a_boot_that_changes_its_node_is_found(tmp_path: Path) -> None:
    first = chained([draft(1)], node="here")
    second = chained([draft(2)], after=first[-1].head, node="there")
    assert "boot b1 changes its node from here to there" in deep(tmp_path, first[0].data, second[0].data)


def test_an_entry_filed_under_another_call_is_found_by_the_deep_check(tmp_path: Path) -> None:
    file = database(tmp_path / "interlock.db", a_chain(5))
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE entries SET call_id = 'call_9' WHERE seq = 2")
    connection.close()
    assert verify.verify_file(file).entries == 5
    with pytest.raises(verify.Broken, match="filed under call call_9, but the entry names call_2"):
        verify.verify_file(file, deep=True)


@pytest.mark.parametrize("at_us", ["-1", '"now"', "9007199254740992"])
def test_an_entry_without_a_time_is_broken(at_us: str) -> None:
    data = first_line(GOOD.replace(b'"at_us":1', b'"at_us":' + at_us.encode()))
    with pytest.raises(verify.Broken, match="it carries no time"):
        verify.verify_rows([verify.Row(data)])


# --- written twice on purpose: both must agree


@given(
    st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["drop", "swap", "flip", "repeat"])), max_size=3),
    st.integers(0, 200),
)
def test_the_verifier_and_the_chain_find_the_same_first_bad_entry(damage: list[tuple[int, str]], byte: int) -> None:
    entries = stored(a_chain(6))
    for at, what in damage:
        at = min(at, len(entries) - 1)
        seq, data, digest = entries[at]
        match what:
            case "drop" if len(entries) > 1:
                del entries[at]
            case "swap":
                entries[at], entries[0] = entries[0], entries[at]
            case "flip":
                entries[at] = (seq, data[:byte] + bytes([data[byte] ^ 1]) + data[byte + 1 :], digest)
            case "repeat":
                entries.insert(at, entries[at])
    assert first_bad_by_chain(entries) == first_bad_by_verifier(entries)


def first_bad_by_chain(entries: list[tuple[int, bytes, str]]) -> int | str:
    try:
        return verify_run(entries).hash
    except ChainBroken as error:
        return error.seq


def first_bad_by_verifier(entries: list[tuple[int, bytes, str]]) -> int | str:
    try:
        return verify.verify_rows([verify.Row(data, seq, bytes.fromhex(digest)) for seq, data, digest in entries]).head
    except verify.Broken as error:
        return error.seq


def test_the_file_needs_nothing_but_the_standard_library() -> None:
    ended = run("-c", f"import runpy; runpy.run_path({verify.__file__!r})")
    assert (ended.returncode, ended.stderr) == (0, "")
