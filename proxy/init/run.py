"""`interlock init`: asks what it needs, shows what it would write, and writes that and nothing else once it is told to.

Rules of this module:
* Nothing is written before the diff was shown and somebody (or `--yes`) said so; `--dry-run` writes nothing at all.
* The agent's key is printed once, after its hash is on disk.
* Exit codes: 0 done, 1 not done (no was said, or a file changed meanwhile), 2 wrong usage or a configuration that does
  not load, 3 a tool server that could not be asked for its tools.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from proxy import logs
from proxy.agents import new_key
from proxy.config import Config, ConfigError
from proxy.config_file import FILE_NAME, user_config_dir
from proxy.ids import Ids
from proxy.init import asking, files, wishes
from proxy.init.asking import AtTerminal, Person, Usual
from proxy.init.config_edit import CannotEdit
from proxy.init.listed import Listing, list_servers
from proxy.init.plan import Before, CannotPlan, Draft, Place, draft, look, plan
from proxy.init.policy_text import Chosen
from proxy.init.wishes import Unfit, Wishes
from review.inert import terminal

USUAL_AGENT = "my-agent"
USUAL_FOLDER = "gate"
PORTS_TRIED = 40
DONE, NOT_DONE, USAGE, UNREACHABLE = 0, 1, 2, 3


@dataclass(frozen=True, slots=True)
class Flags:
    """The command line, as it was given."""

    folder: Path | None = None
    servers: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    agent: str | None = None
    new_key: bool = False
    agents_port: int | None = None
    reviewers_port: int | None = None
    reads: tuple[str, ...] = ()
    denies: tuple[str, ...] = ()
    packs: tuple[str, ...] = ()
    unlisted: bool = False
    replace: bool = False
    yes: bool = False
    dry_run: bool = False


class NotReached(Exception):
    """A tool server could not be listed; the text says which, why, and what to do."""


class SaidNo(Exception):
    """Somebody did not want it."""


def run(flags: Flags, *, person: Person | None = None, schemas: Path | None = None) -> int:
    """The exit code. `person`: who answers; by default whoever sits at this terminal, if anybody does."""
    if person is None and not flags.yes and sys.stdin.isatty():
        person = AtTerminal()
    logs.configure(level=logging.ERROR)
    try:
        return _run(flags, None if flags.yes else person, schemas)
    except (Unfit, CannotPlan, CannotEdit, ConfigError, UnicodeDecodeError) as problem:
        return _failed(str(problem), USAGE)
    except NotReached as problem:
        return _failed(str(problem), UNREACHABLE)
    except (files.ChangedMeanwhile, OSError) as problem:
        return _failed(str(problem), NOT_DONE)
    except (SaidNo, EOFError, KeyboardInterrupt):
        return _failed("nothing was written", NOT_DONE)


def _failed(why: str, code: int) -> int:
    print(f"interlock init: {why}", file=sys.stderr)
    return code


def _run(flags: Flags, person: Person | None, schemas: Path | None) -> int:
    if person is None and not (flags.yes or flags.dry_run):
        raise Unfit("there is no terminal to ask at: give what is wished as flags, with --yes or --dry-run")
    wished = _wished(flags)
    place = _place(flags, person, schemas)
    before = look(place)
    usual = _usual(before)
    secrets: asking.Secrets = {}
    if person is not None:
        wished, secrets = asking.ask(person, wished, usual)
    wished = _filled(wished, usual, before)
    key, digest = _key(wished, before)
    drafted = draft(place, before, wished, digest, secrets)
    chosen = _choose(flags, person, wished, drafted, place)
    planned, report = plan(place, drafted, chosen, replace=flags.replace)
    shown = list(files.diff(planned, place.folder.parent))
    print("\n".join([*map(_plain, shown), "", _plain(report)]) if shown else f"{report}\nNothing changes.", flush=True)
    if flags.dry_run or not shown:
        return DONE
    if person is not None and not asking.yes(person, "Write this?"):
        raise SaidNo
    files.write(planned)
    print(_next(place, drafted.config, wished, key))
    return DONE


def _plain(text: str) -> str:
    return terminal(text, chars_max=1_000_000)


def _wished(flags: Flags) -> Wishes:
    """Raises: Unfit."""
    servers = wishes.servers_of(flags.servers, flags.variables, flags.headers)
    return Wishes(
        servers=servers,
        agent=None if flags.agent is None else wishes.agent_name(flags.agent),
        wants_new_key=flags.new_key,
        agents_port=flags.agents_port,
        reviewers_port=flags.reviewers_port,
        reads=wishes.tools_of(flags.reads, "--read"),
        denies=wishes.tools_of(flags.denies, "--deny"),
        packs=wishes.packs_of(flags.packs, servers),
    )


def _place(flags: Flags, person: Person | None, schemas: Path | None) -> Place:
    folder = flags.folder
    if folder is None:
        usual = "." if Path(FILE_NAME).exists() else USUAL_FOLDER
        folder = Path(usual if person is None else asking.answered(person, "Folder to write to", usual, str))
    home = Path.home()
    folder = home.joinpath(*folder.parts[1:]) if folder.parts[:1] == ("~",) else folder
    return Place(folder.absolute(), home, user_config_dir() / "keys", schemas)


def _usual(before: Before) -> Usual:
    if before.config is not None:
        has_agents = bool(before.config.agents) or before.config.anonymous.enabled
        return Usual(None if has_agents else USUAL_AGENT, None, None, bool(before.config.servers))
    agents_port, reviewers_port = _free_ports()
    return Usual(USUAL_AGENT, agents_port, reviewers_port, False)


def _free_ports() -> tuple[int, int]:
    """The usual two, or the next two that nobody has."""
    first = Config()
    for step in range(PORTS_TRIED):
        pair = first.agents_listener.port + 10 * step, first.reviewers_listener.port + 10 * step
        if all(map(is_free, pair)):
            return pair
    return first.agents_listener.port, first.reviewers_listener.port


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a listener could be bound there now."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def _filled(wished: Wishes, usual: Usual, before: Before) -> Wishes:
    """Defaults for what neither a flag nor a person said. Raises: Unfit."""
    if not wished.servers and not usual.has_servers:
        raise Unfit("which tool server? Give --server NAME=COMMAND or --server NAME=URL")
    filled = replace(
        wished,
        agent=wished.agent or usual.agent,
        agents_port=wished.agents_port or usual.agents_port,
        reviewers_port=wished.reviewers_port or usual.reviewers_port,
    )
    for flag, tools in (("--read", filled.reads), ("--deny", filled.denies)):
        for tool in sorted(tools):
            if tool.partition("/")[0] not in filled.servers:
                known = before.config is not None and tool.partition("/")[0] in before.config.servers
                mend = "its policy is there to be changed by hand" if known else "name its server with --server"
                raise Unfit(f"{flag} {tool} is of no server that this command writes a policy for: {mend}")
    if both := sorted(filled.reads & filled.denies):
        raise Unfit(f"{both[0]} cannot be both --read and --deny")
    return filled


def _key(wished: Wishes, before: Before) -> tuple[str | None, str | None]:
    """A new key and its hash, where the agent has none yet or is to get another. Raises: Unfit."""
    has_key = before.config is not None and wished.agent in before.config.agents
    if wished.wants_new_key and wished.agent is None:
        raise Unfit("--new-key: whose? Give --agent NAME")
    if wished.agent is None or (has_key and not wished.wants_new_key):
        return None, None
    return new_key(Ids().token)


def _choose(flags: Flags, person: Person | None, wished: Wishes, drafted: Draft, place: Place) -> Mapping[str, Chosen]:
    """What each server's policy will say. Raises: NotReached, Unfit, ConfigError."""
    if not drafted.new_servers:
        return {}
    listing = {} if flags.unlisted else _list(drafted, place)
    chosen = {}
    for server in drafted.new_servers:
        found = listing.get(server, ())
        if isinstance(found, str):
            why = f"the tools of '{server}' could not be listed: {terminal(found, chars_max=400)}"
            if person is None or not asking.yes(person, f"{why}\nGo on without knowing them? Every call will ask"):
                raise NotReached(f"{why}\nMend it, or give --unlisted: then every call of it asks")
            found = ()
        names = tuple(sorted(tool.name for tool in found))
        reads, denies = (_of(server, tools) for tools in (wished.reads, wished.denies))
        for tool in sorted((reads | denies) - set(names)) if server in listing and names else ():
            raise Unfit(f"'{server}' lists no tool {tool!r}; it has {', '.join(map(_plain, names))}")
        pack = wished.packs.get(server)
        if pack is not None and (reads or denies):
            raise Unfit(f"--pack {server}={pack} says what its tools may do; --read and --deny would say it again")
        if person is not None and found and not (reads or denies or pack):
            pack = _offered(person, server, names)
            if pack is None:
                reads, denies = asking.choose(person, server, sorted(found, key=lambda tool: tool.name))
        chosen[server] = Chosen(server, names or tuple(sorted(reads | denies)), reads, denies, pack)
    return chosen


def _offered(person: Person, server: str, tools: Sequence[str]) -> str | None:
    """The pack that seems to be for this server, if the person says that it is."""
    pack = wishes.fitting_pack(tools)
    return pack if pack is not None and asking.wants_pack(person, server, pack) else None


def _of(server: str, tools: frozenset[str]) -> frozenset[str]:
    return frozenset(tool.partition("/")[2] for tool in tools if tool.partition("/")[0] == server)


def _list(drafted: Draft, place: Place) -> Listing:
    wanted = {name: drafted.config.servers[name] for name in drafted.new_servers}
    print(f"Asking {', '.join(wanted)} what tools there are …", file=sys.stderr, flush=True)
    config = drafted.config.model_copy(update={"servers": wanted})
    typed = {place.folder / file: value.encode() for file, value in drafted.secrets.items()}
    return asyncio.run(list_servers(config, os.environ, read_bytes=_reader(typed)))


def _reader(typed: Mapping[Path, bytes]) -> Callable[[Path], bytes]:
    return lambda path: typed[path] if path in typed else path.read_bytes()


def _next(place: Place, config: Config, wished: Wishes, key: str | None) -> str:
    """What to do now, with how long each step takes."""
    program = "uv run interlock" if "UV_RUN_RECURSION_DEPTH" in os.environ else "interlock"
    file = Path(os.path.relpath(place.file)) if place.file.is_relative_to(Path.cwd()) else place.file
    where = "" if place.folder == Path.cwd() else f" --config {file}"
    bearer = key or f"the key of {wished.agent or next(iter(config.agents), 'your agent')}"
    agents_url, reviewers_url = config.agents_listener.url(), config.reviewers_listener.url()
    clients = {
        name: {
            "type": "http",
            "url": f"{agents_url}/mcp/{name}",
            "headers": {"Authorization": f"Bearer {bearer}"},
        }
        for name in sorted(config.servers)
    }
    lines = [
        "\nWritten. Next:",
        "",
        f"1. Start the gate (a few seconds):  {program} serve{where}",
        "2. Open the login link that it prints, and choose a password. The link works once, for ten minutes.",
        f"3. Give this to your MCP client{' (the key is shown only now)' if key else ''}:",
        "",
        json.dumps({"mcpServers": clients}, indent=2),
        "",
        f"4. Let it call a tool. What asks waits for you at {reviewers_url}/ . The call is held for about "
        f"{config.parking.hold_sec:g} s; after that its agent gets a ticket, and repeats it later.",
        *_for_terminals(program, reviewers_url),
        f"Is all well?  {program} doctor{where}",
    ]
    return "\n".join(lines)


def _for_terminals(program: str, reviewers_url: str) -> list[str]:
    """What deciding in a terminal needs where reviewers are not at the usual address."""
    if reviewers_url == Config().reviewers_listener.url():
        return []
    return [f"In a terminal:  export INTERLOCK_REVIEW_URL={reviewers_url}  and then  {program} login admin"]
