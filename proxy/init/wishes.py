"""What `interlock init` was asked for, by flags or by answers: servers, an agent, ports, which tools only look.

Rules of this module:
* Pure. A wish that cannot be meant is refused here, in a sentence that names the flag and how to write it.
* No secret is ever a wish: a credential is named by where it lies, as `env:NAME` or `file:PATH`.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath

from policies.model import JsonObject
from policies.packs import EVERY_SERVER, pack_names, pack_tools
from proxy.config import AGENT_NAME, SERVER_NAME

# What can stand in a policy's `tools:` as it is: a name with a wildcard or a slash in it would mean more than itself.
PLAIN_TOOL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}\Z")
FITTING_SHARE = 0.8  # of a server's tools that a pack must know before anybody is asked whether it is meant
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+\Z")


class Unfit(ValueError):
    """A wish that cannot be taken; the text says which and how to write it."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """`reads` and `denies` are tools written `server/tool`; every other tool of a new server asks a person."""

    servers: Mapping[str, JsonObject] = field(default_factory=dict)
    agent: str | None = None
    wants_new_key: bool = False
    agents_port: int | None = None
    reviewers_port: int | None = None
    reads: frozenset[str] = frozenset()
    denies: frozenset[str] = frozenset()
    packs: Mapping[str, str] = field(default_factory=dict)  # server -> the pack that was written for it


def servers_of(given: Iterable[str], variables: Iterable[str], headers: Iterable[str]) -> dict[str, JsonObject]:
    """Entries for `servers:` from `--server`, `--env` and `--header`. Raises: Unfit."""
    servers: dict[str, JsonObject] = {}
    for text in given:
        name, equals, target = text.partition("=")
        if not equals:
            raise Unfit(f"--server {text!r}: write NAME=COMMAND or NAME=URL")
        if name in servers:
            raise Unfit(f"--server {name}: it is given twice")
        servers[server_name(name)] = server_entry(name, target)
    for text in variables:
        server, _, variable = text.partition(":")
        entry = _known(servers, server, "--env", "SERVER:NAME")
        if "command" not in entry or not VARIABLE.match(variable):
            raise Unfit(f"--env {text!r}: write SERVER:NAME, of a server that is a command")
        entry.setdefault("env", {})[variable] = {"env": variable}
    for text in headers:
        server, _, rest = text.partition(":")
        header, equals, source = rest.partition("=")
        entry = _known(servers, server, "--header", "SERVER:Name=env:VARIABLE")
        if "url" not in entry or not equals or not HEADER.match(header):
            raise Unfit(f"--header {text!r}: write SERVER:Name=env:VARIABLE or =file:PATH, of a server that is a URL")
        entry.setdefault("headers", {})[header] = secret_source(source, f"--header {server}:{header}")
    return servers


def server_name(text: str) -> str:
    """Raises: Unfit."""
    if not re.fullmatch(SERVER_NAME, text):
        raise Unfit(f"{text!r} cannot name a server: letters, digits, _ and -, at most 64")
    return text


def agent_name(text: str) -> str:
    """Raises: Unfit."""
    if not re.fullmatch(AGENT_NAME, text):
        raise Unfit(f"{text!r} cannot name an agent: letters and digits, then also . _ @ : -")
    return text


def port(text: str) -> int:
    """Raises: Unfit."""
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise Unfit(f"{text!r} is no port: a number from 1 to 65535")
    return int(text)


def server_entry(name: str, target: str) -> JsonObject:
    """A server's entry in the configuration, from a URL or a command line. Raises: Unfit."""
    target = target.strip()
    if re.match(r"https?://", target):
        return {"url": target}
    try:
        words = shlex.split(target)
    except ValueError as error:
        raise Unfit(f"the command of {name} cannot be read: {error}; quote it as a shell would") from error
    if not words:
        raise Unfit(f"{name} needs a command, or a URL that begins with http:// or https://")
    return {"command": words[0], **({"args": words[1:]} if words[1:] else {})}


def secret_source(text: str, where: str) -> JsonObject:
    """`env:NAME` or `file:PATH`. Raises: Unfit; the text given is not repeated, it may be the secret itself."""
    kind, _, value = text.partition(":")
    if kind == "env" and VARIABLE.match(value):
        return {"env": value}
    if kind == "file" and value and "\0" not in value and PurePath(value).name:
        return {"file": value}
    raise Unfit(f"{where}: say where the value lies, as env:NAME or file:PATH; it never stands on the command line")


def tools_of(given: Iterable[str], flag: str) -> frozenset[str]:
    """Tools written `server/tool`. Raises: Unfit."""
    tools = set()
    for text in given:
        server, _, tool = text.partition("/")
        if not re.fullmatch(SERVER_NAME, server) or not PLAIN_TOOL.match(tool):
            raise Unfit(f"{flag} {text!r}: write SERVER/TOOL, one plain name")
        tools.add(text)
    return frozenset(tools)


def packs_of(given: Iterable[str], servers: Iterable[str]) -> dict[str, str]:
    """Packs by server, from `--pack`. Raises: Unfit."""
    packs: dict[str, str] = {}
    known = sorted(set(pack_names()) - {EVERY_SERVER})
    for text in given:
        server, _, pack = text.partition("=")
        if server not in servers:
            raise Unfit(f"--pack names no --server of this command: write SERVER=PACK, as in {server or 'files'}=git")
        if pack not in known:
            raise Unfit(f"--pack {text!r}: there is no such pack for a server; there are {', '.join(known)}")
        packs[server] = pack
    return packs


def fitting_pack(tools: Collection[str]) -> str | None:
    """The pack whose tools these seem to be, for a person to be asked about: names alone prove nothing (P9)."""
    found = {name: len(known.intersection(tools)) for name, known in pack_tools().items()}
    best = max(found, key=lambda name: found[name])
    return best if found[best] >= max(1, FITTING_SHARE * len(tools)) else None


def _known(servers: Mapping[str, JsonObject], name: str, flag: str, form: str) -> JsonObject:
    if name not in servers:
        raise Unfit(f"{flag} names no --server of this command: write {form}")
    return servers[name]
