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


def default_detectors(settings: DetectorSettings) -> Sequence[Detector]:
    """Raises: ValueError, for a kind or region that does not exist."""
    return (PresidioDetector(settings), MailboxesDetector(settings), SecretsDetector())
