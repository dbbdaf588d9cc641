"""Policy files to a snapshot: `load_snapshot(files)`. Every mistake of every file is found and raised at once.

Rules of this module (SEMANTICS §1.1):
* One file is one policy; `version` is `v1`; `name` is the file's name unless said. All files of a set are one snapshot,
  and `facts` and `classify` hold for all of it.
* A snapshot that could not be enforced does not exist: unknown keys, keys of a later release, and an empty set are
  mistakes (P1). A file that says nothing is one too: an emptied file must not mean fewer rules.
* `schema_rules.py`, `schema_approval.py`, `schema_autonomy.py`, `schema_facts.py`, `schema_output.py`,
  `schema_visibility.py` and `criteria/` read the parts.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from policies.autonomy import Autonomy
from policies.classify import ClassifyEntry
from policies.constraints import DEFAULTS, Bound
from policies.errors import PolicyError, PolicyErrors
from policies.fact_types import types_used
from policies.facts import Fact, FactType
from policies.gate_facts import GATE_FACTS
from policies.not_yet import TOP_LATER
from policies.packs import VOCABULARY, vocabulary
from policies.reading import Node, Source
from policies.sampling import SamplingPlan
from policies.schema_audit import read_audit
from policies.schema_autonomy import AUTONOMY_KEYS, read_autonomy
from policies.schema_constraints import read_constraints
from policies.schema_facts import Definition, finished, merge, read_classify, read_facts
from policies.schema_output import read_output
from policies.schema_oversight import approving_in_silence
from policies.schema_rules import read_policy
from policies.schema_visibility import read_visibility
from policies.self_reported import SELF_REPORTED
from policies.snapshot import OutputRule, Policy, PolicySnapshot, Visibility
from policies.yaml_source import load_positioned

__all__ = ["FILES_MAX", "TOP_KEYS", "PolicyError", "PolicyErrors", "load_snapshot"]

TOP_KEYS = (
    *(
        "version",
        "name",
        "default",
        "facts",
        "classify",
        "rules",
        "output",
        "audit",
        "visibility",
        "default_constraints",
    ),
    *AUTONOMY_KEYS,
)
FILES_MAX = 500

RESERVED = "interlock/"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._/-]{0,199}\Z")


def load_snapshot(
    files: Mapping[str, str],
    *,
    gate_facts: Mapping[str, FactType] = GATE_FACTS,
    detector_kinds: Collection[str] | None = None,
) -> PolicySnapshot:
    """The snapshot of a file set (name -> YAML text). `detector_kinds`: the kinds `detect` may name, if known.

    Raises: PolicyErrors.
    """
    if not files:
        raise PolicyErrors([PolicyError("policies", 1, 1, "no policy files", "without one every call is denied")])
    if VOCABULARY in files:
        raise PolicyErrors([PolicyError(VOCABULARY, 1, 1, "this name is the shipped vocabulary's", "rename the file")])
    if len(files) > FILES_MAX:
        raise PolicyErrors([PolicyError("policies", 1, 1, f"more than {FILES_MAX} policy files")])
    mistakes: list[PolicyError] = []
    documents = _documents(files, mistakes)
    definitions: list[Definition] = []
    for document in documents.values():
        if "facts" in document:
            definitions.extend(read_facts(document["facts"]))
    facts = _facts(definitions, documents, gate_facts)
    classify: list[ClassifyEntry] = []
    policies: dict[str, Policy] = {}
    output: list[OutputRule] = []
    ladders: dict[str, Autonomy] = {}
    visibility: list[Visibility | None] = []
    sampling: list[SamplingPlan] = []
    for name in sorted(set(documents) - {VOCABULARY}):
        children = documents[name]
        policy_name = _policy_name(children, name, policies)
        if "classify" in children:
            classify.extend(read_classify(children["classify"]))
        policies[policy_name] = read_policy(children, policy_name, name, facts)
        _read_ladder(children, policy_name, name, facts, ladders)
        if "output" in children:
            of_calls = {name: fact for name, fact in facts.items() if not fact.by_agent}
            output.extend(read_output(children["output"], policy_name, of_calls, detector_kinds))
        if "visibility" in children:
            visibility.append(read_visibility(children["visibility"], policy_name))
        if "audit" in children and (plan := read_audit(children["audit"], policy_name, facts)) is not None:
            sampling.append(plan)
    autonomy = next(iter(ladders.values()), None)
    levels = autonomy.levels if autonomy is not None else ()
    mistakes.extend(approving_in_silence([*policies.values(), *levels], classify))
    usual = _default_constraints(documents, facts)
    if mistakes:
        raise PolicyErrors(mistakes)
    shown = tuple(one for one in visibility if one is not None)
    named = tuple(policies.values())
    return PolicySnapshot(
        dict(files), named, facts, tuple(classify), tuple(output), autonomy, shown, usual, tuple(sampling)
    )


def _documents(files: Mapping[str, str], mistakes: list[PolicyError]) -> dict[str, dict[str, Node]]:
    """The top-level keys of every file, the vocabulary first.

    Raises: PolicyErrors if a file is not YAML: what the others say of its facts would only seem wrong.
    """
    nodes: dict[str, Node] = {}
    for name in (VOCABULARY, *sorted(files)):
        try:
            value, positions = load_positioned(files.get(name, vocabulary()), name)
        except PolicyErrors as bad:
            mistakes.extend(bad.errors)
        else:
            nodes[name] = Node(value, Source(name, positions, mistakes))
    documents = {name: _document(node) for name, node in nodes.items()}
    if len(nodes) <= len(files):
        raise PolicyErrors(mistakes)
    return documents


def _document(node: Node) -> dict[str, Node]:
    """The top-level keys of one file."""
    if node.value is None:
        node.mistake("an empty policy file", "remove it, or write rules")
        return {}
    children = node.mapping(TOP_KEYS, "a policy file", later=TOP_LATER) or {}
    if "version" in children:
        children["version"].word(("v1",))
    if isinstance(node.value, dict) and set(node.value) <= {"version", "name"}:
        node.mistake("a policy file that says nothing", "add rules, facts, classify, output, audit or default")
    return children


def _facts(
    definitions: list[Definition], documents: Mapping[str, Mapping[str, Node]], gate_facts: Mapping[str, FactType]
) -> dict[str, Fact]:
    used: dict[str, FactType] = {}
    for name in sorted(documents):
        sections = {key: child.value for key, child in documents[name].items()}
        used = {**types_used(sections), **used}
    facts = {name: finished(one, used.get(name)) for name, one in merge(definitions, gate_facts).items()}
    return (
        facts
        | dict(SELF_REPORTED)
        | {name: Fact(name, declared, by_gate=True) for name, declared in gate_facts.items()}
    )


def _read_ladder(
    children: Mapping[str, Node], policy: str, file: str, facts: dict[str, Fact], ladders: dict[str, Autonomy]
) -> None:
    """The file's autonomy levels, if it has any: the only ones of the set."""
    ladder = read_autonomy(children, policy, file, facts)
    if ladder is None:
        return
    if ladders:
        children["autonomy_levels"].mistake(
            "autonomy levels in a second file", f"they are in {next(iter(ladders))}", at_key=True
        )
        return
    ladders[file] = ladder


def _default_constraints(documents: Mapping[str, Mapping[str, Node]], facts: Mapping[str, Fact]) -> tuple[Bound, ...]:
    """What one file says for the whole set."""
    said = [document["default_constraints"] for document in documents.values() if "default_constraints" in document]
    for node in said[1:]:
        node.mistake("a second 'default_constraints' in this set", f"the first is in {said[0].place[0]}", at_key=True)
    return read_constraints(said[0], facts) if said else DEFAULTS


def _policy_name(children: Mapping[str, Node], file: str, taken: Mapping[str, Policy]) -> str:
    """The policy's name: what the file says, else the file's own name, which no other policy may then have."""
    node = children.get("name")
    name = file if node is None else node.text(chars_max=200)
    if name is None:
        return file
    at = node or next(iter(children.values()), None)
    if at is not None and (name.startswith(RESERVED) or (node is not None and not _NAME.match(name))):
        at.mistake(f"'{name}' cannot name a policy", f"'name': letters, digits, blanks and . _ - /; not '{RESERVED}…'")
    if at is not None and name in taken:
        at.mistake(f"another policy has the name '{name}'", f"it is in {taken[name].file}")
    return name
