"""`interlock doctor` beside a gate that runs, and when none does: it sees what is there, and changes nothing."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.blackbox.gate_process import GateProcess, House
from tests.blackbox.terminal import DONE, FINDINGS, UNREACHABLE, USAGE, run


def findings(gate: GateProcess, code: int) -> dict[str, list[dict[str, Any]]]:
    ran = run(gate.base, "doctor", "--json", "--config", str(gate.config_file), timeout_sec=90)
    assert (ran.code, ran.err) == (code, ""), ran.out
    grouped: dict[str, list[dict[str, Any]]] = {}
    for one in json.loads(ran.out)["findings"]:
        grouped.setdefault(one["check"], []).append(one)
    return grouped


def standing(found: dict[str, list[dict[str, Any]]], check: str) -> set[str]:
    return {one["standing"] for one in found[check]}


@pytest.mark.long
def test_p12_beside_a_running_gate_everything_is_seen_and_the_listeners_are_apart(house: House) -> None:
    gate = house.gate
    gate.config_file.write_text(json.dumps(gate.config))  # with the ports that its first start took
    found = findings(gate, DONE)
    for check in ("ports", "listeners apart", "record", "migrations", "people", "inspectors", "file modes", "policy"):
        assert standing(found, check) <= {"ok", "warning"}, found[check]
    assert found["lock"][0]["details"]["process"] == gate.process_id
    assert all("the gate answers at" in one["says"] for one in found["ports"])
    assert found["listeners apart"][0]["says"] == "the agents' listener has nothing of the reviewers' side"
    assert {one["details"]["server"] for one in found["servers"]} == set(gate.config["servers"])


@pytest.mark.long
def test_when_the_gate_is_away_its_ports_are_free_or_somebody_elses_and_servers_that_are_away_are_named(
    tmp_path: Path,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as somebody, socket.create_server(("127.0.0.1", 0)) as other:
        port, gone = somebody.getsockname()[1], other.getsockname()[1]
        other.close()
        servers = {"shop": {"url": f"http://127.0.0.1:{gone}/mcp"}}
        policy = "rules: [{match: {tools: [shop/x]}, decision: allow}]"
        gate = GateProcess(tmp_path, policy, servers, reviewers_listener={"port": port}, agents_listener={"port": gone})
        gate.config["servers"]["shop"]["url"] = "http://127.0.0.1:9/mcp"
        gate.config_file.write_text(json.dumps(gate.config))
        before = sorted(path.name for path in tmp_path.rglob("*"))
        found = findings(gate, FINDINGS)
    assert [one["standing"] for one in found["ports"]] == ["ok", "problem"]
    assert standing(found, "servers") == {"unreachable"}
    assert sorted(path.name for path in tmp_path.rglob("*")) == before
    gate.config["reviewers_listener"] = {"port": 0}
    gate.config_file.write_text(json.dumps(gate.config))
    findings(gate, UNREACHABLE)
    gate.config_file.write_text("servers: 5")
    findings(gate, USAGE)
