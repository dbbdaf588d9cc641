"""The policies in force: loaded at start, reloaded when watched, recorded with who loaded them.

Rules of this module:
* At start an invalid policy stops the gate; later it changes nothing: the last good snapshot stays and the refusal is
  recorded loudly (SEMANTICS §1.19).
* A snapshot is kept whole in the store before it judges anything: what was reloaded is in force once it is recorded,
  and while the store is down it waits, and so do later changes.
* A rule that allows by a bare tool name which more than one server has frees nothing until it is made plain (§1.2).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import structlog

from audit.entry import EntryDraft, EntryKind
from policies.ambiguity import ambiguous_rules
from policies.loader import PolicyLoader, Reloaded
from policies.snapshot import PolicySnapshot
from proxy.store.base import Store
from review.ports import Change, StoreDown

log = structlog.get_logger("interlock.policy")


class PolicyDesk:
    """Holds the loader and tells the record."""

    def __init__(
        self,
        patterns: Sequence[str],
        base: Path,
        *,
        store: Store,
        clock: Callable[[], float],
        tool_names: Callable[[], Mapping[str, frozenset[str]]],
        tools_revision: Callable[[], int],
        detector_kinds: Collection[str] | None = None,
    ) -> None:
        self._loader = PolicyLoader(patterns, base, detector_kinds=detector_kinds)
        self._store = store
        self._clock = clock
        self._tool_names = tool_names
        self._tools_revision = tools_revision
        self._in_force: PolicySnapshot | None = None
        self._ambiguous: tuple[tuple[PolicySnapshot, int], frozenset[str]] | None = None

    def load(self) -> PolicySnapshot:
        """At start, before anything is opened; `record_load` is next. Raises: PolicyErrors."""
        self._in_force = self._loader.load()
        return self._in_force

    @property
    def current(self) -> PolicySnapshot:
        """What calls are judged by. Raises: LookupError before `load`."""
        if self._in_force is None:
            raise LookupError("no policies have been loaded yet")
        return self._in_force

    async def record_load(self, loaded_by: str) -> None:
        """Keep the current snapshot whole. Raises: StoreDown."""
        await self._keep(self.current, loaded_by)

    async def watch(self, interval_sec: float) -> None:
        """Reload when files change, until cancelled. A reload judges nothing before it is recorded."""

        async def reloaded(outcome: Reloaded) -> None:
            while True:
                try:
                    await self._reloaded(outcome)
                except StoreDown as down:
                    log.error("policy_waits", why=str(down), kept=self.current.id)
                    await asyncio.sleep(interval_sec)
                else:
                    return

        await self._loader.watch(reloaded, interval_sec)

    async def _reloaded(self, outcome: Reloaded) -> None:
        """Record what a reload came to, then put it in force. Raises: StoreDown."""
        if outcome.snapshot is not None:
            await self._keep(outcome.snapshot, "gate:watch")
            self._in_force = outcome.snapshot
            log.info("policy_loaded", snapshot=outcome.snapshot.id)
            return
        kept = self.current.id
        log.error("policy_refused", errors=[str(error) for error in outcome.errors][:10], kept=kept)
        body = {"errors": len(outcome.errors), "kept": kept}
        entry = EntryDraft(EntryKind.POLICY_REFUSED, self._clock(), "gate", body=body)
        await self._store.apply(Change(entries=(entry,)))

    async def _keep(self, snapshot: PolicySnapshot, loaded_by: str) -> None:
        entry = EntryDraft(
            EntryKind.POLICY_LOADED,
            self._clock(),
            loaded_by,
            body={"snapshot": snapshot.id, "digest": snapshot.digest, "files": sorted(snapshot.files)},
        )
        await self._store.put_snapshot(snapshot.id, dict(snapshot.files), loaded_by, entry)

    def ambiguous(self) -> frozenset[str]:
        """Allowing rules whose bare tool name several servers have; worked out anew when policy or tools change."""
        state = (self.current, self._tools_revision())
        if self._ambiguous is None or self._ambiguous[0] != state:
            found = ambiguous_rules(self.current, self._tool_names())
            for error in found.values():
                log.warning("rule_is_ambiguous", error=str(error))
            self._ambiguous = (state, frozenset(found))
        return self._ambiguous[1]
