"""Tool servers: reached or not, and what of them differs from what people accepted."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from proxy.doctor.finding import Standing
from proxy.doctor.servers import servers
from proxy.store.base import PinnedTool
from proxy.upstreams.definitions import digest
from tests.proxy.doctor.builders import standings, subject
from tests.proxy.init.builders import SCRIPT

ECHO: dict[str, Any] = {"echo": {"command": sys.executable, "args": [str(SCRIPT)]}}
LISTED = {"name": "echo", "description": "echo", "inputSchema": {"type": "object"}}


def pin(tool: str, accepted: str) -> PinnedTool:
    return PinnedTool("echo", tool, accepted, {}, 0.0, accepted, "maria", 0.0)


async def test_a_server_that_answers_is_compared_with_what_people_accepted(tmp_path: Path) -> None:
    at = subject(tmp_path, servers=ECHO)
    (new,) = await servers(at, {"echo": []})
    assert (new.standing, new.details["tools"], "not seen it before" in new.says) == (Standing.OK, ["echo"], True)
    (same,) = await servers(at, {"echo": [pin("", ""), pin("echo", digest(LISTED)), pin("old", "x")]})
    assert (same.standing, same.details["gone"]) == (Standing.OK, ["old"])
    (changed,) = await servers(at, {"echo": [pin("", ""), pin("echo", "another")]})
    assert (changed.standing, changed.details["drifted"]) == (Standing.WARNING, ["echo"])


async def test_servers_that_cannot_be_asked_say_why_and_do_not_hide_the_others(tmp_path: Path) -> None:
    more = {
        "gone": {"command": "/no/such/program"},
        "secretive": {"command": "x", "env": {"KEY": {"env": "NO_SUCH_VARIABLE"}}},
    }
    found = {one.says.partition(":")[0]: one for one in await servers(subject(tmp_path, servers=ECHO | more), None)}
    assert found["echo"].standing is Standing.OK
    assert found["gone"].standing is found["secretive"].standing is Standing.UNREACHABLE
    assert "NO_SUCH_VARIABLE is not set here" in found["secretive"].says


async def test_a_command_is_started_by_the_gates_own_user_alone(tmp_path: Path) -> None:
    at = subject(tmp_path, servers=ECHO, user=4_711)
    at.data_dir.mkdir()
    (found,) = await servers(at, None)
    assert (found.standing, "sudo -u" in found.mend) == (Standing.UNREACHABLE, True)


async def test_a_gate_without_servers_is_pointed_at_init(tmp_path: Path) -> None:
    assert standings(await servers(subject(tmp_path), None)) == {Standing.WARNING}
