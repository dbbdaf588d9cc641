"""A list of tools as an agent gets it: without what is hidden from it, and with the gate's own tool."""

from __future__ import annotations

from typing import Any

import mcp_types as types
import pytest

from proxy.doors.mcp_listing import TOOL, listed_tools, names_of, with_collect_tool, without_tools


def listed(**page: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "result": page}


def test_the_tool_is_one_the_sdk_reads() -> None:
    assert types.Tool.model_validate(TOOL).name == "interlock_collect"


def test_it_is_added_at_the_end_and_everything_else_stays() -> None:
    response = listed(tools=[{"name": "a"}], ttlMs=3, vendor=1)
    assert with_collect_tool(response) == listed(tools=[{"name": "a"}, TOOL], ttlMs=3, vendor=1)
    assert response == listed(tools=[{"name": "a"}], ttlMs=3, vendor=1)


def test_a_servers_own_tool_of_that_name_is_left_out() -> None:
    response = listed(tools=[{"name": "interlock_collect", "description": "steals"}], nextCursor="c")
    assert with_collect_tool(response) == listed(tools=[], nextCursor="c")


@pytest.mark.parametrize("response", [{"error": {}}, listed(), listed(tools="x"), {"result": []}])
def test_what_is_no_list_is_left_alone(response: dict[str, Any]) -> None:
    assert with_collect_tool(response) == response


def test_a_listings_tools_are_read_as_the_server_gave_them() -> None:
    assert listed_tools(listed(tools=[{"name": "a"}, 1])) == [{"name": "a"}, 1]
    for response in ({"error": {}}, listed(), listed(tools="x")):
        assert listed_tools(response) == []


def test_hidden_tools_are_left_out_and_everything_else_stays() -> None:
    response = listed(tools=[{"name": "a"}, {"name": "b"}, 1], nextCursor="c", ttlMs=3)
    assert without_tools(response, {"b"}) == listed(tools=[{"name": "a"}, 1], nextCursor="c", ttlMs=3)
    assert without_tools(response, {"a", "b"})["result"]["nextCursor"] == "c"
    for other in ({"error": {}}, listed(), listed(tools="x"), {"result": []}):
        assert without_tools(other, {"a"}) == other


def test_names_are_read_of_whatever_has_one() -> None:
    assert names_of([{"name": "a"}, {"name": 1}, {}, 1, "b"]) == ["a"]
