"""What judging one call costs on a set of 200 rules, and loading one of 2,000, beside a yardstick for the machine.

    python -m bench.decide [--calls 20000] [--json FILE]

Rules of this module:
* The set is what authors write: files for teams, labels, facts, conditions, rules by topic, tag and tool. Calls differ
  in arguments and tool, and come out as allowed, asked about and denied; the run fails if they do not.
* Judging is the median of single calls; loading is CPU time. The yardstick is a fixed piece of plain Python: compare
  ratios to it between machines, not microseconds.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from policies.decide import decide
from policies.gate_facts import AT_REST
from policies.model import Agent, ToolCall, ToolDefinition
from policies.schema import load_snapshot

RULES, RELOADED_RULES = 200, 2_000
RULES_PER_FILE = 20
BUDGET_US, RELOAD_BUDGET_SEC = 60.0, 1.0
WARM_UP_CALLS = 500
AT = datetime(2026, 1, 7, 12, tzinfo=UTC)
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"amount": {"type": "number"}, "customer": {"type": "string"}, "note": {"type": "string"}},
    "required": ["amount", "customer"],
}


def files_of(rules: int) -> dict[str, str]:
    """A set of that many rules: a file for each team, of a server of its own."""
    return {f"team{number:03}.yaml": _file(number) for number in range(rules // RULES_PER_FILE)}


def _file(number: int) -> str:
    team, fact = f"team{number}", f"amount_{number}"
    rules: list[dict[str, Any]] = [
        {"id": f"by-name-{n}", "match": {"tools": [f"{team}/act_{n}_*"]}, "decision": "require_approval"}
        for n in range(RULES_PER_FILE - 5)
    ]
    rules += [
        {"id": "gone", "match": {"topics": [f"job.{team}.*"], "risk_tags": ["delete"]}, "decision": "deny"},
        {"id": "contractors", "match": {"topics": [f"job.{team}.*"], "groups": ["contractors"]}, "decision": "deny"},
        {
            "id": "large",
            "match": {"topics": [f"job.{team}.*"]},
            "condition": f"{fact} > 100",
            "decision": "in_the_loop",
        },
        {"id": "small", "match": {"topics": [f"job.{team}.*"]}, "condition": f"{fact} <= 100", "decision": "allow"},
        {"id": "prod", "match": {"risk_tags": {"all": ["prod", "write"]}}, "decision": "require_approval"},
    ]
    tags = [{"tools": [f"{team}/pay*"], "topics": [f"job.{team}.pay"], "risk_tags": ["write"], "risk": "medium"}]
    facts = {fact: {"path": "$.args.amount", "tools": [f"{team}/*"], "min": 0}}
    return json.dumps({"version": "v1", "facts": facts, "classify": tags, "rules": rules})


def calls() -> list[ToolCall]:
    """Calls of several tools, of which some are allowed, some ask and some are denied."""
    made = []
    for n in range(64):
        server, tool = f"team{n % 7}", ("pay", "pay_back", "unheard_of")[n % 3]
        arguments = {"amount": n * 7 % 200, "customer": f"c{n}", "note": "words " * (n % 9)}
        agent = Agent("bot", ("night", "ops"))
        made.append(ToolCall(server, tool, arguments, agent, definition=ToolDefinition(tool, "sha256:0", SCHEMA)))
    return made


def measure(count: int) -> dict[str, Any]:
    """One run, as a report."""
    import cel  # noqa: F401 - its import is no part of loading policies

    load_snapshot(files_of(RULES_PER_FILE))
    began = time.thread_time()
    reloaded = load_snapshot(files_of(RELOADED_RULES))
    reload_sec = time.thread_time() - began
    snapshot, made = load_snapshot(files_of(RULES)), calls()
    effects: Counter[str] = Counter()
    took: list[int] = []
    for n in range(count + WARM_UP_CALLS):
        call = made[n % len(made)]
        start = time.perf_counter_ns()
        decision = decide(call, snapshot, AT_REST, at=AT)
        end = time.perf_counter_ns()
        effects[decision.effect.value] += 1
        if n >= WARM_UP_CALLS:
            took.append(end - start)
    took.sort()
    return {
        "rules": sum(len(policy.rules) for policy in snapshot.policies),
        "decide_us": {"median": statistics.median(took) / 1000, "p99": took[len(took) * 99 // 100] / 1000},
        "budget_us": BUDGET_US,
        "reloaded_rules": sum(len(policy.rules) for policy in reloaded.policies),
        "reload_sec": round(reload_sec, 3),
        "reload_budget_sec": RELOAD_BUDGET_SEC,
        "yardstick_us": yardstick_us(),
        "effects": dict(effects),
    }


def yardstick_us() -> float:
    """The median time of a fixed piece of work: an object written as JSON and hashed, and a dictionary built of it."""
    value = {f"key{n}": [n, str(n), {"deep": n}] for n in range(20)}
    took = []
    for _ in range(2_000):
        start = time.perf_counter_ns()
        text = json.dumps(value, sort_keys=True)
        hashlib.sha256(text.encode()).hexdigest()
        {key: len(str(one)) for key, one in value.items()}
        took.append(time.perf_counter_ns() - start)
    return statistics.median(took) / 1000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    report = measure(options.calls)
    median, yardstick = report["decide_us"]["median"], report["yardstick_us"]
    print(f"| {report['rules']} rules, one call | µs | in yardsticks |\n|---|---|---|")
    print(f"| median | {median:.1f} | {median / yardstick:.2f} |")
    print(f"| p99 | {report['decide_us']['p99']:.1f} | {report['decide_us']['p99'] / yardstick:.2f} |")
    print(f"| the yardstick | {yardstick:.1f} | 1 |")
    print(f"\nThe budget is {BUDGET_US:g} µs, on the machine for which it was set.")
    print(
        f"{report['reloaded_rules']:,} rules load in {report['reload_sec']} s of CPU (budget {RELOAD_BUDGET_SEC:g} s)."
    )
    print(f"Decided: {report['effects']}")
    if options.json:
        options.json.write_text(json.dumps(report, indent=2), encoding="utf-8")
    return 0 if {"allow", "require_approval", "deny"} <= set(report["effects"]) else 1


if __name__ == "__main__":
    sys.exit(main())
