"""The questions of `interlock init`, for whoever sits at a terminal; what a flag has said is not asked.

Rules of this module:
* An answer that cannot be taken is said to be so, and asked again. Empty means the default that stands in brackets.
* Names and descriptions that come from a tool server are printed inert, and are there to be looked at: none of them is
  a default for anything.
* What is typed as a secret is not shown, and goes into a file of its own.
"""

from __future__ import annotations

import getpass
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from policies.model import JsonObject
from proxy.init import wishes
from proxy.init.listed import Tool
from proxy.init.wishes import PLAIN_TOOL, Unfit, Wishes
from review.inert import terminal

DESCRIPTION_CHARS_MAX = 100


class Person(Protocol):
    """Whoever answers."""

    def say(self, text: str) -> None: ...

    def line(self, question: str) -> str:
        """One line, without blanks at its ends. Raises: EOFError, KeyboardInterrupt."""

    def secret(self, question: str) -> str: ...


class AtTerminal:
    """A person at this terminal."""

    def say(self, text: str) -> None:
        print(text, flush=True)

    def line(self, question: str) -> str:
        return input(question).strip()

    def secret(self, question: str) -> str:
        return getpass.getpass(question).strip()


@dataclass(frozen=True, slots=True)
class Usual:
    """What is offered as a default. `agent` None: there is an agent already, and no other is asked for."""

    agent: str | None
    agents_port: int | None
    reviewers_port: int | None
    has_servers: bool


type Secrets = dict[str, str]
"""File below the folder -> the secret typed for it."""


def answered[T](person: Person, question: str, usual: str, read: Callable[[str], T]) -> T:
    """Ask until the answer can be read."""
    while True:
        try:
            return read(person.line(f"{question}{f' [{usual}]' if usual else ''}: ") or usual)
        except Unfit as unfit:
            person.say(f"  {unfit}")


def yes(person: Person, question: str) -> bool:
    return person.line(f"{question} [y/N] ").lower() in ("y", "yes")


def ask(person: Person, wished: Wishes, usual: Usual) -> tuple[Wishes, Secrets]:
    """The wishes with everything in them that no flag said."""
    secrets: Secrets = {}
    if not wished.servers:
        wished = replace(wished, servers=_servers(person, secrets, must_have_one=not usual.has_servers))
    if wished.agent is None and usual.agent is not None:
        agent = answered(person, "Name of the agent that will call", usual.agent, wishes.agent_name)
        wished = replace(wished, agent=agent)
    if wished.agents_port is None and usual.agents_port is not None:
        port = answered(person, "Port for agents", str(usual.agents_port), wishes.port)
        wished = replace(wished, agents_port=port)
    if wished.reviewers_port is None and usual.reviewers_port is not None:
        port = answered(person, "Port for the people who decide", str(usual.reviewers_port), wishes.port)
        wished = replace(wished, reviewers_port=port)
    return wished, secrets


def _servers(person: Person, secrets: Secrets, *, must_have_one: bool) -> dict[str, JsonObject]:
    person.say("Which tool servers stand behind the gate? A name for each, as policies and agents will say it.")
    servers: dict[str, JsonObject] = {}
    while True:
        needs = must_have_one and not servers
        question = f"Name of {'the first' if needs else 'another'} server{'' if needs else ' (empty: that is all)'}"
        name = answered(person, question, "", _required_name if needs else _optional_name)
        if not name:
            return servers
        servers[name] = _entry(person, name, secrets)


def _required_name(text: str) -> str:
    return wishes.server_name(text)


def _optional_name(text: str) -> str:
    return wishes.server_name(text) if text else ""


def _entry(person: Person, name: str, secrets: Secrets) -> JsonObject:
    entry = answered(
        person,
        f"Its URL, or the command that starts it (npx -y …, uvx …): {name}",
        "",
        lambda text: _target(name, text),
    )
    if "url" in entry:
        value = person.secret("Authorization header to send to it, not shown (empty: none): ")
        if value:
            file = f"secrets/{name}-authorization"
            secrets[file] = value
            entry["headers"] = {"Authorization": {"file": file}}
        return entry
    variables = answered(person, "Environment variables that it needs, by name (empty: none)", "", _variables)
    if variables:
        entry["env"] = {variable: {"env": variable} for variable in variables}
    return entry


def _target(name: str, text: str) -> JsonObject:
    return wishes.server_entry(name, text)


def _variables(text: str) -> list[str]:
    names = re.split(r"[\s,]+", text) if text else []
    for name in names:
        if not wishes.VARIABLE.match(name):
            raise Unfit(f"{name!r} is no variable's name")
    return names


def wants_pack(person: Person, server: str, pack: str) -> bool:
    """Whether a shipped policy is to be this server's. Only the operator can know that it is the product it seems."""
    person.say(
        f"\n'{server}' has the tools of the server that the pack '{pack}' was written for. Anybody can name tools so."
    )
    return yes(
        person, f"Is it that server, and shall the pack be its policy? (`interlock policy pack {pack}={server}`)"
    )


def choose(person: Person, server: str, tools: Sequence[Tool]) -> tuple[frozenset[str], frozenset[str]]:
    """Which tools of a server only look and run unasked, and which never run. All others ask a person."""
    person.say(f"\n'{server}' has {len(tools)} tool{'' if len(tools) == 1 else 's'}:")
    for number, tool in enumerate(tools, 1):
        person.say(f"  {number:3}  {_described(tool)}")
    person.say(
        "Every call of them asks a person, unless you say otherwise. The descriptions are the server's own words."
    )
    names = [tool.name for tool in tools]
    reads = answered(person, "Which only look, and may run unasked? Numbers (empty: none)", "", _chosen(names))
    denies = answered(person, "Which must never run? Numbers (empty: none)", "", _chosen(names, without=reads))
    return reads, denies


def _described(tool: Tool) -> str:
    said = terminal(tool.description, chars_max=DESCRIPTION_CHARS_MAX).replace("\n", " ")
    warning = "  (it calls itself destructive)" if tool.says_it_destroys else ""
    return f"{terminal(tool.name).replace('\n', ' ')}{warning}  {said}".rstrip()


def _chosen(names: Sequence[str], *, without: Collection[str] = ()) -> Callable[[str], frozenset[str]]:
    def read(text: str) -> frozenset[str]:
        chosen = {names[number - 1] for number in _numbers(text, len(names))}
        for name in sorted(chosen):
            if not PLAIN_TOOL.match(name):
                raise Unfit("a tool whose name is not plain letters, digits, _ . - cannot be named; it goes on asking")
            if name in without:
                raise Unfit(f"{name} cannot be both")
        return frozenset(chosen)

    return read


def _numbers(text: str, highest: int) -> set[int]:
    """`1 3-5, 7`. Raises: Unfit."""
    numbers: set[int] = set()
    for part in re.split(r"[\s,]+", text.strip()) if text.strip() else []:
        found = re.fullmatch(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", part)
        first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
        if not 1 <= first <= last <= highest:
            raise Unfit(f"{part!r}: write numbers from 1 to {highest}, as in 1 3-5")
        numbers.update(range(first, last + 1))
    return numbers
