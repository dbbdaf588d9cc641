"""The detectors that run."""

from __future__ import annotations

import pytest

from redaction.detectors.base import DEFAULT_KINDS, DetectorSettings
from redaction.detectors.defaults import default_detectors
from redaction.detectors.secret_rules import SECRET_KINDS


def test_personal_data_and_secrets_are_looked_for() -> None:
    detectors = default_detectors(DetectorSettings())
    assert [(detector.name, detector.kinds) for detector in detectors] == [
        ("presidio", frozenset(DEFAULT_KINDS)),
        ("mailboxes", frozenset({"EMAIL_ADDRESS"})),
        ("secrets", SECRET_KINDS),
    ]


def test_the_operators_kinds_replace_the_default_ones_and_secrets_stay() -> None:
    personal, _, secrets = default_detectors(DetectorSettings(entities=("MAC_ADDRESS",)))
    assert (personal.kinds, secrets.kinds) == ({"MAC_ADDRESS"}, SECRET_KINDS)


def test_a_kind_that_does_not_exist_is_the_operators_mistake() -> None:
    with pytest.raises(ValueError, match=r"inspection\.entities.*SOCIAL"):
        default_detectors(DetectorSettings(entities=("SOCIAL",)))
