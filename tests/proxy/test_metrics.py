"""The figures for Prometheus: what is counted, with labels from closed lists, in the text format."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from proxy.exchange import Answer, AnswerKind
from proxy.metrics import Metrics, Reading, Waiting
from proxy.watching import Times
from tests.proxy.builders import refund

READING = Reading(
    version="1.0",
    snapshot="v1:abc",
    is_writable=True,
    store_queue=2,
    entries=77,
    held_responses=3,
    inspectors=1,
    stops=0,
    requests_working=4,
    requests_in_flight=5,
    admitted=100,
    turned_away={"full": 6},
    connections={"agents": 7},
    queues={"waiting": Waiting(8, 90.0), "quarantine": Waiting(0, None)},
)


def sample(metrics: Metrics, name: str, reading: Reading = READING, **labels: str) -> float | None:
    for family in text_string_to_metric_families(metrics.text(reading).decode()):
        for one in family.samples:
            if one.name == name and labels.items() <= one.labels.items():
                return one.value
    return None


def test_judged_requests_are_counted_by_server_and_answer() -> None:
    metrics = Metrics(["payments"])
    for kind in (AnswerKind.RESULT, AnswerKind.RESULT, AnswerKind.DENIED):
        metrics.ended(refund(), Answer(kind, "call_1"), Times(whole=0.02))
    assert sample(metrics, "interlock_calls_total", server="payments", answer="result") == 2
    assert sample(metrics, "interlock_calls_total", server="payments", answer="denied") == 1
    assert sample(metrics, "interlock_calls_total", server="payments", answer="in_doubt") == 0


def test_waiting_for_people_is_measured_apart_from_the_gate_and_the_tool() -> None:
    metrics = Metrics(["payments"])
    times = Times(whole=600.5, people=600.0, tool=0.25, inspection=0.125)
    metrics.ended(refund(), Answer(AnswerKind.RESULT, "call_1"), times)
    assert sample(metrics, "interlock_call_gate_seconds_sum", server="payments") == 0.125
    assert sample(metrics, "interlock_call_tool_seconds_sum", server="payments") == 0.25
    assert sample(metrics, "interlock_call_inspection_seconds_sum", server="payments") == 0.125
    assert sample(metrics, "interlock_call_people_seconds_sum", server="payments") == 600.0


def test_a_call_that_no_person_and_no_tool_had_to_do_with_is_none_of_their_observations() -> None:
    metrics = Metrics(["payments"])
    metrics.ended(refund(), Answer(AnswerKind.DENIED, "call_1"), Times(whole=0.001))
    assert sample(metrics, "interlock_call_gate_seconds_count", server="payments") == 1
    assert sample(metrics, "interlock_call_people_seconds_count", server="payments") == 0
    assert sample(metrics, "interlock_call_tool_seconds_count", server="payments") == 0


def test_p14_names_from_outside_make_no_new_series() -> None:
    metrics = Metrics(["payments"])
    before = len(metrics.text(READING).splitlines())
    for number in range(50):
        call = replace(refund(), server=f"made-up-{number}", tool=f"tool-{number}")
        metrics.ended(call, Answer(AnswerKind.DENIED, "call_1"), Times(whole=0.001))
    assert sample(metrics, "interlock_calls_total", server="other", answer="denied") == 50
    assert len(metrics.text(READING).splitlines()) == before


def test_p14_a_status_that_is_none_is_counted_as_other() -> None:
    metrics = Metrics([])
    for status in (404, 404, 799):
        metrics.refused(status)
    assert sample(metrics, "interlock_requests_refused_total", status="404") == 2
    assert sample(metrics, "interlock_requests_refused_total", status="other") == 1


def test_the_gauges_are_how_things_stand_when_they_are_read() -> None:
    metrics = Metrics([])
    assert sample(metrics, "interlock_store_writable") == 1
    assert sample(metrics, "interlock_store_writable", replace(READING, is_writable=False)) == 0
    assert sample(metrics, "interlock_record_entries_total") == 77
    assert sample(metrics, "interlock_questions", queue="waiting") == 8
    assert sample(metrics, "interlock_questions_oldest_seconds", queue="waiting") == 90
    assert sample(metrics, "interlock_questions_oldest_seconds", queue="quarantine") == 0
    assert sample(metrics, "interlock_requests_turned_away_total", cap="full") == 6
    assert sample(metrics, "interlock_connections", listener="agents") == 7
    assert sample(metrics, "interlock_policy_info", snapshot="v1:abc") == 1


def test_every_figure_of_the_gate_is_in_the_documentation_and_no_other() -> None:
    metrics = Metrics(["payments"])
    metrics.refused(404)
    given = {family.name for family in text_string_to_metric_families(metrics.text(READING).decode())}
    page = (Path(__file__).parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")
    told = set(re.findall(r"^\| `(interlock_\w+)`", page, re.MULTILINE))
    assert {name for name in given if name.startswith("interlock_")} == {name.removesuffix("_total") for name in told}
