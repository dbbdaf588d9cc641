"""Why a reviewer's act was not done: each says what, why and what to do, and nothing of the act was written.

Rules of this module:
* The call's fate is never among these: they are about the person's act only.
* `code` is stable and for programs; the message is for people.
"""

from __future__ import annotations

from enum import StrEnum


class RefusalCode(StrEnum):
    """Every reason for which an act is not done."""

    NOT_FOUND = "not_found"
    CHANGED = "changed_since_you_looked"
    LOST_RACE = "someone_was_faster"
    OVER = "no_longer_open"
    CLAIMED = "claimed_by_another"
    ROLE = "role_missing"
    TEAM = "team_missing"
    OWN_AGENT = "own_agent"
    OWN_EDIT = "own_edit"
    COMMENT_NEEDED = "comment_needed"
    ARGUMENTS_INVALID = "arguments_invalid"
    DENIED_BY_POLICY = "denied_by_policy"
    NOTHING_CHANGED = "nothing_changed"
    NOT_POSSIBLE = "not_possible"


class Refusal(Exception):
    """An act that was not done."""

    def __init__(self, code: RefusalCode, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


class NotFound(Refusal):
    """There is no such call or review."""

    def __init__(self, what: str) -> None:
        super().__init__(RefusalCode.NOT_FOUND, f"There is no {what}.")


class Conflict(Refusal):
    """The review is not as it was when the person looked: look again, then decide."""


class NotAllowed(Refusal):
    """This person may not do this."""


class Unacceptable(Refusal):
    """The act as given cannot be done: something is missing or wrong in it."""
