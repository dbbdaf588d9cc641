"""A page of a queue by its address, and queues as data: the same for the inbox, its twin, the API and live updates.

Rules of this module:
* The filter stands in the address, so that it can be kept and sent to others: `queue`, `risk`, `agent`, `server`,
  `tool`, `text`, `after` (where the page begins), `limit`.
* An address that asks for what is not is refused, not guessed at.
"""

from __future__ import annotations

from collections.abc import Mapping

from policies.model import JsonObject, Risk
from review.board import PAGE_ROWS_MAX, Count, Counts, QueueName, QueuePage, Sought
from review.console import views
from review.desk import UNRATED
from review.refusals import RefusalCode, Unacceptable

TIERS = (*(risk.value for risk in Risk), UNRATED)


def sought(query: Mapping[str, str]) -> Sought:
    """What an address asks for. Raises: Unacceptable."""
    name, risk, limit = query.get("queue", QueueName.WAITING.value), query.get("risk") or None, query.get("limit", "50")
    if name not in QueueName:
        raise Unacceptable(RefusalCode.NOT_POSSIBLE, f"'queue' is one of {', '.join(QueueName)}.")
    if risk is not None and risk not in TIERS:
        raise Unacceptable(RefusalCode.NOT_POSSIBLE, f"'risk' is one of {', '.join(TIERS)}.")
    if not (limit.isascii() and limit.isdigit() and 1 <= int(limit[:9]) <= PAGE_ROWS_MAX):
        raise Unacceptable(RefusalCode.NOT_POSSIBLE, f"'limit' is a whole number from 1 to {PAGE_ROWS_MAX}.")
    return Sought(
        queue=QueueName(name),
        risk=risk,
        agent=query.get("agent") or None,
        server=query.get("server") or None,
        tool=query.get("tool") or None,
        text=query.get("text", ""),
        after=query.get("after") or None,
        limit=int(limit),
    )


def page_data(page: QueuePage) -> JsonObject:
    return {"items": [views.listed_data(item) for item in page.items], "total": page.total, "next": page.next}


def counts_data(counts: Counts) -> JsonObject:
    """By queue, and `in_doubt`: how many, and since when the one that waits longest."""
    queues = {name.value: _count(count) for name, count in counts.queues.items()}
    return {**queues, "in_doubt": _count(counts.in_doubt)}


def _count(count: Count) -> JsonObject:
    return {"count": count.count, "oldest_at": count.oldest_at}
