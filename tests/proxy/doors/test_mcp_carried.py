"""What a tool asks inside a result or a notification is judged as if it had asked by itself."""

from __future__ import annotations

from typing import Any

import pytest

from policies.model import ToolCall
from proxy.doors.mcp_carried import UNREADABLE, forbidden
from tests.proxy.doors.door_world import (
    DoorWorld,
    Stream,
    an_agent,
    answers,
    modern,
    modern_headers,
    notification,
    request,
    streams,
)

CALL = ToolCall("payments", "allow", {}, an_agent())
ALLOWED = {"method": "sampling/createMessage", "params": {"messages": []}}
DENIED = {"method": "elicitation/create", "params": {"message": "your password?"}}


@pytest.mark.parametrize(
    ("carrier", "why"),
    [
        ({"inputRequests": {"a": ALLOWED}}, None),
        ({"inputRequests": None}, None),
        ({"content": []}, None),
        ("inputRequests", None),
        (None, None),
        ({"inputRequests": {"a": ALLOWED, "b": DENIED}}, "policy does not let the tool ask for elicitation/create"),
        ({"inputRequests": [DENIED]}, UNREADABLE),
        ({"inputRequests": {"a": {"params": {}}}}, UNREADABLE),
        ({"inputRequests": {"a": ALLOWED | {"params": 3}}}, UNREADABLE),
        ({"InputRequests": {"a": DENIED}}, UNREADABLE),
        ({"inputRequest\u017f": {"a": DENIED}}, UNREADABLE),
    ],
)
async def test_every_request_that_is_carried_is_judged(world: DoorWorld, carrier: Any, why: str | None) -> None:
    assert await forbidden(world.runner, CALL, carrier) == why


@pytest.mark.parametrize(("asked", "passes"), [(ALLOWED, True), (DENIED, False)])
async def test_a_notification_that_asks_what_policy_denies_is_withheld(
    world: DoorWorld, asked: dict[str, Any], passes: bool
) -> None:
    stream = Stream()
    world.server.then("subscriptions/listen", streams(stream))
    message = modern(request("subscriptions/listen", 4))
    answered = world.agent.start(message, headers=modern_headers(message))
    told = notification("notifications/tasks", taskId="t", status="input_required", inputRequests={"a": asked})
    last = notification("notifications/tools/list_changed")
    stream.say(told).say(last)
    await answered.until(lambda one: last in one.messages)
    assert (told in answered.messages) is passes
    answered.leave()
    await answered.done()


async def test_a_list_that_asks_what_policy_denies_is_withheld(world: DoorWorld) -> None:
    said = {"resultType": "input_required", "inputRequests": {"a": DENIED}}
    world.server.then("tools/list", answers({"jsonrpc": "2.0", "id": 1, "result": said}))
    answered = await world.agent.modern(request("tools/list"))
    assert answered.json["error"]["code"] == -32010
    assert b"password" not in answered.body
