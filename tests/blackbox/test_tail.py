"""`interlock tail` as a process beside a gate: live, over a restart, ended by Ctrl-C and by a reader that leaves."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, Queue

import pytest

from proxy.reviewer_cli import sessions_file
from proxy.reviewer_client import save_session
from tests.blackbox.gate_process import GateProcess, House, ToolHouse, call, environment, interlock, tool
from tests.blackbox.terminal import DONE, FINDINGS, UNREACHABLE, USAGE, run

LINE_SEC_MAX = 30


@contextmanager
def watching(gate: GateProcess, home: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], Queue[str]]]:
    """A running `tail`, and its lines as they come."""
    log_in(gate, home)
    command = interlock("tail", "--url", gate.reviewers_url, *arguments)
    process = subprocess.Popen(
        command,
        env=environment(home),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=home,
        preexec_fn=lambda: signal.signal(
            signal.SIGINT, signal.default_int_handler
        ),  # a shell in the background ignores it
    )
    lines: Queue[str] = Queue()

    def read() -> None:
        assert process.stdout is not None
        for text in process.stdout:
            lines.put(text)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        yield process, lines
    finally:
        process.kill()
        process.wait()
        reader.join(5)
        assert process.stdout is not None
        process.stdout.close()


def log_in(gate: GateProcess, home: Path) -> None:
    file = home / ".config" / "interlock" / sessions_file().name
    save_session(file, gate.reviewers_url, gate.reviewer.client.token)


def until(lines: Queue[str], *parts: str) -> str:
    """The next line with all of these in it."""
    while True:
        text = lines.get(timeout=LINE_SEC_MAX)
        if all(part in text for part in parts):
            return text


async def test_calls_are_seen_as_they_happen_filtered_and_inert(house: House, tmp_path: Path) -> None:
    arguments = ("--server", "shop", "--decision", "allow", "--decision", "deny")
    with watching(house.gate, tmp_path, "--last", "0", *arguments) as (process, lines):
        await asyncio.to_thread(until_connected, house, lines)
        await call(house.url("shop"), "echo", text="seen by tail")
        decided = await asyncio.to_thread(until, lines, "allowed", "tester → shop/echo")
        answered = await asyncio.to_thread(until, lines, "answered", "tester → shop/echo")
        assert "seen by tail" not in decided + answered
        assert "\x1b" not in decided
        await call(house.url("shop"), "delete_all")
        await asyncio.to_thread(until, lines, "denied", "shop/delete_all", "never-delete")
        process.send_signal(signal.SIGINT)
        assert await asyncio.to_thread(process.wait, 10) == DONE


def until_connected(house: House, lines: Queue[str]) -> None:
    """Calls are made until one is seen: only then is the stream known to be open."""
    for _ in range(200):
        asyncio.run(call(house.url("shop"), "echo", text="a knock"))
        try:
            lines.get(timeout=0.25)
        except Empty:
            continue
        return
    raise AssertionError("tail never saw a call")


def test_what_was_is_printed_as_json_lines_and_it_ends(house: House, tmp_path: Path) -> None:
    log_in(house.gate, tmp_path)
    url = house.gate.reviewers_url
    ran = run(tmp_path, "tail", "--url", url, "--since", "1d", "--no-follow", "--json", "--noted")
    assert (ran.code, ran.err) == (DONE, "")
    numbers = [json.loads(text)["seq"] for text in ran.out.splitlines()]
    assert numbers == list(range(1, len(numbers) + 1))
    piped = subprocess.run(
        f"{' '.join(interlock('tail', '--url', url, '--since', '1d', '--no-follow'))} | head -1",
        shell=True,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (piped.returncode, piped.stderr, len(piped.stdout.splitlines())) == (DONE, "", 1)


def test_strangers_wrong_usage_and_no_gate_have_their_exit_codes(house: House, tmp_path: Path) -> None:
    assert run(tmp_path, "tail", "--url", house.gate.reviewers_url).code == FINDINGS
    assert run(tmp_path, "tail", "--url", "http://127.0.0.1:9").code == UNREACHABLE
    assert run(tmp_path, "tail", "--since", "soon").code == USAGE
    assert run(tmp_path, "tail", "--decision", "maybe").code == USAGE


@pytest.mark.long
def test_it_goes_on_when_the_gate_is_back_and_misses_nothing(tmp_path: Path) -> None:
    tools = ToolHouse()
    tools.add("shop", [tool("echo", text="string")])
    gate = GateProcess(tmp_path, "rules: [{match: {tools: [shop/echo]}, decision: allow}]", tools.config())
    try:
        gate.start()
        with watching(gate, tmp_path / "home", "--last", "100") as (_, lines):
            until(lines, "gate started")
            gate.kill()
            gate.start()
            until(lines, "gate started")
            asyncio.run(call(gate.url("shop"), "echo", text="after"))
            until(lines, "allowed", "shop/echo")
            gate.stop()
    finally:
        gate.stop()
        tools.close()
