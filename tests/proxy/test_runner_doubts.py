"""A call in doubt, after a person has looked: what its agent is told when it asks again."""

from __future__ import annotations

from proxy.exchange import AnswerKind
from proxy.upstreams.base import UpstreamFailed
from review.model import CallState
from review.ports import Change, MoveCall
from tests.proxy.builders import refund
from tests.proxy.world import World


async def test_p05_a_call_found_to_have_happened_is_told_so_once_before_it_is_made_again() -> None:
    world = World()
    world.tool.fail = UpstreamFailed("reset", sent=True)
    doubtful = await world.runner.call(world.exchange(refund(50)))
    world.tool.fail = None
    found = {"resolution": "happened: it is in the books"}
    in_doubt = frozenset({CallState.IN_DOUBT})
    await world.records.apply(Change(rows=(MoveCall(doubtful.call_id, in_doubt, CallState.RESOLVED, found),)))
    for tell in (world.runner.undelivered, world.runner.delivered):
        told = await world.runner.call(world.exchange(refund(50)))
        assert (told.call_id, told.meta["decision"], told.meta["executed"]) == (doubtful.call_id, "resolved", True)
        assert len(world.tool.dispatched) == 1
        tell(told)
        await world.quiet()
    again = await world.runner.call(world.exchange(refund(50)))
    assert again.kind is AnswerKind.RESULT
    assert again.call_id != doubtful.call_id
    assert len(world.tool.dispatched) == 2
