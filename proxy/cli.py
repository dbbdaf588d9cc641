"""The command line. Thin: each verb imports what it needs when it is called (`--help` must answer in 150 ms).

Rules of this module:
* Exit codes: 0 done, 1 findings (an invalid policy, a broken chain, a failed step, something stopped), 2 wrong usage or
  configuration, 3 something could not be reached; 4 is a gate that the kill switch has ended (proxy/stop_watch.py).
* The command line never opens the store for writing: decisions go through the reviewers' listener with a login.
* Strings that came from agents or tools are printed inert.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from proxy import autonomy_cli
from proxy.policy_cli import policy_cli

cli = typer.Typer(
    name="interlock",
    help="A person in the loop of AI agents: judge, park and inspect every tool call.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=True,
)
audit_cli = typer.Typer(help="Check the record.", no_args_is_help=True, rich_markup_mode=None)
approvals_cli = typer.Typer(
    help="Decide from the terminal, as a logged-in reviewer.", no_args_is_help=True, rich_markup_mode=None
)
agents_cli = typer.Typer(help="Agents: keys and autonomy.", no_args_is_help=True, rich_markup_mode=None)
autonomy_cli.add_to(agents_cli)
cli.add_typer(policy_cli, name="policy")
cli.add_typer(audit_cli, name="audit")
cli.add_typer(approvals_cli, name="approvals")
cli.add_typer(agents_cli, name="agents")
cli.add_typer(autonomy_cli.incident_cli, name="incident")

ConfigOption = Annotated[Path | None, typer.Option("--config", "-c", help="The configuration file.")]
UrlOption = Annotated[str, typer.Option("--url", envvar="INTERLOCK_REVIEW_URL", help="The reviewers' listener.")]
ReviewArgument = Annotated[str, typer.Argument(help="The review's id, or the last six characters of it.")]
ReasonOption = Annotated[str, typer.Option("--reason", "-m", help="Why; it goes into the record.")]
CommentOption = Annotated[str, typer.Option("--comment", "-m")]
DigestOption = Annotated[str, typer.Option("--digest", help="Only if it is still what `show` gave this digest of.")]
REVIEW_URL = "http://127.0.0.1:8611"


def fail(message: str, code: int) -> NoReturn:
    """One line to stderr, and the exit code."""
    print(f"interlock: {message}", file=sys.stderr)
    raise typer.Exit(code)


def _as_reviewer(verb: str, url: str, **options: object) -> NoReturn:
    from proxy.reviewer_cli import run

    raise typer.Exit(run(verb, url, **options))


def wants_color() -> bool:
    """On a terminal, unless the user said otherwise (no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"interlock {version('interlock')}")
        raise typer.Exit(0)


@cli.callback()
def main_options(
    _version_wanted: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """A person in the loop of AI agents: judge, park and inspect every tool call."""


@cli.command()
def serve(config: ConfigOption = None) -> None:
    """Run the gate: the agents' listener and the reviewers' listener."""
    from proxy.serving import CannotStart, serve_forever

    try:
        serve_forever(config)
    except CannotStart as problem:
        fail(str(problem), 2)


@cli.command()
def init(
    folder: Annotated[Path | None, typer.Option(help="Where to write; the usual one is `gate`.")] = None,
    server: Annotated[
        list[str] | None, typer.Option(help="A tool server: NAME=COMMAND or NAME=URL; may be repeated.")
    ] = None,
    env: Annotated[
        list[str] | None, typer.Option(help="SERVER:NAME, a variable that this server's command needs.")
    ] = None,
    header: Annotated[
        list[str] | None, typer.Option(help="SERVER:Name=env:VARIABLE or =file:PATH, sent to this server.")
    ] = None,
    agent: Annotated[str | None, typer.Option(help="The agent's name; it gets a key.")] = None,
    new_key: Annotated[bool, typer.Option("--new-key", help="Another key for an agent that has one.")] = False,
    agents_port: Annotated[int | None, typer.Option(min=1, max=65535, help="Port for agents.")] = None,
    reviewers_port: Annotated[int | None, typer.Option(min=1, max=65535, help="Port for reviewers.")] = None,
    read: Annotated[list[str] | None, typer.Option(help="SERVER/TOOL only looks, and runs unasked.")] = None,
    deny: Annotated[list[str] | None, typer.Option(help="SERVER/TOOL never runs.")] = None,
    pack: Annotated[
        list[str] | None, typer.Option(help="SERVER=PACK: a shipped policy for it; `interlock policy pack` lists them.")
    ] = None,
    unlisted: Annotated[
        bool, typer.Option("--unlisted", help="Do not ask the servers for their tools: all of them ask a person.")
    ] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Write policies anew that are there already.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing: what no flag says is as usual.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be written, and write nothing.")] = False,
) -> None:
    """Write a configuration, a policy and its cases for your own tool servers; shows them first."""
    from proxy.init.run import Flags, run

    flags = Flags(
        folder=folder,
        servers=tuple(server or ()),
        variables=tuple(env or ()),
        headers=tuple(header or ()),
        agent=agent,
        new_key=new_key,
        agents_port=agents_port,
        reviewers_port=reviewers_port,
        reads=tuple(read or ()),
        denies=tuple(deny or ()),
        packs=tuple(pack or ()),
        unlisted=unlisted,
        replace=replace,
        yes=yes,
        dry_run=dry_run,
    )
    raise typer.Exit(run(flags, schemas=Path(__file__).resolve().parents[1] / "schemas"))


@cli.command()
def doctor(
    config: ConfigOption = None,
    json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings count as problems too.")] = False,
) -> None:
    """Look at everything the gate needs, say how it stands and how to mend it. Changes nothing."""
    from proxy.doctor.run import run

    raise typer.Exit(run(config, as_json=json, strict=strict, color=wants_color()))


@cli.command()
def demo(
    auto: Annotated[bool, typer.Option("--auto", help="Play the reviewer too, check every step, and end.")] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port for agents (0: any free one).")] = 8610,
    review_port: Annotated[int, typer.Option(min=0, max=65535, help="Port for reviewers (0: any free one).")] = 8611,
) -> None:
    """Show the main job with real MCP servers, a scripted agent and the console."""
    from proxy.demo.story import run_demo

    raise typer.Exit(run_demo(auto=auto, port=port, review_port=review_port))


@audit_cli.command("verify")
def audit_verify(
    path: Annotated[
        Path | None, typer.Argument(help="A store or an exported record; default: the configured data directory's.")
    ] = None,
    config: ConfigOption = None,
    noted: Annotated[str | None, typer.Option(help="A head noted earlier: the record must hold it.")] = None,
    head: Annotated[str | None, typer.Option(help="The hash it must end in.")] = None,
    after: Annotated[str | None, typer.Option(help="Of a part of a record: the hash that came before it.")] = None,
    deep: Annotated[bool, typer.Option("--deep", help="Check the canonical form of every entry as well.")] = False,
    samples: Annotated[bool, typer.Option("--samples", help="Repeat every draw of sampled audit as well.")] = False,
) -> None:
    """Verify the chain offline: every entry's hash and link. Needs nothing of the gate's."""
    from audit.verify import main as verify

    if path is None:
        from proxy.serving import CannotStart, load_config

        try:
            loaded = load_config(config)
        except CannotStart as problem:
            fail(str(problem), 2)
        path = loaded.base / loaded.config.data_dir / "interlock.db"
    hashes = {"--noted": noted, "--head": head, "--after": after}
    asked = [f"{name}={value}" for name, value in hashes.items() if value is not None]
    asked += [name for name, wanted in (("--deep", deep), ("--samples", samples)) if wanted]
    raise typer.Exit(verify([*asked, "--", str(path)]))


@agents_cli.command("add")
def agents_add(
    name: Annotated[str, typer.Argument(help="The agent's name, as policies and the record will say it.")],
    group: Annotated[list[str] | None, typer.Option("--group", help="A group of the agent's; may be repeated.")] = None,
) -> None:
    """Make a key for an agent. It is printed once; the configuration keeps only its hash."""
    from proxy.agents import config_lines, new_key
    from proxy.ids import Ids

    key, digest = new_key(Ids().token)
    try:
        lines = config_lines(name, digest, group or [])
    except ValueError as problem:
        fail(f"{name!r} cannot be an agent's name: {problem}", 2)
    print(f"Key for {name} (shown only now; send it as 'Authorization: Bearer …'):\n\n  {key}\n")
    print(f"Add to the configuration file and restart:\n\n{lines}")


DataDirOption = Annotated[
    Path | None, typer.Option("--data-dir", help="The gate's data directory, where its configuration cannot be read.")
]
GateUrlOption = Annotated[
    str | None, typer.Option("--url", help="The reviewers' listener; with it, everything goes through there.")
]
AgentOption = Annotated[str | None, typer.Option("--agent", help="An agent's name, or a pattern with *.")]
ServerOption = Annotated[str | None, typer.Option("--server", help="A server's name, or a pattern with *.")]


@cli.command()
def stop(
    everything: Annotated[bool, typer.Option("--all", help="Everything.")] = False,
    agent: AgentOption = None,
    server: ServerOption = None,
    reason: ReasonOption = "",
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    url: GateUrlOption = None,
) -> None:
    """Kill switch: nothing of it goes on, waiting or under way, until an admin lets it. On the machine, no login."""
    from proxy.stop_cli import Asked, run

    asked = Asked(config, data_dir, url, agent=agent, server=server, everything=everything, why=reason)
    raise typer.Exit(run("stop", asked))


@cli.command()
def resume(
    stop_id: Annotated[str | None, typer.Argument(help="A stop's id; or name what was stopped.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="The stop of everything.")] = False,
    agent: AgentOption = None,
    server: ServerOption = None,
    reason: Annotated[str, typer.Option("--reason", "-m", help="Why it may go on; it goes into the record.")] = "",
    config: ConfigOption = None,
    url: GateUrlOption = None,
) -> None:
    """Let go on what was stopped: as an admin who is logged in, through the reviewers' listener."""
    from proxy.stop_cli import Asked, run

    asked = Asked(config, None, url, agent=agent, server=server, everything=everything, stop_id=stop_id, why=reason)
    raise typer.Exit(run("resume", asked))


@cli.command()
def status(
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    url: GateUrlOption = None,
    json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Whether the gate is there, and what is stopped, since when and by whom."""
    from proxy.stop_cli import Asked, run

    raise typer.Exit(run("status", Asked(config, data_dir, url, as_json=json)))


@cli.command()
def tail(
    agent: Annotated[list[str] | None, typer.Option(help="Only calls of this agent; may be repeated.")] = None,
    server: Annotated[list[str] | None, typer.Option(help="Only calls of this server; may be repeated.")] = None,
    decision: Annotated[
        list[str] | None, typer.Option(help="Only allow, deny, ask, redact or quarantine; may be repeated.")
    ] = None,
    since: Annotated[str, typer.Option(help="From so long ago on (10m, 2h, 1d), or from a time.")] = "",
    last: Annotated[int, typer.Option(min=0, max=100_000, help="Begin with so many entries.")] = 10,
    follow: Annotated[bool, typer.Option("--follow/--no-follow", help="Go on as more is written.")] = True,
    noted: Annotated[bool, typer.Option("--noted", help="Also pings, lists and the like.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    url: UrlOption = REVIEW_URL,
) -> None:
    """Watch what agents do and what becomes of it, live, as a logged-in reviewer."""
    import time

    from proxy.tail import SinceUnread, Wanted, run, since_of
    from proxy.tail_lines import DECISIONS, Filter

    if unknown := set(decision or ()) - set(DECISIONS):
        fail(f"--decision {min(unknown)!r}: one of {', '.join(DECISIONS)}", 2)
    try:
        start = since_of(since, time.time()) if since else None  # noqa: TID251 - a terminal's own clock
    except SinceUnread as problem:
        fail(str(problem), 2)
    wanted = Filter(frozenset(agent or ()), frozenset(server or ()), frozenset(decision or ()), noted)
    watch = Wanted(wanted, start, last, follow, as_json=json, color=wants_color())
    raise typer.Exit(run(url, watch))


@cli.command()
def login(
    name: Annotated[str, typer.Argument(help="Your account.")],
    url: UrlOption = REVIEW_URL,
) -> None:
    """Log in as a reviewer for the `approvals` commands."""
    _as_reviewer("login", url, name=name)


@approvals_cli.command("list")
def approvals_list(url: UrlOption = REVIEW_URL, json: Annotated[bool, typer.Option("--json")] = False) -> None:
    """What waits for people."""
    _as_reviewer("list", url, json=json)


@approvals_cli.command("show")
def approvals_show(
    review: ReviewArgument,
    url: UrlOption = REVIEW_URL,
    json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """One review: the call, why it was flagged, what it would do."""
    _as_reviewer("show", url, review=review, json=json)


@approvals_cli.command("approve")
def approvals_approve(
    review: ReviewArgument,
    comment: CommentOption = "",
    digest: DigestOption = "",
    url: UrlOption = REVIEW_URL,
) -> None:
    """Print the call, ask whether it is to be approved where a person is there to answer, and approve exactly that."""
    _as_reviewer("approve", url, review=review, comment=comment, digest=digest)


@approvals_cli.command("reject")
def approvals_reject(review: ReviewArgument, reason: ReasonOption, url: UrlOption = REVIEW_URL) -> None:
    """Reject, with a reason."""
    _as_reviewer("reject", url, review=review, comment=reason)


@approvals_cli.command("veto")
def approvals_veto(review: ReviewArgument, reason: ReasonOption, url: UrlOption = REVIEW_URL) -> None:
    """Say no, with the reason, to a call that would go by itself."""
    _as_reviewer("veto", url, review=review, comment=reason)


@approvals_cli.command("judge")
def approvals_judge(
    review: ReviewArgument,
    verdict: Annotated[str, typer.Argument(help="ok, wrong or harmful")],
    note: Annotated[str, typer.Option("--note", "-m", help="Needed unless it is ok.")] = "",
    url: UrlOption = REVIEW_URL,
) -> None:
    """Say what you think of a call that is over."""
    _as_reviewer("judge", url, review=review, verdict=verdict, comment=note)


@approvals_cli.command("undo")
def approvals_undo(review: ReviewArgument, comment: CommentOption = "", url: UrlOption = REVIEW_URL) -> None:
    """Take an approval back before its call is sent."""
    _as_reviewer("undo", url, review=review, comment=comment)


@approvals_cli.command("escalate")
def approvals_escalate(review: ReviewArgument, comment: CommentOption = "", url: UrlOption = REVIEW_URL) -> None:
    """Let the next team answer too; the deadline stays."""
    _as_reviewer("escalate", url, review=review, comment=comment)


@approvals_cli.command("comment")
def approvals_comment(
    review: ReviewArgument,
    comment: Annotated[str, typer.Option("--comment", "-m", help="What to say; it goes into the record, in clear.")],
    url: UrlOption = REVIEW_URL,
) -> None:
    """Say something to whoever decides, without deciding."""
    _as_reviewer("comment", url, review=review, comment=comment)


@approvals_cli.command("release")
def approvals_release(
    review: ReviewArgument,
    reason: ReasonOption,
    redacted: Annotated[bool, typer.Option("--redacted", help="Without what was found in it.")] = False,
    let_through: Annotated[
        list[str] | None, typer.Option("--let-through", help="With --redacted: a kind to leave in; may be repeated.")
    ] = None,
    digest: DigestOption = "",
    url: UrlOption = REVIEW_URL,
) -> None:
    """Print what is known of a held output, ask where a person is there to answer, and let the agent have it."""
    from proxy.reviewer_cli import run

    if let_through and not redacted:
        fail("--let-through goes with --redacted: an output that is released whole has everything in it", 2)
    more = {"redacted": redacted, "let_through": let_through or []}
    raise typer.Exit(run("release", url, review=review, comment=reason, digest=digest, **more))


@approvals_cli.command("destroy")
def approvals_destroy(
    review: ReviewArgument, reason: ReasonOption, digest: DigestOption = "", url: UrlOption = REVIEW_URL
) -> None:
    """Print what is known of a held output, ask where a person is there to answer, and erase it for good."""
    _as_reviewer("destroy", url, review=review, comment=reason, digest=digest)


@approvals_cli.command("resolve")
def approvals_resolve(
    call: Annotated[str, typer.Argument(help="The call's id, or the last six characters of it.")],
    found: Annotated[str, typer.Option("--found", help="happened, did_not_happen or unknown.")],
    note: Annotated[str, typer.Option("--note", "-m", help="How you know; it goes into the record.")],
    url: UrlOption = REVIEW_URL,
) -> None:
    """Say what you found out about a call in doubt."""
    _as_reviewer("resolve", url, review=call, found=found, comment=note)


def main() -> None:
    """The console script, after `interlock.py` has checked who owns our package names."""
    cli()
