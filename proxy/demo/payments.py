"""The demo's tool server: payments and customers of a small company that does not exist, over Streamable HTTP.

Run it as `python -m proxy.demo.payments [--port N]`: it prints its address, and port 0 takes a free one.

Rules of this module:
* It is a plain MCP server made with the SDK and knows nothing of the gate: what keeps an agent from misusing it is the
  policy in `proxy/demo/policies/`. Some of its tools are careless on purpose, for the gate to catch.
* Everything is in memory and starts afresh with the process. Nobody in it is real, and no key in it opens anything.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NotRequired, TypedDict

import uvicorn
from mcp.server.mcpserver import MCPServer
from starlette.applications import Starlette

# Put together here so that no scanner takes this file for one that holds a key.
NO_KEY_AT_ALL = "AKIA" + "QX7DEMO2NOTAKEY4"


class Named(TypedDict):
    customer_id: str
    name: str


class Customer(Named):
    tenant_id: str
    email: str
    ssn: str
    internal_notes: NotRequired[str]


class Refund(TypedDict):
    refund_id: str
    customer_id: str
    amount: float
    reason: str


class Invoice(TypedDict):
    invoice_id: str
    tenant_id: str
    amount: float


class ApiConfig(TypedDict):
    environment: str
    region: str
    access_key_id: str


CUSTOMERS: tuple[Customer, ...] = (
    {
        "customer_id": "cus_anna",
        "name": "Anna Weber",
        "tenant_id": "north",
        "email": "anna.weber@example.com",
        "ssn": "536-90-4399",
        "internal_notes": "Threatened to leave in March; may have up to 15 % off if asked nicely.",
    },
    {
        "customer_id": "cus_bilal",
        "name": "Bilal Haddad",
        "tenant_id": "north",
        "email": "bilal.haddad@example.com",
        "ssn": "219-09-9999",
        "internal_notes": "Pays late, always pays.",
    },
    {
        "customer_id": "cus_chen",
        "name": "Chen Li",
        "tenant_id": "south",
        "email": "chen.li@example.com",
        "ssn": "457-55-5462",
        "internal_notes": "Second address on file is the accountant's.",
    },
)
INVOICES: tuple[Invoice, ...] = (
    {"invoice_id": "inv_1", "tenant_id": "north", "amount": 120.0},
    {"invoice_id": "inv_2", "tenant_id": "north", "amount": 80.5},
    {"invoice_id": "inv_3", "tenant_id": "south", "amount": 990.0},
)


@dataclass(slots=True)
class Company:
    """What changes while the server runs."""

    customers: dict[str, Customer] = field(default_factory=lambda: {row["customer_id"]: row for row in CUSTOMERS})
    refunds: list[Refund] = field(default_factory=list)

    def customer(self, customer_id: str) -> Customer:
        """Raises: ValueError, which the SDK turns into a tool error."""
        if customer_id not in self.customers:
            raise ValueError(f"There is no customer {customer_id}")
        return self.customers[customer_id]


def build(company: Company) -> MCPServer[None]:
    """The server with its tools over one company's books."""
    server: MCPServer[None] = MCPServer("payments", version="1.0.0", log_level="WARNING")

    @server.tool()
    def list_customers() -> list[Named]:
        """All customers, by id and name."""
        return [{"customer_id": row["customer_id"], "name": row["name"]} for row in company.customers.values()]

    @server.tool()
    def get_customer(customer_id: str) -> Customer:
        """Everything that is known about one customer."""
        return company.customer(customer_id)

    @server.tool()
    def refund(customer_id: str, amount: float, reason: str) -> Refund:
        """Pay money back to a customer. It cannot be taken back."""
        company.customer(customer_id)
        made: Refund = {
            "refund_id": f"ref_{len(company.refunds) + 1}",
            "customer_id": customer_id,
            "amount": amount,
            "reason": reason,
        }
        company.refunds.append(made)
        return made

    @server.tool()
    def list_refunds() -> list[Refund]:
        """All refunds that were really made since the server started, oldest first."""
        return company.refunds

    @server.tool()
    def list_invoices(tenant_id: str) -> list[Invoice]:
        """The open invoices of one tenant."""
        del tenant_id  # the careless part: every tenant's invoices come back
        return list(INVOICES)

    @server.tool()
    def delete_customer(customer_id: str) -> Named:
        """Delete a customer and all that is known about them."""
        gone = company.customer(customer_id)
        del company.customers[customer_id]
        return {"customer_id": gone["customer_id"], "name": gone["name"]}

    @server.tool()
    def get_api_config() -> ApiConfig:
        """The settings this server runs with."""
        return {"environment": "production", "region": "eu-central-1", "access_key_id": NO_KEY_AT_ALL}

    return server


def application() -> Starlette:
    """A fresh company behind an ASGI application with its endpoint at `/mcp`."""
    return build(Company()).streamable_http_app(host="127.0.0.1")


async def serve(port: int, *, until_stdin_ends: bool = False) -> None:
    """Serve on loopback until the process is told to end; the address is printed once connections are accepted.

    `until_stdin_ends`: whoever started it holds the other end of stdin, and however that one ends, this does too.
    """
    listening = socket.create_server(("127.0.0.1", port))
    config = uvicorn.Config(application(), log_level="warning", timeout_graceful_shutdown=1)
    print(f"http://127.0.0.1:{listening.getsockname()[1]}/mcp", flush=True)
    server = uvicorn.Server(config)
    if until_stdin_ends:
        asyncio.get_running_loop().add_reader(sys.stdin.fileno(), _end, server)
    await server.serve(sockets=[listening])


def _end(server: uvicorn.Server) -> None:
    """Nobody writes to stdin: that it can be read means that its other end is closed."""
    asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
    server.should_exit = True


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m proxy.demo.payments", description="The demo's tool server.")
    parser.add_argument("--port", type=int, default=0, help="loopback port; 0 takes a free one")
    parser.add_argument("--until-stdin-ends", action="store_true", help="end when whoever started it has ended")
    given = parser.parse_args(arguments)
    asyncio.run(serve(given.port, until_stdin_ends=given.until_stdin_ends))


if __name__ == "__main__":
    main()
