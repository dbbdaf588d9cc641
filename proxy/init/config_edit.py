"""Putting servers, agents and ports into the text of a configuration, and leaving every other character as it is.

Rules of this module:
* Pure. Comments, order and spelling of what is there stay: lines are put in, or one number or hash is replaced.
* What comes out is read again and must say exactly what was meant, and nothing else; otherwise `CannotEdit`, with the
  lines that a person can put in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from policies.errors import PolicyErrors
from policies.model import JsonObject
from policies.yaml_source import Positions, load_positioned
from proxy.agents import yaml_text

NEW = """# Interlock's configuration. Every key is in config.example.yaml; nothing secret stands here.
version: v1
policies: [policies/*.yaml]
"""


class CannotEdit(Exception):
    """The text is written in a way that is not edited here; the message says what to put in by hand."""


@dataclass(frozen=True, slots=True)
class Edits:
    """What is to be in the configuration afterwards. `hashes` are agents' key hashes by name."""

    servers: Mapping[str, JsonObject] = field(default_factory=dict)
    hashes: Mapping[str, str] = field(default_factory=dict)
    ports: Mapping[str, int] = field(default_factory=dict)  # listener -> port


def edited(text: str, edits: Edits, file: str) -> str:
    """The text with the edits in it. Raises: CannotEdit, PolicyErrors (it is no YAML)."""
    wanted = _value(text, file)
    for name, entry in edits.servers.items():
        text = _with_entry(text, file, "servers", name, entry)
        wanted = _put(wanted, ("servers", name), entry)
    for name, digest in edits.hashes.items():
        text = _with_hash(text, file, name, digest)
        wanted = _put(wanted, ("agents", name, "key_sha256"), digest)
    for listener, port in edits.ports.items():
        text = _with_port(text, file, listener, port)
        wanted = _put(wanted, (listener, "port"), port)
    try:
        reached = _value(text, file)
    except PolicyErrors as bad:
        raise _by_hand(file, edits) from bad
    if reached != wanted:
        raise _by_hand(file, edits)
    return text


def flow(value: Any) -> str:
    """A value in YAML's flow style, in quotes only where it needs them."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{yaml_text(key)}: {flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(flow, value)) + "]"
    return yaml_text(value) if isinstance(value, str) else str(value)


def _value(text: str, file: str) -> dict[str, Any]:
    value, _ = load_positioned(text, file)
    return value if isinstance(value, dict) else {}


def _put(value: dict[str, Any], path: tuple[str, ...], item: Any) -> dict[str, Any]:
    first, *rest = path
    inner = value.get(first) or {}
    return {**value, first: _put(inner, tuple(rest), item) if rest else item}


def _with_entry(text: str, file: str, section: str, name: str, entry: Any) -> str:
    value, positions = load_positioned(text, file)
    line = f"{yaml_text(name)}: {flow(entry)}"
    if not isinstance(value, dict) or section not in value:
        return f"{text}{'' if text.endswith('\n') or not text else '\n'}{section}:\n  {line}\n"
    indent = _indent(value, positions, section)
    return _after_line(text, positions.key((section,))[0], f"{' ' * indent}{line}")


def _indent(value: JsonObject, positions: Positions, section: str) -> int:
    """How far the keys of a section stand in."""
    children = value[section] if isinstance(value[section], dict) else {}
    columns = [positions.key((section, name))[1] for name in children]
    return columns[0] - 1 if columns else 2


def _after_line(text: str, number: int, line: str) -> str:
    lines = text.splitlines(keepends=True)
    if not lines[number - 1].endswith("\n"):
        lines[number - 1] += "\n"
    return "".join([*lines[:number], f"{line}\n", *lines[number:]])


def _with_hash(text: str, file: str, name: str, digest: str) -> str:
    value, positions = load_positioned(text, file)
    old = _at(value, ("agents", name, "key_sha256"))
    if isinstance(old, str):
        return _replaced(text, positions.value(("agents", name, "key_sha256")), old, digest)
    return _with_entry(text, file, "agents", name, {"key_sha256": digest})


def _with_port(text: str, file: str, listener: str, port: int) -> str:
    value, positions = load_positioned(text, file)
    old = _at(value, (listener, "port"))
    if isinstance(old, int):
        return _replaced(text, positions.value((listener, "port")), str(old), str(port))
    if isinstance(value, dict) and isinstance(value.get(listener), dict):
        return _with_entry(text, file, listener, "port", port)
    return f"{text}{'' if text.endswith('\n') or not text else '\n'}{listener}: {{port: {port}}}\n"


def _at(value: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _replaced(text: str, place: tuple[int, int], old: str, new: str) -> str:
    """The text at a place, in quotes or not; if it stands there otherwise, nothing is changed (and that is noticed)."""
    number, column = place
    lines = text.splitlines(keepends=True)
    line, start = lines[number - 1], column - 1
    lines[number - 1] = line[:start] + line[start:].replace(old, new, 1)
    return "".join(lines)


def _by_hand(file: str, edits: Edits) -> CannotEdit:
    lines = [f"servers:\n  {yaml_text(name)}: {flow(entry)}" for name, entry in edits.servers.items()]
    lines += [f"agents:\n  {yaml_text(name)}: {{key_sha256: {digest}}}" for name, digest in edits.hashes.items()]
    lines += [f"{listener}: {{port: {port}}}" for listener, port in edits.ports.items()]
    said = "is written in a way that is not edited here without a risk to what it says. Put in by hand:"
    return CannotEdit(f"{file} {said}\n" + "\n".join(lines))
