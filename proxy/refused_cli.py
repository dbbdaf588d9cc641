"""What a command ends with when the reviewers' side says no, or nothing: a line to stderr, and the exit code.

Rules of this module:
* One meaning for all commands that speak with the reviewers' listener: 1 it said no, 2 what was given is no address of
  one, 3 it cannot be reached.
* What came from the other side is printed inert.
"""

from __future__ import annotations

import sys

from proxy.reviewer_client import NoAddress, Refused, Unreachable
from review.inert import terminal


def exit_code(problem: Refused | Unreachable, *, url: str) -> int:
    """Say it, and how to go on. `url`: the listener that was asked, to log in at."""
    why = str(problem)
    if isinstance(problem, Refused) and problem.code == "not_logged_in":
        why = f"You are not logged in there. Run: interlock login NAME --url {url}"
    print(f"interlock: {terminal(why)}", file=sys.stderr)
    if isinstance(problem, Refused):
        return 1
    return 2 if isinstance(problem, NoAddress) else 3
