"""Runs the public MCP conformance suite against one URL and prints what every leg scored.

    python -m tests.conformance.run --install
    python -m tests.conformance.run --url http://127.0.0.1:8610/mcp/everything

Rules of this module:
* A leg is one run of one release of the suite; `LEGS` holds each with the figures of a whole server without a proxy
  (`tests/conformance/everything.py`). Whatever is lost through the gate is the gate's doing.
* The suite and Node 22 are fetched by npm, as the user's npm is set up, into a folder outside version control;
  releases are pinned here and nowhere else.
* The figures are the suite's own ("Total: n passed, m failed"); failing checks are read from the files it writes.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

SUITE_DIR = Path(__file__).resolve().parents[2] / ".bench" / "conformance"
PACKAGE = "@modelcontextprotocol/conformance"
STABLE, NEXT = "0.1.16", "0.2.0-alpha.12"
NODE_MAJOR_MIN = 22
LEG_SEC_MAX = 300
TOTAL = re.compile(r"^Total: (\d+) passed, (\d+) failed$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Figures:
    passed: int
    failed: int

    def __str__(self) -> str:
        return f"{self.passed}/{self.failed}"


@dataclass(frozen=True, slots=True)
class Leg:
    """`without_a_proxy` is what the server scores when the suite calls it directly."""

    name: str
    release: str
    options: tuple[str, ...]
    without_a_proxy: Figures


@dataclass(frozen=True, slots=True)
class Score:
    leg: Leg
    figures: Figures
    failures: tuple[str, ...]  # "scenario: check: message"


LEGS = (
    Leg(f"{STABLE} active", STABLE, (), Figures(40, 0)),
    Leg(f"{NEXT} 2025-06-18", NEXT, ("--suite", "all", "--spec-version", "2025-06-18"), Figures(56, 0)),
    Leg(f"{NEXT} 2025-11-25", NEXT, ("--suite", "all", "--spec-version", "2025-11-25"), Figures(84, 0)),
    Leg(f"{NEXT} 2026-07-28", NEXT, ("--suite", "all", "--spec-version", "2026-07-28"), Figures(152, 0)),
)


class CannotRun(Exception):
    """The suite or its Node is not there, or it ended without a score; the message says how to mend it."""


def install(suite_dir: Path = SUITE_DIR) -> None:
    """Fetch Node and both releases. Raises: CannotRun."""
    npm = shutil.which("npm")
    if npm is None:
        raise CannotRun("npm is not installed: it is needed to fetch Node and the conformance suite")
    wanted = {release: [f"{PACKAGE}@{release}"] for release in (STABLE, NEXT)}
    wanted[NEXT].append(f"node@{NODE_MAJOR_MIN}")
    for release, packages in wanted.items():
        target = suite_dir / release
        if entry(suite_dir, release).exists() and (release != NEXT or any(bundled_nodes(suite_dir))):
            continue
        target.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            [npm, "install", "--no-audit", "--no-fund", "--prefix", str(target), *packages], check=False
        )
        if done.returncode != 0:
            raise CannotRun(
                f"npm could not install {' '.join(packages)} (exit {done.returncode}, see its output above)"
            )


def entry(suite_dir: Path, release: str) -> Path:
    return suite_dir / release / "node_modules" / PACKAGE / "dist" / "index.js"


def bundled_nodes(suite_dir: Path) -> Iterator[Path]:
    # The npm package `node` keeps one binary per platform, here even where its install script was not run.
    yield from sorted((suite_dir / NEXT / "node_modules" / "node").glob("node_modules/node-*/bin/node"))
    yield from sorted((suite_dir / NEXT / "node_modules").glob("node-*/bin/node"))


def find_node(suite_dir: Path = SUITE_DIR) -> str:
    """The first Node that is new enough: $INTERLOCK_NODE, the fetched one, the one on the path. Raises: CannotRun."""
    on_path = shutil.which("node")
    candidates = [os.environ.get("INTERLOCK_NODE"), *map(str, bundled_nodes(suite_dir)), on_path]
    for candidate in filter(None, candidates):
        said = subprocess.run([candidate, "--version"], capture_output=True, text=True, check=False).stdout
        match = re.match(r"v(\d+)\.", said)
        if match and int(match[1]) >= NODE_MAJOR_MIN:
            return candidate
    raise CannotRun(f"no Node {NODE_MAJOR_MIN} or newer: run `python -m tests.conformance.run --install`")


def run_leg(leg: Leg, url: str, suite_dir: Path = SUITE_DIR) -> Score:
    """Raises: CannotRun."""
    script = entry(suite_dir, leg.release)
    if not script.exists():
        raise CannotRun(f"the suite {leg.release} is not there: run `python -m tests.conformance.run --install`")
    with tempfile.TemporaryDirectory(prefix="interlock-conformance-") as out:
        command = [find_node(suite_dir), str(script), "server", "--url", url, *leg.options, "-o", out]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=LEG_SEC_MAX, check=False)
        except subprocess.TimeoutExpired as late:
            raise CannotRun(f"leg {leg.name} did not end within {LEG_SEC_MAX} s") from late
        total = TOTAL.search(done.stdout)
        if total is None:
            raise CannotRun(
                f"leg {leg.name} gave no total (exit {done.returncode}): {(done.stdout + done.stderr)[-800:]}"
            )
        figures = Figures(int(total[1]), int(total[2]))
        return Score(leg, figures, tuple(failures(Path(out), done.stdout)))


def failures(out: Path, said: str) -> Iterator[str]:
    """Every failing check with its message; a scenario that broke before it wrote a file is named from the summary."""
    named = set()
    for file in sorted(out.glob("*/checks.json")):
        scenario = re.sub(r"^server-(.*)-\d{4}-\d\d-\d\dT.*$", r"\1", file.parent.name)
        for check in json.loads(file.read_bytes()):
            if check["status"] == "FAILURE":
                named.add(scenario)
                yield f"{scenario}: {check['id']}: {check.get('errorMessage', '')}"
    for scenario in re.findall(r"^✗ ([^:]+): ", said, re.MULTILINE):
        if scenario not in named:
            yield f"{scenario}: see the suite's own output"


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit 0: every leg scored what it scores without a proxy; 1: one did not; 2: the suite could not be run."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.run", description="Run the conformance suite.")
    parser.add_argument("--url", help="the MCP endpoint")
    parser.add_argument("--install", action="store_true", help="fetch Node and the suite first")
    parser.add_argument("--suite-dir", type=Path, default=SUITE_DIR)
    parser.add_argument("--leg", action="append", help="only legs whose name contains this (may be repeated)")
    given = parser.parse_args(arguments)
    if not (given.url or given.install):
        parser.error("nothing to do: give --url, --install or both")
    legs = [leg for leg in LEGS if given.leg is None or any(part in leg.name for part in given.leg)]
    if not legs:
        parser.error(f"no leg is named so; there are: {', '.join(leg.name for leg in LEGS)}")
    try:
        if given.install:
            install(given.suite_dir)
        return report(legs, given.url, given.suite_dir) if given.url else 0
    except CannotRun as why:
        print(f"conformance: {why}", file=sys.stderr)
        return 2


def report(legs: Sequence[Leg], url: str, suite_dir: Path) -> int:
    lost = False
    for leg in legs:
        score = run_leg(leg, url, suite_dir)
        as_hoped = score.figures == leg.without_a_proxy
        lost = lost or not as_hoped
        note = "" if as_hoped else f"   (without a proxy: {leg.without_a_proxy})"
        print(f"{leg.name}: {score.figures}{note}", flush=True)
        for failure in score.failures:
            print(f"    {failure}", flush=True)
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
