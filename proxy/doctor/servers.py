"""The tool servers: reached and listed as the gate does, and compared with the definitions that people accepted.

Rules of this module:
* A command of the configuration is started only by the gate's own user: never by root on its behalf.
* What differs is told, and nothing is accepted here: that is done by a person who has looked.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence

from proxy.config import ConfigError, FromEnv, StdioServer
from proxy.doctor.finding import Finding, ok, problem, unreachable, warning
from proxy.doctor.modes import secret_values
from proxy.doctor.subject import Subject
from proxy.ids import Ids
from proxy.store.base import PinnedTool
from proxy.upstreams.base import Upstream, UpstreamFailed
from proxy.upstreams.definitions import ListingRefused, by_name, digest
from proxy.upstreams.listing import ListingLimits, list_tools
from proxy.upstreams.registry import Surroundings, build, close_all

LISTING_SEC_MAX = 20.0


async def servers(subject: Subject, pins: Mapping[str, Sequence[PinnedTool]] | None) -> list[Finding]:
    """One finding for each server, and one for each secret that is not there."""
    wanted, left = {}, []
    for name, server in subject.config.servers.items():
        missing = _missing(subject, name)
        if missing:
            mend = "set it where the gate starts; this check sees only its own environment"
            left.append(unreachable("servers", f"{name}: {', '.join(missing)} is not set here", mend, server=name))
        elif isinstance(server, StdioServer) and subject.user != subject.owner:
            mend = "run doctor as the gate's user (sudo -u …)"
            left.append(unreachable("servers", f"{name}: its command is started by the gate's user alone", mend))
        else:
            wanted[name] = server
    if not subject.config.servers:
        left.append(warning("servers", "no tool server is configured", "interlock init adds one"))
    return [*left, *await _asked(subject, wanted, pins or {})]


def _missing(subject: Subject, server: str) -> list[str]:
    return [
        value.env
        for where, value in secret_values(subject)
        if where.startswith(f"servers.{server}.") and isinstance(value, FromEnv) and not subject.environ.get(value.env)
    ]


async def _asked(
    subject: Subject, wanted: Mapping[str, object], pins: Mapping[str, Sequence[PinnedTool]]
) -> list[Finding]:
    config = subject.config.model_copy(update={"servers": dict(wanted)})
    own = [(one.host, one.port) for one in (config.agents_listener, config.reviewers_listener)]
    surroundings = Surroundings(
        environ=subject.environ,
        forbidden=frozenset(own),
        ids=Ids().token,
        monotonic=time.monotonic,
        on_change=lambda _: None,
    )
    try:
        upstreams = build(config, surroundings)
    except ConfigError as error:
        return [problem("servers", str(error), "mend the configuration: the gate does not start with it")]
    try:
        return list(
            await asyncio.gather(*(_one(name, upstream, pins.get(name, ())) for name, upstream in upstreams.items()))
        )
    finally:
        await close_all(upstreams)


async def _one(name: str, upstream: Upstream, pins: Sequence[PinnedTool]) -> Finding:
    began = time.monotonic()
    try:
        listed = by_name(await list_tools(upstream, ListingLimits(listing_sec_max=LISTING_SEC_MAX)))
    except (UpstreamFailed, OSError) as failed:
        mend = "start it, or mend its entry under `servers`"
        return unreachable("servers", f"{name}: not reached: {failed}", mend, server=name)
    except ListingRefused as refused:
        mend = "its tools cannot be called until it lists them as the protocol wants"
        return problem("servers", f"{name}: its tools cannot be listed: {refused}", mend, server=name)
    took_ms = round((time.monotonic() - began) * 1000)
    facts = {"server": name, "tools": sorted(listed), "took_ms": took_ms}
    said = f"{name}: {len(listed)} tools, listed in {took_ms:,} ms"
    accepted = {pin.tool: pin.accepted_digest for pin in pins if pin.tool}
    if not pins:
        return ok("servers", f"{said}; the gate has not seen it before, and takes them as they are", **facts)
    drifted = sorted(tool for tool, one in listed.items() if accepted.get(tool) != digest(one))
    gone = sorted(set(accepted) - set(listed))
    if drifted:
        mend = "look at them on the page Tools, and accept them: until then their calls ask"
        changed = f"{said}; new or changed since a person looked: {', '.join(drifted)}"
        return warning("servers", changed, mend, drifted=drifted, gone=gone, **facts)
    return ok("servers", f"{said}, as accepted{f'; gone: {", ".join(gone)}' if gone else ''}", gone=gone, **facts)
