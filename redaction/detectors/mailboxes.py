"""E-mail addresses as a segment of a path, where Presidio's pattern does not see them (`shop://x/a@b.example`).

Rules of this module:
* It only adds to what Presidio finds. The user part of an address (`ssh://git@host`) is left to Presidio.
* The pattern is linear: bounded lengths, no repetition inside a repetition but over dots.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from redaction.detectors.base import DetectorSettings, Hit, Texts

DETECTOR = "mailboxes"
KIND = "EMAIL_ADDRESS"
_SEGMENT = re.compile(
    r"(?<=[^/:]/)[A-Za-z0-9][A-Za-z0-9._%+\-]{0,63}@(?:[A-Za-z0-9\-]{1,63}\.){1,8}[A-Za-z]{2,24}(?![A-Za-z0-9\-])"
)


class MailboxesDetector:
    """Part of the kind EMAIL_ADDRESS: looked for where that is."""

    name = DETECTOR
    kinds = frozenset({KIND})

    def __init__(self, settings: DetectorSettings) -> None:
        self._is_on = not settings.entities or KIND in settings.entities

    def select(self, texts: Texts) -> Iterable[int]:
        return texts.holding(("@",)) if self._is_on else ()

    def detect(self, text: str, context: str, *, is_number: bool) -> Sequence[Hit]:  # noqa: ARG002 - a detector's port
        if is_number or not self._is_on:
            return ()
        return [Hit(KIND, DETECTOR, 1.0, *match.span()) for match in _SEGMENT.finditer(text)]
