"""Named places on a call's way where tests end, break or hold the process; in a product process, one look at None each.

Rules of this module:
* Nothing of the product turns a failpoint on: no environment variable, no option, no key, no request can. `on_hit` is
  None unless a launcher of the tests, in whose process the gate then runs, has put a function there (docs/adr/0015).
* What happens at a failpoint (kill, raise, wait) is the tests' code; here is nothing but the names.
* A name stands once in this list and once in the code, in the order in which a call comes by; a test compares them.
* A failpoint is no place for logic: the line with it can be deleted, and nothing has changed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

type Name = Literal[
    "recovery.begun",  # the store is open; nothing has been looked for yet
    "recovery.named",  # one call that was being dispatched is in doubt, and the record says so
    "recovery.done",
    "call.read",  # the agent's message is parsed and classified
    "call.judged",  # the decision is made, and stands nowhere yet
    "change.begun",  # a change that must be durable is about to be handed to the store
    "commit.begun",  # in the database's thread: everything is written, nothing committed
    "commit.done",  # in the database's thread: committed and synchronised, and nobody knows
    "commit.heard",  # the loop knows; whoever waits for it does not
    "change.durable",  # the life of the call knows
    "park.begun",  # the question stands in the record; the agent begins to wait
    "grant.judged",  # an approved call was judged again, and its grant is about to be spent
    "dispatch.begun",  # the durable decision stands; nothing of the tool's side has been touched
    "http.first_byte",  # before the first byte to a tool server over HTTP
    "http.written",  # the whole request was given to the system; bytes of it have left
    "http.head",  # the head of its answer is there
    "stdio.first_byte",  # before the first byte to a tool server on stdio
    "stdio.written",  # the whole message is in its pipe
    "response.read",  # the tool's whole answer is read, and not looked into
    "inspection.begun",
    "inspection.done",  # what may come back is known, and recorded nowhere
    "answer.begun",  # before the first byte of the agent's answer
    "answer.given",  # the agent has it, and the record does not say so
    "checkpoint.begun",  # the log is about to be moved into the database
]

on_hit: Callable[[str], None] | None = None
"""What the tests' launcher wants done at each failpoint; None in every other process."""


def failpoint(name: Name) -> None:
    """Here a test may end, break or hold the process."""
    if on_hit is not None:
        on_hit(name)
