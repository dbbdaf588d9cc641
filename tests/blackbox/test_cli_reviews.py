"""Deciding from the terminal, as a logged-in reviewer: processes, exit codes, what stands on the screen."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.blackbox.gate_process import House, call, parked, result, text, told
from tests.blackbox.servers.counting import Recorded, Wire, close_after_reading
from tests.blackbox.terminal import DONE, FINDINGS, UNREACHABLE, USAGE, Terminal, run

PASSWORD = "carla chooses a password"


@pytest.fixture(scope="module")
def carla(house: House, tmp_path_factory: pytest.TempPathFactory) -> Terminal:
    terminal = Terminal(house, tmp_path_factory.mktemp("carla"))
    link = asyncio.run(_link_for(house, "carla"))
    logged_in = terminal.run("login", "carla", stdin=f"{link}\n{PASSWORD}\n")
    assert logged_in.code == DONE, logged_in.err
    return terminal


async def _link_for(house: House, name: str) -> str:
    await house.reviewer.api("PUT", f"/accounts/{name}", {"roles": ["reviewer"]})
    return str((await house.reviewer.api("POST", f"/accounts/{name}/link", {}))["link"])


def test_a_login_is_kept_for_this_user_alone(carla: Terminal) -> None:
    (file,) = [one for one in carla.home.rglob("*") if one.is_file()]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert PASSWORD not in file.read_text(encoding="utf-8")


def test_login_by_password_and_with_a_wrong_one(carla: Terminal, tmp_path: Path) -> None:
    elsewhere = Terminal(carla.house, tmp_path)
    refused = elsewhere.run("login", "carla", stdin="\nnot her password\n")
    assert (refused.code, "wrong" in refused.err) == (FINDINGS, True)
    assert elsewhere.run("approvals", "list").code == FINDINGS
    assert elsewhere.run("login", "carla", stdin=f"\n{PASSWORD}\n").code == DONE
    assert elsewhere.run("approvals", "list").code == DONE


def test_who_is_not_logged_in_is_told_how(house: House, tmp_path: Path) -> None:
    ran = Terminal(house, tmp_path).run("approvals", "list")
    assert ran.code == FINDINGS
    assert "interlock login" in ran.err


def test_a_gate_that_is_not_there_is_exit_3(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
    ran = run(tmp_path, "approvals", "list", "--url", url)
    assert ran.code == UNREACHABLE
    assert url in ran.err


async def test_a_parked_call_is_listed_shown_and_approved_from_the_terminal(carla: Terminal) -> None:
    house = carla.house
    async with parked(house.url("shop"), "pay", amount=8_000) as wire:
        row = await house.reviewer.waiting("pay", amount=8_000)
        short = row["review"]["id"][-6:]
        listed = await asyncio.to_thread(carla.run, "approvals", "list")
        assert re.search(rf"^{short}  asks .*tester → shop/pay .*8000.*ask-to-pay", listed.out, re.MULTILINE)
        shown = await asyncio.to_thread(carla.run, "approvals", "show", short)
        assert "Payments need a person" in shown.out
        assert "8000" in shown.out
        approved = await asyncio.to_thread(carla.run, "approvals", "approve", short, "--comment", "as agreed")
        assert (approved.code, approved.err) == (DONE, "")
        assert approved.out.endswith(f"spendable: call {row['call']['id']}\n")
        assert "pay ran" in text(await wire.rest())
    (vote,) = (await house.reviewer.show(row))["votes"]
    assert (vote["reviewer"], vote["login"], vote["comment"]) == ("carla", "cli", "as agreed")
    assert house.dispatched("shop", "pay", amount=8_000) == 1
    again = await asyncio.to_thread(carla.run, "approvals", "approve", row["review"]["id"])
    assert again.code == FINDINGS
    assert house.dispatched("shop", "pay", amount=8_000) == 1


async def test_a_parked_call_is_rejected_from_the_terminal_with_a_reason(carla: Terminal) -> None:
    house = carla.house
    async with parked(house.url("shop"), "pay", amount=8_010) as wire:
        row = await house.reviewer.waiting("pay", amount=8_010)
        ran = await asyncio.to_thread(carla.run, "approvals", "reject", row["review"]["id"], "-m", "not this one")
        assert ran.code == DONE
        answered = await wire.rest()
    assert told(answered)["decision"] == "rejected"
    assert (await house.reviewer.show(row))["review"]["comment"] == "not this one"
    assert house.dispatched("shop", "pay", amount=8_010) == 0


async def test_the_terminal_gives_programs_json(carla: Terminal) -> None:
    house = carla.house
    await call(house.url("shop"), "pay", how={"client": "impatient"}, amount=8_020)
    row = await house.reviewer.waiting("pay", amount=8_020)
    listed = await asyncio.to_thread(carla.run, "approvals", "list", "--json")
    assert row["review"]["id"] in [one["review"]["id"] for one in json.loads(listed.out)["waiting"]]
    shown = await asyncio.to_thread(carla.run, "approvals", "show", row["call"]["id"], "--json")
    assert json.loads(shown.out)["call"]["proposed"]["arguments"] == {"amount": 8_020}
    await house.reviewer.act("reject", row, comment="only looked at")


async def test_what_an_agent_says_cannot_move_the_terminal(carla: Terminal) -> None:
    """Escapes, carriage returns and direction marks arrive as visible text (threats D13)."""
    house, hostile = carla.house, "ok\x1b[2K\x1b[1A\rapproved \u202edne\u202c\x07"
    arguments: dict[str, Any] = {"amount": 8_030, "note": hostile}
    async with parked(house.url("shop"), "pay", **arguments) as wire:
        row = await house.reviewer.waiting("pay", **arguments)
        for verb in (("list",), ("show", row["review"]["id"]), ("approve", row["review"]["id"])):
            ran = await asyncio.to_thread(carla.run, "approvals", *verb)
            assert ran.code == DONE
            assert not set(ran.out) & set("\x1b\r\x07\u202e\u202c"), verb
        await wire.rest()
    assert house.dispatched("shop", "pay", **arguments) == 1


async def test_what_waits_is_spoken_of_and_passed_on_from_the_terminal(carla: Terminal) -> None:
    house = carla.house
    await call(house.url("shop"), "pay", how={"client": "impatient"}, amount=8_040)
    row = await house.reviewer.waiting("pay", amount=8_040)
    short = row["review"]["id"][-6:]
    said = await asyncio.to_thread(carla.run, "approvals", "comment", short, "-m", "ask the shop first")
    assert (said.code, said.err) == (DONE, "")
    passed_on = await asyncio.to_thread(carla.run, "approvals", "escalate", short, "-m", "over my head")
    assert (passed_on.code, passed_on.err) == (DONE, "")
    shown = await asyncio.to_thread(carla.run, "approvals", "show", short)
    assert "carla said: ask the shop first" in shown.out
    assert (await house.reviewer.show(row))["review"]["escalated_to"] == passed_on.out.split()[0]
    await house.reviewer.act("reject", row, comment="only looked at")


async def test_a_held_output_is_let_go_and_erased_from_the_terminal(house: House, tmp_path: Path) -> None:
    await house.reviewer.api("PUT", "/accounts/sven", {"roles": ["security"]})
    link = (await house.reviewer.api("POST", "/accounts/sven/link", {}))["link"]
    sven, key = Terminal(house, tmp_path), "AKIA" + "Q3" * 8
    await asyncio.to_thread(sven.run, "login", "sven", stdin=f"{link}\n{PASSWORD}\n")

    async def leaks(request: Recorded, wire: Wire) -> None:
        await wire.json(result(request.message["id"], f"The customer: {key}."))

    async def held(said: str) -> str:
        house.tools.servers["shop"].then(leaks, method="tools/call")
        assert told(await call(house.url("shop"), "echo", text=said))["decision"] == "quarantined"
        return str((await house.reviewer.waiting("echo", text=said))["review"]["id"])

    redacted, whole, erased = [await held(f"from the terminal {number}") for number in range(3)]
    shown = await asyncio.to_thread(sven.run, "approvals", "show", redacted)
    assert "found aws_access_key at $.result.content[0].text" in shown.out
    for review, verb, more, state in (
        (redacted, "release", ("--redacted",), "released"),
        (whole, "release", ("--digest", "of another"), ""),
        (whole, "release", (), "released"),
        (whole, "destroy", (), ""),
        (erased, "destroy", (), "destroyed"),
    ):
        ran = await asyncio.to_thread(sven.run, "approvals", verb, review, "-m", "as I know it", *more)
        assert (ran.code, key in ran.out) == (DONE if state else FINDINGS, False), ran
        assert (
            ran.out.endswith(f"{state}: call {ran.out.split()[-1]}\n") if state else ran.err.startswith("interlock: ")
        )
    agent_gets = [
        text(await call(house.url("shop"), "echo", text=f"from the terminal {number}")) for number in range(2)
    ]
    assert agent_gets == ["The customer: [REDACTED].", f"The customer: {key}."]
    assert (await asyncio.to_thread(sven.run, "approvals", "release", whole)).code == USAGE  # no reason
    odd = ("approvals", "release", whole, "-m", "x", "--let-through", "EMAIL_ADDRESS")
    assert (await asyncio.to_thread(sven.run, *odd)).code == USAGE


async def test_p05_a_call_in_doubt_is_listed_and_resolved_from_the_terminal(carla: Terminal) -> None:
    house, said = carla.house, "doubted at the terminal"
    house.tools.servers["shop"].then(close_after_reading, method="tools/call")
    assert told(await call(house.url("shop"), "echo", text=said))["decision"] == "in_doubt"
    (doubt,) = await house.reviewer.in_doubt("echo", text=said)
    short = doubt["id"][-6:]
    listed = await asyncio.to_thread(carla.run, "approvals", "list")
    assert re.search(rf"^{short}  in doubt .*tester → shop/echo$", listed.out, re.MULTILINE)
    guessed = await asyncio.to_thread(carla.run, "approvals", "resolve", short, "--found", "maybe", "-m", "?")
    assert (guessed.code, "did_not_happen" in guessed.err) == (FINDINGS, True)
    how = ("--found", "did_not_happen", "-m", "the shop's own books")
    ran = await asyncio.to_thread(carla.run, "approvals", "resolve", short, *how)
    assert (ran.code, ran.out) == (DONE, f"resolved: call {doubt['id']}\n")
    assert await house.reviewer.in_doubt("echo", text=said) == []
