"""`/metrics`: for the scraper's token and for reviewers who are logged in, and for nobody else."""

from __future__ import annotations

import pytest

from review.ports import StoreDown
from tests.review.console.builders import House


class Counted:
    """Figures as the gate gives them."""

    why_down: str | None = None

    def may_read(self, token: str) -> bool:
        return token == "scraper"

    async def text(self) -> tuple[bytes, str]:
        if self.why_down is not None:
            raise StoreDown(self.why_down)
        return b"interlock_stops 0.0\n", "text/plain; version=0.0.4"


@pytest.fixture
def figures() -> Counted:
    return Counted()


@pytest.fixture
def house(figures: Counted) -> House:
    return House(figures=figures)


def test_the_scrapers_token_reads_them(house: House) -> None:
    answer = house.browser().get("/metrics", authorization="Bearer scraper")
    assert (answer.status_code, answer.text) == (200, "interlock_stops 0.0\n")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")


def test_a_reviewer_who_is_logged_in_reads_them(house: House) -> None:
    assert house.logged_in().get("/metrics").status_code == 200


@pytest.mark.parametrize("header", ["", "Bearer ", "Bearer other", "Basic scraper", "scraper"])
def test_p12_nobody_else_reads_them(house: House, header: str) -> None:
    answer = house.browser().get("/metrics", **({"authorization": header} if header else {}))
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert "interlock_stops" not in answer.text


def test_a_store_that_cannot_be_read_is_said_and_not_guessed(house: House, figures: Counted) -> None:
    figures.why_down = "the disk is full"
    answer = house.browser().get("/metrics", authorization="Bearer scraper")
    assert answer.status_code == 503
    assert "disk" not in answer.text


def test_a_console_without_figures_has_no_such_page() -> None:
    assert House().logged_in().get("/metrics").status_code == 404
