"""A quick look at a small message: whether it shows no sign at all of anything that detectors look for.

Rules of this module:
* It is the inspector's own walk and the detectors' own prefilters, nothing less: what shows no sign here is what no
  detector would be asked about there, and passes there too. A test holds the two together.
* It runs in the gate's own process, so it holds no pattern that could run away: counting, translating and searching
  for fixed signs, over a message whose size the caller bounds (docs/adr/0016).
* Anything but a plain yes is no: rules that name fields or want a person, a text that is not ASCII, a message that
  cannot be walked. Then the inspector's workers are asked, as for every other message.
"""

from __future__ import annotations

from collections.abc import Sequence

from policies.model import OutputRules
from redaction.detectors.base import Texts
from redaction.detectors.secrets import SecretsDetector
from redaction.detectors.signs import Signs
from redaction.embedded import JsonCodec
from redaction.model import Surface
from redaction.walk import BLOB_TYPES, Form, Unreadable, WalkLimits, walk

SCREENED_DETECTORS = frozenset({"presidio", "mailboxes", "secrets"})
"""The detectors whose signs are looked for here: Presidio's include the `@` of mailboxes."""

_LIMITS = WalkLimits()
_KEYS_MAX = 10_000
_KEY_CHARS_MAX = 64


class Screen:
    """Looks for the signs of a process's detectors. `signs` are those its workers go by."""

    def __init__(self, signs: Signs, codec: JsonCodec, blob_types: Sequence[str] = BLOB_TYPES) -> None:
        self._signs, self._codec, self._blob_types = signs, codec, blob_types
        self._secrets = SecretsDetector()
        self._clean_keys: set[str] = set()

    def shows_nothing(self, message: object, rules: OutputRules, surface: Surface) -> bool:
        """True only if an inspector, asked, would allow the message as it is and tell of nothing found."""
        if rules.fields or rules.same or rules.always_review or self._signs.asks_always:
            return False
        try:
            walked = walk(
                message,
                codec=self._codec,
                limits=_LIMITS,
                blob_types=self._blob_types,
                clean_keys=self._clean_keys,
                is_arguments=surface is Surface.ARGUMENTS,
            )
        except (Unreadable, RecursionError):
            return False
        texts = Texts(list(dict.fromkeys([leaf.text for leaf in walked.leaves])))
        if not texts.joined.isascii() or list(self._signs.select(texts)) or list(self._secrets.select(texts)):
            return False
        self._note_clean([leaf.text for leaf in walked.leaves if leaf.form is Form.KEY])
        return True

    def _note_clean(self, keys: Sequence[str]) -> None:
        """Keys that showed nothing need not be met again; of a bounded number and size."""
        if len(self._clean_keys) + len(keys) > _KEYS_MAX:
            self._clean_keys.clear()
        self._clean_keys.update(key for key in keys[:_KEYS_MAX] if len(key) <= _KEY_CHARS_MAX)
