"""The configuration's keys as rows for people: what docs/configuration.md must hold, read from the model.

Print the tables with `python -m tests.config_keys`, to paste them after a change of `proxy/config.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from proxy.config import AgentEntry, Config, HttpServer, StdioServer, Tls

SECTIONS: tuple[tuple[str, type[BaseModel], str], ...] = (
    ("The file", Config, ""),
    ("A server over HTTP", HttpServer, "servers.NAME."),
    ("A server that the gate starts", StdioServer, "servers.NAME."),
    ("An agent with a key", AgentEntry, "agents.NAME."),
    ("A listener's certificate", Tls, "….tls."),
)


@dataclass(frozen=True, slots=True)
class Row:
    key: str
    default: str
    meaning: str

    def __str__(self) -> str:
        return f"| `{self.key}` | {self.default} | {self.meaning} |"


def rows(model: type[BaseModel], prefix: str) -> Iterator[Row]:
    """One row for each key, those of parts that are always there below their part."""
    for key, field in model.model_fields.items():
        value = None if field.is_required() else field.get_default(call_default_factory=True)
        if isinstance(value, BaseModel):
            yield from _part(f"{prefix}{key}", value)
        else:
            yield Row(f"{prefix}{key}", _shown(field, value), field.description or "")


def _part(name: str, part: BaseModel) -> Iterator[Row]:
    for key, field in type(part).model_fields.items():
        yield Row(f"{name}.{key}", _shown(field, getattr(part, key), is_set=True), field.description or "")


def _shown(field: FieldInfo, value: Any, *, is_set: bool = False) -> str:
    if field.is_required() and not is_set:
        return "must be given"
    return f"`{json.dumps(_plain(value))}`"


def _plain(value: Any) -> Any:
    """As a person would write it: 50, not 50.0."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return str(value) if isinstance(value, Path) else value


def tables() -> Iterator[str]:
    for title, model, prefix in SECTIONS:
        yield (
            f"### {title}\n\n| key | default | meaning |\n|---|---|---|\n"
            + "\n".join(map(str, rows(model, prefix)))
            + "\n"
        )


if __name__ == "__main__":
    print("\n".join(tables()), end="")
