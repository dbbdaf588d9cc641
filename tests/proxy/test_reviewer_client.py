"""Reading the answers of the reviewers' listener, and keeping a session for this user only. Talking: tests/blackbox."""

from __future__ import annotations

import stat
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from policies.model import JsonObject
from proxy import reviewer_client
from proxy.reviewer_client import (
    PAGE_ROWS,
    Refused,
    ReviewerClient,
    TooLong,
    Unreachable,
    _read,
    load_sessions,
    save_session,
)


def test_an_answer_is_read_strictly() -> None:
    assert _read(200, b'{"waiting": []}') == {"waiting": []}


def test_a_refusal_carries_the_apis_code_and_words() -> None:
    with pytest.raises(Refused, match="Somebody else must decide") as refused:
        _read(403, b'{"error": {"code": "own_agent", "message": "Somebody else must decide"}}')
    assert refused.value.code == "own_agent"


@pytest.mark.parametrize("raw", [b"<html>hello</html>", b"[]", b"", b'{"a": 1, "a": 2}'])
def test_what_is_no_answer_of_ours_is_said_to_be_none(raw: bytes) -> None:
    with pytest.raises(Unreachable, match="no reviewers' listener"):
        _read(200, raw)


@pytest.mark.parametrize("url", ["ftp://gate", "nonsense", "http://", "http://127.0.0.1:abc", "http://[::1"])
def test_an_address_that_is_none_is_said_to_be_none(url: str) -> None:
    with pytest.raises(Unreachable, match="not an address"):
        ReviewerClient(url).queue()


def test_a_call_that_nobody_is_asked_about_can_not_be_decided() -> None:
    with pytest.raises(Refused, match="no question"):
        ReviewerClient("http://gate").act("approve", {"review": None, "shown": None})


def test_a_kept_session_is_readable_by_this_user_only_and_others_stay(tmp_path: Path) -> None:
    file = tmp_path / "config" / "sessions.json"
    save_session(file, "http://one", "token-1")
    save_session(file, "http://two", "token-2")
    save_session(file, "http://one", "token-3")
    assert load_sessions(file) == {"http://one": "token-3", "http://two": "token-2"}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_no_file_or_a_broken_one_is_no_session(tmp_path: Path) -> None:
    assert load_sessions(tmp_path / "absent.json") == {}
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    assert load_sessions(broken) == {}
    assert load_sessions(tmp_path) == {}  # not ours to read


class Paged(ReviewerClient):
    """A listener with so many rows, of which no page may have more than so many."""

    def __init__(self, rows: int, page_rows_max: int = 1_000) -> None:
        super().__init__("http://gate")
        self.rows, self.page_rows_max, self.asked = rows, page_rows_max, 0

    def _ask(self, method: str, path: str, body: JsonObject | None = None) -> JsonObject:
        query = {name: values[0] for name, values in parse_qs(urlsplit(path).query).items()}
        begin, limit = int(query.get("after", "0")), int(query["limit"])
        self.asked += 1
        if limit > self.page_rows_max:
            raise TooLong("the answer is too long")
        end = min(begin + limit, self.rows)
        return {"items": list(range(begin, end)), "total": self.rows, "next": str(end) if end < self.rows else None}


def test_a_queue_is_read_to_its_end() -> None:
    listing = Paged(2 * PAGE_ROWS + 1).listed("waiting")
    assert (len(listing.rows), listing.total, listing.is_cut) == (2 * PAGE_ROWS + 1, 2 * PAGE_ROWS + 1, False)
    assert listing.rows == list(range(2 * PAGE_ROWS + 1))


@pytest.mark.parametrize(("rows", "read", "is_cut"), [(149, 149, False), (150, 150, False), (151, 150, True)])
def test_p14_a_queue_without_end_is_cut_and_says_so(
    rows: int, read: int, is_cut: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reviewer_client, "LISTED_ROWS_MAX", 150)
    listing = Paged(rows).listed("waiting")
    assert (len(listing.rows), listing.total, listing.is_cut) == (read, rows, is_cut)


def test_calls_too_large_for_a_page_are_read_in_smaller_ones() -> None:
    assert Paged(25, page_rows_max=1).listed("waiting").rows == list(range(25))
    with pytest.raises(TooLong):
        Paged(25, page_rows_max=0).listed("waiting")


def test_an_answer_past_the_limit_is_told_as_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reviewer_client, "ANSWER_BYTES_MAX", 10)
    assert _read(200, b'{"a": 123}') == {"a": 123}
    with pytest.raises(TooLong, match="look in the console"):
        _read(200, b'{"a": 1234}')
