"""A gate to be looked at: a folder with a configuration, a policy, and a store if it is wanted."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from audit.entry import EntryDraft, EntryKind
from proxy.config import Config
from proxy.config_file import Loaded
from proxy.doctor.finding import Finding, Standing
from proxy.doctor.subject import Subject
from proxy.keys import Keys
from proxy.store.sqlite import SqliteStore
from review.model import Account
from review.ports import Change

POLICY = "rules: [{id: a, match: {tools: [shop/look]}, decision: allow}]\n"
CASES = "cases: [{call: {tool: shop/look}, want: {effect: allow}}]\n"


def subject(
    folder: Path,
    *,
    gate: int | None = None,
    environ: Mapping[str, str] | None = None,
    user: int | None = None,
    **config: Any,
) -> Subject:
    folder.chmod(0o755)
    (folder / "policies").mkdir(exist_ok=True)
    for name, text in (("shop.yaml", POLICY), ("shop_test.yaml", CASES)):
        if not (folder / "policies" / name).exists():
            (folder / "policies" / name).write_text(text)
    file = folder / "interlock.yaml"
    file.touch(mode=0o600)
    settings = {"data_dir": str(folder / "data"), "keys_dir": str(folder / "keys")} | config
    loaded = Loaded(Config.model_validate(settings), file, "a test")
    return Subject(loaded, gate, environ or {}, os.geteuid() if user is None else user)


def store_of(at: Subject) -> SqliteStore:
    keys = Keys.load_or_create(at.keys_dir, data_dir=at.data_dir)
    return SqliteStore(at.store, keys, clock=time.time, node="a-node")


async def write(at: Subject, *accounts: Account, entries: int = 3) -> None:
    """A store with some entries and accounts, closed again."""
    store = store_of(at)
    await store.open()
    for number in range(entries):
        draft = EntryDraft(EntryKind.CALL_NOTED, time.time(), "gate", None, {"n": number})
        await store.apply(Change(entries=(draft,)))
    for one in accounts:
        entry = EntryDraft(EntryKind.ACCOUNT_CHANGED, time.time(), "gate", None, {"account": one.name})
        await store.put_account(one, entry)
    await store.close()


def by_check(findings: Iterable[Finding]) -> dict[str, Finding]:
    """The last finding of each check."""
    return {one.check: one for one in findings}


def standings(findings: Iterable[Finding]) -> set[Standing]:
    return {one.standing for one in findings}
