"""Policy sets as the commands for authors get them: files and folders named on the command line, and how they fail.

Rules of this module:
* A set that does not load is told mistake by mistake, with file, line, column and how to mend it, and ends with
  `FINDINGS`; so does a set whose case files cannot be read.
* What is printed is inert (`review.inert`), also where the files are the author's own: they may have come from others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from policies.cases import Case, policies_of, read_cases
from policies.errors import PolicyErrors
from policies.loader import read_named
from policies.schema import load_snapshot
from policies.snapshot import PolicySnapshot
from review.inert import marked_json, terminal

DONE, FINDINGS, USAGE, UNREACHABLE = 0, 1, 2, 3
LINE_CHARS_MAX = 2_000


@dataclass(frozen=True, slots=True)
class PolicySet:
    """A set that loads: its texts (case files too), its cases, and the snapshot."""

    files: Mapping[str, str]
    cases: tuple[Case, ...]
    snapshot: PolicySnapshot


def read_set(paths: Sequence[Path]) -> PolicySet:
    """The set these files and folders are. Raises: PolicyErrors."""
    return set_of(read_named(paths))


def set_of(files: Mapping[str, str]) -> PolicySet:
    """The set of these texts. Raises: PolicyErrors."""
    cases = read_cases(files)
    return PolicySet(files, cases, load_snapshot(policies_of(files)))


def does_not_load(bad: PolicyErrors, *, as_json: bool) -> int:
    """Say every mistake; the exit code."""
    if as_json:
        errors = [
            {"file": one.file, "line": one.line, "column": one.column, "message": one.message, "hint": one.hint}
            for one in bad.errors
        ]
        say_json({"ok": False, "errors": errors})
        return FINDINGS
    for error in bad.errors:
        say(str(error))
    count = len(bad.errors)
    say(f"failed: {count} error{'s' if count > 1 else ''}")
    return FINDINGS


def say(text: str) -> None:
    """One line, or lines, of a report."""
    print(terminal(text, chars_max=LINE_CHARS_MAX))


def say_json(value: Any) -> None:
    print(marked_json(value))
