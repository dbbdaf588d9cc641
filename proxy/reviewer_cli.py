"""`interlock login` and `interlock approvals …`: deciding from the terminal, through the reviewers' listener.

Rules of this module:
* Everything from an agent or a tool is printed inert (proxy/reviewer_lines.py).
* What lets something go or ends it for good (`approve`, `release`, `destroy`) shows it first, asks whether it is to be
  that where a person sits at the terminal, and sends the digest of just that; a race comes back as a conflict. A script
  gives the digest that it was shown (`--digest`).
* Exit codes: 0 done, 1 the gate said no, 2 wrong usage, 3 the gate cannot be reached.
"""

from __future__ import annotations

import getpass
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from policies.model import JsonObject
from proxy.config_file import user_config_dir
from proxy.refused_cli import exit_code
from proxy.reviewer_client import Refused, ReviewerClient, Unreachable, load_sessions, save_session
from proxy.reviewer_lines import (
    SPOKEN_LENGTH,
    doubtful_row,
    in_line,
    print_shown,
    row,
    undoable_row,
    unjudged_row,
    vetoable_row,
)
from review.inert import marked_json

# What `list` says, and the queues it is of.
_QUEUES: Mapping[str, str] = {
    "vetoable": "vetoable",
    "waiting": "waiting",
    "held": "quarantine",
    "undoable": "undoable",
}


def sessions_file() -> Path:
    return user_config_dir() / "reviewer-sessions.json"


def run(verb: str, url: str, **options: Any) -> int:
    """Do one verb; the exit code."""
    client = ReviewerClient(url, load_sessions(sessions_file()).get(url.rstrip("/"), ""))
    try:
        return _VERBS[verb](client, options)
    except (Refused, Unreachable) as problem:
        return exit_code(problem, url=url)


def _login(client: ReviewerClient, options: dict[str, Any]) -> int:
    link = input("One-time link, or empty to log in with your password: ").strip()
    if link:
        password = getpass.getpass("A new password (at least 12 characters): ")
        client.use_link(link.rsplit("/", 1)[-1], password)
    else:
        client.login(options["name"], getpass.getpass(f"Password of {options['name']}: "))
    try:
        save_session(sessions_file(), client.url, client.token)
    except OSError as error:
        print(f"interlock: the session cannot be kept for the next command: {error}", file=sys.stderr)
        return 1
    print(f"Logged in at {client.url}.")
    return 0


def _list(client: ReviewerClient, options: dict[str, Any]) -> int:
    queues = {name: client.listed(queue) for name, queue in _QUEUES.items()}
    queues |= {"in_doubt": client.doubts(), "afterwards": client.unjudged()}
    for name, one in queues.items():
        if one.is_cut:
            more = f"{len(one.rows)} of {one.total} are listed ({name.replace('_', ' ')}); the console has them all"
            print(f"interlock: {more}: {client.url}/", file=sys.stderr)
    if options["json"]:
        total = {name: one.total for name, one in queues.items()}
        print(marked_json({**{name: one.rows for name, one in queues.items()}, "total": total}))
        return 0
    if not any(one.rows for name, one in queues.items() if name not in ("undoable", "afterwards")):
        print("Nothing waits for people.")
    now = time.time()  # noqa: TID251 - a terminal's own clock, for showing time left
    for going in queues["vetoable"].rows:
        print(vetoable_row(going["review"], going["call"], now))
    for waiting in (*queues["waiting"].rows, *queues["held"].rows):
        print(row(waiting["review"], waiting["call"], now))
    for approved in queues["undoable"].rows:
        print(undoable_row(approved["review"], approved["call"]))
    for call in queues["in_doubt"].rows:
        print(doubtful_row(call))
    for over in queues["afterwards"].rows:
        print(unjudged_row(over["review"], over["call"]))
    return 0


def _show(client: ReviewerClient, options: dict[str, Any]) -> int:
    shown = client.show(_whole_id(client, options["review"]))
    if options["json"]:
        print(marked_json(shown))
        return 0
    print_shown(shown, client.url)
    return 0


def _approve(client: ReviewerClient, options: dict[str, Any]) -> int:
    return _decide(client, options, "approve", "Approve exactly this?")


def _release(client: ReviewerClient, options: dict[str, Any]) -> int:
    if options["redacted"]:
        question = "Let the agent have this output without what was found in it?"
        return _decide(client, options, "release_redacted", question, let_through=options["let_through"])
    return _decide(client, options, "release", "Let the agent have this output, whole?")


def _destroy(client: ReviewerClient, options: dict[str, Any]) -> int:
    return _decide(client, options, "destroy", "Erase this output for good?")


def _decide(client: ReviewerClient, options: dict[str, Any], act: str, question: str, **more: Any) -> int:
    """Show it, ask, and do it to exactly that."""
    shown = client.show(_whole_id(client, options["review"]))
    print_shown(shown, client.url)
    if options.get("digest") not in (None, "", shown["shown"]):
        print("interlock: it has changed since that digest was shown; nothing was decided", file=sys.stderr)
        return 1
    if not sys.stdin.isatty():
        return _told(client.act(act, shown, comment=options["comment"], **more))
    began = time.monotonic()
    if input(f"{question} [y/N] ").strip().lower() not in ("y", "yes"):
        print("Nothing was decided.")
        return 1
    looked_ms = int((time.monotonic() - began) * 1000)
    return _told(client.act(act, shown, comment=options["comment"], looked_ms=looked_ms, **more))


def _reject(client: ReviewerClient, options: dict[str, Any]) -> int:
    shown = client.show(_whole_id(client, options["review"]))
    return _told(client.act("reject", shown, comment=options["comment"]))


def _veto(client: ReviewerClient, options: dict[str, Any]) -> int:
    """Say no to what would go by itself. Exactly one of this and sending happens; the answer says which."""
    shown = client.show(_whole_id(client, options["review"]))
    return _told(client.act("veto", shown, comment=options["comment"]))


def _judge(client: ReviewerClient, options: dict[str, Any]) -> int:
    """Say what one thinks of a call that is over."""
    given = str(options["review"])
    rows = client.unjudged().rows if len(given) == SPOKEN_LENGTH else []
    ids = [str(row["review"]["id"]) for row in rows if str(row["review"]["id"]).endswith(given.upper())]
    shown = client.show(ids[0] if len(ids) == 1 else given)
    return _told(client.act("judge", shown, verdict=options["verdict"], comment=options["comment"]))


def _undo(client: ReviewerClient, options: dict[str, Any]) -> int:
    """Take an approval back. Exactly one of this and sending happens; the answer says which."""
    shown = client.show(_whole_id(client, options["review"]))
    return _told(client.act("undo", shown, comment=options["comment"]))


def _escalate(client: ReviewerClient, options: dict[str, Any]) -> int:
    """Let the next team answer too; the gate says whom."""
    shown = client.show(_whole_id(client, options["review"]))
    acted = client.act("escalate", shown, comment=options["comment"])
    print(f"{in_line(shown['escalates_to'])} may answer it too: call {acted['call_id']}")
    return 0


def _comment(client: ReviewerClient, options: dict[str, Any]) -> int:
    acted = client.act("comment", client.show(_whole_id(client, options["review"])), comment=options["comment"])
    print(f"Said, for whoever decides: call {acted['call_id']}")
    return 0


def _resolve(client: ReviewerClient, options: dict[str, Any]) -> int:
    call = client.show(_whole_id(client, options["review"]))["call"]
    client.resolve(call, options["found"], options["comment"])
    print(f"resolved: call {call['id']}")
    return 0


def _told(acted: JsonObject) -> int:
    needed = f" ({acted['agree']} of {acted['needed']} agree)" if acted["needed"] > 1 else ""
    print(f"{acted['state']}{needed}: call {acted['call_id']}")
    if acted.get("undo_until"):
        left = max(0, round(acted["undo_until"] - time.time()))  # noqa: TID251 - a terminal's own clock
        print(f"It goes in {left} s. To take it back: interlock approvals undo {acted['review_id'][-SPOKEN_LENGTH:]}")
    return 0


def _whole_id(client: ReviewerClient, given: str) -> str:
    """An id, also from its last six characters. Raises: Refused when they name none, or several."""
    if len(given) != SPOKEN_LENGTH:
        return given
    rows = [one for queue in _QUEUES.values() for one in client.listed(queue, text=given).rows]
    found = _ending(given, rows, client.doubts().rows)
    if not found:  # it may be over
        settled = client.queue()
        found = _ending(given, settled["settled"], settled["in_doubt"])
    if len(found) != 1:
        raise Refused("not_found", f"{len(found)} questions end in {given}; give the whole id.")
    return found.pop()


def _ending(given: str, rows: list[JsonObject], calls: list[JsonObject]) -> set[str]:
    ids = {str(one[part]["id"]) for one in rows for part in ("review", "call")} | {str(call["id"]) for call in calls}
    return {one for one in ids if one.endswith(given.upper())}


_VERBS: dict[str, Callable[[ReviewerClient, dict[str, Any]], int]] = {
    "login": _login,
    "list": _list,
    "show": _show,
    "approve": _approve,
    "reject": _reject,
    "veto": _veto,
    "judge": _judge,
    "undo": _undo,
    "escalate": _escalate,
    "comment": _comment,
    "release": _release,
    "destroy": _destroy,
    "resolve": _resolve,
}
