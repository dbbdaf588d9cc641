"""`interlock agents show|promote|demote` and `interlock incident open`: agents' autonomy from the terminal.

Rules of this module:
* Everything goes through the reviewers' listener with a reviewer's own login; who may do what is decided there.
* Names come from configuration and policies, but are printed inert like everything else.
* As in `cli.py`, a verb imports what it needs when it is called.
* Exit codes: 0 done, 1 the gate said no, 2 wrong usage, 3 the gate cannot be reached.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

incident_cli = typer.Typer(help="Safety incidents.", no_args_is_help=True, rich_markup_mode=None)

REVIEW_URL = "http://127.0.0.1:8611"
UrlOption = Annotated[str, typer.Option("--url", envvar="INTERLOCK_REVIEW_URL", help="The reviewers' listener.")]
NameArgument = Annotated[str, typer.Argument(help="The agent's name.")]
DomainOption = Annotated[str, typer.Option("--domain", help="The domain: the second segment of the topic.")]
WhyOption = Annotated[str, typer.Option("--reason", "-m", help="Why; it goes into the record.")]
LevelOption = Annotated[int | None, typer.Option("--level", min=0, help="To this level, and not by one.")]
JsonOption = Annotated[bool, typer.Option("--json")]


def add_to(agents_cli: typer.Typer) -> None:
    """The verbs of `interlock agents` that are about autonomy."""
    agents_cli.command("show")(show)
    agents_cli.command("promote")(promote)
    agents_cli.command("demote")(demote)


def show(
    agent: Annotated[str | None, typer.Argument(help="Only this agent.")] = None,
    url: UrlOption = REVIEW_URL,
    json: JsonOption = False,
) -> None:
    """Each agent's autonomy level in each domain, and the evidence for the next one."""
    _do(url, lambda client: client.agents(agent), as_json=json)


def promote(
    agent: NameArgument,
    domain: DomainOption,
    reason: WhyOption = "",
    level: LevelOption = None,
    url: UrlOption = REVIEW_URL,
) -> None:
    """One level up, or to a level: as an admin, by hand and not by evidence."""
    _move(agent, "promote", domain, reason, level, url)


def demote(
    agent: NameArgument,
    domain: DomainOption,
    reason: WhyOption = "",
    level: LevelOption = None,
    url: UrlOption = REVIEW_URL,
) -> None:
    """One level down, or to a level: as an admin. It counts for the very next call."""
    _move(agent, "demote", domain, reason, level, url)


@incident_cli.command("open")
def incident_open(
    agent: Annotated[str, typer.Option("--agent", help="The agent's name.")],
    reason: WhyOption,
    domain: Annotated[str, typer.Option("--domain", help="Only in this domain; else in all.")] = "",
    url: UrlOption = REVIEW_URL,
) -> None:
    """Report a safety incident: the agent falls to level 0, for the very next call."""
    body = {"agent": agent, "domain": domain, "why": reason}
    _do(url, lambda client: client.report_incident(body))


def _move(agent: str, way: str, domain: str, why: str, level: int | None, url: str) -> None:
    body: dict[str, Any] = {"domain": domain, "why": why}
    if level is not None:
        body["level"] = level
    _do(url, lambda client: [client.move_agent(agent, way, body)])


def _do(url: str, act: Any, *, as_json: bool = False) -> None:
    from proxy.refused_cli import exit_code
    from proxy.reviewer_cli import sessions_file
    from proxy.reviewer_client import Refused, ReviewerClient, Unreachable, load_sessions
    from review.inert import marked_json

    client = ReviewerClient(url, load_sessions(sessions_file()).get(url.rstrip("/"), ""))
    try:
        found: list[dict[str, Any]] = act(client)
    except (Refused, Unreachable) as problem:
        raise typer.Exit(exit_code(problem, url=url)) from problem
    if as_json:
        print(marked_json({"agents": found}))
        return
    if not found:
        print("The policies have no autonomy levels.")
    for one in found:
        print(line(one))


def line(one: dict[str, Any]) -> str:
    """One agent in one domain, in one line."""
    from review.inert import terminal

    wanted = f" of {one['successes_wanted']}" if one["successes_wanted"] is not None else ""
    asked = "; a promotion waits for sign-off" if one["review"] else ""
    return terminal(
        f"{one['agent']}  {one['domain']}  level {one['level']} of {one['last_level']} ({one['name']}): "
        f"{one['successes']}{wanted} successes, {one['errors']} of {one['calls']} calls went wrong{asked}"
    )
