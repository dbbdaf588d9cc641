"""The detectors that run, in one list: a new family is one line here.

Rules of this module:
* Importing this file imports Presidio (seconds, and a hundred megabytes): only the inspector's workers do.
"""

from __future__ import annotations

from collections.abc import Sequence

from redaction.detectors.base import Detector, DetectorSettings
from redaction.detectors.mailboxes import MailboxesDetector
from redaction.detectors.presidio import PresidioDetector
from redaction.detectors.secrets import SecretsDetector
from redaction.detectors.signs import DIGITS_MIN, Signs
from redaction.screen import SCREENED_DETECTORS


def default_detectors(settings: DetectorSettings) -> Sequence[Detector]:
    """Raises: ValueError, for a kind or region that does not exist."""
    return (PresidioDetector(settings), MailboxesDetector(settings), SecretsDetector())


def signs_of(detectors: Sequence[Detector]) -> Signs:
    """The signs by which a screen can tell what none of these would be asked about; all texts, where it knows none."""
    known = [detector.signs for detector in detectors if isinstance(detector, PresidioDetector)]
    is_known = all(detector.name in SCREENED_DETECTORS for detector in detectors)
    shortest = min((signs.shortest_run for signs in known), default=DIGITS_MIN)
    return Signs(shortest, asks_always=not is_known or any(signs.asks_always for signs in known))
