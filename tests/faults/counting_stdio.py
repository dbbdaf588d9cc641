"""A tool server on stdio whose count outlives the gate: every call stands in its log before it is answered.

Run as `python -I -S counting_stdio.py LOG`. It speaks the revision of 2026-07-28 and has one tool, `echo`.

Rules of this module:
* Standard library only, and little of it: it is started again and again.
"""

import json
import os
import sys

TOOL = {"name": "echo", "description": "Does it", "inputSchema": {"type": "object"}}
RESULTS = {
    "server/discover": {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}},
    "tools/list": {"tools": [TOOL]},
    "tools/call": {"content": [{"type": "text", "text": "done"}]},
}


def main() -> None:
    log = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    for line in sys.stdin.buffer:
        message = json.loads(line)
        if message.get("method") == "tools/call":
            os.write(log, line)
        if "id" not in message:
            continue
        answer = {"jsonrpc": "2.0", "id": message["id"]}
        known = RESULTS.get(message.get("method"))
        answer |= (
            {"error": {"code": -32601, "message": "?"}}
            if known is None
            else {"result": known | {"resultType": "complete"}}
        )
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
