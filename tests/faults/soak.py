"""`make soak`: many cycles of tests/faults/kill_cycles.py, and a line that says what they come to.

Rules of this module:
* The seed is printed first. A finding ends the run with status 1; the folder with its record is kept and named.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import tempfile
import time
from pathlib import Path

from tests.faults.forked_gate import Launcher
from tests.faults.kill_cycles import findings_of, run_cycles
from tests.faults.ledger import Tally

TELL_EVERY = 50


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak", description=__doc__.splitlines()[0])
    parser.add_argument("--cycles", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--first", type=int, default=0, help="the first cycle's number")
    options = parser.parse_args()
    print(f"seed {options.seed}, cycles {options.first} to {options.first + options.cycles - 1}", flush=True)
    base = Path(tempfile.mkdtemp(prefix="interlock-soak-"))
    began, launcher = time.monotonic(), Launcher()

    def tell(tally: Tally) -> None:
        if tally.cycles % TELL_EVERY == 0:
            print(f"{time.monotonic() - began:7.0f} s: {tally.line()}", flush=True)
            for old in sorted(base.iterdir(), key=lambda folder: folder.stat().st_mtime)[:-2]:
                shutil.rmtree(old)

    try:
        tally = asyncio.run(
            run_cycles(launcher, base, cycles=options.cycles, seed=options.seed, first=options.first, tell=tell)
        )
    finally:
        launcher.close()
    print("\n".join(tally.lines_by_failpoint()))
    print(f"soak: {tally.line()} ({time.monotonic() - began:.0f} s, seed {options.seed})")
    if tally.findings:
        print(f"{findings_of(tally, options.seed)}\nthe record: {base}")
        return 1
    shutil.rmtree(base)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
