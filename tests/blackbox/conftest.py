"""The house that tests over real processes share: one gate, several counting tool servers, one reviewer.

Rules of this module:
* Started when the first test asks for it, ended with the run. Tests use arguments of their own and leave nothing held.
* Tests that kill, stop or reconfigure a gate start one of their own (`gate_process.GateProcess`).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from tests.blackbox.gate_process import AGENT_KEYS, SCRAPER_TOKEN, GateProcess, House, ToolHouse, tool

POLICY = """
version: v1
name: whole-way
classify:
  - {tools: ["*/look_up"], topics: [job.read], risk_tags: [read], reversible: true}
rules:
  - id: never-delete
    match: {tools: ["*/delete_all"]}
    decision: deny
    reason: Nothing is deleted here
    agent_message: Deleting is for people.
  - id: ask-to-pay
    match: {tools: ["*/pay"]}
    decision: require_approval
    reason: Payments need a person
    approval: {timeout_sec: 600}
  - id: the-rest
    match:
      tools:
        - shop/**
        - stream/**
        - fragile/**
        - sessions/**
        - slow/**
        - told/**
        - lists/**
        - forgets/**
        - child/echo
        - child/stay_silent  # which it does not list, as the next
        - hasty/stay_silent
    decision: allow
    reason: What these tests call
output:
  - id: no-keys-leave
    match: {servers: ["*"]}
    detect: {aws_access_key: quarantine}
"""
TOOLS = [
    tool("echo", text="string"),
    tool("pay", amount="number"),
    tool("look_up", name="string"),
    tool("delete_all"),
]
STDIO_TOOL = Path(__file__).parent / "servers" / "stdio_tool.py"


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A gate before counting servers that are reached over HTTP, and one child on stdio."""
    base = tmp_path_factory.mktemp("whole-way")
    tools = ToolHouse()
    for name in ("shop", "fragile", "slow", "told", "lists"):
        tools.add(name, TOOLS)
    tools.add("stream", TOOLS, as_events=True)
    tools.add("sessions", TOOLS, sessions=True)
    tools.add("forgets", TOOLS, sessions=True)
    servers = tools.config()
    servers["slow"]["timeout_sec"] = 0.5
    child = {"command": sys.executable, "args": [str(STDIO_TOOL)]}
    servers |= {"child": child, "hasty": child | {"timeout_sec": 0.5}}
    parking = {"hold_sec": 30, "keepalive_sec": 0.1, "progress_sec": 0.1, "clients": {"impatient": 0.1}}
    parking["open_reviews_per_agent_max"] = 1_000  # held outputs count too
    agents = {name: {"key_sha256": sha256(key.encode()).hexdigest()} for name, key in AGENT_KEYS.items()}
    gate = GateProcess(base, POLICY, servers, parking=parking, agents=agents, metrics={"token": SCRAPER_TOKEN})
    try:
        gate.start()
        yield House(gate, tools)
    finally:
        gate.stop()
        tools.close()
