"""The inventory as the reviewers' side sees it: what a server lists now beside what a person last accepted.

Rules of this module:
* A view only (`review.ports.Inventory`): pinning and accepting are `proxy/upstreams/inventory.py`'s.
* Accepting names the digest that was shown; if the tool changed again meanwhile, it is lost and looked at again.
"""

from __future__ import annotations

from collections.abc import Sequence

from audit.entry import EntryDraft
from proxy.upstreams.inventory import AcceptRefused, Drift, Inventory, InventoryUnavailable
from review.ports import ChangeLost, ToolSeen


class SeenTools:
    """Implements `review.ports.Inventory`."""

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory

    async def tool(self, server: str, tool: str) -> ToolSeen | None:
        try:
            await self._inventory.definition(server, tool)
        except InventoryUnavailable:
            return None
        found = self._inventory.seen(server, tool)
        return _seen(found) if found is not None else None

    async def drifted(self, *, limit: int = 200) -> Sequence[ToolSeen]:
        return [_seen(drift) for drift in self._inventory.drifts()[:limit]]

    async def accept(self, server: str, tool: str, *, digest: str, by: str, at: float, entry: EntryDraft) -> None:
        """Raises: ChangeLost if it changed again, StoreDown."""
        try:
            await self._inventory.accept(server, tool, digest, by, at=at, entry=entry)
        except AcceptRefused as refused:
            raise ChangeLost("tool definition", f"{server}/{tool}", str(refused)) from refused


def _seen(drift: Drift) -> ToolSeen:
    return ToolSeen(
        server=drift.server,
        tool=drift.tool,
        digest=drift.digest,
        definition=drift.definition,
        accepted_digest=drift.accepted_digest,
        accepted_definition=drift.accepted_definition,
        accepted_by=drift.accepted_by,
        accepted_at=drift.accepted_at,
    )
