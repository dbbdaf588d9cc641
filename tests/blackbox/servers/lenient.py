"""A tool server that believes everything: last duplicate wins, batches and notifications run, headers do not matter.

Rules of this module:
* It stands behind the gate in tests: what the gate lets through that it should not, this server executes and counts.
* It speaks every revision at once: `initialize` with a session or without, and the envelope of 2026-07-28.
"""

from __future__ import annotations

import codecs
import gzip
import json
from dataclasses import dataclass, field
from typing import Any

TOOLS: list[dict[str, Any]] = [
    {
        "name": "echo",
        "description": "Says what it was told",
        "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}},
    },
    {
        "name": "pay",
        "description": "Pays an amount",
        "inputSchema": {"type": "object", "properties": {"amount": {"type": "number"}}, "required": ["amount"]},
    },
]


def read_leniently(body: bytes, content_encoding: str = "") -> Any:
    """Parse as the laxest server does: any UTF, any encoding, duplicates, NaN."""
    if content_encoding == "gzip":
        body = gzip.decompress(body)
    for mark, encoding in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if body.startswith(mark):
            return json.loads(body.decode(encoding))
    text = body.decode("utf-8", "replace")
    return json.JSONDecoder().raw_decode(text.lstrip())[0]  # a second document is not looked at


@dataclass
class LenientTools:
    """Executes whatever it understands. `executed` holds name and arguments of every tool run, in order."""

    tools: list[dict[str, Any]] = field(default_factory=lambda: [dict(tool) for tool in TOOLS])
    executed: list[tuple[str, Any]] = field(default_factory=list)
    page_size: int = 100
    modern: bool = True
    legacy: bool = True

    def answer(self, value: Any) -> Any:
        """The answer to a parsed body: a message, a list of them, or None if nothing is to be said."""
        if isinstance(value, list):
            return [answer for item in value if (answer := self.answer(item)) is not None]
        if not isinstance(value, dict) or "method" not in value:
            return None
        result = self._result(value.get("method"), value.get("params") or {})
        if "id" not in value:
            return None
        if result is None:
            error = {"code": -32601, "message": "Method not found"}
            return {"jsonrpc": "2.0", "id": value["id"], "error": error}
        return {"jsonrpc": "2.0", "id": value["id"], "result": result}

    def _result(self, method: Any, params: dict[str, Any]) -> dict[str, Any] | None:
        capabilities = {"tools": {"listChanged": True}}
        info = {"name": "lenient", "version": "1"}
        match method:
            case "initialize" if self.legacy:
                version = params.get("protocolVersion", "2025-11-25")
                return {"protocolVersion": version, "capabilities": capabilities, "serverInfo": info}
            case "server/discover" if self.modern:
                return {
                    "resultType": "complete",
                    "supportedVersions": ["2026-07-28"],
                    "capabilities": capabilities,
                    "serverInfo": info,
                    "ttlMs": 0,
                    "cacheScope": "private",
                }
            case "ping":
                return {}
            case "tools/list":
                return self._page(params)
            case "tools/call":
                name, arguments = params.get("name"), params.get("arguments")
                self.executed.append((str(name), arguments))
                text = f"{name} ran with {json.dumps(arguments, sort_keys=True)}"
                return {"resultType": "complete", "content": [{"type": "text", "text": text}]}
        return None

    def _page(self, params: dict[str, Any]) -> dict[str, Any]:
        start = int(params.get("cursor") or 0)
        page: dict[str, Any] = {
            "resultType": "complete",
            "tools": self.tools[start : start + self.page_size],
            "ttlMs": 0,
            "cacheScope": "private",
        }
        if start + self.page_size < len(self.tools):
            page["nextCursor"] = str(start + self.page_size)
        return page
