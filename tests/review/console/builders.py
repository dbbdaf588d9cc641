"""A console over memory, somebody logged in, and a client that behaves like a browser's forms."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from html import unescape
from itertools import count
from typing import Any

import httpx
from argon2 import PasswordHasher
from starlette.applications import Starlette
from starlette.testclient import TestClient

from audit.entry import EntryDraft
from policies.model import JsonObject
from policies.snapshot import PolicySnapshot
from proxy.wire.strict_json import read
from review.console.app import build
from review.console.figures import Figures
from review.console.settings import ConsoleSettings
from review.identity import Accounts
from review.live import Pages
from review.passwords import Passwords
from review.ports import ToolSeen
from tests.review.builders import PEOPLE, World
from tests.review.memory_records import MemoryRecords

PASSWORD = "correct horse battery"
BASE = "http://127.0.0.1:8611"
SAME = {"sec-fetch-site": "same-origin"}


class Holds:
    """Who waits: `review.ports.Waiting` over two dictionaries."""

    def __init__(self) -> None:
        self.since_by_call: dict[str, float] = {}
        self.until_by_call: dict[str, float] = {}

    def since(self, call_id: str) -> float | None:
        return self.since_by_call.get(call_id)

    def until(self, call_id: str) -> float | None:
        return self.until_by_call.get(call_id)


class Written:
    """`review.ports.Ledger` over the entries in memory."""

    def __init__(self, records: MemoryRecords) -> None:
        self._records = records

    async def last(self) -> int:
        self._records._check_readable()
        return len(self._records.entries)

    async def entries(self, *, since_seq: int, limit: int) -> AsyncIterator[JsonObject]:
        self._records._check_readable()
        for seq, one in list(enumerate(self._records.entries, 1))[since_seq : since_seq + limit]:
            yield _entry(seq, one)

    async def entries_for(self, call_id: str, *, limit: int) -> list[JsonObject]:
        entries = enumerate(self._records.entries, 1)
        return [_entry(seq, one) for seq, one in entries if one.call_id == call_id][:limit]


def _entry(seq: int, one: EntryDraft) -> JsonObject:
    return {
        "seq": seq,
        "at": one.at,
        "kind": one.kind.value,
        "actor": one.actor,
        "call_id": one.call_id,
        "body": one.body,
    }


@dataclass
class House:
    """Everything behind the console, and the console."""

    world: World = field(default_factory=World)
    settings: ConsoleSettings = field(default_factory=ConsoleSettings)
    pages: Pages = field(default_factory=Pages)
    waiting: Holds = field(default_factory=Holds)
    why_not_ready: str | None = None
    policies: PolicySnapshot | None = None
    figures: Figures | None = None

    def __post_init__(self) -> None:
        numbers = count(1)
        self.ledger = Written(self.world.records)
        passwords = Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
        hashed = passwords.hash(PASSWORD)
        for name, account in PEOPLE.items():
            self.world.records.accounts_by_name[name] = type(account)(
                name, hashed, account.roles, account.teams, account.owns_agents
            )
        self.accounts = Accounts(
            self.world.records,
            self.world.records,
            clock=self.world.clock,
            token=lambda: f"token-{next(numbers)}-{'x' * 24}",
            key=b"s" * 32,
            passwords=passwords,
        )
        self.app: Starlette = build(
            inbox=self.world.inbox,
            accounts=self.accounts,
            waiting=self.waiting,
            live=self.pages,
            ledger=self.ledger,
            read_json=read,
            clock=self.world.clock,
            ready=self._ready,
            settings=self.settings,
            snapshot=lambda: self.policies,
            figures=self.figures,
        )

    async def _ready(self) -> str | None:
        return self.why_not_ready

    def browser(self) -> Browser:
        return Browser(self)

    def logged_in(self, name: str = "anna") -> Browser:
        browser = self.browser()
        browser.log_in(name)
        return browser

    def tool(self, **changes: Any) -> ToolSeen:
        definition = {"name": "refund.create", "description": "Makes a refund.", "inputSchema": {"type": "object"}}
        seen = ToolSeen("payments", "refund.create", "sha256:def", definition, "sha256:def", definition, "sam", 0.0)
        seen = ToolSeen(**{**{name: getattr(seen, name) for name in ToolSeen.__slots__}, **changes})
        self.world.records.tools[seen.server, seen.tool] = seen
        return seen


class Browser:
    """Keeps cookies, follows no redirects by itself, sends forms as a browser would."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.client = TestClient(house.app, base_url=BASE, follow_redirects=False)

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self.client.get(path, headers=headers)

    def log_in(self, name: str, password: str = PASSWORD) -> httpx.Response:
        return self.client.post("/login", data={"name": name, "password": password}, headers=SAME)

    def fields(self, path: str) -> dict[str, str]:
        """The hidden fields of a page's decision form, as a browser would send them back."""
        return hidden_fields(self.get(path).text)

    def post(self, path: str, form: dict[str, str], *, wait_sec: float = 1, **headers: str) -> httpx.Response:
        self.house.world.clock.pass_sec(wait_sec)
        return self.client.post(path, data=form, headers={**SAME, **headers})

    def decide(self, act: str, call_id: str = "c-1", *, page: str = "/c", **fields: str) -> httpx.Response:
        """Open the page, wait as people do, press the button."""
        form = self.fields(f"{page}/{call_id}")
        return self.post(f"{page}/{call_id}/{act}", {**form, **fields})


def hidden_fields(html: str) -> dict[str, str]:
    inputs = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', html)
    return {name: unescape(value) for name, value in inputs}
