"""`interlock login` and `interlock approvals …`: deciding from the terminal, through the reviewers' listener.

Rules of this module:
* Everything from an agent or a tool is printed inert (`review.inert.terminal`).
* `approve` shows what it approves first and sends the digest of just that; a race comes back as a conflict.
* Exit codes: 0 done, 1 the gate said no, 2 wrong usage, 3 the gate cannot be reached.
"""

from __future__ import annotations

import getpass
import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from policies.model import JsonObject
from proxy.config_file import user_config_dir
from proxy.reviewer_client import Refused, ReviewerClient, Unreachable, load_sessions, save_session
from review.inert import marked_json, terminal

SPOKEN_LENGTH = 6


def sessions_file() -> Path:
    return user_config_dir() / "reviewer-sessions.json"


def run(verb: str, url: str, **options: Any) -> int:
    """Do one verb; the exit code."""
    client = ReviewerClient(url, load_sessions(sessions_file()).get(url.rstrip("/"), ""))
    try:
        return _VERBS[verb](client, options)
    except Refused as refused:
        hint = " Run: interlock login NAME" if refused.code == "not_logged_in" else ""
        print(f"interlock: {terminal(str(refused))}{hint}", file=sys.stderr)
        return 1
    except Unreachable as problem:
        print(f"interlock: {problem}", file=sys.stderr)
        return 3


def _login(client: ReviewerClient, options: dict[str, Any]) -> int:
    link = input("One-time link, or empty to log in with your password: ").strip()
    if link:
        password = getpass.getpass("A new password (at least 12 characters): ")
        client.use_link(link.rsplit("/", 1)[-1], password)
    else:
        client.login(options["name"], getpass.getpass(f"Password of {options['name']}: "))
    save_session(sessions_file(), client.url, client.token)
    print(f"Logged in at {client.url}.")
    return 0


def _list(client: ReviewerClient, options: dict[str, Any]) -> int:
    queue = client.queue()
    if options["json"]:
        print(json.dumps(queue, indent=2))
        return 0
    rows = [*queue["waiting"], *queue["held"]]
    if not rows:
        print("Nothing waits for people.")
    now = time.time()  # noqa: TID251 - a terminal's own clock, for showing time left
    for row in rows:
        print(_line(row["review"], row["call"], now))
    for call in queue["in_doubt"]:
        print(f"{call['id'][-SPOKEN_LENGTH:]}  IN DOUBT  {_what(call)}")
    return 0


def _line(review: JsonObject, call: JsonObject, now: float) -> str:
    left = max(0, int(review["expires_at"] - now))
    kind = "output held" if review["kind"] == "release" else "asks"
    rules = ", ".join(review["answered_rules"])
    return (
        f"{review['id'][-SPOKEN_LENGTH:]}  {kind:<11}  {terminal(call['agent'])} → {_what(call)}"
        f"  {_arguments(call)}  [{terminal(rules)}]  {left // 60} min left"
    )


def _what(call: JsonObject) -> str:
    return f"{terminal(call['server'])}/{terminal(call['tool'])}"


def _arguments(call: JsonObject) -> str:
    kept = call.get("approved") or call.get("proposed") or {}
    return terminal(json.dumps(kept.get("arguments", {}), ensure_ascii=False), chars_max=160)


def _show(client: ReviewerClient, options: dict[str, Any]) -> int:
    shown = client.show(_whole_id(client, options["review"]))
    if options["json"]:
        print(json.dumps(shown, indent=2))
        return 0
    _print_shown(shown)
    return 0


def _print_shown(shown: JsonObject) -> None:
    call, review = shown["call"], shown["review"] or {}
    kept = call.get("approved") or call.get("proposed") or {}
    until = datetime.fromtimestamp(review["expires_at"], tz=UTC).isoformat(timespec="minutes") if review else "-"
    print(f"{terminal(call['agent'])} wants {_what(call)}   (call {call['id']})")
    print(f"State: {review.get('state', call['state'])}   answer until {until}")
    print(f"Why: {terminal(str(call['decision'].get('reason', '')))}")
    for rule in call["decision"].get("rules", ()):
        print(f"  rule {terminal(rule)}")
    print("Arguments:")
    print(marked_json(kept.get("arguments", {})))
    if shown["cannot_decide"]:
        print(f"You cannot decide this: {terminal(shown['cannot_decide'])}")


def _approve(client: ReviewerClient, options: dict[str, Any]) -> int:
    shown = client.show(_whole_id(client, options["review"]))
    _print_shown(shown)
    return _told(client.act("approve", shown, comment=options["comment"]))


def _reject(client: ReviewerClient, options: dict[str, Any]) -> int:
    shown = client.show(_whole_id(client, options["review"]))
    return _told(client.act("reject", shown, comment=options["comment"]))


def _told(acted: JsonObject) -> int:
    needed = f" ({acted['agree']} of {acted['needed']} agree)" if acted["needed"] > 1 else ""
    print(f"{acted['state']}{needed}: call {acted['call_id']}")
    return 0


def _whole_id(client: ReviewerClient, given: str) -> str:
    """An id, also from its last six characters. Raises: Refused when they name none, or several."""
    if len(given) != SPOKEN_LENGTH:
        return given
    queue = client.queue()
    ids: set[str] = {row[part]["id"] for row in [*queue["waiting"], *queue["held"]] for part in ("review", "call")}
    found = sorted(one for one in ids if one.endswith(given.upper()))
    if len(found) != 1:
        raise Refused("not_found", f"{len(found)} open questions end in {given}; give the whole id.")
    return found[0]


_VERBS: dict[str, Callable[[ReviewerClient, dict[str, Any]], int]] = {
    "login": _login,
    "list": _list,
    "show": _show,
    "approve": _approve,
    "reject": _reject,
}
