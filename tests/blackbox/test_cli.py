"""The command line as its users run it: processes, exit codes, what stands on the screen."""

from __future__ import annotations

import hashlib
import json
import re
import signal
import socket
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from audit.verify import verify_file
from proxy.config_file import FILE_NAME
from tests.blackbox.gate_process import DidNotStart, GateProcess, House
from tests.blackbox.terminal import DONE, FINDINGS, USAGE, run
from tests.faults.forked_gate import Launcher, WarmGate

GOOD = """version: v1
name: good
rules:
  - {id: one, match: {tools: [shop/echo]}, decision: allow}
"""
BAD = """version: v1
name: bad
rules:
  - id: one
    match: {toolz: [shop/echo]}
    decision: allow
"""

# ---- without a gate ------------------------------------------------------------------------------------------------


def test_help_names_the_verbs_at_once(tmp_path: Path) -> None:
    took = []
    for _ in range(2):
        began = time.monotonic()
        ran = run(tmp_path, "--help")
        took.append(time.monotonic() - began)
        assert ran.code == DONE
    for verb in ("serve", "init", "doctor", "demo", "login", "policy", "audit", "approvals", "agents"):
        assert verb in ran.out
    assert min(took) < 1.5  # 0.15 s is the aim; machines that others share are slower


def test_version_says_which_one_this_is(tmp_path: Path) -> None:
    ran = run(tmp_path, "--version")
    assert ran.code == DONE
    assert re.fullmatch(r"interlock \d+\.\d+\.\d+\n", ran.out)
    assert list(tmp_path.iterdir()) == []


def test_wrong_usage_is_exit_2(tmp_path: Path) -> None:
    for arguments in (("nothing",), ("approvals", "reject", "X")):
        assert run(tmp_path, *arguments).code == USAGE, arguments


def test_policy_check_says_what_is_wrong_where_and_how_to_mend_it(tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text(GOOD, encoding="utf-8")
    (tmp_path / "bad.yaml").write_text(BAD, encoding="utf-8")
    good = run(tmp_path, "policy", "check", "good.yaml")
    assert (good.code, good.err) == (DONE, "")
    assert "v1:" in good.out
    bad = run(tmp_path, "policy", "check", "good.yaml", "bad.yaml")
    assert bad.code == FINDINGS
    assert re.search(r"^bad\.yaml:5:\d+: .*toolz.*tools", bad.out, re.MULTILINE)
    absent = run(tmp_path, "policy", "check", "absent.yaml")
    assert absent.code == FINDINGS
    assert "absent.yaml" in absent.out


def test_agents_add_prints_a_key_once_and_its_hash_for_the_configuration(tmp_path: Path) -> None:
    ran = run(tmp_path, "agents", "add", "billing-bot", "--group", "finance", "--group", "night")
    assert ran.code == DONE
    (key,) = set(re.findall(r"ilk_[A-Za-z0-9_-]{32,}", ran.out))
    digest = hashlib.sha256(key.encode()).hexdigest()
    assert f"billing-bot: {{key_sha256: {digest}, groups: [finance, night]}}" in ran.out
    assert list(tmp_path.iterdir()) == []


# ---- serve that cannot -----------------------------------------------------------------------------------------------


def serve_refused(gate: GateProcess) -> str:
    """What it says, which must be one sentence without a traceback, and exit 2."""
    with pytest.raises(DidNotStart) as refused:
        gate.start()
    assert refused.value.code == USAGE, refused.value
    assert "Traceback" not in refused.value.said
    (sentence,) = [line for line in refused.value.said.splitlines() if line.startswith("interlock: ")]
    return sentence


SERVERS = {"shop": {"url": "http://127.0.0.1:9/mcp"}}


def test_serve_refuses_a_broken_policy_and_says_where(tmp_path: Path) -> None:
    gate = GateProcess(tmp_path, BAD, SERVERS)
    assert re.search(r"test\.yaml:5:\d+: .*toolz", serve_refused(gate))
    assert not gate.store.exists()


def test_serve_refuses_a_port_that_somebody_has_and_names_it(launcher: Launcher, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as somebody:
        port = somebody.getsockname()[1]
        gate = WarmGate(launcher, tmp_path, GOOD, SERVERS, reviewers_listener={"port": port})
        said = serve_refused(gate)
    assert f"reviewers_listener: cannot listen on 127.0.0.1:{port}: Address already in use" in said
    assert "give reviewers_listener.port another" in said


def test_a_gate_whose_log_nobody_reads_any_more_stops_in_good_order_when_it_is_told_to(
    launcher: Launcher, tmp_path: Path
) -> None:
    gate = WarmGate(launcher, tmp_path, GOOD, SERVERS)
    gate.config_file.write_text(json.dumps(gate.config), encoding="utf-8")
    serving = gate.begun()
    for line in serving.stderr:
        if line.startswith("First login"):
            break
    serving.stderr.close()
    serving.send_signal(signal.SIGTERM)
    try:
        assert serving.wait(30) == DONE
    finally:
        serving.kill()
    assert verify_file(gate.store).entries > 0


def test_serve_refuses_kinds_that_no_detector_knows(tmp_path: Path) -> None:
    gate = GateProcess(tmp_path, GOOD, SERVERS, inspection={"entities": ["US_SNN"]})
    assert re.search(r"inspection\.entities: .*US_SNN", serve_refused(gate))


def test_serve_refuses_files_that_are_no_certificate_and_names_them(launcher: Launcher, tmp_path: Path) -> None:
    for name in ("cert.pem", "key.pem"):
        (tmp_path / name).write_text("nothing")
    tls = {"cert": "cert.pem", "key": "key.pem"}
    gate = WarmGate(launcher, tmp_path, GOOD, SERVERS, reviewers_listener={"port": 0, "tls": tls})
    assert re.search(r"reviewers_listener\.tls: .*cert\.pem and .*key\.pem", serve_refused(gate))


def test_serve_refuses_keys_that_others_can_read_and_says_how_to_mend_it(launcher: Launcher, tmp_path: Path) -> None:
    gate = WarmGate(launcher, tmp_path, GOOD, SERVERS)
    (tmp_path / "keys").mkdir(mode=0o755)
    (tmp_path / "keys").chmod(0o755)
    assert "chmod 700" in serve_refused(gate)


@pytest.mark.long
def test_serve_refuses_a_second_gate_on_the_same_record(house: House, tmp_path: Path) -> None:
    gate = GateProcess(
        tmp_path, GOOD, SERVERS, data_dir=str(house.gate.store.parent), keys_dir=str(house.gate.base / "keys")
    )
    assert "another" in serve_refused(gate)


@pytest.mark.long
def test_serve_without_a_configuration_says_where_it_looked(tmp_path: Path) -> None:
    ran = run(tmp_path, "serve")
    assert ran.code == USAGE
    assert FILE_NAME in ran.err


# ---- the record ------------------------------------------------------------------------------------------------------


@pytest.fixture
def copied(house: House, tmp_path: Path) -> Path:
    """A copy of the record as it stands, taken while the gate writes on."""
    copy = tmp_path / "copy.db"
    with closing(sqlite3.connect(f"file:{house.gate.store}?mode=ro", uri=True)) as live:
        with closing(sqlite3.connect(copy)) as target:
            live.backup(target)
    return copy


def test_p13_audit_verify_passes_a_living_record(house: House, tmp_path: Path) -> None:
    ran = run(tmp_path, "audit", "verify", "--config", str(house.gate.config_file))
    assert (ran.code, ran.err) == (DONE, "")
    assert f"{house.gate.store}: unbroken" in ran.out


@pytest.mark.parametrize(
    "tamper",
    [
        "UPDATE entries SET data = CAST(replace(CAST(data AS TEXT), '\"gate\"', '\"gaat\"') AS BLOB) WHERE seq = 2",
        "DELETE FROM entries WHERE seq = 3",
        "UPDATE entries SET hash = zeroblob(32) WHERE seq = 4",
        "DELETE FROM entries WHERE seq = (SELECT max(seq) FROM entries)",
    ],
    ids=["an entry rewritten", "an entry taken out", "a hash changed", "the last entry cut off"],
)
def test_p13_audit_verify_finds_what_was_tampered_with(copied: Path, tmp_path: Path, tamper: str) -> None:
    with closing(sqlite3.connect(copied)) as store:
        store.execute(tamper)
        store.commit()
    ran = run(tmp_path, "audit", "verify", str(copied))
    assert ran.code == FINDINGS
    assert "BROKEN at entry" in ran.out


def test_audit_verify_of_nothing_is_exit_2(tmp_path: Path) -> None:
    ran = run(tmp_path, "audit", "verify", "absent.db")
    assert (ran.code, "absent.db" in ran.err) == (USAGE, True)
