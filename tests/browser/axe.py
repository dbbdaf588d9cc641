"""The public accessibility checker axe-core, run in a page of a real browser.

    python -m tests.browser.axe --install

Rules of this module:
* It is fetched by npm, as the user's npm is set up, into a folder outside version control; its release is pinned here.
* A test that needs it is skipped with a sentence where it is not installed; CI installs it.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest
from playwright.sync_api import Page

FOLDER = Path(__file__).resolve().parents[2] / ".bench" / "axe"
RELEASE = "4.14.1"
SCRIPT = FOLDER / "node_modules" / "axe-core" / "axe.min.js"
TAGS = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
RUN = """async (only) => (await axe.run(document, {runOnly: only, resultTypes: ["violations"]})).violations
  .flatMap(({id, nodes}) => nodes.map((node) => `${id}: ${node.html.slice(0, 160)} (${node.failureSummary})`))
"""


def install() -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise SystemExit("npm is not installed: it is needed to fetch axe-core")
    FOLDER.mkdir(parents=True, exist_ok=True)
    command = [npm, "install", "--no-audit", "--no-fund", "--prefix", str(FOLDER), f"axe-core@{RELEASE}"]
    subprocess.run(command, check=True)


@cache
def _script() -> str:
    if not SCRIPT.exists():
        pytest.skip("axe-core is not installed: run `python -m tests.browser.axe --install`")
    return SCRIPT.read_text(encoding="utf-8")


def violations(page: Page, *, rules: Sequence[str] = ()) -> list[str]:
    """One line for each element that breaks a rule. Skips the test where axe-core is not installed."""
    script = _script()
    if not page.evaluate("Boolean(window.axe)"):
        page.evaluate(script)
    only = {"type": "rule", "values": list(rules)} if rules else {"type": "tag", "values": list(TAGS)}
    found: list[str] = page.evaluate(RUN, only)
    return found


if __name__ == "__main__":
    if sys.argv[1:] != ["--install"]:
        raise SystemExit(__doc__)
    install()
