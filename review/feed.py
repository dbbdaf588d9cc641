"""The live feed, as oversight needs it: who was watching when, and whether a veto could have come all the time.

Rules of this module:
* Watching is to have a stream open: a page of the console, or `interlock tail`. A feed that nobody receives is not
  served, so a window that passed unseen was no window (SEMANTICS §1.10).
* Only those count who may veto that very call, with the roles and teams they have when their stream begins.
* A stream that breaks and comes back within `GAP_SEC`, and within a quarter of the window, has not been away: pages are
  turned, phones change networks.
* Memory only: after a restart nobody was watching before it. Past `spans_max` the oldest are forgotten, which can only
  make a call a question.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from review import agreement
from review.model import Reviewer, ReviewRecord
from review.refusals import NotAllowed

GAP_SEC = 10.0


@dataclass(slots=True, eq=False)
class _Span:
    """One stream of one person."""

    reviewer: Reviewer
    begin: float
    end: float | None = None


class Feed:
    """One per process; streams tell it of themselves, the gate and the rounds ask."""

    def __init__(self, *, clock: Callable[[], float], spans_max: int = 10_000) -> None:
        self._clock = clock
        self._spans_max = spans_max
        self._spans: list[_Span] = []

    @contextmanager
    def watched_by(self, reviewer: Reviewer) -> Iterator[None]:
        """While it lasts, this person receives the feed."""
        span = _Span(reviewer, self._clock())
        self._spans.append(span)
        del self._spans[: -self._spans_max]
        try:
            yield
        finally:
            span.end = self._clock()

    def is_watched(self, review: ReviewRecord) -> bool:
        """Whether somebody who may veto it is there now, or was a moment ago."""
        since = self._clock() - GAP_SEC
        return any(span.end is None or span.end >= since for span in self._of_those_who_may(review))

    def was_watched(self, review: ReviewRecord) -> bool:
        """Whether somebody who may veto it was there for the whole of its window."""
        gap_sec = min(GAP_SEC, (review.expires_at - review.opened_at) / 4)
        reached = review.opened_at
        for span in self._of_those_who_may(review):
            if span.begin > reached + gap_sec:
                break
            reached = max(reached, self._clock() if span.end is None else span.end)
        return reached + gap_sec >= review.expires_at

    def _of_those_who_may(self, review: ReviewRecord) -> list[_Span]:
        """By when they begin, which is the order in which they are kept."""
        known: dict[Reviewer, bool] = {}
        for span in self._spans:
            if span.reviewer not in known:
                known[span.reviewer] = _may_veto(span.reviewer, review)
        return [span for span in self._spans if known[span.reviewer]]


def _may_veto(reviewer: Reviewer, review: ReviewRecord) -> bool:
    try:
        agreement.check_may_object(reviewer, review)
    except NotAllowed:
        return False
    return True
