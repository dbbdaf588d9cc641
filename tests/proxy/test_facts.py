"""The facts the gate makes, from all who make them."""

from __future__ import annotations

from policies.model import Json, ToolCall
from proxy.facts import GateFacts
from tests.proxy.builders import refund


def test_every_source_is_asked_and_what_they_say_is_joined() -> None:
    def counting(call: ToolCall) -> dict[str, Json]:
        return {"retry_count": len(call.tool)}

    assert GateFacts(counting, lambda call: {"autonomy_level": 1})(refund()) == {"retry_count": 6, "autonomy_level": 1}
    assert GateFacts()(refund()) == {}
