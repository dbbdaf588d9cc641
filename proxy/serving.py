"""`interlock serve`: find the configuration, start the gate, say where it is, stop on a signal.

Rules of this module:
* What a person must know is printed in plain words on stderr; everything else is a log line.
* The one-time login link goes to this terminal only, and lives ten minutes (SEMANTICS §4).
"""

from __future__ import annotations

import gc
import os
from pathlib import Path

from policies.schema import PolicyErrors
from proxy import logs
from proxy.app import App
from proxy.config import ConfigError
from proxy.config_file import ConfigErrors, ConfigNotFound, Loaded, Places, load, user_config_dir
from proxy.keys import KeysRefused
from proxy.wire.http_server import run, stop_on_signals
from review.ports import StoreDown

CANNOT_START = (PolicyErrors, ConfigErrors, ConfigNotFound, ConfigError, KeysRefused, StoreDown, OSError)


class CannotStart(Exception):
    """The gate cannot start; the text says what, where and how to mend it."""


def places() -> Places:
    """Where this process looks for its configuration."""
    return Places(environ=os.environ, cwd=Path.cwd(), home=Path.home(), user_dir=user_config_dir())


def load_config(explicit: Path | None) -> Loaded:
    """Raises: CannotStart."""
    try:
        return load(explicit, places())
    except (ConfigErrors, ConfigNotFound) as problem:
        raise CannotStart(str(problem)) from problem


def serve_forever(explicit: Path | None) -> None:
    """Run until SIGTERM or SIGINT. Raises: CannotStart."""
    loaded = load_config(explicit)
    logs.configure()
    logs.say(f"Configuration: {loaded.file} ({loaded.why})")
    run(_serve(loaded))


async def _serve(loaded: Loaded) -> None:
    stop = stop_on_signals()
    gate = App(loaded.config, base=loaded.base)
    try:
        await gate.start()
    except CANNOT_START as problem:
        raise CannotStart(str(problem)) from problem
    spare_the_collector()
    for line in announcement(gate):
        logs.say(line)
    await stop.wait()
    logs.say("Stopping: every waiting agent gets its ticket.")
    await gate.stop()


def spare_the_collector() -> None:
    """What was built to serve lives as long as the process: the collector of cycles need not look through it again."""
    gc.collect()
    gc.freeze()


def announcement(gate: App) -> list[str]:
    """Where the gate is, and the login link if this is its first start."""
    lines = [f"Policy snapshot {gate.policies.current.id}"]
    lines += [f"  {gate.agents_url}/mcp/{name}" for name in sorted(gate.upstreams)]
    lines.append(f"Reviewers: {gate.reviewers_url}/")
    if gate.first_link is not None:
        lines.append(f"First login (ten minutes, once): {gate.reviewers_url}/login/link/{gate.first_link}")
    return lines
