"""What tools each server has, as the gate itself was told, and which of them a person has yet to look at.

Rules of this module (SEMANTICS §1.17):
* A server is listed before its first call, when it says that its tools changed, after it was away, and when the last
  listing is older than `max_age_sec`.
* The first inventory of a server is trusted on first use and pinned. A tool that is new or different afterwards is
  `drifted` until `accept` names exactly the digest that was seen.
* Closed (P1): when a listing is due and fails, `definition` raises; an older listing is never used in its place.
* Pins and their entries are written in one transaction of the store, before the listing is used.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import structlog

from audit.entry import EntryDraft, EntryKind
from policies.model import Json, JsonObject, ToolDefinition
from proxy.store.base import PinnedTool
from proxy.upstreams.base import Upstream, UpstreamFailed
from proxy.upstreams.definitions import ListingRefused, by_name, definition, digest, pinned_form
from proxy.upstreams.listing import ListingLimits, list_tools
from review.ports import StoreDown

log = structlog.get_logger("interlock.inventory")

FIRST_USE = "first_use"
# A pin without a tool says that the server's first inventory has been taken, also when it was empty.
_TAKEN = ""


class InventoryUnavailable(Exception):
    """The server's tools are not known for certain: refuse the call. The message says why."""


class AcceptRefused(Exception):
    """The definition to be accepted is not the one last seen; look at it again."""


class Pins(Protocol):
    """The store, as far as the inventory needs it."""

    async def pins(self, server: str) -> Sequence[PinnedTool]: ...
    async def put_pins(self, pins: Sequence[PinnedTool], entries: Sequence[Any]) -> None: ...


@dataclass(frozen=True, slots=True)
class InventoryLimits:
    max_age_sec: float = 3_600
    unknown_tool_age_sec: float = 30  # an unknown tool is worth a new listing only if the last is older than this
    listing: ListingLimits = field(default_factory=ListingLimits)


@dataclass(frozen=True, slots=True)
class Drift:
    """A tool as it is listed now, beside what was accepted of it (None: it is new). For people to compare."""

    server: str
    tool: str
    digest: str
    definition: JsonObject
    accepted_definition: JsonObject | None
    accepted_digest: str | None
    accepted_by: str | None
    accepted_at: float | None


@dataclass(slots=True)
class _Server:
    upstream: Upstream
    ignored: frozenset[str] = frozenset()
    listing: asyncio.Lock = field(default_factory=asyncio.Lock)
    tools: dict[str, ToolDefinition] = field(default_factory=dict)
    pins: dict[str, PinnedTool] = field(default_factory=dict)
    listed_at: float | None = None
    changes_heard: int = 0
    changes_listed: int = -1


class Inventory:
    """The tools of every configured server. `clock` is wall time, as entries carry it; `monotonic` measures ages."""

    def __init__(
        self,
        upstreams: Mapping[str, Upstream],
        store: Pins,
        *,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
        limits: InventoryLimits | None = None,
        ignored: Mapping[str, frozenset[str]] | None = None,
    ) -> None:
        """`ignored`: by server, the parts of a definition that may change unseen (SEMANTICS §1.17 `pin.ignore`)."""
        ignored = ignored or {}
        self._servers = {name: _Server(up, ignored.get(name, frozenset())) for name, up in upstreams.items()}
        self._store, self._clock, self._monotonic = store, clock, monotonic
        self._limits = limits or InventoryLimits()
        self.revision = 0  # grows with every listing, for whoever keeps something worked out from the tools

    def at_hand(self, server: str, tool: str) -> ToolDefinition | None:
        """The tool as last listed, where no listing is due; None: ask for its `definition`."""
        known = self._servers.get(server)
        if known is None or self._is_due(known, self._limits.max_age_sec):
            return None
        return known.tools.get(tool)

    async def definition(self, server: str, tool: str) -> ToolDefinition | None:
        """The tool as last listed; None if the server lists none of that name. Raises: InventoryUnavailable."""
        known = self._known(server)
        if self._is_due(known, self._limits.max_age_sec):
            await self._list_if_due(server, known, self._limits.max_age_sec)
        found = known.tools.get(tool)
        if found is None and self._is_due(known, self._limits.unknown_tool_age_sec):
            await self._list_if_due(server, known, self._limits.unknown_tool_age_sec)
            found = known.tools.get(tool)
        return found

    async def refresh(self, server: str) -> None:
        """List the server now. Raises: InventoryUnavailable."""
        known = self._known(server)
        self.changed(server)
        await self._list_if_due(server, known, self._limits.max_age_sec)

    def changed(self, server: str) -> None:
        """The server said that its tools changed, or was away: what is known of it is not to be used any more."""
        if server in self._servers:
            self._servers[server].changes_heard += 1

    def overheard(self, server: str, tools: Sequence[Json]) -> None:
        """An agent was given this listing: if a tool in it is not as we know it, ours is out of date."""
        known = self._servers.get(server)
        if known is None or known.listed_at is None:
            return
        for entry in tools:
            try:
                pinned = pinned_form(entry)
            except ListingRefused:
                self.changed(server)
                return
            ours = known.tools.get(pinned["name"])
            if ours is None or ours.digest != digest(pinned, ignored=known.ignored):
                self.changed(server)
                return

    def names(self) -> Mapping[str, frozenset[str]]:
        """The tools of every server listed so far."""
        return {name: frozenset(known.tools) for name, known in self._servers.items() if known.listed_at is not None}

    def seen(self, server: str, tool: str) -> Drift | None:
        """The tool as last listed, beside what was accepted; None if the last listing has none of that name."""
        known = self._servers.get(server)
        return _drift(known.pins[tool]) if known is not None and tool in known.tools else None

    def drifts(self) -> tuple[Drift, ...]:
        """Everything a person has yet to look at."""
        return tuple(
            _drift(known.pins[tool.name])
            for known in self._servers.values()
            for tool in known.tools.values()
            if tool.drifted
        )

    async def accept(
        self,
        server: str,
        tool: str,
        digest: str,
        by: str,
        *,
        at: float | None = None,
        entry: EntryDraft | None = None,
    ) -> None:
        """A person has looked at the definition with this digest and takes it. Raises: AcceptRefused, StoreDown."""
        known = self._servers.get(server)
        if known is None:
            raise AcceptRefused(f"no server named {server!r} is configured")
        async with known.listing:
            pin = known.pins.get(tool)
            if pin is None or tool not in known.tools or pin.digest != digest:
                raise AcceptRefused(f"{server}/{tool} has changed since it was shown: look at it again")
            now = self._clock() if at is None else at
            seen = pin.definition["seen"]
            accepted = replace(
                pin,
                definition={"seen": seen, "accepted": seen},
                accepted_digest=digest,
                accepted_by=by,
                accepted_at=now,
            )
            if entry is None:
                body = {"server": server, "tool": tool, "digest": digest, "previous_digest": pin.accepted_digest}
                entry = EntryDraft(EntryKind.INVENTORY_ACCEPTED, now, f"reviewer:{by}", body=body)
            await self._store.put_pins([accepted], [entry])
            known.pins[tool] = accepted
            known.tools[tool] = definition(seen, drifted=False, ignored=known.ignored)

    def _known(self, server: str) -> _Server:
        if server not in self._servers:
            raise InventoryUnavailable(f"no server named {server!r} is configured")
        return self._servers[server]

    def _is_due(self, known: _Server, max_age_sec: float) -> bool:
        if known.listed_at is None or known.changes_listed != known.changes_heard:
            return True
        return self._monotonic() - known.listed_at >= max_age_sec

    async def _list_if_due(self, server: str, known: _Server, max_age_sec: float) -> None:
        async with known.listing:
            if not self._is_due(known, max_age_sec):
                return  # somebody else has listed while we waited
            changes = known.changes_heard
            try:
                listed = by_name(await list_tools(known.upstream, self._limits.listing))
                await self._take(server, known, listed)
            except (UpstreamFailed, ListingRefused, StoreDown) as error:
                log.warning("inventory_failed", server=server, why=str(error))
                raise InventoryUnavailable(f"the tools of {server} could not be listed: {error}") from error
            known.listed_at, known.changes_listed = self._monotonic(), changes
            self.revision += 1

    async def _take(self, server: str, known: _Server, listed: Mapping[str, JsonObject]) -> None:
        """Compare a listing with the pins, write what is new, then use it. Raises: StoreDown."""
        pins = {pin.tool: pin for pin in await self._store.pins(server)}
        digests = {name: digest(seen, ignored=known.ignored) for name, seen in listed.items()}
        now = self._clock()
        if _TAKEN not in pins:
            changed = _first_pins(server, listed, digests, now)
            entries = [_entry(EntryKind.INVENTORY_PINNED, server, changed.values(), now)]
        else:
            changed = _later_pins(server, listed, digests, pins, now)
            drifted = [pin for pin in changed.values() if pin.digest != pin.accepted_digest]
            entries = [_entry(EntryKind.INVENTORY_DRIFTED, server, drifted, now)] if drifted else []
        if changed:
            await self._store.put_pins(list(changed.values()), entries)
        known.pins = pins | changed
        known.tools = {
            name: definition(
                seen,
                drifted=known.pins[name].accepted_digest != known.pins[name].digest,
                ignored=known.ignored,
            )
            for name, seen in listed.items()
        }


def _first_pins(
    server: str, listed: Mapping[str, JsonObject], digests: Mapping[str, str], now: float
) -> dict[str, PinnedTool]:
    pins = {_TAKEN: PinnedTool(server, _TAKEN, "", {}, now, "", FIRST_USE, now)}
    for name, seen in listed.items():
        both = {"seen": seen, "accepted": seen}
        pins[name] = PinnedTool(server, name, digests[name], both, now, digests[name], FIRST_USE, now)
    return pins


def _later_pins(
    server: str,
    listed: Mapping[str, JsonObject],
    digests: Mapping[str, str],
    pins: Mapping[str, PinnedTool],
    now: float,
) -> dict[str, PinnedTool]:
    """The pins that a listing changes: of new tools, and of tools last seen otherwise (also if now as accepted)."""
    changed = {}
    for name, seen in listed.items():
        pin, seen_digest = pins.get(name), digests[name]
        if pin is None:
            changed[name] = PinnedTool(server, name, seen_digest, {"seen": seen, "accepted": None}, now)
        elif pin.digest != seen_digest:
            both = {"seen": seen, "accepted": pin.definition["accepted"]}
            changed[name] = replace(pin, digest=seen_digest, definition=both)
    return changed


def _entry(kind: EntryKind, server: str, pins: Any, now: float) -> EntryDraft:
    digests = {pin.tool: {"digest": pin.digest, "accepted": pin.accepted_digest} for pin in pins if pin.tool != _TAKEN}
    return EntryDraft(kind, now, "gate", body={"server": server, "tools": digests})


def _drift(pin: PinnedTool) -> Drift:
    return Drift(
        pin.server,
        pin.tool,
        pin.digest,
        pin.definition["seen"],
        pin.definition["accepted"],
        pin.accepted_digest,
        pin.accepted_by,
        pin.accepted_at,
    )
