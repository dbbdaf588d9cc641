"""The demo's tool server, as an unmodified MCP client sees it."""

from __future__ import annotations

from typing import Any

import pytest
from mcp.client import Client

from proxy.demo.payments import CUSTOMERS, NO_KEY_AT_ALL, Company, application, build


async def call(company: Company, tool: str, **arguments: Any) -> Any:
    """What the tool's structured result is; a list comes under `result`."""
    async with Client(build(company)) as client:
        result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    return result.structured_content


async def test_it_lists_its_tools_with_schemas() -> None:
    async with Client(build(Company())) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    assert set(tools) == {
        "list_customers",
        "get_customer",
        "refund",
        "list_refunds",
        "list_invoices",
        "delete_customer",
        "get_api_config",
    }
    assert tools["refund"].input_schema["required"] == ["customer_id", "amount", "reason"]
    assert tools["refund"].input_schema["properties"]["amount"]["type"] == "number"
    assert all(tool.description and tool.output_schema for tool in tools.values())


async def test_what_an_output_rule_takes_away_is_not_required_by_the_output_schema() -> None:
    async with Client(build(Company())) as client:
        [tool] = [tool for tool in (await client.list_tools()).tools if tool.name == "get_customer"]
    assert tool.output_schema is not None
    assert "internal_notes" not in tool.output_schema["required"]


async def test_a_refund_is_made_once_for_each_call_and_can_be_counted() -> None:
    company = Company()
    first = await call(company, "refund", customer_id="cus_anna", amount=50, reason="Damaged parcel")
    await call(company, "refund", customer_id="cus_anna", amount=50, reason="Damaged parcel")
    assert first == {"refund_id": "ref_1", "customer_id": "cus_anna", "amount": 50, "reason": "Damaged parcel"}
    assert [row["refund_id"] for row in (await call(company, "list_refunds"))["result"]] == ["ref_1", "ref_2"]


async def test_a_customer_is_shown_with_what_should_not_leave_the_house() -> None:
    shown = await call(Company(), "get_customer", customer_id="cus_anna")
    assert shown == CUSTOMERS[0]
    assert {"ssn", "internal_notes", "email"} <= set(shown)


async def test_a_deleted_customer_is_gone_but_only_from_this_company() -> None:
    company = Company()
    assert (await call(company, "delete_customer", customer_id="cus_chen"))["name"] == "Chen Li"
    assert len((await call(company, "list_customers"))["result"]) == len(CUSTOMERS) - 1
    assert len((await call(Company(), "list_customers"))["result"]) == len(CUSTOMERS)


@pytest.mark.parametrize("tool", ["get_customer", "delete_customer", "refund"])
async def test_an_unknown_customer_is_a_tool_error(tool: str) -> None:
    company = Company()
    async with Client(build(company)) as client:
        result = await client.call_tool(tool, {"customer_id": "cus_nobody", "amount": 1, "reason": "x"})
    assert result.is_error
    assert company.refunds == []


async def test_its_careless_tools_return_what_the_gate_is_to_catch() -> None:
    rows = (await call(Company(), "list_invoices", tenant_id="north"))["result"]
    assert {row["tenant_id"] for row in rows} == {"north", "south"}
    assert (await call(Company(), "get_api_config"))["access_key_id"] == NO_KEY_AT_ALL


def test_it_is_served_at_mcp() -> None:
    assert [route.path for route in application().routes if hasattr(route, "path")] == ["/mcp"]
