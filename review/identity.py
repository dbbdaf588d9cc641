"""Reviewers' accounts and logins: who somebody is, proven by a password or a one-time link.

Rules of this module:
* Tokens are 32 random bytes and only their sha256 is stored; comparing is then looking up a digest.
* A link works once and for ten minutes. Using it sets a password and begins a session; looking at it changes nothing.
  Links made before the account's password was set or the account was disabled are void: one mislaid opens nothing.
* A session ends after `session_idle_sec` without use, after `session_sec` in any case, at logout, and when the account
  is disabled or its password changes.
* A session of the command line is no session of a browser and the other way round: `login` says which it is.
* Roles, teams and owned agents are read from the account each time somebody acts.
* Every change of an account and every login is recorded; failed logins name only accounts that exist.
* Hashing runs off the event loop, a few at a time (64 MiB each).
"""

from __future__ import annotations

import asyncio
import hmac
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

from audit.entry import EntryDraft, EntryKind
from audit.keyed import keyed_digest
from review.model import Account, LoginLink, LoginSession, Reviewer
from review.passwords import Passwords, check_fit
from review.ports import Change, Logins, Records
from review.throttle import Throttle, TooManyTries

ROLES = ("reviewer", "security", "auditor", "admin")

_NAME = re.compile(r"[a-z0-9][a-z0-9._@-]{0,63}")
_WORD = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 ._:@/-]{0,126}[A-Za-z0-9._:@/-])?")


class LoginRefused(Exception):
    """Wrong name, password or link. The message never says which."""


class AccountUnfit(ValueError):
    """An account that cannot be written; the message says why."""


@dataclass(frozen=True, slots=True)
class LoginSettings:
    """Durations in seconds."""

    session_sec: float = 12 * 3600
    session_idle_sec: float = 3600
    link_sec: float = 600
    touch_sec: float = 60  # how stale `last_seen_at` may be
    hashes_at_once: int = 2
    account_free_tries: int = 5
    source_free_tries: int = 20
    wait_sec_max: float = 30  # long enough for argon2 and 12 characters; short, for others share names and addresses


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """Somebody, now. `csrf` must come back with every form of the session; `token` is set only when just made."""

    reviewer: Reviewer
    session: LoginSession
    csrf: str
    token: str = ""


class Accounts:
    """Accounts and sessions over the store. `token` gives fresh random text; `key` makes the sessions' form tokens."""

    def __init__(
        self,
        logins: Logins,
        records: Records,
        *,
        clock: Callable[[], float],
        token: Callable[[], str],
        key: bytes,
        passwords: Passwords | None = None,
        settings: LoginSettings | None = None,
    ) -> None:
        self._logins, self._records = logins, records
        self._clock, self._token, self._key = clock, token, key
        self._passwords = passwords or Passwords()
        self.settings = settings or LoginSettings()
        self._hashing = asyncio.Semaphore(self.settings.hashes_at_once)
        self._sessions = asyncio.Lock()  # a touch must not write back a session that was just ended
        self._accounts_changing = asyncio.Lock()  # what is written back is what was read, with one change
        self._by_account = Throttle(
            free_tries=self.settings.account_free_tries, wait_sec_max=self.settings.wait_sec_max
        )
        self._by_source = Throttle(free_tries=self.settings.source_free_tries, wait_sec_max=self.settings.wait_sec_max)

    # who somebody is

    async def reviewer(self, name: str) -> Reviewer | None:
        """The reviewer as the account stands now (`review.ports.People`). Raises: StoreDown."""
        account = await self._logins.account(name)
        return _reviewer(account, "password") if account is not None and not account.disabled else None

    async def accounts(self) -> Sequence[Account]:
        return await self._logins.accounts()

    # logging in

    async def login(self, name: str, password: str, *, source: str, login: str = "password") -> LoggedIn:
        """Begin a session. `login` is `password` for browsers and `cli` for the command line.

        Raises: LoginRefused, TooManyTries, StoreDown.
        """
        now, name = self._clock(), name.strip().casefold()
        self._by_source.begin(source, now)
        self._by_account.begin(name[:64], now)
        account = await self._logins.account(name) if _NAME.fullmatch(name) else None
        known = account.password_hash if account is not None and not account.disabled else None
        if not await self._verified(password, known) or account is None or known is None:
            await self._record(EntryKind.LOGIN_FAILED, account, login, source=source)
            raise LoginRefused("Name or password is wrong.")
        self._by_account.forgive(name[:64])
        self._by_source.forgive(source)
        if self._passwords.is_outdated(known):
            await self._renew_hash(account, await self._hashed(password))
        return await self._begin(account, login, source)

    async def use_link(self, token: str, password: str, *, source: str, login: str = "link") -> LoggedIn:
        """Use a login link up: set the password, end all other sessions, begin one.

        Raises: LoginRefused, PasswordUnfit, TooManyTries, StoreDown.
        """
        now = self._clock()
        self._by_source.begin(source, now)
        check_fit(password, "")  # before the link is used up
        link = await self._logins.take_link(_digest(token), now)
        account = await self._logins.account(link.account) if link is not None else None
        if link is None or account is None or account.disabled or self._is_void(link, account):
            await self._record(EntryKind.LOGIN_FAILED, account, login, source=source)
            raise LoginRefused("This link has been used, has expired or never was. Ask for a new one.")
        self._by_source.forgive(source)
        account = await self._with_password(account, password, by=account.name)
        return await self._begin(account, login, source)

    async def session(self, token: str, *, of: frozenset[str], is_use: bool = True) -> LoggedIn | None:
        """Who holds this token, if the session lives and was begun in one of the ways `of`.

        `is_use` False: a page refreshing itself, which keeps no session alive. Raises: StoreDown.
        """
        now, digest = self._clock(), _digest(token)
        session = await self._logins.session(digest)
        if session is None or session.login not in of or not self._is_alive(session, now):
            return None
        account = await self._logins.account(session.account)
        if account is None or account.disabled or session.created_at < account.sessions_from:
            return None
        if is_use and now - session.last_seen_at >= self.settings.touch_sec:
            touched = await self._touch(session, now)
            if touched is None:  # it was ended between our two looks at it
                return None
            session = touched
        return LoggedIn(_reviewer(account, session.login), session, self._csrf(digest))

    async def logout(self, session: LoginSession) -> None:
        """Raises: StoreDown."""
        async with self._sessions:
            await self._logins.drop_session(session.token_hash)

    def csrf_holds(self, logged_in: LoggedIn, given: str) -> bool:
        return hmac.compare_digest(logged_in.csrf.encode(), given.encode("utf-8", "replace"))

    # accounts

    async def first_link(self, name: str = "admin") -> str | None:
        """Until somebody has set a password: the first account, with every role, and a link for it. Later: None.

        Raises: StoreDown.
        """
        known = await self._logins.accounts()
        if any(account.password_hash is not None for account in known):
            return None
        if name not in [account.name for account in known]:
            await self.put(name, roles=ROLES, by="gate")
        return await self.link(name, by="gate")

    async def link(self, name: str, *, by: str) -> str:
        """A fresh one-time token for this account; the record says who made it.

        Raises: AccountUnfit if there is no such account, StoreDown.
        """
        account = await self._logins.account(name)
        if account is None or account.disabled:
            raise AccountUnfit(f"There is no account {name!r}.")
        await self._records.apply(Change(entries=(self._changed(by, account, "link_made"),)))
        token = self._token()
        await self._logins.put_link(LoginLink(_digest(token), name, self._clock() + self.settings.link_sec))
        return token

    async def put(
        self,
        name: str,
        *,
        roles: Sequence[str],
        teams: Sequence[str] = (),
        owns_agents: Sequence[str] = (),
        disabled: bool = False,
        is_new: bool = False,
        by: str,
    ) -> Account:
        """Make an account or change one; its password stays. `is_new`: there must be none of that name yet.

        Raises: AccountUnfit, StoreDown.
        """
        _check_account(name, roles, teams, owns_agents)
        async with self._accounts_changing:
            now, before = self._clock(), await self._logins.account(name)
            if is_new and before is not None:
                raise AccountUnfit(f"There is an account {name!r} already: change it in the list.")
            if before is not None and (disabled or "admin" not in roles):
                await self._check_another_admin(name)
            account = Account(
                name=name,
                password_hash=before.password_hash if before is not None else None,
                roles=tuple(sorted(set(roles))),
                teams=tuple(sorted(set(teams))),
                owns_agents=tuple(sorted(set(owns_agents))),
                disabled=disabled,
                created_at=before.created_at if before is not None else now,
                sessions_from=now if disabled or before is None else before.sessions_from,
            )
            await self._logins.put_account(account, self._changed(by, account, "made" if before is None else "changed"))
            return account

    async def change_password(self, logged_in: LoggedIn, old: str, new: str, *, source: str) -> LoggedIn:
        """Set a new password; every session but the one this returns ends.

        Raises: LoginRefused, PasswordUnfit, TooManyTries, StoreDown.
        """
        name, now = logged_in.reviewer.name, self._clock()
        self._by_account.begin(name, now)
        check_fit(new, name)
        account = await self._logins.account(name)
        if account is None or account.disabled or not await self._verified(old, account.password_hash):
            raise LoginRefused("The present password is wrong.")
        self._by_account.forgive(name)
        account = await self._with_password(account, new, by=name)
        return await self._begin(account, logged_in.session.login, source)

    # steps

    async def _check_another_admin(self, name: str) -> None:
        """Somebody must be able to manage accounts afterwards. Raises: AccountUnfit."""
        admins = [a.name for a in await self._logins.accounts() if "admin" in a.roles and not a.disabled]
        if admins == [name]:
            raise AccountUnfit(f"{name!r} is the only admin left: make another one first.")

    async def _begin(self, account: Account, login: str, source: str) -> LoggedIn:
        now, token = self._clock(), self._token()
        digest = _digest(token)
        session = LoginSession(digest, account.name, now, now + self.settings.session_sec, now, login)
        await self._record(EntryKind.LOGIN_SUCCEEDED, account, login, source=source)
        await self._logins.put_session(session)
        return LoggedIn(_reviewer(account, login), session, self._csrf(digest), token)

    async def _touch(self, session: LoginSession, now: float) -> LoginSession | None:
        async with self._sessions:
            present = await self._logins.session(session.token_hash)
            if present is None:
                return None
            touched = replace(present, last_seen_at=max(now, present.last_seen_at))
            await self._logins.put_session(touched)
            return touched

    def _is_void(self, link: LoginLink, account: Account) -> bool:
        """Made before whatever ended the account's sessions last: a password, or its being disabled."""
        return link.expires_at < account.sessions_from + self.settings.link_sec

    def _is_alive(self, session: LoginSession, now: float) -> bool:
        return now < session.expires_at and now - session.last_seen_at < self.settings.session_idle_sec

    async def _renew_hash(self, account: Account, hashed: str) -> None:
        """The same password under today's parameters, unless the account has changed since it was looked at."""
        async with self._accounts_changing:
            if await self._logins.account(account.name) == account:
                renewed = replace(account, password_hash=hashed)
                await self._logins.put_account(renewed, self._changed(account.name, renewed, "hash_renewed"))

    async def _with_password(self, account: Account, password: str, *, by: str) -> Account:
        """Raises: LoginRefused when the account has changed since it was looked at: it may have been disabled."""
        hashed = await self._hashed(password)
        async with self._accounts_changing:
            if await self._logins.account(account.name) != account:
                raise LoginRefused("The account was changed at the same moment. Try again.")
            changed = replace(account, password_hash=hashed, sessions_from=self._clock())
            await self._logins.put_account(changed, self._changed(by, changed, "password_set"))
            return changed

    async def _verified(self, password: str, known: str | None) -> bool:
        async with self._hashing:
            return await asyncio.to_thread(self._passwords.verify, password, known)

    async def _hashed(self, password: str) -> str:
        async with self._hashing:
            return await asyncio.to_thread(self._passwords.hash, password)

    def _csrf(self, token_hash: str) -> str:
        return keyed_digest(self._key, b"interlock/form/v1\0" + token_hash.encode()).hex()

    def _changed(self, by: str, account: Account, what: str) -> EntryDraft:
        body = {
            "what": what,
            "account": account.name,
            "roles": list(account.roles),
            "teams": list(account.teams),
            "owns_agents": list(account.owns_agents),
            "disabled": account.disabled,
        }
        return EntryDraft(EntryKind.ACCOUNT_CHANGED, self._clock(), _actor(by), None, body)

    async def _record(self, kind: EntryKind, account: Account | None, login: str, *, source: str) -> None:
        named = account.name if account is not None else None
        entry = EntryDraft(
            kind, self._clock(), _actor(named or "unknown"), None, {"account": named, "login": login, "source": source}
        )
        await self._records.apply(Change(entries=(entry,)))


def _actor(by: str) -> str:
    return "gate" if by == "gate" else f"reviewer:{by}"


def _reviewer(account: Account, login: str) -> Reviewer:
    return Reviewer(
        name=account.name,
        roles=frozenset(account.roles),
        teams=frozenset(account.teams),
        owns_agents=frozenset(account.owns_agents),
        login=login,
    )


def _check_account(name: str, roles: Sequence[str], teams: Sequence[str], owns_agents: Sequence[str]) -> None:
    if not _NAME.fullmatch(name) or name in ("gate", "unknown"):
        raise AccountUnfit(
            "A name is up to 64 of the characters a-z 0-9 . _ @ - and begins with a letter or digit; "
            "'gate' and 'unknown' are taken."
        )
    if not roles:
        raise AccountUnfit(f"An account has at least one role: {', '.join(ROLES)}.")
    for role in roles:
        if role not in ROLES:
            raise AccountUnfit(f"There is no role {role!r}; roles are {', '.join(ROLES)}.")
    for word in (*teams, *owns_agents):
        if not _WORD.fullmatch(word):
            raise AccountUnfit(f"{word!r} is no name of a team or agent: letters, digits, blanks and . _ : @ / - only.")


def _digest(token: str) -> str:
    return sha256(token.encode("utf-8", "replace")).hexdigest()


__all__ = ["ROLES", "AccountUnfit", "Accounts", "LoggedIn", "LoginRefused", "LoginSettings", "TooManyTries"]
