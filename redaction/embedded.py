"""Documents that stand in strings: JSON in a text (normal in MCP), text in base64.

Rules of this module:
* Reading JSON is not done here: the caller gives a `JsonCodec`, so that there is one strict reader in the house (P2).
* A string that is not JSON is a plain text. One that two readers would read differently (a key twice), or that is
  too large or deep to read, is neither: it is refused, and the output is quarantined.
* Text in base64 is told by its content, never by the `mimeType` beside it.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any, Protocol


class NotJson(ValueError):
    """The text is not a JSON document: it is looked at as text."""


class AmbiguousJson(ValueError):
    """The text is JSON that readers would read differently, or beyond the limits. The message holds no value."""


class JsonCodec(Protocol):
    """A strict reader and its writer. Numbers must survive exactly."""

    def read(self, text: str) -> Any:
        """Raises: NotJson, AmbiguousJson."""

    def write(self, value: Any) -> str:
        """Compact JSON with keys in their order."""


_BLANK = " \t\r\n\ufeff"
_ENDS = {"{": "}", "[": "]", '"': '"'}
JSON_STARTS = frozenset((*_BLANK, *_ENDS))
"""First characters of a text that `looks_like_json` has to look at."""

_NOT_TEXT = re.compile("[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")


def looks_like_json(text: str) -> bool:
    """True for a text that can be an object, an array or a string in JSON; numbers and words are left as they are."""
    if text[:1] in _BLANK:
        text = text.strip(_BLANK)
    end = _ENDS.get(text[:1])
    return end is not None and len(text) > 1 and text.rstrip(_BLANK)[-1] == end


def read_json(text: str, codec: JsonCodec) -> Any:
    """Raises: NotJson, AmbiguousJson."""
    return codec.read(text.strip(_BLANK))


def decode_blob(data: str) -> bytes | None:
    """The bytes of a base64 string (RFC 4648 §4, line breaks allowed), or None if it is not one."""
    try:
        return base64.b64decode("".join(data.split()), validate=True)
    except (binascii.Error, ValueError):
        return None


def text_of(raw: bytes) -> str | None:
    """The text that the bytes are, or None for anything with control characters or outside UTF-8."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return None if _NOT_TEXT.search(text) else text


def encode_text(text: str) -> str:
    """Text back to base64."""
    return base64.b64encode(text.encode()).decode("ascii")
