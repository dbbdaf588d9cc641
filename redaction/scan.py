"""Running the detectors over the leaves of a message, each different text once.

Rules of this module:
* Detectors prefilter all texts of a message together; each then looks at the few it named, and only at those.
* What was seen in a text is remembered by a keyed digest of text and context, in a bounded memory: never the text.
* Half a surrogate pair is not text that every reader reads alike: the message is refused.
* What an operator left behind (`[REDACTED]`) is not a finding.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from hashlib import blake2b

from redaction.detectors.base import Detector, Hit, Texts
from redaction.operators import REDACTED
from redaction.walk import Form, Leaf, Unreadable

REMEMBERED_TEXTS_MAX = 20_000
CLEAN_KEYS_MAX = 10_000
CLEAN_KEY_CHARS_MAX = 64


class Detectors:
    """All detectors of a process, with what they remember. Not for threads."""

    def __init__(self, detectors: Sequence[Detector], *, memory_key: bytes) -> None:
        self._detectors, self._memory_key = tuple(detectors), memory_key
        self._remembered: OrderedDict[bytes, tuple[Hit, ...]] = OrderedDict()
        self._clean_keys: set[str] = set()
        self.kinds = frozenset().union(*(detector.kinds for detector in self._detectors))

    @property
    def clean_keys(self) -> frozenset[str] | set[str]:
        """Keys of objects in which nothing was found."""
        return self._clean_keys

    def scan(self, leaves: Sequence[Leaf]) -> Iterator[tuple[Leaf, tuple[Hit, ...]]]:
        """The leaves in which something was seen, in their order.

        Raises: Unreadable, DetectorGaveUp.
        """
        texts = Texts(list(dict.fromkeys([leaf.text for leaf in leaves])))
        _refuse_broken_text(texts)
        askers: dict[str, list[Detector]] = {}
        for detector in self._detectors:
            for i in detector.select(texts):
                askers.setdefault(texts.texts[i], []).append(detector)
        for leaf in leaves:
            asked = askers.get(leaf.text)
            hits = self._hits(leaf, asked) if asked else ()
            if hits:
                yield leaf, hits
            elif leaf.form is Form.KEY:
                self._note_clean(leaf.text)

    def _hits(self, leaf: Leaf, detectors: Sequence[Detector]) -> tuple[Hit, ...]:
        is_number = leaf.form is Form.NUMBER
        # The length keeps apart what a NUL would not: a hostile key may hold anything.
        asked = f"{len(leaf.context)}:{leaf.context}{is_number:d}{leaf.text}"
        memory = blake2b(asked.encode(), key=self._memory_key, digest_size=16).digest()
        known = self._remembered.get(memory)
        if known is not None:
            self._remembered.move_to_end(memory)
            return known
        hits = tuple(
            hit
            for detector in detectors
            for hit in detector.detect(leaf.text, leaf.context, is_number=is_number)
            if leaf.text[hit.start : hit.end] != REDACTED
        )
        self._remembered[memory] = hits
        if len(self._remembered) > REMEMBERED_TEXTS_MAX:
            self._remembered.popitem(last=False)
        return hits

    def _note_clean(self, key: str) -> None:
        if len(key) > CLEAN_KEY_CHARS_MAX:
            return
        if len(self._clean_keys) >= CLEAN_KEYS_MAX:
            self._clean_keys.clear()
        self._clean_keys.add(key)


def _refuse_broken_text(texts: Texts) -> None:
    if texts.joined.isascii():
        return
    try:
        texts.joined.encode()
    except UnicodeEncodeError as error:
        raise Unreadable("a text holds half of a surrogate pair") from error
