"""The demo's steps: what the agent does, what the reviewer does, and what must come of it.

Rules of this module:
* A step returns one plain sentence, or raises `Failed` with what came instead.
* What reached the tool is asked of the tool itself (`list_refunds`), never of the gate.
"""

from __future__ import annotations

import asyncio
import secrets
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from policies.model import JsonObject
from proxy.demo.agent import DemoAgent, Told, items
from proxy.reviewer_client import Refused, ReviewerClient

type Step = tuple[str, Callable[[], Awaitable[str]]]

ASK_AGAIN_SEC = 5
LOOK_AGAIN_SEC = 0.05
LOOKS_MAX = 200


class Failed(Exception):
    """A step did not come out as it must; the text says what came instead."""


@dataclass(slots=True)
class Scene:
    """Where everything is. `reviewer` logs in with the one-time link when it is first needed."""

    gate_url: str
    review_url: str
    link: str
    store: Path
    servers: list[str]
    client: ReviewerClient | None = field(default=None)

    @property
    def server_list(self) -> str:
        return ", ".join(self.servers)

    async def reviewer(self) -> ReviewerClient:
        if self.client is None:
            client = ReviewerClient(self.review_url)
            await asyncio.to_thread(client.use_link, self.link, f"demo {secrets.token_urlsafe(16)}")
            self.client = client
        return self.client


def must(holds: bool, instead: object) -> None:
    """Raises: Failed."""
    if not holds:
        raise Failed(f"got {instead!r}")


def show_steps(scene: Scene, agent: DemoAgent) -> list[Step]:
    """What is shown to a person before the call that waits for them."""
    return [
        ("Tools are listed through the gate", lambda: _list_tools(scene, agent)),
        *([("Allowed: looking at the clock", lambda: _time(agent))] if "time" in scene.servers else []),
        *([("Allowed: reading a git history", lambda: _git_log(agent))] if "git" in scene.servers else []),
        ("Allowed: a refund of 40", lambda: _small_refund(agent)),
        ("Denied: deleting a customer", lambda: _denied(agent)),
        ("Redacted: a customer's record", lambda: _redacted(agent)),
        ("Quarantined: a configuration with a key in it", lambda: _quarantined(agent)),
    ]


def auto_steps(scene: Scene, agent: DemoAgent) -> list[Step]:
    """Everything, with the reviewer played through the public API."""
    return [
        *show_steps(scene, agent),
        ("Approved: a refund of 250, parked until a person agreed", lambda: _approved(scene, agent)),
        ("Edited: a refund of 900, made 90 by the reviewer", lambda: _edited(scene, agent)),
        ("Rejected: a refund of 400", lambda: _rejected(scene, agent)),
        ("Gave up, approved, collected: a refund of 300", lambda: _collected(scene, agent)),
        ("Released: another tenant's invoices, after a person looked", lambda: _released(scene, agent)),
        ("Destroyed: the configuration with the key", lambda: _destroyed(scene)),
        ("The tool's own books show each refund once", lambda: _books(agent)),
        ("The record verifies offline", lambda: _verified(scene)),
    ]


async def wait_for_you(agent: DemoAgent) -> str:
    """The refund that waits for a person: held, then asked again, until somebody has decided."""
    while True:
        told = await agent.call("payments", "refund", customer_id="cus_anna", amount=250, reason="Lost parcel")
        if told.decision not in ("require_approval", "executing"):
            break
        print("  (the agent got its ticket, and asks again)", flush=True)
        await asyncio.sleep(ASK_AGAIN_SEC)
    if told.is_error:
        return f"\nThe agent was told: {told.text}"
    changed = told.meta.get("arguments_changed_by_reviewer")
    note = f" It was told that you changed: {', '.join(changed)}." if changed else ""
    return f"\nThe refund was made, once. The agent got: {told.text}{note}"


# -- the agent alone -------------------------------------------------------------------------------------------------


async def _list_tools(scene: Scene, agent: DemoAgent) -> str:
    listed = {server: await agent.tools(server) for server in scene.servers}
    must("refund" in listed["payments"], listed)
    return ", ".join(f"{server} has {len(tools)}" for server, tools in listed.items())


async def _time(agent: DemoAgent) -> str:
    told = await agent.call("time", "get_current_time", timezone="UTC")
    must(not told.is_error and "datetime" in told.text, told.text)
    return "the time server answered"


async def _git_log(agent: DemoAgent) -> str:
    told = await agent.call("git", "git_log", repo_path=".", max_count=3)
    must(not told.is_error and "Open on Sundays" in told.text, told.text)
    return "three commits"


async def _small_refund(agent: DemoAgent) -> str:
    told = await agent.call("payments", "refund", customer_id="cus_anna", amount=40, reason="Late parcel")
    must(not told.is_error, told.text)
    return "made at once"


async def _denied(agent: DemoAgent) -> str:
    told = await agent.call("payments", "delete_customer", customer_id="cus_anna")
    must(told.is_error and told.decision == "deny" and told.meta.get("executed") is False, told)
    return "not executed, and the agent was told so"


async def _redacted(agent: DemoAgent) -> str:
    told = await agent.call("payments", "get_customer", customer_id="cus_anna")
    everything = f"{told.text} {told.structured}"
    must(not told.is_error and "Anna Weber" in everything, told.text)
    leaked = [value for value in ("536-90-4399", "anna.weber@example.com", "Threatened") if value in everything]
    must(not leaked and told.meta.get("output_safety_decision") == "REDACT", leaked or told.meta)
    return f"{told.meta['original_fields_redacted']} places taken out, the name left"


async def _quarantined(agent: DemoAgent) -> str:
    told = await agent.call("payments", "get_api_config")
    must(told.decision == "quarantined" and "AKIA" not in f"{told.text} {told.structured}", told)
    return "held for a person; the agent got a placeholder"


# -- with the reviewer -----------------------------------------------------------------------------------------------


async def _refund_in_background(agent: DemoAgent, amount: int) -> asyncio.Future[Told]:
    return asyncio.ensure_future(
        agent.call("payments", "refund", customer_id="cus_bilal", amount=amount, reason="Damaged")
    )


async def _question(scene: Scene, matches: Callable[[JsonObject], bool]) -> tuple[ReviewerClient, JsonObject]:
    """The open question whose call matches, as the reviewer sees it: the queue, then the call's page."""
    client = await scene.reviewer()
    for _ in range(LOOKS_MAX):
        queue = await asyncio.to_thread(client.queue)
        for row in [*queue["waiting"], *queue["held"]]:
            if matches(row["call"]):
                return client, await asyncio.to_thread(client.show, row["review"]["id"])
        await asyncio.sleep(LOOK_AGAIN_SEC)
    raise Failed("the call never came to the inbox")


def _amount_is(amount: int) -> Callable[[JsonObject], bool]:
    return lambda call: call["tool"] == "refund" and call["proposed"]["arguments"]["amount"] == amount


async def _act(client: ReviewerClient, act: str, shown: JsonObject, **more: Any) -> None:
    try:
        await asyncio.to_thread(client.act, act, shown, **more)
    except Refused as refused:
        raise Failed(f"the console refused: {refused}") from refused


async def _approved(scene: Scene, agent: DemoAgent) -> str:
    pending = await _refund_in_background(agent, 250)
    client, shown = await _question(scene, _amount_is(250))
    must(not pending.done(), "an answer before anybody decided")
    await _act(client, "approve", shown, comment="Checked with the warehouse")
    told = await pending
    must(not told.is_error and "250" in told.text, told.text)
    return "sent only after the approval, on the agent's waiting connection"


async def _edited(scene: Scene, agent: DemoAgent) -> str:
    pending = await _refund_in_background(agent, 900)
    client, shown = await _question(scene, _amount_is(900))
    arguments = shown["call"]["proposed"]["arguments"] | {"amount": 90}
    await _act(client, "edit", shown, arguments=arguments, comment="Only the delivery fee")
    told = await pending
    must(not told.is_error and told.meta.get("arguments_changed_by_reviewer") == ["amount"], told)
    return "judged again, sent as edited, and the agent was told what changed"


async def _rejected(scene: Scene, agent: DemoAgent) -> str:
    pending = await _refund_in_background(agent, 400)
    client, shown = await _question(scene, _amount_is(400))
    await _act(client, "reject", shown, comment="No receipt")
    told = await pending
    must(told.is_error and told.decision == "rejected", told)
    return "never sent"


async def _collected(scene: Scene, agent: DemoAgent) -> str:
    told = await agent.call("payments", "refund", customer_id="cus_bilal", amount=300, reason="Damaged")
    must(told.decision == "require_approval" and "ticket" in told.meta, told)
    client, shown = await _question(scene, _amount_is(300))
    await _act(client, "approve", shown, comment="Fine")
    collected = await agent.call("payments", "interlock_collect", ticket=told.meta["ticket"])
    must(not collected.is_error and "300" in collected.text, collected.text)
    return "the agent's patience ended, it got a ticket, and collected with it after the approval"


async def _released(scene: Scene, agent: DemoAgent) -> str:
    held = await agent.call("payments", "list_invoices", tenant_id="north")
    must(held.decision == "quarantined", held)
    client, shown = await _question(scene, lambda call: call["tool"] == "list_invoices")
    await _act(client, "release", shown, comment="The other tenant is ours too")
    told = await agent.call("payments", "list_invoices", tenant_id="north")
    must(not told.is_error and told.meta.get("replayed") is True and "inv_1" in f"{told.text}{told.structured}", told)
    return "the same call returned it, without executing anything"


async def _destroyed(scene: Scene) -> str:
    client, shown = await _question(scene, lambda call: call["tool"] == "get_api_config")
    await _act(client, "destroy", shown, comment="A live key")
    return "nobody gets it"


async def _books(agent: DemoAgent) -> str:
    amounts = [refund["amount"] for refund in items(await agent.call("payments", "list_refunds"))]
    must(amounts == [40, 250, 90, 300], amounts)
    return "40, 250, 90, 300"


async def _verified(scene: Scene) -> str:
    """A process of its own with nothing but the standard library: `python -I audit/verify.py STORE`."""
    import audit.verify

    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-I", str(audit.verify.__file__), str(scene.store)],
        capture_output=True,
        text=True,
        check=False,
    )
    must(done.returncode == 0, done.stdout + done.stderr)
    return done.stdout.splitlines()[0].removeprefix(f"{scene.store}: ")
