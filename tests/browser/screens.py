"""Every screen of the console with something on it, as long and as odd as it comes: for tests that look at them all."""

from __future__ import annotations

from dataclasses import replace

from policies.model import Approval
from review.desk import Seen
from review.model import CallState
from review.ports import ToolSeen
from tests.browser.served import Served
from tests.review.builders import held_output, refund
from tests.review.memory_records import MemoryRecords

QUEUES = ("waiting", "quarantine", "in_doubt", "decided", "escalated")
SCREENS = (
    *(f"/?queue={name}" for name in QUEUES),
    *("/c/c-1", "/q/c-2", "/c/c-3", "/c/c-4", "/c/c-5", "/c/c-6", "/tools", "/stops", "/people", "/account"),
)
TRACE = [
    {"policy": "refunds", "rule": "small", "matched": False, "why": "amount > 100", "facts": {"amount": 250}},
    {"policy": "refunds", "rule": "ask", "matched": True, "effect": "require_approval", "why": "it is", "error": "x"},
]


def everything(served: Served) -> None:
    """A question with long and odd text, a held output, a call in doubt, a quorum, one taken up, one rejected."""
    served.account("anna")
    odd = "x" * 5_000 + "\u202e" + "Donaudampfschifffahrtsgesellschaftskapitänsmütze" * 20
    arguments = {"text": odd, "k" * 60: odd[:200], "nested": {"a": [{"b": "c" * 300}]}}
    tool = "a_very_long_tool_name" * 8
    call = refund(tool=tool, session="s-1", proposed={"arguments": arguments, "input_responses": None})
    served.park(1, replace(call, decision={**call.decision, "trace": TRACE, "facts": {"amount": 250}}))
    served.park(2, held_output(), Approval())
    served.keep(3, refund(state=CallState.IN_DOUBT))
    served.park(4, refund(), Approval(teams=("legal",), quorum={"legal": 2}))
    served.park(5, refund(session="s-1"), Approval(undo_sec=3_600))
    served.park(6, refund(), Approval())
    served.waiting.since_by_call["c-1"] = served.review(1).opened_at
    served.waiting.until_by_call["c-1"] = served.review(1).opened_at + 600
    anna = served.run(served.accounts.reviewer("anna"))
    assert anna is not None
    inbox = served.inbox
    served.run(inbox.comment("r-1", anna, "Is this ours?"))
    served.run(inbox.claim("r-1", anna, _seen(served, 1)))
    served.run(inbox.approve("r-5", anna, _seen(served, 5), "matches the ticket"))
    served.run(inbox.reject("r-6", anna, _seen(served, 6), "not a refund case"))
    assert isinstance(served.inventory, MemoryRecords)
    now = {"name": "t" * 120, "description": odd}
    was = {**now, "description": "?"}
    served.inventory.tools["crm", "t" * 120] = ToolSeen("crm", "t" * 120, "b", now, "a", was)


def _seen(served: Served, number: int) -> Seen:
    review = served.review(number)
    return Seen(review.version, review.binding, 5_000)
