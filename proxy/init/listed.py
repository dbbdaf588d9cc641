"""What tools the wished servers really have: each is contacted as the gate would, and listed by the gate's own reader.

Rules of this module:
* Only names and descriptions are taken along, for the operator to look at; nothing the server says frees a tool (P9).
  That it calls a tool destructive is passed on: it can only warn.
* A server that cannot be listed is an answer too: why.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from proxy.config import Config
from proxy.ids import Ids
from proxy.upstreams.base import Upstream, UpstreamFailed
from proxy.upstreams.definitions import ListingRefused, by_name
from proxy.upstreams.listing import ListingLimits, list_tools
from proxy.upstreams.registry import Surroundings, build, close_all

LISTING_SEC_MAX = 45.0


@dataclass(frozen=True, slots=True)
class Tool:
    name: str
    description: str = ""
    says_it_destroys: bool = False


type Listing = Mapping[str, tuple[Tool, ...] | str]
"""By server: its tools, or why they could not be listed."""


async def list_servers(
    config: Config, environ: Mapping[str, str], *, read_bytes: Callable[[Path], bytes] = Path.read_bytes
) -> Listing:
    """Every server of the configuration, all at once. Raises: ConfigError."""
    own = [(one.host, one.port) for one in (config.agents_listener, config.reviewers_listener)]
    surroundings = Surroundings(
        environ=environ,
        forbidden=frozenset(own),
        ids=Ids().token,
        monotonic=time.monotonic,
        on_change=lambda _: None,
        read_bytes=read_bytes,
    )
    upstreams = build(config, surroundings)
    try:
        found = await asyncio.gather(*(_list(upstream) for upstream in upstreams.values()))
    finally:
        await close_all(upstreams)
    return dict(zip(upstreams, found, strict=True))


async def _list(upstream: Upstream) -> tuple[Tool, ...] | str:
    try:
        entries = by_name(await list_tools(upstream, ListingLimits(listing_sec_max=LISTING_SEC_MAX)))
    except (UpstreamFailed, ListingRefused, OSError) as error:
        return str(error) or type(error).__name__
    return tuple(
        Tool(
            name,
            str(entry.get("description") or entry.get("title") or ""),
            (entry.get("annotations") or {}).get("destructiveHint") is True,
        )
        for name, entry in entries.items()
    )
