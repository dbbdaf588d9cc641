"""The policies in force: loaded at start, reloaded on demand or when watched, recorded with who loaded them.

Rules of this module:
* At start an invalid policy stops the gate; later it changes nothing: the last good snapshot stays and the refusal is
  recorded loudly (SEMANTICS §1.19).
* A snapshot is kept whole in the store before it judges anything.
* A rule that allows by a bare tool name which more than one server has frees nothing until it is made plain (§1.2).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import structlog

from audit.entry import EntryDraft, EntryKind
from policies.ambiguity import ambiguous_rules
from policies.loader import PolicyLoader, Reloaded
from policies.snapshot import PolicySnapshot
from proxy.store.base import Store
from review.ports import Change

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
        self._ambiguous: tuple[tuple[PolicySnapshot, int], frozenset[str]] | None = None

    def load(self) -> PolicySnapshot:
        """At start, before anything is opened. Raises: PolicyErrors."""
        return self._loader.load()

    @property
    def current(self) -> PolicySnapshot:
        return self._loader.current

    async def record_load(self, loaded_by: str) -> None:
        """Keep the current snapshot whole. Raises: StoreDown."""
        snapshot = self.current
        entry = EntryDraft(
            EntryKind.POLICY_LOADED,
            self._clock(),
            loaded_by,
            body={"snapshot": snapshot.id, "digest": snapshot.digest, "files": sorted(snapshot.files)},
        )
        await self._store.put_snapshot(snapshot.id, dict(snapshot.files), loaded_by, entry)

    async def watch(self, interval_sec: float) -> None:
        """Reload when files change, until cancelled. A reload judges nothing before it is recorded."""
        await self._loader.watch(self._reloaded, interval_sec)

    async def _reloaded(self, outcome: Reloaded) -> None:
        if outcome.snapshot is None:
            kept = self.current.id
            log.error("policy_refused", errors=[str(error) for error in outcome.errors][:10], kept=kept)
            body = {"errors": len(outcome.errors), "kept": kept}
            entry = EntryDraft(EntryKind.POLICY_REFUSED, self._clock(), "gate", body=body)
            await self._store.apply(Change(entries=(entry,)))
            return
        log.info("policy_loaded", snapshot=outcome.snapshot.id)
        await self.record_load("gate:watch")

    def ambiguous(self) -> frozenset[str]:
        """Allowing rules whose bare tool name several servers have; worked out anew when policy or tools change."""
        state = (self.current, self._tools_revision())
        if self._ambiguous is None or self._ambiguous[0] != state:
            found = ambiguous_rules(self.current, self._tool_names())
            for error in found.values():
                log.warning("rule_is_ambiguous", error=str(error))
            self._ambiguous = (state, frozenset(found))
        return self._ambiguous[1]
