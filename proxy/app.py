"""The one place that builds things: from a configuration to a running gate, and back to nothing in good order.

Rules of this module:
* Clocks, randomness and ids enter here and nowhere else; everything below is given them.
* Start order: policy (an invalid one stops the start) → keys → store (lock, migrations, chain) → recovery → workers →
  tools → listeners. Nothing listens before everything behind it stands (P1).
* Stop order: no new requests → every hold answered with its ticket → requests in flight → tools, workers, store.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import structlog

from audit.canonical import canonical
from audit.entry import EntryDraft, EntryKind
from audit.masks import commit
from policies.model import ToolCall
from proxy.agents import Agents
from proxy.config import Config, ConfigError
from proxy.config_checks import LISTENERS
from proxy.config_secrets import resolve_secret
from proxy.doors.door_head import TrustedPeers
from proxy.doors.mcp_http import McpDoor
from proxy.facts import GateFacts
from proxy.figures import Figures
from proxy.gate_rows import GateRows
from proxy.history import History
from proxy.ids import Ids
from proxy.inspector_template import InspectorsDown
from proxy.inspectors import InspectorPool
from proxy.judging import Judging
from proxy.keys import Keys
from proxy.kill_switch import KillSwitch
from proxy.ledger import StoredLedger
from proxy.listeners import bound, own_address, server_limits, tls_of
from proxy.metrics import Metrics
from proxy.parking import Parking
from proxy.past import rebuild
from proxy.policy_desk import PolicyDesk
from proxy.redacting import Redacting
from proxy.repeats import asked_once, repeat_key
from proxy.rounds import Rounds, Told
from proxy.runner import Runner
from proxy.sampling import Sampling
from proxy.seen_tools import SeenTools
from proxy.standings import Standings
from proxy.stop_files import StopFiles
from proxy.stopped import Stopped
from proxy.store.sqlite import SqliteStore
from proxy.telling import Teller
from proxy.upstreams.inventory import Inventory
from proxy.upstreams.registry import Surroundings, close_all
from proxy.upstreams.registry import build as build_upstreams
from proxy.upstreams.stoppable import StoppableUpstream
from proxy.volatile import without_volatile
from proxy.watching import CallLog
from proxy.wire import strict_json
from proxy.wire.http_server import Server
from redaction.detectors.base import DEFAULT_KINDS
from redaction.detectors.secret_rules import SECRET_KINDS
from review.console import app as console
from review.console.settings import ConsoleSettings
from review.desk import Desk, InboxSettings
from review.feed import Feed
from review.identity import Accounts
from review.inbox import Inbox
from review.live import EVERYTHING, Pages
from review.model import StopScope
from review.ports import Change, StoreDown

log = structlog.get_logger("interlock.app")

STORE_FILE = "interlock.db"
SHUTDOWN_SEC = 10.0


class App:
    """A gate: `start`, then it serves until `stop`. `first_link` is set at the very first start."""

    def __init__(self, config: Config, *, base: Path) -> None:
        self.config = config
        self.base = base
        self.clock = time.time  # noqa: TID251 - the one place where the clock enters
        self.ids = Ids()
        self.first_link: str | None = None
        self._closing = contextlib.AsyncExitStack()

    async def start(self) -> None:
        """Raises: PolicyErrors, KeysRefused, StoreDown, ConfigError (also for a port in use), OSError: they say why."""
        try:
            await self._start()
        except BaseException:
            await self._closing.aclose()
            raise

    async def _start(self) -> None:
        config = self.config
        self._sockets = [bound(name, getattr(config, name)) for name in LISTENERS]
        for listener in self._sockets:
            self._closing.callback(listener.close)
        self._build_store(config)
        self._build_tools(config)
        self.policies.load()
        self._build_core(config)
        await self.store.open()
        self._closing.push_async_callback(self.store.close)
        await self.policies.record_load("gate:start")
        if self.policies.current.sampling:
            await self.sampling.turn()
        await self.standings.load()
        doubtful = await self.runner.recover()
        await rebuild(self.history, self.store, self.clock())
        if doubtful:
            log.warning("calls_in_doubt", count=doubtful)
        await self.kill_switch.start()
        self._closing.push_async_callback(self.kill_switch.close)
        await self._entry(EntryKind.GATE_STARTED, {"in_doubt": doubtful, "snapshot": self.policies.current.id})
        try:
            await self.inspectors.start()
        except InspectorsDown as down:
            raise ConfigError(f"outputs could not be inspected: {down}") from down
        self._closing.push_async_callback(self.inspectors.close)
        await self._listen(config)
        self.rounds = self._rounds()
        self.rounds.start()

    async def stop(self) -> None:
        """Orderly: holds are answered with tickets, requests in flight finish or are left in doubt, then all closes."""
        await self.rounds.stop()
        self.pages.close()
        await asyncio.gather(self.agents_server.shutdown(SHUTDOWN_SEC), self.reviewers_server.shutdown(SHUTDOWN_SEC))
        await self.door.close()
        with contextlib.suppress(StoreDown):  # it is said in the log, and nothing more can be done about it here
            await self._entry(EntryKind.GATE_STOPPED, {})
        await self._closing.aclose()

    # -- building ------------------------------------------------------------------------------------------------

    def _build_store(self, config: Config) -> None:
        assert config.keys_dir is not None  # settled when the file was read
        data_dir = self.base / config.data_dir
        self.keys = Keys.load_or_create(self.base / config.keys_dir, data_dir=data_dir)
        self.store = SqliteStore(data_dir / STORE_FILE, self.keys, clock=self.clock, node=os.uname().nodename)

    def _build_tools(self, config: Config) -> None:
        self.stopped = Stopped()
        built = build_upstreams(
            config,
            Surroundings(
                environ=os.environ,
                forbidden=frozenset(map(own_address, self._sockets)),
                ids=self.ids.token,
                monotonic=time.monotonic,
                on_change=lambda server: self.inventory.changed(server),
            ),
        )
        self._closing.push_async_callback(close_all, built)
        self.upstreams = {name: StoppableUpstream(upstream, self.stopped) for name, upstream in built.items()}
        self.inventory = Inventory(self.upstreams, self.store, clock=self.clock, monotonic=time.monotonic)
        self.policies = PolicyDesk(
            config.policies,
            self.base,
            store=self.store,
            clock=self.clock,
            tool_names=self.inventory.names,
            tools_revision=lambda: self.inventory.revision,
            detector_kinds=frozenset({*DEFAULT_KINDS, *SECRET_KINDS, *config.inspection.entities}),
        )

    def _build_core(self, config: Config) -> None:
        volatile = {name: server.volatile for name, server in config.servers.items() if server.volatile}
        repeat_key_of = asked_once(functools.partial(_repeat_key, self.keys.repeat, volatile))
        rows = GateRows(
            teller=Teller(self.keys.commit), ids=self.ids, ticket_key=self.keys.ticket, repeat_key_of=repeat_key_of
        )
        self.inspectors = InspectorPool(config.inspection)
        self.parking = Parking(config.parking, clock=self.clock)
        self.metrics = Metrics(config.servers)
        self.feed = Feed(clock=self.clock)
        self.history = History(
            repeat_key_of=repeat_key_of, clock=self.clock, min_history_calls=config.anomaly.min_history_calls
        )
        self.store.listen(self.history.heard)
        self.sampling = Sampling(key=self.keys.commit, store=self.store, clock=self.clock)
        self.standings = self._standings(config, rows.teller)
        self.judging = Judging(
            snapshot=lambda: self.policies.current,
            definitions=self.inventory,
            clock=self.clock,
            validates={name: server.validate_arguments for name, server in config.servers.items()},
            groups=_groups(config),
            lot_of=self.sampling.lot,
            ambiguous=self.policies.ambiguous,
            gate_facts=GateFacts(self.history.facts, self.standings.facts),
        )
        self.runner = Runner(
            records=self.store,
            judging=self.judging,
            inspectors=self.inspectors,
            parking=self.parking,
            stopped=self.stopped,
            rows=rows,
            config=config.parking,
            clock=self.clock,
            ticket_key=self.keys.ticket,
            repeat_key_of=repeat_key_of,
            ids=self.ids.call,
            watchers=(self.metrics, CallLog(config.logs.calls, clock=self.clock)),
            is_watched=self.feed.is_watched,
            history=self.history,
        )
        self.kill_switch = KillSwitch(
            stopped=self.stopped,
            files=StopFiles(self.base / config.data_dir),
            store=self.store,
            rows=rows,
            bell=self.parking,
            lives=self.runner.lives.all,
            upstreams=self.upstreams.values(),
            names={StopScope.AGENT: sorted(_groups(config)), StopScope.SERVER: sorted(config.servers)},
            clock=self.clock,
            new_id=self.ids.stop,
            end=os._exit,
        )

    def _standings(self, config: Config, teller: Teller) -> Standings:
        standings = Standings(
            self.store,
            snapshot=lambda: self.policies.current,
            agents=_groups(config),
            clock=self.clock,
            ids=self.ids,
            commits=teller,
        )
        self.store.teach(standings)
        self.store.listen(standings.heard)
        return standings

    # -- listeners -----------------------------------------------------------------------------------------------

    async def _listen(self, config: Config) -> None:
        agents_socket, reviewers_socket = self._sockets
        self.door = self._agents_door(config)
        limits = server_limits(config)
        self.agents_server = Server(
            self.door,
            sockets=[agents_socket],
            tls=tls_of("agents_listener", config.agents_listener),
            limits=limits,
            answer_holds=self._answer_holds,
            is_behind_proxies=bool(config.agents_listener.trusted_proxies),
        )
        self.reviewers_server = Server(
            await self._console(),
            sockets=[reviewers_socket],
            tls=tls_of("reviewers_listener", config.reviewers_listener),
            limits=limits,
            is_behind_proxies=bool(config.reviewers_listener.trusted_proxies),
        )
        await self.agents_server.start()
        await self.reviewers_server.start()

    def _agents_door(self, config: Config) -> McpDoor:
        return McpDoor(
            runner=self.runner,
            upstreams=self.upstreams,
            inventory=self.inventory,
            inspectors=self.inspectors,
            agents=Agents(config),
            config=config,
            clock=self.clock,
            monotonic=time.monotonic,
            ids=self.ids,
            keys=self.keys,
        )

    async def _answer_holds(self) -> None:
        self.parking.close()
        await self.door.end_streams()

    @property
    def agents_url(self) -> str:
        return self.config.agents_listener.url(own_address(self._sockets[0]))

    @property
    def reviewers_url(self) -> str:
        return self.config.reviewers_listener.url(own_address(self._sockets[1]))

    async def _console(self) -> Any:
        self.accounts = Accounts(self.store, self.store, clock=self.clock, token=self.ids.token, key=self.keys.session)
        self.first_link = await self.accounts.first_link()
        self.pages = Pages()
        self.parking.listen(self.pages.tell)
        self.kill_switch.listen(functools.partial(self.pages.tell, EVERYTHING))
        desk = Desk(
            records=self.store,
            judge=self.judging,
            bell=self.parking,
            people=self.accounts,
            clock=self.clock,
            nonce=self.ids.nonce,
            commit=functools.partial(commit, self.keys.commit),
            inventory=SeenTools(self.inventory),
            redactor=Redacting(self.judging, self.inspectors),
            switch=self.kill_switch,
            feed=self.feed,
            ladder=self.standings,
            settings=_inbox_settings(self.config),
        )
        self.inbox = Inbox(desk)
        return console.build(
            inbox=self.inbox,
            accounts=self.accounts,
            waiting=self.parking,
            live=self.pages,
            ledger=StoredLedger(self.store),
            read_json=strict_json.read,
            clock=self.clock,
            ready=self._why_not_ready,
            snapshot=lambda: self.policies.current,
            figures=self._figures(),
            settings=ConsoleSettings(
                public_url=self.reviewers_url, takes_peer=TrustedPeers(self.config.reviewers_listener).takes
            ),
        )

    def _figures(self) -> Figures:
        token = self.config.metrics.token
        return Figures(
            metrics=self.metrics,
            token=None if token is None else resolve_secret(token, where="metrics.token", environ=os.environ),
            store=self.store,
            inbox=self.inbox,
            parking=self.parking,
            inspectors=self.inspectors,
            stopped=self.stopped,
            door=self.door,
            servers=lambda: {"agents": self.agents_server, "reviewers": self.reviewers_server},
            snapshot=lambda: self.policies.current,
            clock=self.clock,
        )

    async def _why_not_ready(self) -> str | None:
        """None when calls can be judged and recorded."""
        health = await self.store.health()
        return None if health.is_writable else health.why

    def _rounds(self) -> Rounds:
        return Rounds(
            Told(
                inbox=self.inbox,
                runner=self.runner,
                kill_switch=self.kill_switch,
                store=self.store,
                policies=self.policies,
                sampling=self.sampling,
                standings=self.standings,
                clock=self.clock,
                retain_sec=self.config.retain_days * 86_400,
                watches_policies=self.config.watch_policies,
            )
        )

    async def _entry(self, kind: EntryKind, body: dict[str, object]) -> None:
        await self.store.apply(Change(entries=(EntryDraft(kind, self.clock(), "gate", None, body),)))


def _groups(config: Config) -> Mapping[str, tuple[str, ...]]:
    groups = {name: tuple(agent.groups) for name, agent in config.agents.items()}
    if config.anonymous.enabled:
        groups[config.anonymous.name] = tuple(config.anonymous.groups)
    return groups


def _inbox_settings(config: Config) -> InboxSettings:
    reviewing = config.reviewing
    return InboxSettings(
        undo_sec={str(tier): sec for tier, sec in reviewing.undo_sec.items()}, escalation_default=reviewing.escalate_to
    )


def _repeat_key(key: bytes, volatile: Mapping[str, Mapping[str, list[str]]], call: ToolCall) -> str:
    paths = volatile.get(call.server, {}).get(call.tool, ())
    arguments = without_volatile(call.arguments, paths) if paths else call.arguments
    return repeat_key(key, call, canonical, arguments)
