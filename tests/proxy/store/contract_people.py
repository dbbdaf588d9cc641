"""What every store must do, third part: accounts, logins, tool pins, policy snapshots, and erasing."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from audit.entry import EntryDraft, EntryKind
from proxy.store.base import PinnedTool, SamplingPeriod, Store
from review.model import Account, AgentStanding, CallState, LoginLink, LoginSession, Stop, StopScope
from review.ports import Change, PutStanding
from tests.proxy.store.builders import T0, an_entry, answered, decided
from tests.proxy.store.contract import Opened, all_entries, chain_holds, kinds


class PeopleContract(Opened):
    """Accounts, logins, tools, policies, retention."""

    async def test_accounts_are_kept_with_their_entries(self, store: Store) -> None:
        maria = Account("maria", None, ("reviewer", "admin"), ("finance",), ("demo",), created_at=T0, sessions_from=T0)
        entry = EntryDraft(EntryKind.ACCOUNT_CHANGED, T0, "gate", None, {"account": "maria"})
        await store.put_account(maria, entry)
        changed = replace(maria, password_hash="$argon2id$x", disabled=True)
        await store.put_account(changed, entry)
        await store.put_account(Account("eve", None), entry)
        assert await store.account("maria") == changed
        assert await store.account("nobody") is None
        assert await store.accounts() == [Account("eve", None), changed]
        assert await kinds(store) == ["account_changed"] * 3
        assert await chain_holds(store)

    async def test_stops_are_kept_with_their_entries_also_once_they_are_lifted(self, store: Store) -> None:
        first = Stop("stop_1", StopScope.AGENT, "support-*", "local:root", "it leaks", T0, "local")
        second = Stop("stop_2", StopScope.ALL, "*", "reviewer:maria", "", T0 + 1)
        entry = EntryDraft(EntryKind.STOP_ORDERED, T0, "local:root", None, {"stop": "stop_1"})
        await store.put_stop(second, entry)
        await store.put_stop(first, entry)
        assert await store.standing_stops() == [first, second]
        lifted = replace(first, lifted_at=T0 + 2, lifted_by="reviewer:root", lifted_why="over")
        await store.put_stop(lifted, replace(entry, kind=EntryKind.STOP_LIFTED))
        assert await store.standing_stops() == [second]
        assert await store.stop("stop_1") == lifted
        assert await store.stop("stop_3") is None
        assert await kinds(store) == ["stop_ordered", "stop_ordered", "stop_lifted"]
        assert await chain_holds(store)

    async def test_periods_of_sampled_audit_are_kept_until_their_keys_are_published(self, store: Store) -> None:
        opened = EntryDraft(EntryKind.SAMPLING_OPENED, T0, "gate", None, {"period": "2026-11-18"})
        first, second = SamplingPeriod("2026-11-18", T0), SamplingPeriod("2026-11-19", T0 + 1)
        await store.put_sampling_period(second, opened)
        await store.put_sampling_period(first, opened)
        assert await store.unpublished_periods() == [first, second]
        published = replace(opened, kind=EntryKind.SAMPLING_PUBLISHED)
        await store.put_sampling_period(replace(first, published_at=T0 + 2), published)
        assert await store.unpublished_periods() == [second]
        assert await kinds(store) == ["sampling_opened", "sampling_opened", "sampling_published"]
        assert await chain_holds(store)

    async def test_an_agent_s_standing_is_kept_whatever_was_kept_before(self, store: Store) -> None:
        first = AgentStanding("demo", "crm", 1, T0, [["k", T0, 1]], "rev_1")
        later = replace(first, level=2, outcomes=[], review_id=None)
        other = AgentStanding("demo", "mail")
        entry = EntryDraft(EntryKind.AGENT_PROMOTED, T0, "gate", None, {"agent": "demo"})
        await store.apply(Change(rows=(PutStanding(first),), entries=(entry,)))
        (found,) = await store.standings()
        assert (found.level, [[str(part) for part in one] for one in found.outcomes]) == (1, [["k", str(T0), "1"]])
        await store.apply(Change(rows=(PutStanding(later), PutStanding(other)), entries=(entry,)))
        assert await store.standings() == [later, other]
        assert await kinds(store) == ["agent_promoted"] * 2
        assert await chain_holds(store)

    async def test_sessions_begin_are_touched_and_end(self, store: Store) -> None:
        session = LoginSession("t" * 64, "maria", T0, T0 + 3_600, T0, "cli")
        await store.put_session(session)
        assert await store.session("t" * 64) == session
        touched = replace(session, last_seen_at=T0 + 60)
        await store.put_session(touched)
        assert await store.session("t" * 64) == touched
        await store.drop_session("t" * 64)
        await store.drop_session("t" * 64)
        assert await store.session("t" * 64) is None

    async def test_a_link_is_taken_once(self, store: Store) -> None:
        link = LoginLink("l" * 64, "maria", T0 + 600)
        await store.put_link(link)
        taken = await asyncio.gather(*(store.take_link("l" * 64, T0) for _ in range(20)))
        assert [one for one in taken if one is not None] == [link]
        assert await store.take_link("l" * 64, T0) is None

    @pytest.mark.parametrize(("after_sec", "is_taken"), [(599.9, True), (600, False), (601, False)])
    async def test_an_expired_link_is_gone_when_taken(self, store: Store, after_sec: float, is_taken: bool) -> None:
        await store.put_link(LoginLink("l" * 64, "maria", T0 + 600))
        assert (await store.take_link("l" * 64, T0 + after_sec) is not None) is is_taken
        assert await store.take_link("l" * 64, T0) is None

    async def test_pins_are_kept_with_their_entries(self, store: Store) -> None:
        first = PinnedTool("files", "read", "d1", {"name": "read", "inputSchema": {"type": "object"}}, T0)
        other = PinnedTool("files", "list", "d2", {"name": "list"}, T0, "d2", "maria", T0 + 1)
        entry = an_entry(None, EntryKind.INVENTORY_PINNED)
        await store.put_pins([first, other, replace(first, server="mail")], [entry])
        assert await store.pins("files") == [other, first]
        accepted = replace(first, digest="d3", accepted_digest="d3", accepted_by="maria", accepted_at=T0 + 5)
        await store.put_pins([accepted], [an_entry(None, EntryKind.INVENTORY_ACCEPTED)])
        assert await store.pins("files") == [other, accepted]
        assert await store.pins("nowhere") == []
        assert await kinds(store) == ["inventory_pinned", "inventory_accepted"]

    async def test_snapshots_are_kept_whole_with_every_loading(self, store: Store) -> None:
        one, other = {"a.yaml": "rules: []\n"}, {"a.yaml": "rules: []\n", "b.yaml": "version: v1\n"}
        for number, (snapshot_id, files) in enumerate([("v1:1", one), ("v1:2", other), ("v1:1", one)]):
            entry = an_entry(None, EntryKind.POLICY_LOADED, at=T0 + number)
            await store.put_snapshot(snapshot_id, files, f"gate:{number}", entry)
        assert await store.snapshots() == [
            {"id": "v1:1", "loaded_by": "gate:2", "loaded_at": T0 + 2, "files": one},
            {"id": "v1:2", "loaded_by": "gate:1", "loaded_at": T0 + 1, "files": other},
            {"id": "v1:1", "loaded_by": "gate:0", "loaded_at": T0, "files": one},
        ]
        assert len(await store.snapshots(limit=2)) == 2
        assert await kinds(store) == ["policy_loaded"] * 3

    # --- erasing

    async def test_erasing_takes_the_values_of_ended_calls_and_leaves_the_record_whole(self, store: Store) -> None:
        decision = {
            "effect": "allow",
            "reason": "small refunds pass",
            "rules": ["refunds#allow-small"],
            "facts": {"amount": 250},
            "trace": [
                {
                    "policy": "refunds",
                    "rule": "allow-small",
                    "matched": True,
                    "why": "250 < 300",
                    "facts": {"amount": 250},
                }
            ],
        }
        await store.apply(decided(decision=decision, approved={"arguments": {}}))
        await store.apply(answered(outcome={"result": "x"}))
        assert await store.erase_before(T0 + 2) == 0
        assert await store.erase_before(T0 + 3) == 1
        assert await store.erase_before(T0 + 3) == 0
        call = await store.call("call_1")
        assert call is not None
        assert (call.proposed, call.approved, call.outcome) == (None, None, None)
        assert call.decision == {
            "effect": "allow",
            "reason": "small refunds pass",
            "rules": ["refunds#allow-small"],
            "trace": [{"policy": "refunds", "rule": "allow-small", "matched": True}],
        }
        assert (await all_entries(store))[-1]["kind"] == "data_erased"
        assert (await all_entries(store))[-1]["body"] == {"before_us": 1_800_000_003_000_000, "calls": ["call_1"]}
        assert await chain_holds(store)

    @pytest.mark.parametrize("state", list(CallState))
    async def test_what_still_wants_something_is_not_erased(self, store: Store, state: CallState) -> None:
        wants = {CallState.WAITING, CallState.DISPATCHING, CallState.IN_DOUBT, CallState.QUARANTINED}
        await store.apply(decided(state=state))
        assert await store.erase_before(T0 + 1) == (0 if state in wants else 1)
        call = await store.call("call_1")
        assert call is not None
        assert (call.proposed is not None) is (state in wants)

    async def test_a_call_that_ended_late_is_erased_late(self, store: Store) -> None:
        await store.apply(decided())
        assert await store.erase_before(T0 + 1) == 0
        await store.apply(answered(updated_at=T0 + 500))
        assert await store.erase_before(T0 + 400) == 0
        assert await store.erase_before(T0 + 501) == 1

    async def test_many_calls_are_erased_in_pieces(self, store: Store) -> None:
        for number in range(250):
            store.submit(decided(f"call_{number:03}", state=CallState.DENIED, created_at=T0 - number))
        assert await store.erase_before(T0 + 1) == 250
        erased = [entry["body"]["calls"] for entry in await all_entries(store) if entry["kind"] == "data_erased"]
        assert sorted(call_id for piece in erased for call_id in piece) == [
            f"call_{number:03}" for number in range(250)
        ]
        assert await chain_holds(store)

    async def test_an_erased_call_can_still_be_told_of(self, store: Store) -> None:
        await store.apply(decided(state=CallState.CLOSED))
        await store.erase_before(T0 + 1)
        assert await store.unsettled(since=T0) == [("key of call_1", "call_1")]
        assert len(await store.calls_in([CallState.CLOSED])) == 1

    async def test_erasing_drops_logins_that_ended(self, store: Store) -> None:
        for name, at in (("old", T0 - 1), ("new", T0 + 1)):
            await store.put_session(LoginSession(name, "maria", T0 - 9, at, T0 - 9))
            await store.put_link(LoginLink(name, "maria", at))
        await store.erase_before(T0)
        assert [await store.session(name) is not None for name in ("old", "new")] == [False, True]
        assert [await store.take_link(name, T0 - 2) is not None for name in ("old", "new")] == [False, True]

    async def test_an_entry_of_a_person_is_written_with_the_change_or_not_at_all(self, store: Store) -> None:
        bad: Any = EntryDraft(EntryKind.ACCOUNT_CHANGED, T0, "gate", None, {"n": 2**60})
        with pytest.raises(ValueError):
            await store.put_account(Account("maria", None), bad)
        with pytest.raises(ValueError):
            await store.put_account(Account("\ud800", None), an_entry(None, EntryKind.ACCOUNT_CHANGED))
        assert await store.accounts() == []
        assert await kinds(store) == []
