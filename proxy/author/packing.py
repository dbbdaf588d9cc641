"""`interlock policy pack`: which packs there are, and the text of one, for who wants it as a file of their own.

Rules of this module:
* What is printed is what `pack:NAME=SERVER` loads, to the letter; kept as a file it is the operator's to change.
"""

from __future__ import annotations

import sys

from policies.errors import PolicyErrors
from policies.packs import EVERY_SERVER, PREFIX, pack_cases, pack_names, pack_policy, read_entry
from proxy.author.reading import DONE, USAGE


def run(named: str | None, *, cases: bool) -> int:
    """Print the list, or the policy (or the cases) of one pack. The exit code."""
    if named is None:
        for name in pack_names():
            print(f"{PREFIX}{name}" if name == EVERY_SERVER else f"{PREFIX}{name}=SERVER")
        return DONE
    try:
        entry = read_entry(named)
    except PolicyErrors as bad:
        print(f"interlock policy pack: {bad}", file=sys.stderr)
        return USAGE
    print(pack_cases(entry) if cases else pack_policy(entry), end="")
    return DONE
