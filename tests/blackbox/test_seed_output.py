"""The seed's output example through a whole gate: what comes back is told as its document says, but for the ids."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mcp.client import Client
from mcp.server.mcpserver import MCPServer

from tests.blackbox.whole_gate import endpoint, tool_server, whole_gate

DOCUMENT = Path(__file__).parents[1] / "cases" / "seeds" / "documents" / "002-output-safety-result.json"
POLICY = """
version: v1
rules:
  - {id: look, match: {tools: [crm/customer]}, decision: allow}
classify:
  - {tools: [crm/customer], topics: [job.support.read], risk_tags: [read]}
output:
  - id: customer-data
    match: {topics: ["job.support.*"]}
    fields:
      - {path: "$..ssn", do: replace, reason: PII detected}
      - {path: $.internal_notes, do: remove, reason: Internal-only data in customer-facing output}
      - {path: $.debug_trace, do: remove, reason: System internals exposed}
    same: {path: "$..tenant_id", as: $.args.tenant_id, else: quarantine}
"""


def crm() -> MCPServer[Any]:
    server: MCPServer[Any] = MCPServer("crm")

    @server.tool()
    async def customer(tenant_id: str, whose: str) -> dict[str, Any]:
        """One customer."""
        return {
            "customer_data": {"name": "Ann", "ssn": "078-05-1121", "tenant_id": whose},
            "internal_notes": "do not extend credit",
            "debug_trace": "refund.py line 40",
        }

    return server


async def test_the_seed_s_output_comes_back_as_its_document_says(tmp_path: Path) -> None:
    async with tool_server(lambda: crm().streamable_http_app()) as tools:
        async with whole_gate(tmp_path, POLICY, {"crm": {"url": tools.url}}) as app:
            async with Client(endpoint(app, "crm")) as agent:
                own = await agent.call_tool("customer", {"tenant_id": "t1", "whose": "t1"})
                others = await agent.call_tool("customer", {"tenant_id": "t1", "whose": "t2"})
            snapshot = app.policies.current.id
    assert own.structured_content == {"customer_data": {"name": "Ann", "ssn": "[REDACTED]", "tenant_id": "t1"}}
    assert own.meta is not None
    told = own.meta["interlock/call"]
    wanted = json.loads(DOCUMENT.read_text(encoding="utf-8"))
    assert told["policy_snapshot"] == snapshot
    assert json.dumps(told | {key: wanted[key] for key in ("job_id", "policy_snapshot")}) == json.dumps(wanted)
    assert others.is_error
    assert "Ann" not in repr(others)
    assert "held" in repr(others)
