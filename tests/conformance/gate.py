"""The conformance server without and with the gate before it.

    python -m tests.conformance.gate        runs the four legs both ways (`make conformance`)

Rules of this module:
* The gate is started as its users start it: `interlock serve --config FILE`, with policy, durable record, inspection.
* Both ways meet one and the same server process.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.conformance.processes import running
from tests.conformance.run import LEGS, SUITE_DIR, CannotRun, install, report

POLICY = Path(__file__).with_name("policy.yaml")
SERVER = "everything"


@contextmanager
def everything() -> Iterator[str]:
    """The address of a fresh conformance server."""
    with running(["-m", "tests.conformance.everything"], r"http://127\.0\.0\.1:\d+/mcp$") as address:
        yield address[0]


def gate_config(directory: Path, upstream_url: str) -> Path:
    """A configuration file for a gate before `upstream_url`, with its data and keys in `directory`."""
    file = directory / "interlock.yaml"
    config = {
        "version": "v1",
        "data_dir": "data",
        "keys_dir": "keys",
        "agents_listener": {"port": 0},
        "reviewers_listener": {"port": 0},
        "policies": [str(POLICY)],
        "anonymous": {"enabled": True, "name": "conformance"},
        "servers": {SERVER: {"url": upstream_url}},
    }
    file.write_text(json.dumps(config, indent=2), encoding="utf-8")  # JSON is YAML
    return file


@contextmanager
def gate(directory: Path, upstream_url: str) -> Iterator[str]:
    """The address agents reach `upstream_url` by, through a fresh gate."""
    config = gate_config(directory, upstream_url)
    with running(["-m", "interlock", "serve", "--config", str(config)], rf"http://\S+/mcp/{SERVER}\b") as address:
        yield address[0]


def main() -> int:
    """Exit as `run.main` does."""
    try:
        install()
        with everything() as direct, tempfile.TemporaryDirectory(prefix="interlock-conformance-") as directory:
            print("Without the gate:", flush=True)
            without = report(LEGS, direct, SUITE_DIR)
            print("Through the gate:", flush=True)
            with gate(Path(directory), direct) as gated:
                return without | report(LEGS, gated, SUITE_DIR)
    except CannotRun as why:
        print(f"conformance: {why}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
