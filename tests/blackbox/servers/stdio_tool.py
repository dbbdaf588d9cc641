"""A tool server on stdio, in the standard library alone, which does what its calls tell it to.

Run as `python stdio_tool.py [--modern-only | --legacy-only | --silent-before-initialize] [--stderr TEXT]
[--exit STATUS] [--banner TEXT] [--log FILE]`. Tools, called by name:
  echo {…}            the arguments, this process's id and how many calls it has had
  environment {}      the names and values of its environment
  die {status}        ends without answering
  stay_silent {}      never answers
  say {lines: […]}    writes these lines on stdout as they are, then answers
  ask {method}        sends a request, waits for the answer, answers with it
  progress {count}    sends progress for the given token, then answers
  tell {method}       sends a notification, then answers
  flood {count}       as many log messages, then answers
  grandchild {}       starts a process of its own that sleeps, and answers with its id
  ignore_the_end {}   from now on survives the end of stdin and SIGTERM
  received {}         every message received so far, in order
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from typing import Any

TOOLS = [{"name": "echo", "description": "echo", "inputSchema": {"type": "object"}}]


class Server:
    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.received: list[Any] = []
        self.calls = 0
        self.asked = 0
        self.survives = False
        self.waiting: dict[Any, Any] = {}  # ids of our own requests -> id of the call that made them

    def run(self) -> None:
        for line in sys.stdin.buffer:
            message = json.loads(line)
            self.received.append(message)
            if self.options.log:
                with open(self.options.log, "a") as file:
                    file.write(json.dumps(message) + "\n")
            self.take(message)
        while self.survives:
            time.sleep(0.05)

    def take(self, message: dict[str, Any]) -> None:
        method, params = message.get("method"), message.get("params") or {}
        if method is None:
            call = self.waiting.pop(message.get("id"), None)
            if call is not None:
                self.answer(call, {k: message[k] for k in ("result", "error") if k in message})
        elif "id" not in message:
            pass
        elif method == "server/discover":
            self.discover(message["id"])
        elif method == "initialize":
            self.initialize(message["id"], params)
        elif method == "tools/list":
            self.write({"jsonrpc": "2.0", "id": message["id"], "result": {"tools": TOOLS}})
        elif method == "tools/call":
            self.calls += 1
            self.call(message["id"], params.get("name"), params.get("arguments") or {}, params.get("_meta") or {})
        elif method == "subscriptions/listen":
            self.listen(message["id"])
        else:
            self.error(message["id"], -32601, "Method not found")

    def discover(self, request_id: Any) -> None:
        if self.options.silent_before_initialize:
            return
        if self.options.legacy_only:
            self.error(request_id, -32601, "Method not found")
            return
        result = {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}, "resultType": "complete"}
        self.write({"jsonrpc": "2.0", "id": request_id, "result": result})

    def initialize(self, request_id: Any, params: dict[str, Any]) -> None:
        if self.options.modern_only:
            self.error(request_id, -32022, "Unsupported protocol version")
            return
        result = {
            "protocolVersion": params.get("protocolVersion"),
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "stdio-tool", "version": "1"},
        }
        self.write({"jsonrpc": "2.0", "id": request_id, "result": result})

    def listen(self, request_id: Any) -> None:
        meta = {"io.modelcontextprotocol/subscriptionId": request_id}
        self.tell("notifications/subscriptions/acknowledged", {"_meta": meta})
        self.tell("notifications/tools/list_changed", {"_meta": meta})

    def call(self, call_id: Any, name: str, arguments: dict[str, Any], meta: dict[str, Any]) -> None:
        match name:
            case "environment":
                self.answer(call_id, dict(os.environ))
            case "die":
                os._exit(arguments.get("status", 3))
            case "stay_silent":
                return
            case "say":
                for line in arguments["lines"]:
                    sys.stdout.write(line + "\n")
                self.answer(call_id, "said")
            case "ask":
                self.asked += 1
                self.waiting[f"mine-{self.asked}"] = call_id
                request = {"jsonrpc": "2.0", "id": f"mine-{self.asked}", "method": arguments["method"], "params": {}}
                self.write(request)
            case "progress":
                for number in range(arguments["count"]):
                    self.tell(
                        "notifications/progress", {"progressToken": meta.get("progressToken"), "progress": number}
                    )
                self.answer(call_id, "progressed")
            case "tell":
                self.tell(arguments["method"], arguments.get("params", {}))
                self.answer(call_id, "told")
            case "flood":
                for number in range(arguments["count"]):
                    self.tell("notifications/message", {"level": "info", "data": f"{number}" + "x" * 1000})
                self.answer(call_id, "flooded")
            case "grandchild":
                sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
                self.answer(call_id, sleeper.pid)
            case "ignore_the_end":
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                self.survives = True
                self.answer(call_id, os.getpid())
            case "received":
                self.answer(call_id, self.received)
            case _:
                self.answer(call_id, {"arguments": arguments, "pid": os.getpid(), "calls": self.calls})

    def answer(self, call_id: Any, value: Any) -> None:
        content = [{"type": "text", "text": json.dumps(value)}]
        self.write(
            {"jsonrpc": "2.0", "id": call_id, "result": {"content": content, "structuredContent": {"value": value}}}
        )

    def error(self, call_id: Any, code: int, text: str) -> None:
        self.write({"jsonrpc": "2.0", "id": call_id, "error": {"code": code, "message": text}})

    def tell(self, method: str, params: dict[str, Any]) -> None:
        self.write({"jsonrpc": "2.0", "method": method, "params": params})

    def write(self, message: dict[str, Any]) -> None:
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser()
    for flag in ("--modern-only", "--legacy-only", "--silent-before-initialize"):
        parser.add_argument(flag, action="store_true")
    parser.add_argument("--stderr")
    parser.add_argument("--exit", type=int)
    parser.add_argument("--banner")
    parser.add_argument("--log")
    options = parser.parse_args()
    if options.stderr:
        sys.stderr.write(options.stderr + "\n")
        sys.stderr.flush()
    if options.banner:
        print(options.banner, flush=True)
    if options.exit is not None:
        sys.exit(options.exit)
    Server(options).run()


if __name__ == "__main__":
    main()
