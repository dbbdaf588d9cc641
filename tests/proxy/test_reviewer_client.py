"""Reading the answers of the reviewers' listener, and keeping a session for this user only. Talking: tests/blackbox."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from proxy.reviewer_client import Refused, ReviewerClient, Unreachable, _read, load_sessions, save_session


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
