"""Figures of the gate for Prometheus: counters and histograms of what happens, gauges read when somebody asks.

Rules of this module:
* Labels are bounded: servers are those of the configuration, answers, queues, statuses and listeners are closed lists.
  Names that agents or tools choose (tools, agents' programs, findings) are no labels.
* No values, and no names of people. Figures of one gate, in a registry of its own.
* The only importer of prometheus_client. What is counted on a call's way costs no lock shared with a scrape for longer
  than one number.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from policies.model import ToolCall
from proxy.exchange import Answer, AnswerKind
from proxy.watching import Times

disable_created_metrics()  # type: ignore[no-untyped-call]  # when a series began says nothing here, and doubles their number
CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
OTHER = "other"
_STATUSES = frozenset(status.value for status in HTTPStatus)
_MACHINE_BUCKETS_SEC = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_PEOPLE_BUCKETS_SEC = (1, 5, 15, 30, 60, 120, 300, 900, 1800, 3600, 14400, 43200, 86400)


@dataclass(frozen=True, slots=True)
class Waiting:
    """One queue of people's: how many wait, and since when the first of them (None: nobody)."""

    count: int
    oldest_sec: float | None


@dataclass(frozen=True, slots=True)
class Reading:
    """How things stand at the moment of a scrape."""

    version: str
    snapshot: str
    is_writable: bool
    store_queue: int
    entries: int
    held_responses: int
    inspectors: int
    stops: int
    requests_working: int
    requests_in_flight: int
    admitted: int
    turned_away: Mapping[str, int] = field(default_factory=dict)
    connections: Mapping[str, int] = field(default_factory=dict)
    queues: Mapping[str, Waiting] = field(default_factory=dict)


class Metrics:
    """The figures of one gate. Implements `proxy.watching.Watches`."""

    def __init__(self, servers: Iterable[str]) -> None:
        self._registry = CollectorRegistry()
        self._reading = _Readings()
        for collector in (ProcessCollector(registry=None), PlatformCollector(registry=None), self._reading):
            self._registry.register(collector)
        self._refused = Counter(
            "interlock_requests_refused",
            "Requests that a door would not read, by the HTTP status they got.",
            ["status"],
            registry=self._registry,
        )
        calls = Counter(
            "interlock_calls",
            "Judged requests, by how they were answered.",
            ["server", "answer"],
            registry=self._registry,
        )
        gate = self._histogram(
            "gate", "What the gate itself took of a request: judging, recording.", _MACHINE_BUCKETS_SEC
        )
        tool = self._histogram("tool", "What the tool took of a request that was sent.", _MACHINE_BUCKETS_SEC)
        inspection = self._histogram("inspection", "What looking through an output took.", _MACHINE_BUCKETS_SEC)
        people = self._histogram("people", "How long a request was held for people.", _PEOPLE_BUCKETS_SEC)
        names = {*servers, OTHER}
        self._calls = {(name, kind): calls.labels(name, kind.value) for name in names for kind in AnswerKind}
        self._seconds = {
            name: (gate.labels(name), tool.labels(name), inspection.labels(name), people.labels(name)) for name in names
        }

    def _histogram(self, part: str, says: str, buckets: tuple[float, ...]) -> Histogram:
        name = f"interlock_call_{part}_seconds"
        return Histogram(name, says, ["server"], buckets=buckets, registry=self._registry)

    def ended(self, call: ToolCall, answer: Answer, times: Times) -> None:
        server = call.server if call.server in self._seconds else OTHER
        self._calls[server, answer.kind].inc()
        gate, tool, inspection, people = self._seconds[server]
        gate.observe(times.gate)
        for histogram, seconds in ((tool, times.tool), (inspection, times.inspection), (people, times.people)):
            if seconds:
                histogram.observe(seconds)

    def refused(self, status: int) -> None:
        self._refused.labels(str(status) if status in _STATUSES else OTHER).inc()

    def text(self, reading: Reading) -> bytes:
        """Everything, in the text format (media type `CONTENT_TYPE`)."""
        self._reading.now = reading
        return generate_latest(self._registry)


class _Readings(Collector):
    """The gauges: made of one reading, when asked."""

    def __init__(self) -> None:
        self.now: Reading | None = None

    def collect(self) -> Iterator[Metric]:
        now = self.now
        if now is None:
            return  # asked while being registered, to see that no name is taken twice
        yield InfoMetricFamily("interlock_build", "The version that runs.", value={"version": now.version})
        yield InfoMetricFamily("interlock_policy", "The policy snapshot in force.", value={"snapshot": now.snapshot})
        for name, says, value in (
            (
                "store_writable",
                "1 while the record can be written; while it cannot, every call is refused.",
                now.is_writable,
            ),
            ("store_queue", "Changes that wait for the store's writer.", now.store_queue),
            ("held_responses", "Requests held open for people.", now.held_responses),
            ("inspectors", "Processes that inspect outputs and live.", now.inspectors),
            ("stops", "Kill switches that are thrown.", now.stops),
            ("requests_working", "Requests that the gate itself is at.", now.requests_working),
            ("requests_in_flight", "These, and those that wait for a tool or a slow client.", now.requests_in_flight),
        ):
            yield GaugeMetricFamily(f"interlock_{name}", says, value=float(value))
        yield CounterMetricFamily("interlock_record_entries", "Entries of the record, of all runs.", value=now.entries)
        yield CounterMetricFamily("interlock_requests_admitted", "Requests that were let in.", value=now.admitted)
        yield _labelled(
            CounterMetricFamily("interlock_requests_turned_away", "Requests past a cap.", labels=["cap"]),
            now.turned_away,
        )
        yield _labelled(
            GaugeMetricFamily("interlock_connections", "Open connections.", labels=["listener"]), now.connections
        )
        yield from _queues(now.queues)


def _queues(queues: Mapping[str, Waiting]) -> Iterator[Metric]:
    counts = {name: float(one.count) for name, one in queues.items()}
    ages = {name: one.oldest_sec or 0.0 for name, one in queues.items()}
    yield _labelled(GaugeMetricFamily("interlock_questions", "What waits for people.", labels=["queue"]), counts)
    says = "How long the first of them has waited; 0 when nothing waits."
    yield _labelled(GaugeMetricFamily("interlock_questions_oldest_seconds", says, labels=["queue"]), ages)


def _labelled[F: (CounterMetricFamily, GaugeMetricFamily)](family: F, values: Mapping[str, float]) -> F:
    for name, value in values.items():
        family.add_metric([name], value)
    return family
