"""A real console on a real port over a real store, for a real browser.

Rules of this module:
* It runs in a thread with its own loop; tests reach into it with `run`. It is ended by its own handle.
* Time is the wall's: browsers' pages count down by it.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import threading
import time
from collections.abc import Coroutine
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn
from argon2 import PasswordHasher

from audit.entry import EntryDraft, EntryKind
from audit.masks import commit
from policies.model import Approval
from proxy.keys import Keys
from proxy.ledger import StoredLedger
from proxy.store.sqlite import SqliteStore
from proxy.wire.strict_json import read
from review.console.app import build
from review.console.settings import ConsoleSettings
from review.desk import Desk
from review.identity import ROLES, Accounts
from review.inbox import Inbox
from review.live import EVERYTHING, Pages
from review.model import CallRecord, CallState, ReviewRecord, StopScope
from review.passwords import Passwords
from review.ports import Change, InsertCall, InsertReview, Inventory
from tests.review.builders import Blackout, RefundPolicy, question, refund
from tests.review.console.builders import Holds
from tests.review.memory_records import MemoryRecords
from tests.review.memory_switch import MemorySwitch

PASSWORD = "correct horse battery"


class Served:
    """Start with `start`, end with `stop`."""

    def __init__(self, folder: Path, inventory: Inventory | None = None, *, arming_ms: int = 600) -> None:
        self._folder, self._arming_ms = folder, arming_ms
        self._loop: asyncio.AbstractEventLoop
        self._thread = threading.Thread(target=self._serve, name="console", daemon=True)
        self._up = threading.Event()
        self._failed: BaseException | None = None
        self.inventory = inventory or MemoryRecords()
        self.switch = MemorySwitch()
        self.waiting = Holds()
        self.pages = Pages()
        self.switch.tell = partial(self.pages.tell, EVERYTHING)

    # -- life

    def start(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread.start()
        assert self._up.wait(20), "the console did not start"
        if self._failed is not None:
            raise self._failed

    def stop(self) -> None:
        self._server.should_exit = True
        self._loop.call_soon_threadsafe(self.pages.close)
        self._thread.join(20)
        assert not self._thread.is_alive()

    def run[T](self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    def _serve(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as error:  # whatever it was: the test that waits must see it
            self._failed = error
            self._up.set()
            raise

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        keys = Keys.load_or_create(self._folder / "keys")
        self.store = SqliteStore(self._folder / "data" / "interlock.db", keys, clock=time.time, node="test")
        (self._folder / "data").mkdir()
        await self.store.open()
        self.accounts = Accounts(
            self.store,
            self.store,
            clock=time.time,
            token=lambda: secrets.token_urlsafe(32),
            key=keys.session,
            passwords=Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)),
        )
        desk = Desk(
            records=self.store,
            judge=RefundPolicy(),
            bell=self,
            people=self.accounts,
            clock=time.time,
            nonce=lambda: secrets.token_hex(16),
            commit=partial(commit, keys.commit),
            inventory=self.inventory,
            switch=self.switch,
            redactor=Blackout(),
        )
        self.inbox = Inbox(desk)
        app = build(
            inbox=self.inbox,
            accounts=self.accounts,
            waiting=self.waiting,
            live=self.pages,
            ledger=StoredLedger(self.store),
            read_json=read,
            clock=time.time,
            ready=self._ready,
            settings=ConsoleSettings(public_url=self.url, arming_ms=self._arming_ms),
        )
        config = uvicorn.Config(app, lifespan="off", log_level="warning", proxy_headers=False, server_header=False)
        self._server = uvicorn.Server(config)
        self._up.set()
        await self._server.serve(sockets=[self._socket])
        await self.store.close()

    async def _ready(self) -> str | None:
        return None

    def ring(self, call_id: str) -> None:
        self.pages.tell(call_id)

    # -- what tests set up

    def order(self, scope: StopScope, target: str) -> str:
        """A stop by somebody else, from another window or the terminal."""
        return self.run(self.switch.order(scope, target, by="local:root", login="local", why="it leaks")).stop.id

    def lift(self, stop_id: str) -> None:
        self.run(self.switch.lift(stop_id, by="reviewer:root", login="password", why="mended"))

    def account(self, name: str, *, roles: tuple[str, ...] = ROLES, teams: tuple[str, ...] = ("finance",)) -> None:
        async def work() -> None:
            await self.accounts.put(name, roles=roles, teams=teams, by="gate")
            await self.accounts.use_link(await self.accounts.link(name, by="gate"), PASSWORD, source="test")

        self.run(work())

    @property
    def cookie(self) -> str:
        return ConsoleSettings(public_url=self.url).cookie

    def first_link(self) -> str:
        token = self.run(self.accounts.first_link())
        assert token is not None
        return f"{self.url}/login/link/{token}"

    def park(
        self, number: int = 1, call: CallRecord | None = None, approval: Approval | None = None, **changes: Any
    ) -> ReviewRecord:
        """A call that waits from now on, told to open pages."""
        now = time.time()
        call = call or refund()
        call = _as(call, number, now)
        asked = approval or Approval(teams=("finance",))
        review = question(call, asked, **{"expires_at": now + asked.timeout_sec, "opened_at": now, **changes})
        entry = EntryDraft(EntryKind.REVIEW_OPENED, now, f"agent:{call.agent}", call.id, {"review": review.id})

        async def work() -> None:
            await self.store.apply(Change((InsertCall(call), InsertReview(review)), (entry,)))
            self.pages.tell(call.id)

        self.run(work())
        return review

    def keep(self, number: int, call: CallRecord) -> CallRecord:
        """A call without a question."""
        kept = _as(call, number, time.time())
        self.run(self.store.apply(Change((InsertCall(kept),))))
        return kept

    def call(self, number: int = 1) -> CallRecord:
        found = self.run(self.store.call(f"c-{number}"))
        assert found is not None
        return found

    def review(self, number: int = 1) -> ReviewRecord:
        found = self.run(self.store.review(f"r-{number}"))
        assert found is not None
        return found


def _as(call: CallRecord, number: int, now: float) -> CallRecord:
    has_review = call.state in (CallState.WAITING, CallState.QUARANTINED)
    return replace(
        call,
        id=f"c-{number}",
        review_id=f"r-{number}" if has_review else None,
        repeat_key=f"key-{number}",
        created_at=now,
        updated_at=now,
    )
