"""Listing what wished servers have, or why they could not be asked."""

from __future__ import annotations

import sys

from proxy.config import Config
from proxy.init.listed import Tool, list_servers
from tests.proxy.init.builders import SCRIPT


async def test_servers_that_answer_give_their_tools_and_the_others_say_why() -> None:
    servers = {
        "echo": {"command": sys.executable, "args": [str(SCRIPT)]},
        "gone": {"command": "/no/such/program"},
        "ends": {"command": sys.executable, "args": ["-c", "pass"]},
    }
    listing = await list_servers(Config.model_validate({"servers": servers}), {})
    assert listing["echo"] == (Tool("echo", "echo"),)
    assert "/no/such/program" in str(listing["gone"])
    assert isinstance(listing["ends"], str)
    assert listing["ends"]
