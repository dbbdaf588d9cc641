from __future__ import annotations

import pytest

from policies.model import Approval
from review import brief
from review.board import QueueName
from review.console import listing
from review.console.pages.inbox import Other
from tests.review.builders import NOW, question, refund


def test_a_row_shows_the_first_arguments_that_say_something_cut_in_the_middle() -> None:
    text = "a" * 500 + "the end"
    arguments = {"none": None, "empty": "", "list": [], "text": text, "n": 0, **dict.fromkeys("abc", 1)}
    summary = listing.summary(refund(proposed={"arguments": arguments, "input_responses": None}))
    assert [leaf.path for leaf in summary] == ["$.text", "$.n", "$.a", "$.b"]
    assert len(summary[0].value) == brief.SUMMARY_CHARS_MAX + 1
    assert summary[0].value.endswith("the end")
    assert listing.summary(refund(proposed=None)) == ()


@pytest.mark.parametrize("name", [*QueueName, *Other])
def test_every_queue_has_words(name: str) -> None:
    assert listing.queue_words(name)
    assert listing.queue_meaning(name)
    assert listing.queue_empty(name)


@pytest.mark.parametrize(
    ("passed", "percent", "css"), [(0, 100, "later"), (900, 75, "later"), (3500, 3, "soon"), (9999, 0, "over")]
)
def test_a_ring_is_the_part_of_the_time_that_is_left(passed: float, percent: int, css: str) -> None:
    ring = listing.ring(question(refund(), Approval(timeout_sec=3600)), NOW + passed)
    assert (ring.percent, ring.css) == (percent, css)


def test_a_claim_is_somebodys_until_it_ends() -> None:
    review = question(refund(), claimed_by="bob", claimed_until=NOW + 60)
    assert (listing.claimant(review, NOW), listing.claimant(review, NOW + 60)) == ("bob", None)


def test_where_no_policies_are_known_none_are_said_to_free_anything() -> None:
    assert listing.freed(None) == ()
