"""The agents' side and the reviewers' side are apart, and nobody comes in who has not said who they are (P11, P12)."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from proxy.reviewer_client import Refused, ReviewerClient, Unreachable
from tests.blackbox.gate_process import (
    AGENT_KEYS,
    DidNotStart,
    GateProcess,
    House,
    call,
    call_bytes,
    parked,
    text,
    told,
)
from tests.blackbox.raw_client import json_lines, send
from tests.faults.forked_gate import Launcher, WarmGate

REVIEWERS_PATHS = (
    "/",
    "/login",
    "/api/v1/login",
    "/api/v1/approvals",
    "/api/v1/me",
    "/api/v1/tools",
    "/api/v1/accounts",
    "/events",
    "/readyz",
    "/mcp/../api/v1/approvals",
    "/mcp/shop/../../api/v1/approvals",
    "/mcp/%2e%2e/api/v1/approvals",
    "/MCP/shop",
    "/mcp/",
    "/mcp",
)


@pytest.mark.parametrize("verb", ["GET", "POST", "PUT", "DELETE"])
@pytest.mark.parametrize("path", REVIEWERS_PATHS)
async def test_p12_what_is_for_reviewers_is_not_found_on_the_agents_side(house: House, path: str, verb: str) -> None:
    lines = [*json_lines(), ("Authorization", f"Bearer {house.reviewer.client.token}")]
    answered = await send(house.gate.agents_url + path, b"{}" if verb != "GET" else b"", lines, verb=verb)
    assert answered.status == 404
    assert b"approvals" not in answered.body


async def test_p12_agents_do_not_call_tools_on_the_reviewers_side(house: House) -> None:
    body, lines = call_bytes("echo", {"text": "at the wrong door"})
    answered = await send(f"{house.gate.reviewers_url}/mcp/shop", body, lines)
    assert answered.status in (403, 404, 405)
    assert house.dispatched("shop", "echo", text="at the wrong door") == 0


async def test_p12_an_agents_key_opens_nothing_on_the_reviewers_side(house: House) -> None:
    client = ReviewerClient(house.gate.reviewers_url, AGENT_KEYS["anna"])
    with pytest.raises(Refused) as refused:
        client.queue()
    assert refused.value.code == "not_logged_in"


async def test_p12_a_reviewers_token_is_no_agents_key(house: House) -> None:
    answered = await call(
        house.url("shop"), "echo", how={"Authorization": f"Bearer {house.reviewer.client.token}"}, text="x"
    )
    assert answered.status == 401


async def test_p12_a_host_that_is_not_ours_is_refused_on_both_sides(house: House) -> None:
    """DNS rebinding: a page in somebody's browser that reaches loopback under a name of its own."""
    for url, path in ((house.gate.agents_url, "/mcp/shop"), (house.gate.reviewers_url, "/login")):
        parts = urlsplit(url)
        wire = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=10)
        try:
            wire.request("GET", path, headers={"Host": "attacker.example", "Accept": "text/event-stream"})
            assert wire.getresponse().status in (400, 403, 404, 421)
        finally:
            wire.close()


async def test_p12_a_page_of_another_site_cannot_call_tools(house: House) -> None:
    body, lines = call_bytes("echo", {"text": "from a page"})
    answered = await send(house.url("shop"), body, [*lines, ("Origin", "https://attacker.example")])
    assert answered.status == 403
    assert house.dispatched("shop", "echo", text="from a page") == 0


@pytest.mark.parametrize(
    "header", ["X_Forwarded_For", "X_Forwarded_Proto", "X_Forwarded_Anything", "Forwarded", "Via", "X_Real_IP"]
)
async def test_p12_who_is_anonymous_is_refused_when_forwarded(house: House, header: str) -> None:
    answered = await call(house.url("shop"), "echo", how={header: "203.0.113.9"}, text=f"through {header}")
    assert answered.status == 401
    assert house.dispatched("shop", "echo", text=f"through {header}") == 0


@pytest.mark.parametrize(
    "credentials",
    ["Bearer ilk_wrong", "Bearer ", "Basic YTpi", "bearer nothing", f"Bearer {AGENT_KEYS['anna']}x", "ilk_anna"],
)
async def test_a_wrong_key_is_refused_though_anonymous_agents_are_let_in(house: House, credentials: str) -> None:
    answered = await call(house.url("shop"), "echo", how={"Authorization": credentials}, text="with a wrong key")
    assert answered.status == 401
    assert house.dispatched("shop", "echo", text="with a wrong key") == 0


async def test_an_unknown_server_is_not_found(house: House) -> None:
    for name in ("nobody", "shop/x", "shop%2fx", "SHOP"):
        assert (await call(house.url(name), "echo", text="x")).status == 404


async def test_an_agent_is_who_its_key_says_and_another_cannot_collect_for_it(house: House) -> None:
    anna, bert = ({"Authorization": f"Bearer {AGENT_KEYS[name]}", "client": "impatient"} for name in ("anna", "bert"))
    ticket = told(await call(house.url("shop"), "pay", how=anna, amount=5_000))["ticket"]
    row = await house.reviewer.waiting("pay", amount=5_000)
    assert row["call"]["agent"] == "anna"
    await house.reviewer.approve(row)
    stolen = await call(house.url("shop"), "interlock_collect", how=bert, ticket=ticket)
    assert "not one of yours" in text(stolen)
    same = await call(
        house.url("shop"), "pay", how=bert, amount=5_000
    )  # the same call of another agent: its own question
    assert told(same)["decision"] == "require_approval"
    assert house.dispatched("shop", "pay", amount=5_000) == 0
    assert "pay ran" in text(await call(house.url("shop"), "interlock_collect", how=anna, ticket=ticket))
    assert house.dispatched("shop", "pay", amount=5_000) == 1
    for other in await house.reviewer.questions("pay", amount=5_000):
        await house.reviewer.act("reject", other, comment="not twice")


async def test_p11_what_a_reviewer_did_is_in_the_record_with_how_they_logged_in_and_what_they_were_shown(
    house: House,
) -> None:
    async with parked(house.url("shop"), "pay", amount=5_010) as wire:
        row = await house.reviewer.waiting("pay", amount=5_010)
        await house.reviewer.act("approve", row, comment="seen it", looked_ms=4_321)
        await wire.rest()
    shown = await house.reviewer.show(row)
    (vote,) = shown["votes"]
    assert vote | {"at": 0, "n": 0} == {
        "review_id": row["review"]["id"],
        "reviewer": "admin",
        "verdict": "approve",
        "at": 0,
        "n": 0,
        "comment": "seen it",
        "shown_digest": shown["shown"],
        "looked_ms": 4_321,
        "login": "cli",
        "team": "",
    }
    kinds = [entry["kind"] for entry in shown["entries"]]
    assert kinds.index("review_voted") < kinds.index("review_settled") < kinds.index("grant_spent")


async def test_p11_an_approval_is_for_what_was_shown_and_nothing_else(house: House) -> None:
    async with parked(house.url("shop"), "pay", amount=5_020):
        row = await house.reviewer.waiting("pay", amount=5_020)
        shown = await house.reviewer.show(row)
        for wrong in ({"shown": "0" * 64}, {"version": shown["review"]["version"] + 1}):
            body = {"version": shown["review"]["version"], "shown": shown["shown"]} | wrong
            with pytest.raises(Refused):
                await house.reviewer.api("POST", f"/approvals/{row['review']['id']}/approve", body)
        await house.reviewer.act("reject", row, comment="no")
    assert house.dispatched("shop", "pay", amount=5_020) == 0


@pytest.fixture
def behind_proxies(launcher: Launcher, tmp_path: Path) -> Iterator[GateProcess]:
    """Both listeners behind a TLS proxy that is somewhere else."""
    behind = {"port": 0, "trusted_proxies": ["10.9.9.9"]}
    servers = {"shop": {"url": "http://127.0.0.1:9/mcp"}}
    policy = "version: v1\nname: all\nrules:\n  - {id: all, match: {servers: [shop]}, decision: deny, reason: All}\n"
    gate = WarmGate(launcher, tmp_path, policy, servers, agents_listener=behind, reviewers_listener=dict(behind))
    try:
        with pytest.raises(Unreachable, match="403"):  # nobody from here can use the first login link either
            gate.start()
        yield gate
    finally:
        gate.stop()


async def test_p12_behind_proxies_neither_listener_answers_who_comes_round_them(behind_proxies: GateProcess) -> None:
    body, lines = call_bytes("echo", {"text": "round the proxy"})
    assert (await send(behind_proxies.url("shop"), body, lines)).status == 401
    assert (await send(f"{behind_proxies.reviewers_url}/login", b"", json_lines(), verb="GET")).status == 403


# ---- what is refused at start --------------------------------------------------------------------------------------


@pytest.fixture
def two_ports() -> list[int]:
    """Ports that were free a moment ago."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@pytest.mark.parametrize(
    ("host", "which"),
    [("127.0.0.1", 0), pytest.param("localhost", 1, marks=pytest.mark.long)],
    ids=["the agents' port", "the reviewers' port"],
)
def test_p12_the_gates_own_ports_are_refused_as_an_upstream_at_start(
    launcher: Launcher, tmp_path: Path, two_ports: list[int], host: str, which: int
) -> None:
    servers: dict[str, Any] = {"self": {"url": f"http://{host}:{two_ports[which]}/mcp/self"}}
    listeners = {
        name: {"port": port} for name, port in zip(("agents_listener", "reviewers_listener"), two_ports, strict=True)
    }
    gate = WarmGate(launcher, tmp_path, "version: v1\nname: none\nrules: []\n", servers, **listeners)
    with pytest.raises(DidNotStart) as refused:
        gate.start()
    assert refused.value.code == 2
    assert "servers.self.url" in refused.value.said
    assert "Traceback" not in refused.value.said
    assert not gate.store.exists()
