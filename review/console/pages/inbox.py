"""The inbox: everything that waits for people, most urgent first."""

from __future__ import annotations

from starlette.routing import BaseRoute

from review.agreement import check_may_decide
from review.console import views
from review.console.visits import Console, Page, Visit, shown_at
from review.model import Reviewer
from review.ports import Listed
from review.refusals import NotAllowed

ROWS_MAX = 100  # of one list; the JSON twin has all


def routes(console: Console) -> list[BaseRoute]:
    return [*shown_at(console, "/", show)]


async def show(visit: Visit) -> Page:
    queue = await visit.console.inbox.queue()
    mine = [item for item in queue.waiting if _is_for(visit.who.reviewer, item)]
    others = [item for item in queue.waiting if item not in mine]
    context = {
        "queue": queue,
        "mine": mine,
        "others": others,
        "rows_max": ROWS_MAX,
        "waiting": visit.console.waiting,
        "count": len(queue.waiting) + len(queue.held) + len(queue.in_doubt),
    }
    return Page("inbox.html", context, views.queue_data(queue))


def _is_for(reviewer: Reviewer, item: Listed) -> bool:
    try:
        check_may_decide(reviewer, item.review, item.call)
    except NotAllowed:
        return False
    return True
