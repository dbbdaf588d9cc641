"""Our detector against Presidio's own engine, text by text: the same finds, but for the documented differences.

The reference is `AnalyzerEngine` with the no-op language engine, the same recognizers, the key as context and the same
least score. In-text context is ours alone (Presidio needs a model for it), so it is off here, and tested to only add.
"""

from __future__ import annotations

import json
import os
import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import tldextract
from hypothesis import given, settings
from hypothesis import strategies as st
from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
from presidio_analyzer.nlp_engine import NoOpNlpEngine
from presidio_analyzer.predefined_recognizers import (
    CreditCardRecognizer,
    CryptoRecognizer,
    EmailRecognizer,
    IbanRecognizer,
    IpRecognizer,
    PhoneRecognizer,
    UkNinoRecognizer,
    UsItinRecognizer,
    UsPassportRecognizer,
    UsSsnRecognizer,
)

from redaction.detectors.base import DetectorSettings, Texts
from redaction.detectors.presidio import PRIVATE_SUFFIXES, SAMPLE_SSNS, PresidioDetector

ROOT = Path(__file__).resolve().parents[3]
DATA = Path(os.environ.get("INTERLOCK_PII_DATA", ROOT.parent / "shared" / "data" / "pii_dev.jsonl"))

type Found = set[tuple[str, int, int, float]]


class OfflineEmail(EmailRecognizer):
    """Presidio's, with the public suffix list that comes with tldextract instead of a download."""

    _extract = tldextract.TLDExtract(cache_dir=None, suffix_list_urls=())

    def validate_result(self, pattern_text: str) -> bool:
        return self._extract(pattern_text).fqdn != ""


def engine(regions: tuple[str, ...]) -> AnalyzerEngine:
    registry = RecognizerRegistry(
        recognizers=[
            OfflineEmail(),
            CreditCardRecognizer(),
            IbanRecognizer(),
            UsSsnRecognizer(),
            UsItinRecognizer(context=["itin", "taxpayer", "tax id", "taxid", "tax_id"]),
            UsPassportRecognizer(context=["passport", "travel document", "travel_document"]),
            UkNinoRecognizer(),
            IpRecognizer(),
            CryptoRecognizer(),
            PhoneRecognizer(supported_regions=regions),
        ]
    )
    nlp = NoOpNlpEngine([{"lang_code": "en", "model_name": "none"}])
    nlp.load()
    return AnalyzerEngine(registry=registry, nlp_engine=nlp, supported_languages=["en"])


REGIONS = {"default": ("US", "GB"), "presidio": tuple(PhoneRecognizer.DEFAULT_SUPPORTED_REGIONS)}
ENGINES = {name: engine(regions) for name, regions in REGIONS.items()}
OURS = {
    name: PresidioDetector(DetectorSettings(phone_regions=regions), context_chars=0)
    for name, regions in REGIONS.items()
}
WITH_CONTEXT = PresidioDetector(DetectorSettings())

# The documented exceptions: whole texts that are not looked at, and what we find beyond Presidio.
NOT_LOOKED_AT = re.compile(
    r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d([.,]\d+)?)?(Z|[+-]\d\d:?\d\d)?)?"
    r"|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
)


def is_exception(text: str) -> bool:
    digits = re.sub(r"\D", "", text)
    private = any(re.search(rf"@.*\.{suffix}\b", text, re.IGNORECASE) for suffix in PRIVATE_SUFFIXES)
    return bool(NOT_LOOKED_AT.fullmatch(text)) or private or any(sample in digits for sample in SAMPLE_SSNS)


def presidio(which: str, text: str, key: str) -> Found:
    found = ENGINES[which].analyze(text, "en", context=[key], score_threshold=0.4)
    return {(one.entity_type, one.start, one.end, round(one.score, 6)) for one in found}


def ours(which: str, text: str, key: str) -> Found:
    if not list(OURS[which].select(Texts([text]))):
        return set()
    found = OURS[which].detect(text, key, is_number=False)
    return {(one.kind, one.start, one.end, round(one.score, 6)) for one in found}


def check(which: str, text: str, key: str) -> None:
    if text and not is_exception(text):
        assert ours(which, text, key) == presidio(which, text, key), (text, key)


def generated(count: int, seed: int) -> Iterator[tuple[str, str]]:
    """Leaves of the kind tools send: keys with values, clean and not."""
    chance = random.Random(seed)

    def digits(shape: str) -> str:
        return "".join(str(chance.randint(0, 9)) if sign == "#" else sign for sign in shape)

    shapes = {
        "ssn": ["###-##-####", "#########", "### ## ####", "###.##.####", "##-#######"],
        "card_number": ["4###-####-####-####", "4###############", "5### #### #### ####", "3##############"],
        "phone": [
            "+1 ### ### ####",
            "(###) ###-####",
            "0## #### ####",
            "+44 20 #### ####",
            "###-####",
            "+49 ### ######",
        ],
        "passport_no": ["#########", "C########"],
        "account": ["########", "DE## #### #### #### #### ##", "GB##NWBK##############"],
        "ip": ["###.##.#.##", "10.#.#.#", "fe80::####:##", "####:####::##"],
        "reference": ["INV-####-######", "ord_######", "SKU##-####", "AB######C", "#.##.#", "####-##-##", "##:##:##"],
        "amount": ["###.##", "# ###.##", "-##.#", "#e##"],
        "hash": ["".join(chance.choice("0123456789abcdef") for _ in range(40)) for _ in range(5)],
        "email": ["user###@example.com", "a.b+c@mail.example.co.uk", "x@y", "me@18.2.#", "x@y.notasuffix"],
        "wallet": ["1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "3########################################"],
        "note": [
            "call ### ### #### or mail a#@example.com",
            "SSN ###-##-#### on file",
            "é ###-##-####",
            "№ ### ## ####",
        ],
    }
    for _ in range(count):
        key = chance.choice(list(shapes))
        value = digits(chance.choice(shapes[key]))
        around = chance.choice(["{}", "{}", "{}", "x{}", "{}x", " {} ", "({})", "a {} b {} c", "+{}", "{}/{}", "٣{}"])
        yield chance.choice([key, key, "value", "user_status"]), around.replace("{}", value)


@pytest.mark.parametrize("which", list(REGIONS))
def test_finds_are_presidios_own_on_generated_leaves(which: str) -> None:
    for key, text in generated(800, seed=7):
        check(which, text, key)


def test_finds_are_presidios_own_on_the_development_texts() -> None:
    if not DATA.is_file():
        pytest.skip("pii_dev.jsonl is not here: set INTERLOCK_PII_DATA to its path")
    texts = [json.loads(line)["text"] for line in DATA.read_text(encoding="utf-8").splitlines()]
    for text in texts[::2]:
        check("default", text, "text")
    for text in texts[1::2]:
        check("presidio", text, "phone")


SIGNS = st.text(alphabet="0123456789 -.()/+xX:@[]~,abcdefABCG#\n", max_size=40)


@given(SIGNS, st.sampled_from(["", "ssn", "phone", "credit_card"]))
@settings(max_examples=400)
def test_finds_are_presidios_own_on_noise(text: str, key: str) -> None:
    check("default", text, key)


@given(st.lists(SIGNS | st.text(max_size=20), max_size=6))
@settings(max_examples=200)
def test_the_prefilter_never_drops_a_text(texts: list[str]) -> None:
    selected = set(WITH_CONTEXT.select(Texts(texts)))
    for number, text in enumerate(texts):
        if WITH_CONTEXT.detect(text, "ssn", is_number=False):
            assert number in selected


@given(SIGNS, st.sampled_from(["", "ssn ", "passport: ", "card no ", "tel "]))
@settings(max_examples=200)
def test_context_in_the_text_only_adds(text: str, before: str) -> None:
    spans = {(kind, start, end) for kind, start, end, _ in ours("default", before + text, "")}
    found = WITH_CONTEXT.detect(before + text, "", is_number=False)
    missing = spans - {(one.kind, one.start, one.end) for one in found}
    assert all(
        any(one.kind == kind and one.start <= start and end <= one.end for one in found) for kind, start, end in missing
    )
