"""Presidio's pattern recognizers, run one text at a time, without any language model.

Rules of this module:
* This is the only importer of presidio-analyzer, and of regex, phonenumbers and tldextract on its behalf.
* The recognizers are Presidio's own: their patterns, checksums and scores. `AnalyzerEngine` is never used: on a whole
  body it is quadratic, and it would ask for a model to be downloaded. Nothing here touches the network.
* The key above a text is its context, and so are the 64 characters before a match. A weak match (a bare nine-digit
  number) counts only with a word of the recognizer's context in one of the two.
* A pattern that takes longer than a second raises `DetectorGaveUp`; Presidio itself would skip it.
* Differences from Presidio, all documented in docs/inspection.md and tested: texts that are exactly a date, an ISO
  8601 time or a UUID are not looked at; addresses at private-use domains (`.internal`, `.local` …) count as e-mail;
  the sample SSN 123-45-6789 counts; US_PASSPORT and US_ITIN have narrower context words; a JSON number is a phone
  number only under a telling key, and the digits after its decimal point are nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from sys import maxsize
from typing import Any

import phonenumbers
import regex  # type: ignore[import-untyped]  # no stubs among our dependencies
import tldextract
from presidio_analyzer import Pattern, PatternRecognizer, predefined_recognizers
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

from redaction.detectors.base import DEFAULT_KINDS, DetectorGaveUp, DetectorSettings, Hit, Texts
from redaction.detectors.signs import (
    DIGITS_MIN,
    LONG_RUN,
    NINO,
    NOT_LOOKED_AT,
    SHORTEST_INTERNATIONAL,
    Look,
    Signs,
    may_be_ip,
)

DETECTOR = "presidio"
PATTERN_SEC_MAX = 1
CONTEXT_CHARS = 64
CONTEXT_BOOST = 0.35  # Presidio's LemmaContextAwareEnhancer
CONTEXT_SCORE_MIN = 0.4

SAMPLE_SSNS = ("123456789", "987654320", "078051120")

PRIVATE_SUFFIXES = (
    "internal",
    "local",
    "localdomain",
    "lan",
    "corp",
    "home",
    "intranet",
    "private",
    "test",
    "example",
    "invalid",
    "localhost",
)
"""Domains outside the public suffix list that people's addresses are under all the same (RFC 2606, RFC 6762 app. G)."""


PHONE_LENIENCY = 1  # valid numbers, however grouped: Presidio's default
_PHONE_KEYS = ("phone", "tel", "mobile", "cell", "fax", "whatsapp", "msisdn")
_ANY_DIGIT = regex.compile(r"\d")


def _digits(count: int) -> Callable[[Look], bool]:
    run = b"0" * count
    return lambda look: run in look.digits


@dataclass(frozen=True, slots=True)
class _Reader:
    """One kind: Presidio's recognizer, and when it is worth asking. `needs` None: always."""

    kind: str
    find: Callable[[str], Iterable[tuple[int, int, float]]]
    context: tuple[str, ...]
    score_best: float
    needs: Callable[[Look], bool] | None = None
    needs_digit: bool = True


class _OfflineEmail(EmailRecognizer):
    """E-mail with the public suffix list that comes with tldextract: Presidio's would fetch it from the network."""

    _extract = tldextract.TLDExtract(cache_dir=None, suffix_list_urls=(), extra_suffixes=PRIVATE_SUFFIXES)

    def validate_result(self, pattern_text: str) -> bool:
        return bool(self._extract(pattern_text).fqdn)


class _Ssn(UsSsnRecognizer):
    """With the numbers Presidio takes for samples: 123-45-6789 in a tool's output is redacted all the same."""

    def invalidate_result(self, pattern_text: str) -> bool:
        digits = "".join(filter(str.isdigit, pattern_text))
        return digits not in SAMPLE_SSNS and bool(super().invalidate_result(pattern_text))


class PresidioDetector:
    """Presidio's recognizers for the kinds the operator chose.

    Raises: ValueError for a kind or a phone region that does not exist.
    """

    name = DETECTOR

    def __init__(self, settings: DetectorSettings, *, context_chars: int = CONTEXT_CHARS) -> None:
        self._score_min, self._context_chars = settings.score_min, context_chars
        kinds = settings.entities or DEFAULT_KINDS
        readers = {reader.kind: reader for reader in _readers(settings.phone_regions)}
        if not set(kinds) <= set(readers):
            readers |= {reader.kind: reader for reader in _other_readers() if reader.kind not in readers}
        unknown = sorted(set(kinds) - set(readers))
        if unknown:
            raise ValueError(f"inspection.entities: Presidio has no pattern recognizer for {', '.join(unknown)}")
        self._readers = [readers[kind] for kind in dict.fromkeys(kinds)]
        self.kinds = frozenset(kinds)
        self.signs = Signs(
            shortest_run=min(DIGITS_MIN, *map(_shortest, settings.phone_regions)),
            asks_always=any(reader.needs is None for reader in self._readers),
        )
        self._warm()

    def select(self, texts: Texts) -> Iterable[int]:
        return self.signs.select(texts)

    def detect(self, text: str, context: str, *, is_number: bool) -> Sequence[Hit]:
        if NOT_LOOKED_AT.fullmatch(text):
            return ()
        look = Look(text) if text.isascii() else None
        has_digit = _ANY_DIGIT.search(text) is not None
        key = context.lower()
        hits: list[Hit] = []
        for reader in self._readers:
            if look is not None and reader.needs is not None and not reader.needs(look):
                continue
            if reader.needs_digit and not has_digit:
                continue
            if is_number and reader.kind == "PHONE_NUMBER" and not any(word in key for word in _PHONE_KEYS):
                continue
            if reader.score_best < self._score_min and not self._has_context(reader, key, text):
                continue
            hits.extend(self._hits(reader, text, key, is_number))
        return hits

    def _hits(self, reader: _Reader, text: str, key: str, is_number: bool) -> list[Hit]:
        scored = []
        try:
            found = _without_contained(reader.find(text))
        except TimeoutError as error:
            raise DetectorGaveUp(f"the pattern of {reader.kind} took longer than {PATTERN_SEC_MAX} s") from error
        point = text.find(".") if is_number else -1
        for start, end, raw in found:
            if 0 <= point < start:
                continue  # the digits after a decimal point: one measurement in a dozen has the check digit of a card
            window = text[max(0, start - self._context_chars) : start] if self._context_chars else ""
            is_supported = self._has_context(reader, key, window)
            score = min(1.0, max(raw + CONTEXT_BOOST, CONTEXT_SCORE_MIN)) if is_supported else raw
            if is_number and reader.kind == "CREDIT_CARD" and text.startswith("1") and not is_supported:
                continue  # times in micro- and nanoseconds
            if score >= self._score_min:
                scored.append((start, end, score))
        return [Hit(reader.kind, DETECTOR, score, start, end) for start, end, score in _without_contained(scored)]

    @staticmethod
    def _has_context(reader: _Reader, key: str, text: str) -> bool:
        lowered = text.lower()
        return any(word in key or word in lowered for word in reader.context)

    def _warm(self) -> None:
        """Compile every pattern and load every table now: the first message must not pay for it."""
        for sample in ("a@b.co 4111-1111-1111-1111 ::1 1.2.3.4 AB12 3456 7890 123-45-6789 +44 20 7946 0958", "é1"):
            for reader in self._readers:
                list(reader.find(sample))


def _without_contained(found: Iterable[tuple[int, int, float]]) -> list[tuple[int, int, float]]:
    """Without those that lie in another of at least their score (Presidio's remove_duplicates, for one kind)."""
    kept: list[tuple[int, int, float]] = []
    active: list[tuple[int, int, float]] = []
    for start, end, score in sorted(set(found), key=lambda one: (one[0], one[0] - one[1], -one[2])):
        active = [other for other in active if other[1] >= start]
        if not any(end <= other[1] and score <= other[2] for other in active):
            kept.append((start, end, score))
            active.append((start, end, score))
    return kept


def _readers(phone_regions: Sequence[str]) -> Iterator[_Reader]:
    yield _reader(_OfflineEmail(), lambda look: "@" in look.text, needs_digit=False)
    yield _reader(CreditCardRecognizer(), _digits(13))
    yield _reader(IbanRecognizer(), lambda look: b"AA00" in look.shape, find=_find_iban)
    yield _reader(_Ssn(), _digits(9))
    yield _reader(UsItinRecognizer(context=["itin", "taxpayer", "tax id", "taxid", "tax_id"]), _digits(9))
    yield _reader(UsPassportRecognizer(context=["passport", "travel document", "travel_document"]), _digits(8))
    yield _reader(UkNinoRecognizer(), lambda look: NINO in look.letters_and_digits)
    yield _reader(IpRecognizer(), lambda look: may_be_ip(look.text), needs_digit=False)
    yield _reader(CryptoRecognizer(), lambda look: LONG_RUN in look.runs)
    yield _phone_reader(phone_regions)


def _reader(
    recognizer: PatternRecognizer,
    needs: Callable[[Look], bool] | None,
    *,
    needs_digit: bool = True,
    find: Callable[[PatternRecognizer], Callable[[str], Iterator[tuple[int, int, float]]]] | None = None,
) -> _Reader:
    return _Reader(
        kind=recognizer.supported_entities[0],
        find=(find or _find_patterns)(recognizer),
        context=tuple(word.lower() for word in recognizer.context or ()),
        # A checksum that holds lifts any pattern to the top score.
        score_best=1.0 if _has_checksum(recognizer) else max(score for _, score in _compiled(recognizer)),
        needs=needs,
        needs_digit=needs_digit,
    )


def _has_checksum(recognizer: PatternRecognizer) -> bool:
    return type(recognizer).validate_result is not PatternRecognizer.validate_result


def _compiled(recognizer: PatternRecognizer) -> list[tuple[Any, float]]:
    patterns: Sequence[Pattern] = recognizer.patterns  # type: ignore[has-type]  # set in an untyped __init__
    return [(regex.compile(pattern.regex, recognizer.global_regex_flags), pattern.score) for pattern in patterns]


def _find_patterns(recognizer: PatternRecognizer) -> Callable[[str], Iterator[tuple[int, int, float]]]:
    """What PatternRecognizer.analyze does, but that a timeout is an error and nothing is explained."""
    compiled = _compiled(recognizer)

    def find(text: str) -> Iterator[tuple[int, int, float]]:
        for pattern, score in compiled:
            for match in pattern.finditer(text, timeout=PATTERN_SEC_MAX):
                found = match[0]
                if not found:
                    continue
                valid = recognizer.validate_result(found)
                final = score if valid is None else 1.0 if valid else 0.0
                if final > 0 and not recognizer.invalidate_result(found):
                    yield match.start(), match.end(), final

    return find


def _find_iban(recognizer: PatternRecognizer) -> Callable[[str], Iterator[tuple[int, int, float]]]:
    """What IbanRecognizer.analyze does: the longest of the nested groups whose checksum holds."""
    compiled = _compiled(recognizer)

    def find(text: str) -> Iterator[tuple[int, int, float]]:
        for pattern, score in compiled:
            for match in pattern.finditer(text, timeout=PATTERN_SEC_MAX):
                start = match.start()
                for group in range(pattern.groups, 0, -1):
                    end = match.end(group) if match.end(group) > 0 else match.end()
                    valid = recognizer.validate_result(text[start:end])
                    final = score if valid is None else 1.0 if valid else 0.0
                    if final > 0:
                        yield start, end, final
                        break

    return find


def _phone_reader(regions: Sequence[str]) -> _Reader:
    """Presidio's PhoneRecognizer, but that it never gives up and skips candidates too short to be a number."""
    unknown = sorted(set(regions) - set(phonenumbers.SUPPORTED_REGIONS))
    if unknown or not regions:
        raise ValueError(f"inspection.phone_regions: unknown or none ({', '.join(unknown)}); use codes such as US, GB")
    recognizer = PhoneRecognizer(supported_regions=tuple(regions))
    shortest = min(map(_shortest, regions))

    def needs(look: Look) -> bool:
        return b"0" * (min(shortest, SHORTEST_INTERNATIONAL) if "+" in look.text else shortest) in look.digits

    def find(text: str) -> Iterator[tuple[int, int, float]]:
        chars_min = min(shortest, SHORTEST_INTERNATIONAL)  # most candidates in prose are short: counts, hours, years
        for region in recognizer.supported_regions:
            for match in phonenumbers.PhoneNumberMatcher(text, region, PHONE_LENIENCY, maxsize, chars_min):
                yield match.start, match.end, recognizer.SCORE

    context = tuple(word.lower() for word in recognizer.context)
    return _Reader("PHONE_NUMBER", find, context, 1.0, needs)


def _shortest(region: str) -> int:
    """The digits of the region's shortest number."""
    metadata = phonenumbers.PhoneMetadata.metadata_for_region(region)
    description = metadata.general_desc if metadata else None
    if description is None:
        raise ValueError(f"inspection.phone_regions: {region} has no numbers")
    return min(length for length in description.possible_length if length > 0)


def _is_pattern_recognizer(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, PatternRecognizer)


def _other_readers() -> Iterator[_Reader]:
    """Every other pattern recognizer of Presidio that needs nothing to be made; asked of every text."""
    for name in predefined_recognizers.__all__:
        recognizer_class: Any = getattr(predefined_recognizers, name)
        if not _is_pattern_recognizer(recognizer_class) or recognizer_class.analyze is not PatternRecognizer.analyze:
            continue  # it has a way of its own to find: it would have to be read first
        recognizer: PatternRecognizer = recognizer_class()
        yield _reader(recognizer, None, needs_digit=False)
