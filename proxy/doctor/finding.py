"""What a check found: how it stands, a sentence, and how to mend it.

Rules of this module:
* A finding claims no more than was looked at; what could not be looked at is a finding too.
* No secret stands in one. Text of tool servers is made inert by whoever prints it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from policies.model import JsonObject


class Standing(StrEnum):
    OK = "ok"
    WARNING = "warning"  # it works, and somebody should know this
    PROBLEM = "problem"
    UNREACHABLE = "unreachable"  # something outside the gate did not answer


@dataclass(frozen=True, slots=True)
class Finding:
    """`check` is a short name that stays the same, for programs; `details` are numbers and names for them."""

    check: str
    standing: Standing
    says: str
    mend: str = ""
    details: JsonObject = field(default_factory=dict)


def ok(check: str, says: str, **details: object) -> Finding:
    return Finding(check, Standing.OK, says, "", details)


def warning(check: str, says: str, mend: str, **details: object) -> Finding:
    return Finding(check, Standing.WARNING, says, mend, details)


def problem(check: str, says: str, mend: str, **details: object) -> Finding:
    return Finding(check, Standing.PROBLEM, says, mend, details)


def unreachable(check: str, says: str, mend: str, **details: object) -> Finding:
    return Finding(check, Standing.UNREACHABLE, says, mend, details)
