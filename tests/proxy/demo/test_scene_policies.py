"""The demo's policies: what they decide, and what they let come back."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from mcp.client import Client

from policies.decide import decide
from policies.model import Agent, Do, Effect, FieldRule, JsonObject, SameRule, ToolCall, ToolDefinition
from policies.output import rules_for
from policies.schema import load_snapshot
from policies.snapshot import PolicySnapshot
from proxy.demo.payments import Company, build
from proxy.demo.scene import AGENT, APPROVERS, POLICIES
from redaction.detectors.base import DetectorSettings
from redaction.embedded import NotJson
from redaction.inspection import inspect
from redaction.model import Inspection, Outcome, Surface
from redaction.scan import Detectors

AT = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def snapshot() -> PolicySnapshot:
    return load_snapshot({file.name: file.read_text(encoding="utf-8") for file in POLICIES.glob("*.yaml")})


@pytest.fixture
async def definitions() -> dict[str, ToolDefinition]:
    async with Client(build(Company())) as client:
        tools = (await client.list_tools()).tools
    return {tool.name: ToolDefinition(tool.name, "d", tool.input_schema, tool.output_schema) for tool in tools}


def payments(tool: str, definitions: dict[str, ToolDefinition], **arguments: Any) -> ToolCall:
    return ToolCall("payments", tool, arguments, Agent(AGENT, anonymous=True), definition=definitions.get(tool))


def elsewhere(server: str, tool: str, arguments: JsonObject) -> ToolCall:
    definition = ToolDefinition(tool, "d", {"type": "object"})
    return ToolCall(server, tool, arguments, Agent(AGENT, anonymous=True), definition=definition)


@pytest.mark.parametrize(
    ("amount", "effect"),
    [
        (0, Effect.ALLOW),
        (50, Effect.ALLOW),
        (100, Effect.ALLOW),
        (100.0, Effect.ALLOW),
        (100.01, Effect.REQUIRE_APPROVAL),
        (250, Effect.REQUIRE_APPROVAL),
        (-4000, Effect.REQUIRE_APPROVAL),
        ("50", Effect.DENY),
        (None, Effect.DENY),
    ],
)
def test_refunds(amount: Any, effect: Effect, snapshot: PolicySnapshot, definitions: dict[str, ToolDefinition]) -> None:
    call = payments("refund", definitions, customer_id="cus_anna", amount=amount, reason="x")
    assert decide(call, snapshot, at=AT).effect is effect


def test_a_refund_without_an_amount_is_refused_with_its_schema_and_asked_without_one(
    snapshot: PolicySnapshot, definitions: dict[str, ToolDefinition]
) -> None:
    call = payments("refund", definitions, customer_id="cus_anna", reason="x")
    assert decide(call, snapshot, at=AT).effect is Effect.DENY
    assert decide(call, snapshot, at=AT, validate_arguments=False).effect is Effect.REQUIRE_APPROVAL


def test_a_large_refund_asks_the_approvers(snapshot: PolicySnapshot, definitions: dict[str, ToolDefinition]) -> None:
    call = payments("refund", definitions, customer_id="cus_anna", amount=250, reason="x")
    decision = decide(call, snapshot, at=AT)
    assert decision.determining == ("payments#refunds-over-100-need-a-person",)
    assert decision.approval is not None
    assert (decision.approval.teams, decision.approval.timeout_sec) == ((APPROVERS,), 14_400)


@pytest.mark.parametrize(
    ("tool", "arguments", "effect"),
    [
        ("list_customers", {}, Effect.ALLOW),
        ("get_customer", {"customer_id": "cus_anna"}, Effect.ALLOW),
        ("list_invoices", {"tenant_id": "north"}, Effect.ALLOW),
        ("list_refunds", {}, Effect.ALLOW),
        ("get_api_config", {}, Effect.ALLOW),
        ("delete_customer", {"customer_id": "cus_anna"}, Effect.DENY),
    ],
)
def test_reads_are_allowed_and_deletes_are_not(
    tool: str, arguments: Any, effect: Effect, snapshot: PolicySnapshot, definitions: dict[str, ToolDefinition]
) -> None:
    assert decide(payments(tool, definitions, **arguments), snapshot, at=AT).effect is effect


@pytest.mark.parametrize(
    ("server", "tool", "effect"),
    [
        ("time", "get_current_time", Effect.ALLOW),
        ("time", "convert_time", Effect.ALLOW),
        ("git", "git_log", Effect.ALLOW),
        ("git", "git_diff_unstaged", Effect.ALLOW),
        ("git", "git_commit", Effect.DENY),
        ("git", "git_reset", Effect.DENY),
        ("payments", "drop_table", Effect.DENY),
        ("elsewhere", "get_current_time", Effect.DENY),
    ],
)
def test_other_servers_may_be_read_and_what_nobody_looked_at_is_denied(
    server: str, tool: str, effect: Effect, snapshot: PolicySnapshot
) -> None:
    assert decide(elsewhere(server, tool, {}), snapshot, at=AT).effect is effect


def test_output_rules_of_a_customer(snapshot: PolicySnapshot, definitions: dict[str, ToolDefinition]) -> None:
    rules = rules_for(payments("get_customer", definitions, customer_id="cus_anna"), snapshot, at=AT)
    assert rules.fields == (
        FieldRule("$..ssn", Do.REPLACE, "Social security numbers stay in the house"),
        FieldRule("$..internal_notes", Do.REMOVE, "Internal notes are not for agents"),
    )
    assert rules.detect == {
        "US_SSN": Do.REPLACE,
        "EMAIL_ADDRESS": Do.REPLACE,
        "aws_access_key": Do.QUARANTINE,
        "private_key": Do.QUARANTINE,
    }
    assert set(rules.determining) == {"payments#customer-data", "payments#no-keys-leave"}


def test_output_rules_of_invoices_hold_to_one_tenant(
    snapshot: PolicySnapshot, definitions: dict[str, ToolDefinition]
) -> None:
    rules = rules_for(payments("list_invoices", definitions, tenant_id="north"), snapshot, at=AT)
    assert rules.same == (SameRule("$..tenant_id", "north", Do.QUARANTINE),)


class PlainJson:
    """JSON in texts, read as the tests' own server writes it."""

    def read(self, text: str) -> Any:
        try:
            return json.loads(text)
        except ValueError as error:
            raise NotJson from error

    def write(self, value: Any) -> str:
        return json.dumps(value, separators=(",", ":"))


@pytest.fixture(scope="module")
def detectors() -> Detectors:
    from redaction.detectors.defaults import default_detectors  # seconds: only where it is used

    return Detectors(default_detectors(DetectorSettings()), memory_key=b"k" * 32)


async def inspected(
    tool: str, snapshot: PolicySnapshot, definitions: dict[str, ToolDefinition], detectors: Detectors, **arguments: Any
) -> Inspection:
    async with Client(build(Company())) as client:
        result = await client.call_tool(tool, arguments)
    message = {
        "jsonrpc": "2.0",
        "id": 1,
        "result": json.loads(result.model_dump_json(by_alias=True, exclude_none=True)),
    }
    rules = rules_for(payments(tool, definitions, **arguments), snapshot, at=AT)
    return inspect(message, rules=rules, surface=Surface.RESULT, detectors=detectors, codec=PlainJson())


@pytest.mark.parametrize(
    ("tool", "arguments", "outcome"),
    [
        ("list_customers", {}, Outcome.ALLOW),
        ("list_refunds", {}, Outcome.ALLOW),
        ("refund", {"customer_id": "cus_anna", "amount": 50, "reason": "Damaged parcel"}, Outcome.ALLOW),
        ("get_customer", {"customer_id": "cus_anna"}, Outcome.REDACT),
        ("list_invoices", {"tenant_id": "north"}, Outcome.QUARANTINE),
        ("get_api_config", {}, Outcome.QUARANTINE),
    ],
)
async def test_what_comes_back(
    tool: str,
    arguments: dict[str, Any],
    outcome: Outcome,
    snapshot: PolicySnapshot,
    definitions: dict[str, ToolDefinition],
    detectors: Detectors,
) -> None:
    inspection = await inspected(tool, snapshot, definitions, detectors, **arguments)
    assert (inspection.outcome, inspection.why if outcome is Outcome.ALLOW else "") == (outcome, "")


async def test_an_agent_sees_a_customer_without_what_is_not_for_it(
    snapshot: PolicySnapshot, definitions: dict[str, ToolDefinition], detectors: Detectors
) -> None:
    inspection = await inspected("get_customer", snapshot, definitions, detectors, customer_id="cus_anna")
    result = inspection.message["result"]
    assert result["structuredContent"] == {
        "customer_id": "cus_anna",
        "name": "Anna Weber",
        "tenant_id": "north",
        "email": "[REDACTED]",
        "ssn": "[REDACTED]",
    }
    assert json.loads(result["content"][0]["text"]) == result["structuredContent"]
    text = json.dumps(inspection.message)
    assert not any(secret in text for secret in ("536-90-4399", "anna.weber@", "15 % off"))
