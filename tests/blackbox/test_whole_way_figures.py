"""The figures of a whole gate, as a scraper reads them after calls have gone through it."""

from __future__ import annotations

import asyncio
import http.client
from urllib.parse import urlsplit

from prometheus_client.parser import text_string_to_metric_families

from tests.blackbox.gate_process import SCRAPER_TOKEN, House, call, parked


def read(house: House, token: str) -> tuple[int, str]:
    parts = urlsplit(house.gate.reviewers_url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    connection.request("GET", "/metrics", headers={"Authorization": f"Bearer {token}"})
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    return response.status, text


async def figure(house: House, name: str, **labels: str) -> float:
    status, text = await asyncio.to_thread(read, house, SCRAPER_TOKEN)
    assert status == 200
    for family in text_string_to_metric_families(text):
        for one in family.samples:
            if one.name == name and labels.items() <= one.labels.items():
                return float(one.value)
    raise AssertionError(f"no figure {name} {labels}")


async def test_a_call_through_the_gate_is_counted_with_the_time_that_its_tool_took(house: House) -> None:
    before = await figure(house, "interlock_calls_total", server="shop", answer="result")
    await call(house.url("shop"), "echo", text="counted")
    assert await figure(house, "interlock_calls_total", server="shop", answer="result") == before + 1
    assert await figure(house, "interlock_call_tool_seconds_sum", server="shop") > 0
    assert await figure(house, "interlock_inspectors") >= 1
    assert await figure(house, "interlock_store_writable") == 1


async def test_a_parked_call_is_a_question_that_waits_and_a_response_that_is_held(house: House) -> None:
    waiting = await figure(house, "interlock_questions", queue="waiting")
    async with parked(house.url("shop"), "pay", amount=77):
        row = await house.reviewer.waiting("pay", amount=77)
        assert await figure(house, "interlock_questions", queue="waiting") == waiting + 1
        assert await figure(house, "interlock_held_responses") >= 1
        await house.reviewer.act("reject", row, comment="counted")


async def test_p12_without_a_token_of_ours_there_are_no_figures(house: House) -> None:
    assert (await asyncio.to_thread(read, house, "made up"))[0] == 401
    assert (await asyncio.to_thread(read, house, house.reviewer.client.token))[0] == 200
