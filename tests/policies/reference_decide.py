"""A second, naive decision point over plain YAML values: slow, short, and written without looking at the first.

It knows what the property tests generate: literal and glob patterns, topics, risk tags (also `{all: […]}`), servers,
risk, reversible, oversight, agents, facts with `tools`, comparisons of one fact with a number, and conditions of one or
two such comparisons joined by AND or OR, the whole perhaps negated; autonomy levels, with the level as criterion; and
constraints: caps, hosts of one URL, pins of one argument and bans on it.
"""

from __future__ import annotations

import fnmatch
import re
from typing import Any

from policies.gate_facts import AT_REST
from policies.model import ToolCall

ORDER = ["allow", "allow_with_constraints", "allow_unless_vetoed", "require_approval", "deny"]
MODELS = {"in_the_loop": "require_approval", "on_the_loop": "allow_unless_vetoed", "out_of_the_loop": "allow"}
ASKING = ("require_approval", "deny")
USUAL = {"max_runtime_sec": 60, "max_response_bytes": 1048576}

type Answer = tuple[str, tuple[str, ...], list[tuple[str, str, str]]]


def glob(pattern: str, text: str) -> bool:
    """Patterns as the tests generate them: no brackets, no `**` beside `*`."""
    return fnmatch.fnmatchcase(text, pattern) and ("**" in pattern or pattern.count("/") == text.count("/"))


def about_tool(pattern: str, call: ToolCall) -> bool:
    if "/" in pattern:
        return glob(pattern, f"{call.server}/{call.tool}")
    return glob(pattern, f"{call.server}.{call.tool}") or glob(pattern, call.tool)


def labels(files: list[dict[str, Any]], call: ToolCall) -> tuple[bool, set[str], set[str]]:
    entries = [e for f in files for e in f.get("classify", []) if any(about_tool(p, call) for p in e["tools"])]
    return bool(entries), {t for e in entries for t in e["topics"]}, {t for e in entries for t in e["risk_tags"]}


def said_by(rule: dict[str, Any]) -> str:
    said = str(MODELS.get(rule["decision"], rule["decision"]))
    return "allow_with_constraints" if said == "allow" and "constraints" in rule else said


def stated(files: list[dict[str, Any]], call: ToolCall, key: str) -> list[Any]:
    """What the entries that cover the call say of its risk, or of its being reversible."""
    entries = [e for f in files for e in f.get("classify", []) if any(about_tool(p, call) for p in e["tools"])]
    return [e[key] for e in entries if key in e]


def facts_given(call: ToolCall) -> dict[str, Any]:
    """What the gate makes of a call but for its level, in the property tests: different for different calls."""
    return {**AT_REST, "retry_count": 60 * len(call.arguments)}


def fact(files: list[dict[str, Any]], name: str, call: ToolCall, level: Any = None) -> Any:
    """A number, or "unbound", or "missing", or "doubt"."""
    if name == "autonomy_level":
        return level if type(level) is int else "doubt"
    if name in facts_given(call):
        return facts_given(call)[name]
    definition = next(f["facts"][name] for f in files if name in f.get("facts", {}))
    if not any(about_tool(pattern, call) for pattern in definition["tools"]):
        return "unbound"
    value = call.arguments.get(definition["path"].removeprefix("$.args."), "missing")
    if value == "missing":
        return "missing"
    return value if type(value) in (int, float) and value >= definition.get("min", float("-inf")) else "doubt"


def compare(value: Any, sign: str, bound: float) -> Any:
    if isinstance(value, str):
        return value
    return {">": value > bound, "<": value < bound, "<=": value <= bound}[sign]


def condition(files: list[dict[str, Any]], text: str, call: ToolCall, allowing: bool) -> Any:
    if text.startswith("NOT ("):
        inner = condition(files, text[len("NOT (") : -1], call, allowing)
        return inner if isinstance(inner, str) else not inner
    parts = [
        compare(fact(files, name, call), sign, float(number))
        for name, sign, number in re.findall(r"(\w+) (>|<=|<) (-?\d+)", text)
    ]
    if "unbound" in parts and allowing:
        return "unbound"
    known = [part for part in parts if part != "unbound"]
    for trouble in ("doubt", "missing"):
        if trouble in known:
            return trouble
    decisive = " OR " in text
    if decisive in known:
        return decisive
    return "unbound" if len(known) < len(parts) else not decisive


def matches(files: list[dict[str, Any]], rule: dict[str, Any], call: ToolCall, level: Any) -> bool:
    allowing = said_by(rule) not in ASKING
    classified, topics, tags = labels(files, call)
    match, answers = rule.get("match", {}), []
    for key, wanted in match.items():
        if key == "tools":
            answers.append(any(about_tool(p, call) or (p == "*" and not allowing) for p in wanted))
        elif key in ("topics", "risk_tags"):
            have = topics if key == "topics" else tags
            every = isinstance(wanted, dict)
            patterns = wanted["all"] if every else wanted
            each = [any(glob(p, label) for label in have) or (p == "*" and not allowing) for p in patterns]
            answers.append(all(each) if every or (allowing and key == "risk_tags") else any(each))
        elif key == "servers":
            answers.append(any(glob(p, call.server) or (p == "*" and not allowing) for p in wanted))
        elif key == "risk":
            tier = max(stated(files, call, "risk"), key=["low", "medium", "high"].index, default=None)
            answers.append(tier in wanted or (tier is None and classified and not allowing))
        elif key == "reversible":
            said = stated(files, call, "reversible")
            answers.append(classified and not allowing if not said else all(said) is wanted)
        elif key == "oversight":
            models = [model for model in MODELS if model in stated(files, call, "oversight")]
            answers.append(models[0] in wanted if models else classified and not allowing)
        elif key == "agents":
            answers.append(call.agent.id in wanted)
        else:
            name, sign = key.rsplit("_", 1)
            answers.append(compare(fact(files, name, call, level), {"above": ">", "below": "<"}[sign], wanted))
    if "condition" in rule:
        answers.append(condition(files, rule["condition"], call, allowing))
    if allowing:
        named = [p for p in match.get("tools", []) if about_tool(p, call)]
        literal = any("*" not in p for p in named)
        by_server = any(p.startswith((f"{call.server}/", f"{call.server}.")) for p in named)
        if not classified and not literal and not by_server:
            return False
        if call.definition is None and not literal:
            return False
    if False in answers or "unbound" in answers:
        return False
    if "doubt" in answers:
        return not allowing
    if "missing" in answers:
        return not allowing and rule.get("when_missing") != "skip"
    return True


def violated(files: list[dict[str, Any]], kind: str, value: Any, call: ToolCall) -> bool | None:
    """Whether the call violates a constraint; None: it does not apply."""
    if kind in USUAL:
        return False
    if kind == "network_allowlist":
        texts = [text for text in call.arguments.values() if isinstance(text, str) and "://" in text]
        hosts = [text.split("/")[2] for text in texts]
        return any(host not in value for host in hosts) or (not hosts and "egress" in labels(files, call)[2])
    if kind == "pin":
        ((path, wanted),) = value.items()
        given = call.arguments.get(path.removeprefix("$.args."), "nothing stands here")
        return type(given) is not type(wanted) or given != wanted
    if kind == "forbid":
        return value.removeprefix("$.args.") in call.arguments
    amount = fact(files, kind.removeprefix("max_"), call)
    return None if amount == "unbound" else isinstance(amount, str) or amount > value


def bounds(said: str, rule: dict[str, Any]) -> list[tuple[str, Any]]:
    constraints = rule.get("constraints", USUAL if said == "allow_with_constraints" else {})
    each = lambda kind, value: [(kind, one) for one in (value if kind == "forbid" else [value])]  # noqa: E731 - a word
    return [bound for kind, value in constraints.items() for bound in each(kind, value)]


def held(files: list[dict[str, Any]], voices: list[tuple[str, str, dict[str, Any]]], call: ToolCall) -> Answer:
    """The decision once every voice's constraints have been looked at."""
    asked: list[tuple[str, str]] = [(said, ref) for said, ref, _ in voices]
    good: list[tuple[str, Any, str]] = []
    pinned: list[Any] = []
    if all(said != "deny" for said, _ in asked):
        for said, ref, rule in voices:
            for kind, value in bounds(said, rule):
                differs = kind == "pin" and any(other != value or repr(other) != repr(value) for other in pinned[:1])
                pinned += [value] if kind == "pin" else []
                broken = True if differs else violated(files, kind, value, call)
                if broken:
                    asks = rule.get("on_violation") == "ask" and not differs
                    asked.append(("require_approval" if asks else "deny", ref))
                elif broken is False:
                    good.append((kind, value, ref))
    effect = max((said for said, _ in asked), key=ORDER.index, default="deny")
    caps = {kind: min(one[1] for one in good if one[0] == kind) for kind, _, _ in good if kind.startswith("max_")}
    kept: dict[tuple[str, str], str] = {}
    for kind, value, ref in good:
        if value == caps.get(kind, value):
            kept.setdefault((kind, str(value)), ref)
    constraints = [(kind, value, ref) for (kind, value), ref in kept.items()] if effect != "deny" else []
    return effect, tuple(dict.fromkeys(ref for said, ref in asked if said == effect)), sorted(constraints)


def of_level(files: list[dict[str, Any]], level: Any) -> list[dict[str, Any]]:
    """The rules of the agent's level as a file of their own."""
    for file in files:
        if "autonomy_levels" in file:
            ladder = file["autonomy_levels"]
            number = min(max(level, 0), len(ladder) - 1) if type(level) is int else 0
            return [{"name": f"{file['name']}:level_{number}", "rules": ladder[f"level_{number}"]["rules"]}]
    return []


def voices_of(files: list[dict[str, Any]], call: ToolCall, level: Any) -> list[tuple[str, str, dict[str, Any]]]:
    """What each policy says: effect, rule, and the rule itself."""
    classified, _, _ = labels(files, call)
    voices: list[tuple[str, str, dict[str, Any]]] = []
    for file in [*files, *of_level(files, level)]:
        for rule in file.get("rules", []):
            if matches(files, rule, call, level):
                voices.append((said_by(rule), f"{file['name']}#{rule['id']}", rule))
                break
        else:
            default = file.get("default")
            if default and classified and (not default.startswith("allow") or call.definition is not None):
                voices.append((default, f"{file['name']}#default", {}))
    if voices and call.definition is not None and call.definition.drifted:
        seen = {"approval": {"on_timeout": "deny"}}
        voices.append(("require_approval", "interlock/built-in#tool-definition-changed", seen))
    return voices


def reference_decide(files: list[dict[str, Any]], call: ToolCall, level: Any = None) -> Answer:
    """Effect, determining rules, and constraints with their rules."""
    return held(files, voices_of(files, call, level), call)


def reference_review_after(files: list[dict[str, Any]], call: ToolCall, level: Any = None) -> bool:
    wanted = any(rule.get("require_review_after") for _, _, rule in voices_of(files, call, level))
    return wanted and reference_decide(files, call, level)[0] != "deny"


def reference_terms(files: list[dict[str, Any]], call: ToolCall, level: Any = None) -> tuple[int | None, str | None]:
    """For how long it can be vetoed, and what no answer means where people are asked or may come to be."""
    effect, winning, _ = reference_decide(files, call, level)
    rules = [rule for _, ref, rule in voices_of(files, call, level) if ref in winning]
    window = max(rule.get("veto_window_sec", 0) for rule in rules) if effect == "allow_unless_vetoed" else None
    if effect != "require_approval" and not window:
        return window, None
    tier = max(stated(files, call, "risk"), key=["low", "medium", "high"].index, default=None)
    by_tier = {"low": "approve", "medium": "escalate"}.get(str(tier), "deny")
    terms = [rule.get("approval", {}) for rule in rules]
    wanted = {one.get("on_timeout", by_tier) for one in terms}
    if "deny" in wanted:
        return window, "deny"
    if "escalate" in wanted:
        return window, "escalate"
    leaves = all(one.get("on_disconnect") == "execute" for one in terms)
    return window, "approve" if tier == "low" and not leaves else "deny"
