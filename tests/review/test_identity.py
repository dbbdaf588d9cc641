from __future__ import annotations

import asyncio
from dataclasses import replace
from hashlib import sha256
from itertools import count
from typing import Any

import pytest
from argon2 import PasswordHasher

from audit.entry import EntryKind
from review.identity import ROLES, Accounts, AccountUnfit, LoggedIn, LoginRefused, LoginSettings
from review.model import Account
from review.passwords import Passwords, PasswordUnfit
from review.throttle import TooManyTries
from tests.review.builders import NOW, Clock
from tests.review.memory_records import MemoryRecords

PASSWORD = "correct horse battery"
BROWSER = frozenset({"password", "link"})
CLI = frozenset({"cli"})


class Desk:
    def __init__(self, **settings: Any) -> None:
        self.records, self.clock = MemoryRecords(), Clock()
        numbers = count(1)
        self.accounts = Accounts(
            self.records,
            self.records,
            clock=self.clock,
            token=lambda: f"token-{next(numbers)}-{'x' * 32}",
            key=b"s" * 32,
            passwords=Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)),
            settings=LoginSettings(**settings),
        )

    async def with_anna(self, **changes: Any) -> LoggedIn:
        await self.accounts.put("anna", roles=["reviewer", "admin"], teams=["finance"], by="gate")
        return await self.accounts.use_link(await self.accounts.link("anna", by="gate"), PASSWORD, source="s")

    async def login(self, password: str = PASSWORD, **more: Any) -> LoggedIn:
        return await self.accounts.login("anna", password, source="s", **more)

    def kinds(self) -> list[EntryKind]:
        return [entry.kind for entry in self.records.entries]


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def test_at_the_first_start_there_is_one_account_with_every_role_and_one_link(desk: Desk) -> None:
    token = await desk.accounts.first_link()
    assert token is not None
    here = await desk.accounts.use_link(token, PASSWORD, source="s")
    assert (here.reviewer.name, here.reviewer.roles, here.reviewer.login) == ("admin", frozenset(ROLES), "link")
    assert await desk.accounts.first_link() is None


async def test_until_somebody_has_set_a_password_each_start_gives_a_link(desk: Desk) -> None:
    first, second = await desk.accounts.first_link(), await desk.accounts.first_link()
    assert first != second
    assert len(await desk.accounts.accounts()) == 1


async def test_a_link_works_once(desk: Desk) -> None:
    token = await desk.accounts.first_link() or ""
    results = await asyncio.gather(
        *(desk.accounts.use_link(token, PASSWORD, source=str(n)) for n in range(5)), return_exceptions=True
    )
    assert sum(isinstance(result, LoggedIn) for result in results) == 1
    assert sum(isinstance(result, LoginRefused) for result in results) == 4


async def test_a_link_works_for_ten_minutes(desk: Desk) -> None:
    token = await desk.accounts.first_link() or ""
    desk.clock.pass_sec(600)
    with pytest.raises(LoginRefused, match="has expired"):
        await desk.accounts.use_link(token, PASSWORD, source="s")


@pytest.mark.parametrize("event", ["another link used", "password changed", "disabled for a while"])
async def test_a_mislaid_link_is_void_once_the_password_is_set_or_the_account_was_disabled(
    desk: Desk, event: str
) -> None:
    here = await desk.with_anna()
    await desk.accounts.put("root", roles=["admin"], by="gate")
    desk.clock.pass_sec(60)
    mislaid, used = await desk.accounts.link("anna", by="root"), await desk.accounts.link("anna", by="root")
    desk.clock.pass_sec(5)
    match event:
        case "another link used":
            await desk.accounts.use_link(used, "a new password of hers", source="s")
        case "password changed":
            await desk.accounts.change_password(here, PASSWORD, "a new password of hers", source="s")
        case _:
            for disabled in (True, False):
                await desk.accounts.put("anna", roles=["reviewer"], disabled=disabled, by="root")
    with pytest.raises(LoginRefused):
        await desk.accounts.use_link(mislaid, "a stranger's password", source="elsewhere")
    desk.clock.pass_sec(1)
    fresh = await desk.accounts.link("anna", by="root")
    assert await desk.accounts.use_link(fresh, PASSWORD, source="s")


async def test_a_password_that_does_not_fit_does_not_use_the_link_up(desk: Desk) -> None:
    token = await desk.accounts.first_link() or ""
    with pytest.raises(PasswordUnfit):
        await desk.accounts.use_link(token, "short", source="s")
    assert await desk.accounts.use_link(token, PASSWORD, source="s")


async def test_only_digests_of_tokens_are_kept(desk: Desk) -> None:
    here = await desk.with_anna()
    assert list(desk.records.sessions) == [sha256(here.token.encode()).hexdigest()]
    assert here.token not in repr(desk.records.sessions) + repr(desk.records.links) + repr(desk.records.entries)
    assert PASSWORD not in repr(desk.records.accounts_by_name)


async def test_logging_in_begins_a_session_that_says_who_it_is(desk: Desk) -> None:
    await desk.with_anna()
    here = await desk.login()
    found = await desk.accounts.session(here.token, of=BROWSER)
    assert found is not None
    assert (found.reviewer.name, found.reviewer.teams, found.csrf) == ("anna", frozenset({"finance"}), here.csrf)
    assert desk.kinds()[-1] is EntryKind.LOGIN_SUCCEEDED


@pytest.mark.parametrize("name", ["anna", "nobody", "ANNA ", "\x00", "a" * 5000])
async def test_a_wrong_login_is_refused_with_the_same_words_for_everybody(desk: Desk, name: str) -> None:
    await desk.with_anna()
    with pytest.raises(LoginRefused) as refused:
        await desk.accounts.login(name, "wrong password", source="s")
    assert str(refused.value) == "Name or password is wrong."
    assert desk.kinds()[-1] is EntryKind.LOGIN_FAILED


async def test_failed_logins_name_only_accounts_that_exist(desk: Desk) -> None:
    await desk.with_anna()
    for name in ("anna", "my-password-typed-as-name"):
        with pytest.raises(LoginRefused):
            await desk.accounts.login(name, "wrong password", source="s")
    assert [entry.body["account"] for entry in desk.records.entries[-2:]] == ["anna", None]


async def test_an_account_without_a_password_can_not_log_in(desk: Desk) -> None:
    await desk.accounts.put("bob", roles=["reviewer"], by="gate")
    with pytest.raises(LoginRefused):
        await desk.accounts.login("bob", "nobody has this password", source="s")


async def test_a_disabled_account_neither_logs_in_nor_keeps_its_sessions(desk: Desk) -> None:
    await desk.accounts.put("root", roles=["admin"], by="gate")
    here = await desk.with_anna()
    desk.clock.pass_sec(1)
    await desk.accounts.put("anna", roles=["reviewer"], disabled=True, by="root")
    assert await desk.accounts.session(here.token, of=BROWSER) is None
    assert await desk.accounts.reviewer("anna") is None
    with pytest.raises(LoginRefused):
        await desk.login()
    desk.clock.pass_sec(5)
    await desk.accounts.put("anna", roles=["reviewer"], by="root")
    assert await desk.accounts.session(here.token, of=BROWSER) is None  # enabling again revives no session


async def test_roles_taken_away_are_gone_from_a_living_session(desk: Desk) -> None:
    await desk.accounts.put("root", roles=["admin"], by="gate")
    here = await desk.with_anna()
    await desk.accounts.put("anna", roles=["auditor"], by="root")
    found = await desk.accounts.session(here.token, of=BROWSER)
    assert found is not None
    assert found.reviewer.roles == {"auditor"}


async def test_a_session_ends_unused_after_an_hour_and_in_any_case_after_twelve(desk: Desk) -> None:
    here = await desk.with_anna()
    for _ in range(12):
        desk.clock.pass_sec(3599)
        alive = await desk.accounts.session(here.token, of=BROWSER)
        assert alive is not None
    desk.clock.pass_sec(12)
    assert await desk.accounts.session(here.token, of=BROWSER) is None
    idle = await desk.login()
    desk.clock.pass_sec(3600)
    assert await desk.accounts.session(idle.token, of=BROWSER) is None


async def test_logging_out_ends_the_session_and_a_late_touch_does_not_revive_it(desk: Desk) -> None:
    here = await desk.with_anna()
    desk.clock.pass_sec(120)
    results = await asyncio.gather(
        desk.accounts.logout(here.session),
        desk.accounts.session(here.token, of=BROWSER),
        desk.accounts.session(here.token, of=BROWSER),
    )
    assert results == [None, None, None]
    assert await desk.accounts.session(here.token, of=BROWSER) is None


async def test_a_browsers_session_is_none_of_the_command_line_and_the_other_way_round(desk: Desk) -> None:
    await desk.with_anna()
    browser, cli = await desk.login(), await desk.login(login="cli")
    assert await desk.accounts.session(browser.token, of=CLI) is None
    assert await desk.accounts.session(cli.token, of=BROWSER) is None
    assert await desk.accounts.session(cli.token, of=CLI) is not None


async def test_changing_the_password_ends_every_other_session(desk: Desk) -> None:
    here = await desk.with_anna()
    other = await desk.login()
    desk.clock.pass_sec(1)
    new = await desk.accounts.change_password(here, PASSWORD, "another long password", source="s")
    assert await desk.accounts.session(other.token, of=BROWSER) is None
    assert await desk.accounts.session(here.token, of=BROWSER) is None
    assert await desk.accounts.session(new.token, of=BROWSER) is not None
    with pytest.raises(LoginRefused):
        await desk.login()
    assert await desk.login("another long password")


async def test_the_present_password_is_needed_to_change_it(desk: Desk) -> None:
    here = await desk.with_anna()
    with pytest.raises(LoginRefused, match="present password"):
        await desk.accounts.change_password(here, "not this one", "another long password", source="s")


async def test_p14_guessing_is_slowed_per_account_and_per_source() -> None:
    desk = Desk(account_free_tries=2, source_free_tries=3)
    await desk.with_anna()
    for _ in range(2):
        with pytest.raises(LoginRefused):
            await desk.accounts.login("anna", "wrong password", source="a")
    with pytest.raises(TooManyTries) as refused:
        await desk.accounts.login("anna", PASSWORD, source="b")
    assert refused.value.retry_after_sec == 1
    desk.clock.pass_sec(1)
    assert await desk.accounts.login("anna", PASSWORD, source="b")
    for name in ("x1", "x2", "x3"):
        with pytest.raises(LoginRefused):
            await desk.accounts.login(name, "wrong password", source="c")
    with pytest.raises(TooManyTries):
        await desk.accounts.login("anna", PASSWORD, source="c")


async def test_parallel_guesses_gain_nothing() -> None:
    desk = Desk(account_free_tries=3, source_free_tries=1000)
    await desk.with_anna()
    results = await asyncio.gather(
        *(desk.accounts.login("anna", f"wrong password {n}", source="a") for n in range(50)), return_exceptions=True
    )
    assert sum(isinstance(result, LoginRefused) for result in results) == 3
    assert sum(isinstance(result, TooManyTries) for result in results) == 47


async def test_a_form_token_belongs_to_its_session(desk: Desk) -> None:
    await desk.with_anna()
    one, two = await desk.login(), await desk.login()
    assert desk.accounts.csrf_holds(one, one.csrf)
    assert not desk.accounts.csrf_holds(one, two.csrf)
    assert not desk.accounts.csrf_holds(one, "")
    assert not desk.accounts.csrf_holds(one, "\ud800")


async def test_an_outdated_hash_is_renewed_at_login(desk: Desk) -> None:
    await desk.with_anna()
    old = PasswordHasher(time_cost=2, memory_cost=8, parallelism=1).hash(PASSWORD)
    desk.records.accounts_by_name["anna"] = replace(desk.records.accounts_by_name["anna"], password_hash=old)
    await desk.login()
    renewed = desk.records.accounts_by_name["anna"].password_hash
    assert renewed is not None
    assert "t=1" in renewed


async def test_every_change_of_an_account_and_every_link_is_recorded_with_who_made_it(desk: Desk) -> None:
    await desk.accounts.put("anna", roles=["reviewer"], by="root")
    await desk.accounts.link("anna", by="root")
    assert [(e.actor, e.body["what"], e.body["account"]) for e in desk.records.entries] == [
        ("reviewer:root", "made", "anna"),
        ("reviewer:root", "link_made", "anna"),
    ]


async def test_changing_an_account_keeps_its_password_and_age(desk: Desk) -> None:
    await desk.accounts.put("root", roles=["admin"], by="gate")
    await desk.with_anna()
    hashed = desk.records.accounts_by_name["anna"].password_hash
    desk.clock.pass_sec(10)
    changed = await desk.accounts.put("anna", roles=["security"], owns_agents=["bot"], by="root")
    assert changed == Account("anna", hashed, ("security",), (), ("bot",), False, NOW, NOW)


@pytest.mark.parametrize(
    ("name", "more", "message"),
    [
        ("Anna", {}, "a-z"),
        ("gate", {}, "taken"),
        ("", {}, "a-z"),
        ("anna", {"roles": ["boss"]}, "no role 'boss'"),
        ("anna", {"roles": []}, "at least one role"),
        ("anna", {"teams": ["a,b"]}, "no name of a team"),
        ("anna", {"owns_agents": ["\u202e"]}, "no name of a team"),
    ],
)
async def test_an_account_that_does_not_fit_is_refused_with_the_reason(
    desk: Desk, name: str, more: dict[str, Any], message: str
) -> None:
    with pytest.raises(AccountUnfit, match=message):
        await desk.accounts.put(name, **{"roles": ["reviewer"], "by": "gate", **more})


async def test_the_last_admin_can_not_be_locked_out(desk: Desk) -> None:
    await desk.with_anna()
    for change in ({"roles": ["reviewer"]}, {"roles": ["admin"], "disabled": True}):
        with pytest.raises(AccountUnfit, match="only admin left"):
            await desk.accounts.put("anna", by="anna", **change)  # type: ignore[arg-type]


async def test_two_admins_who_remove_each_other_at_once_leave_one(desk: Desk) -> None:
    for name in ("anna", "bert"):
        await desk.accounts.put(name, roles=["admin"], by="gate")
    removals = (
        desk.accounts.put("bert", roles=["admin"], disabled=True, by="anna"),
        desk.accounts.put("anna", roles=["reviewer"], by="bert"),
    )
    results = await asyncio.gather(*removals, return_exceptions=True)
    assert [type(result) for result in results if isinstance(result, Exception)] == [AccountUnfit]
    admins = [one.name for one in await desk.accounts.accounts() if "admin" in one.roles and not one.disabled]
    assert len(admins) == 1


async def test_an_account_disabled_while_its_password_is_set_stays_disabled(desk: Desk) -> None:
    here = await desk.with_anna()
    await desk.accounts.put("root", roles=["admin"], by="gate")
    hashed = desk.accounts._hashed

    async def meanwhile(password: str) -> str:
        await desk.accounts.put("anna", roles=["admin"], disabled=True, by="root")
        return await hashed(password)

    desk.accounts._hashed = meanwhile  # type: ignore[method-assign]
    with pytest.raises(LoginRefused, match="at the same moment"):
        await desk.accounts.change_password(here, PASSWORD, f"{PASSWORD} new", source="s")
    kept = {one.name: one for one in await desk.accounts.accounts()}["anna"]
    assert kept.disabled


async def test_there_is_no_link_for_nobody(desk: Desk) -> None:
    with pytest.raises(AccountUnfit, match="no account"):
        await desk.accounts.link("nobody", by="gate")


async def test_a_page_that_refreshes_itself_keeps_no_session_alive(desk: Desk) -> None:
    here = await desk.with_anna()
    for _ in range(4):
        desk.clock.pass_sec(899)
        assert await desk.accounts.session(here.token, of=BROWSER, is_use=False) is not None
    desk.clock.pass_sec(10)
    assert await desk.accounts.session(here.token, of=BROWSER) is None


async def test_a_session_that_ends_while_it_is_looked_at_is_over(desk: Desk) -> None:
    here = await desk.with_anna()
    desk.clock.pass_sec(120)
    looked, _ = await asyncio.gather(desk.accounts.session(here.token, of=BROWSER), desk.accounts.logout(here.session))
    assert looked is None
    assert desk.records.sessions == {}


async def test_no_wait_is_longer_than_half_a_minute(desk: Desk) -> None:
    await desk.with_anna()
    for _ in range(30):
        desk.clock.pass_sec(30)
        with pytest.raises(LoginRefused):
            await desk.accounts.login("anna", "wrong password", source="a")
    with pytest.raises(TooManyTries) as refused:
        await desk.login()
    assert refused.value.retry_after_sec == 30


async def test_a_disabled_account_uses_no_link(desk: Desk) -> None:
    await desk.accounts.put("bob", roles=["reviewer"], by="gate")
    token = await desk.accounts.link("bob", by="gate")
    await desk.accounts.put("bob", roles=["reviewer"], disabled=True, by="gate")
    with pytest.raises(LoginRefused):
        await desk.accounts.use_link(token, PASSWORD, source="s")
