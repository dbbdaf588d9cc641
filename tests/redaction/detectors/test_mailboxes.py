"""E-mail addresses in paths, which Presidio's pattern does not see."""

from __future__ import annotations

import pytest

from redaction.detectors.base import DetectorSettings, Texts
from redaction.detectors.mailboxes import MailboxesDetector

EVERYTHING = DetectorSettings()


def found(text: str, settings: DetectorSettings = EVERYTHING) -> list[str]:
    detector = MailboxesDetector(settings)
    hits = detector.detect(text, "", is_number=False)
    if hits:
        assert 0 in set(detector.select(Texts([text])))
    return [text[hit.start : hit.end] for hit in hits]


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        ("shop://customers/jane.doe@example.com", ["jane.doe@example.com"]),
        ("/srv/mail/jane.doe@example.com/inbox", ["jane.doe@example.com"]),
        ("a/x@b.example and b/y@c.example", ["x@b.example", "y@c.example"]),
        ("ssh://git@github.com/a/b.git", []),
        ("https://user@host.example/", []),
        ("npm/@scope/package@1.2.3", []),
        ("no address here", []),
    ],
)
def test_an_address_that_is_a_segment_is_found_and_a_user_of_a_host_is_not(text: str, addresses: list[str]) -> None:
    assert found(text) == addresses


def test_it_is_looked_for_where_that_kind_is_looked_for() -> None:
    text = "shop://customers/jane.doe@example.com"
    assert found(text, DetectorSettings(entities=("CREDIT_CARD",))) == []
    assert found(text, DetectorSettings(entities=("EMAIL_ADDRESS",))) == ["jane.doe@example.com"]
    assert list(MailboxesDetector(DetectorSettings(entities=("CREDIT_CARD",))).select(Texts([text]))) == []


def test_a_number_holds_none() -> None:
    assert MailboxesDetector(EVERYTHING).detect("12345678", "", is_number=True) == ()
