"""What `interlock init` writes, starts: an agent with the key it printed calls through it, and a person decides."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client

from tests.blackbox.gate_process import PASSWORD, Reviewer, environment, interlock
from tests.blackbox.terminal import DONE, run

READY_SEC_MAX = 120
SCRIPT = Path(__file__).parent / "servers" / "sdk_stdio.py"


@contextmanager
def served(home: Path) -> Iterator[list[str]]:
    """`interlock serve` as the last lines of `init` say, on free ports; what it said until it was ready."""
    process = subprocess.Popen(
        interlock("serve", "--config", "gate/interlock.yaml"),
        cwd=home,
        env=environment(home),
        text=True,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    said: list[str] = []
    ready = threading.Event()

    def read() -> None:
        assert process.stderr is not None
        for text in process.stderr:
            said.append(text)
            if "First login" in text:
                ready.set()
        ready.set()

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        assert ready.wait(READY_SEC_MAX), said
        yield said
    finally:
        process.terminate()
        process.wait(30)
        reader.join(5)
        assert process.stderr is not None
        process.stderr.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@pytest.mark.long
async def test_what_init_writes_starts_and_an_unmodified_client_works_through_it(tmp_path: Path) -> None:
    command = shlex.join([sys.executable, str(SCRIPT)])
    ports = ("--agents-port", str(free_port()), "--reviewers-port", str(free_port()))
    wished = ("--server", f"child={command}", "--read", "child/count", "--deny", "child/die")
    ran = await asyncio.to_thread(run, tmp_path, "init", "--yes", *wished, *ports, timeout_sec=120)
    assert ran.code == DONE, ran.err
    printed = json.loads(ran.out[ran.out.index('{\n  "mcpServers"') : ran.out.index("\n}\n") + 2])
    entry = printed["mcpServers"]["child"]
    checked = await asyncio.to_thread(run, tmp_path, "policy", "check", *policies(tmp_path))
    assert (checked.code, "cases: 6 of 6" in checked.out) == (DONE, True), checked.out
    with served(tmp_path) as said:
        reviewer = Reviewer()
        link = found(r"First login .*?: (\S+)", said)
        reviewer.client.url = found(r"Reviewers: (\S+)/", said)
        await asyncio.to_thread(reviewer.client.use_link, link.rsplit("/", 1)[1], PASSWORD)
        async with httpx2.AsyncClient(headers=entry["headers"], timeout=120) as http:
            async with Client(streamable_http_client(entry["url"], http_client=http)) as client:
                assert text(await client.call_tool("count", {"to": 2})) == "counted to 2"
                assert (await client.call_tool("die", {})).is_error
                asking = asyncio.ensure_future(client.call_tool("echo", {"text": "hello"}))
                row = await reviewer.waiting("echo", text="hello")
                assert row["call"]["agent"] == "my-agent"
                await reviewer.approve(row)
                assert text(await asking).startswith("hello from ")


def policies(home: Path) -> list[str]:
    return [str(file) for file in sorted((home / "gate" / "policies").iterdir())]


def found(pattern: str, said: list[str]) -> str:
    match = re.search(pattern, "".join(said))
    assert match is not None, said
    return match[1]


def text(result: Any) -> str:
    return str(result.content[0].text)
