"""The matcher of secrets: what it takes out, under which keys, and that hostile text does not slow it."""

from __future__ import annotations

from time import perf_counter

import pytest

from redaction.detectors.base import Texts
from redaction.detectors.secrets import SecretsDetector

DETECTOR = SecretsDetector()
BARE = "wJalrXUtnFEMI/K7MDENG" + "/bPxRfiCYEXAMPLEKEY"


def taken(text: str, context: str = "") -> list[tuple[str, str]]:
    return [(hit.kind, text[hit.start : hit.end]) for hit in DETECTOR.detect(text, context, is_number=False)]


def test_of_a_connection_string_only_the_password_is_taken() -> None:
    assert taken("postgres://app:hunter2@db/app") == [("connection_string", "hunter2")]


def test_a_bare_key_counts_only_under_a_telling_name() -> None:
    assert taken(BARE, "SecretAccessKey") == [("aws_secret_key", BARE)]
    assert taken(BARE, "aws_secret_access_key") == [("aws_secret_key", BARE)]
    assert taken(BARE, "etag") == []
    assert list(DETECTOR.select(Texts([BARE]))) == [0]


def test_a_private_key_is_taken_from_head_to_foot_and_without_a_foot_as_far_as_it_goes() -> None:
    head, foot = "-----BEGIN " + "PRIVATE KEY-----", "-----END PRIVATE KEY-----"
    assert taken(f"x {head}\nMIIE\n{foot} y") == [("private_key", f"{head}\nMIIE\n{foot}")]
    assert taken(f"x {head}\nMIIE") == [("private_key", f"{head}\nMIIE")]


def test_a_token_of_three_parts_is_a_jwt_only_if_its_header_names_an_algorithm() -> None:
    body = ".eyJzdWIiOiIxMjM0In0." + "s" * 32
    assert [kind for kind, _ in taken("eyJhbGciOiJIUzI1NiJ9" + body)] == ["jwt"]
    assert taken("eyJhIjoiYiIsImMiOiJkIn0" + body) == []


def test_numbers_hold_no_secrets() -> None:
    assert DETECTOR.detect("1" * 40, "secretaccesskey", is_number=True) == ()


@pytest.mark.parametrize(
    "text",
    [
        "-----BEGIN " + "PRIVATE KEY-----" + "A" * 200_000,
        "eyJ" * 60_000,
        "://:" * 50_000,
        "a" * 100_000 + "://" + "b" * 100_000,
        "xoxb-" * 40_000,
        "aws secret " * 20_000,
        "sk-proj-" * 30_000,
    ],
)
def test_hostile_text_is_looked_through_in_linear_time(text: str) -> None:
    started = perf_counter()
    DETECTOR.detect(text, "", is_number=False)
    assert perf_counter() - started < 2
