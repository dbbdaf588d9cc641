"""What pydantic says about a configuration, in words of the file: line, column, what is wrong, the nearest valid key.

Rules of this module:
* Pure: it is given the error, the plain value that was read and where its parts stand.
* No value of the file is repeated in a message that pydantic made: a secret written in the wrong place stays there.
* Which keys may stand where is read from the model's own schema, so that it cannot go stale.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from pydantic import ValidationError

from policies.errors import PolicyError, nearest
from policies.yaml_source import Positions
from proxy.config import Config
from proxy.config_checks import Problem

type KeyPath = tuple[str | int, ...]


def mistakes(error: ValidationError, value: Any, positions: Positions) -> Iterator[PolicyError]:
    """Every mistake that `error` tells of."""
    for row in error.errors(include_url=False, include_input=False):
        path = _path(row["loc"], value)
        match row["type"]:
            case "config_check":
                for problem in row["ctx"]["problems"]:
                    yield mistake(problem, value, positions)
            case "extra_forbidden":
                hint = nearest(str(path[-1]), _keys_at(path[:-1], value))
                yield _at(positions, positions.key(path), f"unknown key '{path[-1]}'", hint)
            case "missing":
                yield _at(positions, positions.key(path[:-1]), f"the key '{path[-1]}' is missing here", "")
            case "union_tag_not_found" | "union_tag_invalid" | "server_kind" | "secret_kind":
                yield _at(positions, positions.key(path), f"'{path[-1]}' {row['msg']}", "")
            case "dict_type" | "model_type" | "model_attributes_type":
                name = f"'{'.'.join(map(str, path))}'" if path else "the file"
                yield _at(positions, positions.value(path), f"{name} must be a map: keys and values", "")
            case _ if row["loc"] and row["loc"][-1] == "[key]":
                yield _at(positions, positions.key(path), f"'{path[-1]}' cannot be a name here", _sentence(row["msg"]))
            case _:
                name = f"'{'.'.join(map(str, path))}' " if path else "the file "
                yield _at(positions, positions.value(path), f"{name}{_sentence(row['msg'])}", "")


def _sentence(said: str) -> str:
    for theirs, ours in (("Input should", "must"), ("String should", "must"), ("List should", "must")):
        said = said.replace(theirs, ours)
    return said


def mistake(problem: Problem, value: Any, positions: Positions) -> PolicyError:
    """A problem between keys. Where the value is a default and stands nowhere, its nearest parent is shown."""
    path = _path(problem.path, value)
    return _at(
        positions, positions.value(path), f"'{'.'.join(map(str, problem.path))}': {problem.message}", problem.hint
    )


def _at(positions: Positions, place: tuple[int, int], message: str, hint: str) -> PolicyError:
    return PolicyError(positions.file, *place, message, hint)


def _path(loc: tuple[str | int, ...], value: Any) -> KeyPath:
    """A pydantic location as a path in the file: without the tags of unions, which the file does not hold."""
    path: list[str | int] = []
    for part in loc:
        inside = isinstance(value, dict) and part in value
        if not inside and isinstance(part, str) and (part == "[key]" or (part[:1] == "(" and part[-1:] == ")")):
            continue
        path.append(part)
        if inside or (isinstance(value, list) and isinstance(part, int) and part < len(value)):
            value = value[part]
        else:
            value = None
    return tuple(path)


@cache
def _schema() -> dict[str, Any]:
    return Config.model_json_schema()


def _keys_at(path: KeyPath, value: Any) -> set[str]:
    """The keys that may stand in the map at `path`, read from the schema."""
    schemas = [_schema()]
    for part in path:
        schemas = [inner for schema in schemas for inner in _inside(schema, part)]
        value = value[part] if isinstance(value, dict) else None
    present = set(value) if isinstance(value, dict) else set()
    fitting = [schema for schema in schemas if set(schema.get("required", ())) <= present] or schemas
    return {key for schema in fitting for key in schema.get("properties", ())}


def _inside(schema: dict[str, Any], part: str | int) -> Iterator[dict[str, Any]]:
    if isinstance(part, int):
        inner = schema.get("items")
    else:
        free = schema.get("additionalProperties") or next(iter(schema.get("patternProperties", {}).values()), None)
        inner = schema.get("properties", {}).get(part) or free
    if isinstance(inner, dict):
        yield from _branches(inner)


def _branches(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if "$ref" in schema:
        yield from _branches(_schema()["$defs"][schema["$ref"].rpartition("/")[2]])
    for branch in schema.get("anyOf", schema.get("oneOf", ())):
        yield from _branches(branch)
    if schema.keys() & {"properties", "additionalProperties", "patternProperties", "items"}:
        yield schema
