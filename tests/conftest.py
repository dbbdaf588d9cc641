"""For the whole suite: who runs it, that nothing is skipped in CI, and that hypothesis measures no time.

Rules of this module:
* The whole of the default suite is run by workers, one for each core. A part of it (paths, -k, -m, --lf, -s) is run in
  this one process, where it begins at once and can be looked into. Whoever says `-n` decides.
* While `CI` is set, a skipped test is a failed one: a skip there is a promise that nobody checks.
  The exceptions are listed, with their reason.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from tests.faults.forked_gate import Launcher

# A skip whose reason holds one of these words is a skip in CI too.
SKIPS_ALLOWED_IN_CI = (
    "pii_dev.jsonl",  # development data that lies beside the project on some machines and is not part of it
    "no tmpfs can be mounted here",  # a full disk needs root; a file size limit stands in for it everywhere
)


@pytest.fixture(scope="session")
def launcher() -> Iterator[Launcher]:
    """Starts gates at once; begun when the first test asks for it, and one for the whole run."""
    from tests.faults.forked_gate import Launcher

    launching = Launcher()
    yield launching
    launching.close()


@pytest.fixture(autouse=True)
def _plain_logs() -> None:
    """Log lines go to the captured output, short: the library's own traceback of a test's exception costs seconds."""
    structlog.configure(
        processors=[structlog.processors.add_log_level, structlog.processors.KeyValueRenderer(key_order=["event"])],
        logger_factory=structlog.PrintLoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(0),
        cache_logger_on_first_use=False,
    )


WORKERS_MAX = 4  # each of them imports the product and its detectors, which takes seconds and 300 MB


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """How many workers `-n auto` of pyproject.toml is; with 0 the tests run here."""
    is_whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS and "not long" in config.getoption("markexpr")
    is_narrowed = any(config.getoption(name, None) for name in ("keyword", "lf", "deselect"))
    is_narrowed |= config.getoption("capture") == "no"
    return min(len(os.sched_getaffinity(0)), WORKERS_MAX) if is_whole and not is_narrowed else 0


settings.register_profile("interlock", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("interlock")


def is_ci(environ: Any = os.environ) -> bool:
    return environ.get("CI", "").lower() in ("1", "true", "yes")


def reason_of(report: pytest.TestReport | pytest.CollectReport) -> str:
    """A skip's own words; pytest keeps them as (file, line, reason)."""
    return str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else str(report.longrepr)


def fail_a_skip[Report: (pytest.TestReport, pytest.CollectReport)](report: Report) -> Report:
    """In CI, turn a skipped report into a failed one; an expected failure stays what it is."""
    if is_ci() and report.outcome == "skipped" and not hasattr(report, "wasxfail"):
        reason = reason_of(report)
        if not any(word in reason for word in SKIPS_ALLOWED_IN_CI):
            report.outcome = "failed"
            report.longrepr = f"Skipped in CI, where nothing may be: {reason}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    return fail_a_skip((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    return fail_a_skip((yield))
