"""Calls whose outcome is fetched later, as a task: never past the output rules of the tool that made it (P8).

Rules of this module:
* The outcome of a task is the answer to another method (`tasks/result`; since 2026-07-28 `tasks/get`), and so comes
  under that method's output rules. Where those let through what the tool's own hold back, there is no task: the wish
  for one is refused before anything is sent, and a task that a server makes unasked is not passed on.
* A call that is held to a time or to a size is not sent as a task either: what it holds ends with the answer.
* Since 2026-07-28 the outcome stands inside the task, where the paths of a tool's field rules do not lead.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from policies.model import Json, ToolCall
from policies.output import is_as_strict_as
from proxy.doors.mcp_shared import Runs

REFUSED: Final = (
    "this tool's answers are inspected in ways that a task's outcome is not: repeat the call without `task`"
)
OUT_OF_BOUNDS: Final = "it made a task, which would go on beyond what this call is held to"
NOT_PASSED_ON: Final = "it made a task, whose outcome would be fetched past what is looked for in this tool's answers"


def is_past_rules(runner: Runs, call: ToolCall, *, is_modern: bool) -> bool:
    """Whether the outcome of `call`, fetched as a task's, would escape output rules of its own."""
    if call.method != "tools/call":
        return False
    method = "tasks/get" if is_modern else "tasks/result"
    fetching = replace(
        call,
        tool=f"mcp.{method}",
        method=method,
        arguments={"taskId": ""},
        input_responses=None,
        request_state=None,
        definition=None,
    )
    own = runner.output_rules(call)
    if is_modern and (own.fields or own.same):
        return True
    return not is_as_strict_as(runner.output_rules(fetching), own)


def is_task(result: Json) -> bool:
    """Whether a result is a task in place of an outcome."""
    if not isinstance(result, dict):
        return False
    task = result.get("task")
    return result.get("resultType") == "task" or "taskId" in result or (isinstance(task, dict) and "taskId" in task)
