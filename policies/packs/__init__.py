"""Policies shipped with the product, read from the wheel: the packs, and the vocabulary that is part of every file set.

Rules of this module:
* A pack is a policy written for one product's tool server. Its text says `{server}` where the name goes that the
  operator gave that server: braces are no pattern, so a pack that nobody has put a name into does not load.
* A pack is named in the place of a file: `pack:filesystem=files`, or `pack:filesystem=files,home` for two servers.
  Without a name the server is called as the pack is. Naming a server is the operator's word that it is that product.
* What loads is the text with the names in it: it is hashed, recorded and kept as every policy's text is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

from policies.errors import PolicyError, PolicyErrors, nearest

VOCABULARY = "interlock:vocabulary"  # its name in messages; no policy file can have it
PREFIX = "pack:"
EVERY_SERVER = "baseline"  # the pack that speaks of labels alone, and so of every server

_SERVER = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
_IN_LIST = re.compile(r'"\{server\}([^"]*)"')
_TOOL = re.compile(r'"\{server\}/([A-Za-z0-9_.-]+)"')


@dataclass(frozen=True, slots=True)
class PackEntry:
    """A pack as a configuration names it. `servers` is empty for the pack that speaks of every server."""

    name: str
    servers: tuple[str, ...]

    @property
    def file(self) -> str:
        """The name of its text in a file set."""
        return f"{PREFIX}{self.name}"


@lru_cache(maxsize=1)
def vocabulary() -> str:
    """The text of the shipped vocabulary."""
    return _read("vocabulary.yaml")


@lru_cache(maxsize=1)
def pack_names() -> tuple[str, ...]:
    """Every pack there is, sorted."""
    found = (entry.name for entry in files(__name__).iterdir())
    names = {name.removesuffix(".yaml") for name in found if name.endswith(".yaml") and not name.endswith("_test.yaml")}
    return tuple(sorted(names - {"vocabulary"}))


def is_pack(pattern: str) -> bool:
    """Whether an entry of `policies:` names a pack and no file."""
    return pattern.startswith(PREFIX)


def read_entry(text: str) -> PackEntry:
    """A pack from its entry. Raises: PolicyErrors."""
    name, equals, said = text.removeprefix(PREFIX).partition("=")
    if name not in pack_names():
        raise _error(text, f"there is no pack '{name}'", nearest(name, pack_names()))
    if name == EVERY_SERVER:
        if equals:
            raise _error(text, f"the pack '{name}' speaks of every server", f"write {PREFIX}{name}")
        return PackEntry(name, ())
    servers = tuple(one.strip() for one in said.split(",")) if equals else (name,)
    for server in servers:
        if not _SERVER.match(server):
            raise _error(text, f"'{server}' cannot name a server", f"write {PREFIX}{name}=NAME, or =NAME,NAME")
    if len(set(servers)) < len(servers):
        raise _error(text, "a server is named twice", "name each once")
    return PackEntry(name, servers)


def pack_texts(entries: Iterable[str]) -> dict[str, str]:
    """Name -> text of the packs these entries of `policies:` name. Raises: PolicyErrors, with all that is wrong."""
    found: dict[str, str] = {}
    errors: list[PolicyError] = []
    for text in dict.fromkeys(entries):
        try:
            entry = read_entry(text)
        except PolicyErrors as bad:
            errors.extend(bad.errors)
            continue
        if entry.file in found:
            hint = f"name its servers in one entry: {entry.file}=NAME,NAME"
            errors.append(PolicyError(text, 1, 1, f"the pack '{entry.name}' is named twice", hint))
        found[entry.file] = pack_policy(entry)
    if errors:
        raise PolicyErrors(errors)
    return found


def pack_policy(entry: PackEntry) -> str:
    """The pack's policy, with its servers' names in it."""
    _, _, text = _read(f"{entry.name}.yaml").partition("\n")  # the first line tells editors where the schema is, here
    return _with_servers(text, entry.servers)


def pack_cases(entry: PackEntry) -> str:
    """The pack's cases, about the first of its servers."""
    return _read(f"{entry.name}_test.yaml").replace("{server}", (*entry.servers, "")[0])


@lru_cache(maxsize=1)
def pack_tools() -> Mapping[str, frozenset[str]]:
    """By pack, the tools that it knows by name."""
    return {name: frozenset(_TOOL.findall(_read(f"{name}.yaml"))) for name in pack_names()}


def _with_servers(text: str, servers: tuple[str, ...]) -> str:
    """Every quoted item that begins with `{server}` stands in a list, and becomes one item for each server."""
    listed = _IN_LIST.sub(lambda item: ", ".join(f'"{server}{item[1]}"' for server in servers), text)
    return listed.replace("{server}", " and ".join(servers))


def _read(name: str) -> str:
    return (files(__name__) / name).read_text(encoding="utf-8")


def _error(entry: str, message: str, hint: str) -> PolicyErrors:
    return PolicyErrors([PolicyError(entry, 1, 1, message, hint)])
