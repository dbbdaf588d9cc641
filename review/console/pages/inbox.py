"""The inbox: the queues of everything that waits for people, most urgent first, filtered and turned by the address.

Rules of this module:
* What is looked at stands in the address: queue, filters, search, place. A link to it shows a colleague the same.
* A page has `ROWS_MAX` rows; however much waits, a page costs nearly the same.
* A filter that means nothing filters nothing: an address from chat never leads to an error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from hashlib import sha256
from urllib.parse import urlencode

from starlette.routing import BaseRoute

from review import inert
from review.board import Choices, Counts, QueueName, QueuePage, Sought
from review.console import listing, queues, views
from review.console.visits import Console, Page, Visit, shown_at
from review.model import CallRecord
from review.ports import Listed
from review.refusals import Unacceptable

ROWS_MAX = 25
CHOICES_MAX = 50  # of one filter
SEARCH_CHARS_MAX = 200


class Other(StrEnum):
    """What the inbox has beside the queues of open questions."""

    DOUBT = "in_doubt"
    DECIDED = "decided"
    AFTERWARDS = "afterwards"


@dataclass(frozen=True, slots=True)
class Asked:
    """What the address asks for. `agent` and `tool` (server/tool) are as `address_of` writes names."""

    queue: str = QueueName.MINE.value
    risk: str = ""
    agent: str = ""
    tool: str = ""
    search: str = ""
    after: str = ""

    @property
    def is_filtered(self) -> bool:
        return bool(self.risk or self.agent or self.tool or self.search)

    def address(self, **changes: str) -> str:
        """The address of the same with something changed; another queue or filter begins at the most urgent."""
        one = replace(self, **{"after": "", **changes})
        named = {"queue": one.queue, "risk": one.risk, "agent": one.agent, "tool": one.tool}
        more = {"q": one.search, "after": one.after}
        told = {
            name: value for name, value in {**named, **more}.items() if value and (name, value) != ("queue", "mine")
        }
        return f"/?{urlencode(told)}" if told else "/"


@dataclass(frozen=True, slots=True)
class Row:
    """One question as the list shows it; `agreed` are those who agree so far, where several must."""

    item: Listed
    agreed: tuple[str, ...] = ()


def routes(console: Console) -> list[BaseRoute]:
    return [*shown_at(console, "/", show)]


async def show(visit: Visit) -> Page:
    inbox, me = visit.console.inbox, visit.who.reviewer
    asked = asked_by(visit.request.query_params)
    counts, unjudged = await inbox.counts(me), await inbox.count_unjudged()
    doubtful: Sequence[CallRecord] = ()
    choices: Choices | None = None
    if asked.queue == Other.DOUBT:
        page, doubtful = QueuePage((), counts.in_doubt.count, None), await inbox.doubtful()
    elif asked.queue == Other.AFTERWARDS:
        page = await _unjudged(visit, asked, unjudged.count)
    elif asked.queue == Other.DECIDED:
        decided = await inbox.decided()
        page = QueuePage(tuple(decided), len(decided), None)
    else:
        choices = await inbox.choices(me, QueueName(asked.queue))
        asked, page = await _page(visit, asked, choices)
    rows = [Row(item, await inbox.agreed(item)) for item in page.items]
    is_empty = not rows and asked.queue == QueueName.MINE
    context = {
        "asked": asked,
        "counts": {**listing.by_queue(counts), Other.AFTERWARDS.value: unjudged.count},
        "wanting": listing.wanting(counts),
        "rows": rows,
        "found": page.total,
        "next_page": page.next,
        "doubtful": doubtful,
        "choices": _choices(choices) if choices is not None else {},
        "freed": listing.freed(visit.console.snapshot()) if is_empty else (),
        "drifted": await inbox.drifted() if asked.queue == QueueName.MINE else (),
        "waiting": visit.console.waiting,
    }
    return Page("inbox.html", context, _data(asked, counts, page, doubtful))


async def _unjudged(visit: Visit, asked: Asked, total: int) -> QueuePage:
    """Calls to be judged afterwards, the oldest first, from the place in the address on; from the beginning without."""
    at, _, review_id = asked.after.partition("~")
    try:
        after = (float(at), review_id)
    except ValueError:
        after = (0.0, "")
    items = await visit.console.inbox.unjudged(limit=ROWS_MAX, after=after)
    last = items[-1].review if len(items) == ROWS_MAX else None
    return QueuePage(tuple(items), total, f"{last.opened_at!r}~{last.id}" if last is not None else None)


async def _page(visit: Visit, asked: Asked, choices: Choices) -> tuple[Asked, QueuePage]:
    """The rows, from the place in the address on; from the beginning where that is no place."""
    agents = {address_of(name): name for name in choices.agents}
    tools = {address_of(f"{server}/{tool}"): (server, tool) for server, tool in choices.tools}
    server, tool = tools.get(asked.tool, ("", asked.tool)) if asked.tool else (None, None)
    sought = Sought(
        queue=QueueName(asked.queue),
        risk=asked.risk or None,
        agent=agents.get(asked.agent, asked.agent) if asked.agent else None,
        server=server,
        tool=tool,
        text=asked.search,
        after=asked.after or None,
        limit=ROWS_MAX,
    )
    try:
        return asked, await visit.console.inbox.page(visit.who.reviewer, sought)
    except Unacceptable:
        first = replace(sought, after=None)
        return replace(asked, after=""), await visit.console.inbox.page(visit.who.reviewer, first)


def asked_by(query: Mapping[str, str]) -> Asked:
    queue, risk = query.get("queue", ""), query.get("risk", "")
    return Asked(
        queue=queue if queue in (*QueueName, *Other) else QueueName.MINE.value,
        risk=risk if risk in queues.TIERS else "",
        agent=query.get("agent", ""),
        tool=query.get("tool", ""),
        search=inert.marked(query.get("q", ""))[:SEARCH_CHARS_MAX].strip(),
        after=query.get("after", ""),
    )


def address_of(name: str) -> str:
    """A name from outside as it stands in an address: itself where it is plain, else a digest that says nothing."""
    if name.isascii() and name.isprintable():
        return name
    return f"sha256:{sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"


def _choices(choices: Choices) -> Mapping[str, list[tuple[str, str, int]]]:
    """What one can filter by in this queue: its address, its name, how many there are; the most first."""
    tools = [(f"{server}/{tool}", count) for (server, tool), count in choices.tools.most_common(CHOICES_MAX)]
    named = {"tool": tools, "agent": choices.agents.most_common(CHOICES_MAX)}
    return {field: [(address_of(name), name, count) for name, count in found] for field, found in named.items()}


def _data(asked: Asked, counts: Counts, page: QueuePage, doubtful: Sequence[CallRecord]) -> dict[str, object]:
    return {
        "queue": asked.queue,
        "filters": {"risk": asked.risk, "agent": asked.agent, "tool": asked.tool, "q": asked.search},
        **queues.page_data(page),
        "counts": queues.counts_data(counts),
        "in_doubt": [views.brief_data(call) for call in doubtful],
    }
