"""Presidio's recognizers as a detector: what is found, what is left, context, numbers, and giving up."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from redaction.detectors.base import DetectorGaveUp, DetectorSettings, Texts
from redaction.detectors.presidio import PresidioDetector, _Reader

DETECTOR = PresidioDetector(DetectorSettings())


def kinds(text: str, key: str = "", *, is_number: bool = False) -> set[str]:
    return {hit.kind for hit in DETECTOR.detect(text, key, is_number=is_number)}


def spans(text: str, key: str = "") -> list[tuple[str, str]]:
    return [(hit.kind, text[hit.start : hit.end]) for hit in DETECTOR.detect(text, key, is_number=False)]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("write to anna.weber@example.com today", "EMAIL_ADDRESS"),
        ("root@db.internal", "EMAIL_ADDRESS"),
        ("übung@beispiel.de", "EMAIL_ADDRESS"),
        ("4111 1111 1111 1111", "CREDIT_CARD"),
        ("card:5500-0000-0000-0004.", "CREDIT_CARD"),
        ("378282246310005", "CREDIT_CARD"),
        ("DE89370400440532013000", "IBAN_CODE"),
        ("GB29 NWBK 6016 1331 9268 19", "IBAN_CODE"),
        ("536-90-4399", "US_SSN"),
        ("123-45-6789", "US_SSN"),
        ("536 90 4399", "US_SSN"),
        ("AB 12 34 56 C", "UK_NINO"),
        ("+1 212 555 0123", "PHONE_NUMBER"),
        ("call 020 7946 0958", "PHONE_NUMBER"),
        ("+49 30 901820", "PHONE_NUMBER"),
        ("10.1.2.3", "IP_ADDRESS"),
        ("from 2001:db8:85a3::8a2e:370:7334 in", "IP_ADDRESS"),
        ("::1", "IP_ADDRESS"),
        ("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "CRYPTO"),
        ("bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq", "CRYPTO"),
        ("my social security number is 536904399", "US_SSN"),
        ("passport 536904399", "US_PASSPORT"),
        ("taxpayer 912-70-1234", "US_ITIN"),
    ],
)
def test_what_is_found(text: str, kind: str) -> None:
    assert kind in kinds(text)
    assert list(DETECTOR.select(Texts(["plain", text]))) == [1]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "plain words",
        "2026-11-20",
        "2026-11-20T10:00:00Z",
        "2026-11-20T10:00:00.123456+01:00",
        "3f2b8c1e-9d4a-4f6b-8a7c-1e2d3c4b5a69",
        "536904399",
        "4111 1111 1111 1112",
        "999-00-1234",
        "react@18.2.0",
        "v1.2.3",
        "SKU-12345",
        "order 1042 of 2026",
        "GB29 NWBK 6016 1331 9268 18",
        "std::vector",
    ],
)
def test_what_is_left(text: str) -> None:
    assert spans(text) == []


def test_a_weak_match_counts_under_a_telling_key_or_after_telling_words() -> None:
    assert kinds("536904399", "customer_ssn") == {"US_SSN"}
    assert kinds("536904399", "SSN") == {"US_SSN"}
    assert kinds("536904399", "user_status") == set()
    assert kinds("SSN: 536904399") == {"US_SSN"}
    assert kinds("SSN " + "." * 80 + " 536904399") == set()


def test_a_number_is_a_phone_or_an_old_card_only_under_a_telling_key() -> None:
    assert kinds("2125550123", is_number=True) == set()
    assert kinds("2125550123", "mobile", is_number=True) == {"PHONE_NUMBER"}
    assert kinds("1234567812345670", is_number=True) == set()
    assert kinds("1234567812345670", "card", is_number=True) == {"CREDIT_CARD"}
    assert kinds("4111111111111111", is_number=True) == {"CREDIT_CARD"}
    assert kinds("4111111111111111.0", is_number=True) == {"CREDIT_CARD"}
    assert kinds("41.4099999999999997", is_number=True) == set()
    assert kinds("0.4111111111111111", "card", is_number=True) == set()


def test_kinds_and_regions_are_the_operators() -> None:
    only = PresidioDetector(DetectorSettings(entities=("EMAIL_ADDRESS",)))
    assert [hit.kind for hit in only.detect("a@b.co 536-90-4399", "", is_number=False)] == ["EMAIL_ADDRESS"]
    french = PresidioDetector(DetectorSettings(entities=("PHONE_NUMBER",), phone_regions=("FR",)))
    assert len(french.detect("01 42 68 53 00", "", is_number=False)) == 1
    assert kinds("01 42 68 53 00") == set()


def test_any_pattern_recognizer_of_presidio_can_be_asked_for() -> None:
    more = PresidioDetector(DetectorSettings(entities=("MAC_ADDRESS", "US_SSN")))
    assert {hit.kind for hit in more.detect("00:1B:44:11:3A:B7", "", is_number=False)} == {"MAC_ADDRESS"}
    assert list(more.select(Texts(["anything", "at all"]))) == [0, 1]


@pytest.mark.parametrize("regions", [(), ("XX",), ("US", "usa")])
def test_a_region_that_does_not_exist_is_the_operators_mistake(regions: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"inspection\.phone_regions"):
        PresidioDetector(DetectorSettings(phone_regions=regions))


def test_the_score_that_counts_is_the_operators() -> None:
    strict = PresidioDetector(DetectorSettings(score_min=0.9))
    assert [hit.kind for hit in strict.detect("536-90-4399 a@b.co", "", is_number=False)] == ["EMAIL_ADDRESS"]


def test_a_pattern_that_takes_too_long_is_never_skipped() -> None:
    def never(text: str) -> Iterator[tuple[int, int, float]]:
        del text
        raise TimeoutError
        yield (0, 0, 0.0)

    detector = PresidioDetector(DetectorSettings(entities=("EMAIL_ADDRESS",)))
    detector._readers = [_Reader("EMAIL_ADDRESS", never, (), 1.0, None, needs_digit=False)]
    with pytest.raises(DetectorGaveUp, match="EMAIL_ADDRESS took longer than 1 s"):
        detector.detect("a@b.co", "", is_number=False)


def test_text_made_to_slow_a_pattern_gives_up_within_its_second() -> None:
    with pytest.raises(DetectorGaveUp):
        DETECTOR.detect("a." * 60_000 + " @", "", is_number=False)


NO_NETWORK = """
import socket
def refuse(*_, **__): raise AssertionError("the network was asked for")
socket.socket.connect = socket.socket.connect_ex = refuse
socket.getaddrinfo = socket.create_connection = refuse
from redaction.detectors.base import DetectorSettings
from redaction.detectors.presidio import PresidioDetector
detector = PresidioDetector(DetectorSettings())
assert detector.detect("anna.weber@example.co.uk", "", is_number=False)[0].score == 1.0
"""


def test_nothing_is_downloaded() -> None:
    done = subprocess.run([sys.executable, "-c", NO_NETWORK], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
