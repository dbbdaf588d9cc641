from __future__ import annotations

from tests.review.console.builders import House


def test_it_says_that_it_lives(house: House) -> None:
    response = house.browser().get("/-/health")
    assert (response.status_code, response.json()) == (200, {"alive": True})


def test_it_says_whether_it_can_work_and_not_why_not(house: House) -> None:
    assert house.browser().get("/-/ready").json() == {"ready": True}
    house.why_not_ready = "the disk of customer X is full"
    response = house.browser().get("/-/ready")
    assert (response.status_code, response.json()) == (503, {"ready": False})
