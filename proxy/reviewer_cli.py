"""`interlock login` and `interlock approvals …`: deciding from the terminal, through the reviewers' listener.

Rules of this module:
* Everything from an agent or a tool is printed inert (`review.inert.terminal`).
* `approve` shows what it approves first, asks whether it is to be that where a person sits at the terminal, and sends
  the digest of just that; a race comes back as a conflict. A script gives the digest that it was shown (`--digest`).
* Exit codes: 0 done, 1 the gate said no, 2 wrong usage, 3 the gate cannot be reached.
"""

from __future__ import annotations

import getpass
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from policies.model import JsonObject
from proxy.config_file import user_config_dir
from proxy.refused_cli import exit_code
from proxy.reviewer_client import Refused, ReviewerClient, Unreachable, load_sessions, save_session
from review import exact
from review.inert import inert, marked_json, terminal

SPOKEN_LENGTH = 6


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
    queue = client.queue()
    if options["json"]:
        print(marked_json(queue))
        return 0
    rows = [*queue["waiting"], *queue["held"]]
    if not rows and not queue["in_doubt"]:
        print("Nothing waits for people.")
    now = time.time()  # noqa: TID251 - a terminal's own clock, for showing time left
    for row in rows:
        print(_row(row["review"], row["call"], now))
    for row in queue.get("undoable", ()):
        begin = f"{_in_line(row['call']['agent'])} → {_what(row['call'])}"
        print(f"{_spoken(row['review'])}  approved     {begin}  {_arguments(row['call'])}  [not sent yet]")
    for call in queue["in_doubt"]:
        print(f"{_spoken(call)}  in doubt     {_in_line(call['agent'])} → {_what(call)}")
    return 0


def _row(review: JsonObject, call: JsonObject, now: float) -> str:
    begin = f"{_in_line(call['agent'])} → {_what(call)}"
    left = _left(review["expires_at"] - now)
    if review["kind"] == "release":
        return f"{_spoken(review)}  output held  {begin}  [{_in_line(_why_held(call))}]  {left}"
    rules = ", ".join(review["answered_rules"])
    return f"{_spoken(review)}  asks         {begin}  {_arguments(call)}  [{_in_line(rules)}]  {left}"


def _spoken(row: JsonObject) -> str:
    return str(row["id"])[-SPOKEN_LENGTH:]


def _left(sec: float) -> str:
    minutes = max(0, int(sec)) // 60
    if minutes < 120:
        return f"{minutes} min left"
    return f"{minutes // 60} h left" if minutes < 48 * 60 else f"{minutes // 1440} days left"


def _what(call: JsonObject) -> str:
    return f"{_in_line(call['server'])}/{_in_line(call['tool'])}"


def _in_line(text: object, chars_max: int = 240) -> str:
    """Text from outside that cannot leave its line: an agent writes no rows of ours."""
    return terminal(str(text), chars_max=chars_max).replace("\n", "⏎")


def _why_held(call: JsonObject) -> str:
    return str((call.get("inspection") or {}).get("why") or "no reason is kept")


def _to_send(call: JsonObject) -> JsonObject:
    return call.get("approved") or call.get("proposed") or {}


def _arguments(call: JsonObject) -> str:
    return _in_line(exact.text(_to_send(call).get("arguments", {})), chars_max=160)


def _show(client: ReviewerClient, options: dict[str, Any]) -> int:
    shown = client.show(_whole_id(client, options["review"]))
    if options["json"]:
        print(marked_json(shown))
        return 0
    _print_shown(shown, client.url)
    return 0


def _print_shown(shown: JsonObject, url: str) -> None:
    """Everything that an approval of it binds, and what a reader should beware of."""
    call, review = shown["call"], shown["review"] or {}
    print(f"{_in_line(call['agent'])} wants {_what(call)}   (call {call['id']})")
    if call.get("on_behalf_of"):
        print(f"It says it acts for {_in_line(call['on_behalf_of'])} (stated by the agent, not proven)")
    print(_standing(shown))
    decision = call["decision"]
    print(f"Why: {_in_line(decision.get('reason', ''), chars_max=2_000)}")
    for rule in decision.get("rules", ()):
        print(f"  rule {_in_line(rule)}")
    if (shown.get("definition") or {}).get("has_drifted"):
        print("Beware: no person has accepted this tool's definition as it is now.")
    for caution in _cautions(call):
        print(f"Beware: {caution}")
    if call.get("approved"):
        print("The agent proposed:")
        print(marked_json((call.get("proposed") or {}).get("arguments", {})))
        print("A reviewer changed it to:")
    else:
        print("Arguments:")
    print(marked_json(_to_send(call).get("arguments", {})))
    if _to_send(call).get("input_responses"):
        print("Answers it gives the tool:")
        print(marked_json(_to_send(call)["input_responses"]))
    if _to_send(call).get("request_state"):
        print("State it hands back to the tool, which only the tool can read:")
        print(marked_json(_to_send(call)["request_state"]))
    if review.get("kind") == "release":
        print(f"Its output is held: {_in_line(_why_held(call), chars_max=2_000)}")
        print(f"Release or destroy it in the console: {url}/q/{call['id']}")
    if call["state"] == "in_doubt":
        print(f"It may or may not have happened. Say what you found in the console: {url}/c/{call['id']}")
    if shown["shown"]:
        print(f"Digest of what an approval binds: {shown['shown']}")
    if shown["cannot_decide"]:
        print(f"You cannot decide this: {_in_line(shown['cannot_decide'], chars_max=2_000)}")


def _standing(shown: JsonObject) -> str:
    review = shown["review"]
    if review is None:
        return f"State: {shown['call']['state']}"
    until = datetime.fromtimestamp(review["expires_at"], tz=UTC).isoformat(timespec="minutes")
    count = f"   {shown['agree']} of {shown['needed']} agree" if shown.get("needed", 1) > 1 else ""
    return f"State: {review['state']}   answer until {until}{count}"


def _cautions(call: JsonObject) -> Iterator[str]:
    for what in ("agent", "server", "tool"):
        for caution in inert(str(call[what]), is_name=True).cautions:
            yield f"{caution} ({what})"
    for caution in inert(exact.text(_to_send(call))).cautions:
        yield f"{caution} (arguments)"


def _approve(client: ReviewerClient, options: dict[str, Any]) -> int:
    shown = client.show(_whole_id(client, options["review"]))
    _print_shown(shown, client.url)
    if options.get("digest") not in (None, "", shown["shown"]):
        print("interlock: it has changed since that digest was shown; nothing was decided", file=sys.stderr)
        return 1
    if not sys.stdin.isatty():
        return _told(client.act("approve", shown, comment=options["comment"]))
    began = time.monotonic()
    if input("Approve exactly this? [y/N] ").strip().lower() not in ("y", "yes"):
        print("Nothing was decided.")
        return 1
    looked_ms = int((time.monotonic() - began) * 1000)
    return _told(client.act("approve", shown, comment=options["comment"], looked_ms=looked_ms))


def _reject(client: ReviewerClient, options: dict[str, Any]) -> int:
    shown = client.show(_whole_id(client, options["review"]))
    return _told(client.act("reject", shown, comment=options["comment"]))


def _undo(client: ReviewerClient, options: dict[str, Any]) -> int:
    """Take an approval back. Exactly one of this and sending happens; the answer says which."""
    shown = client.show(_whole_id(client, options["review"]))
    return _told(client.act("undo", shown, comment=options["comment"]))


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
    queue = client.queue()
    rows = [row for part in ("waiting", "held", "undoable", "settled") for row in queue.get(part, ())]
    ids = {str(row[part]["id"]) for row in rows for part in ("review", "call")}
    ids |= {str(call["id"]) for call in queue["in_doubt"]}
    found = sorted(one for one in ids if one.endswith(given.upper()))
    if len(found) != 1:
        raise Refused("not_found", f"{len(found)} questions end in {given}; give the whole id.")
    return found[0]


_VERBS: dict[str, Callable[[ReviewerClient, dict[str, Any]], int]] = {
    "login": _login,
    "list": _list,
    "show": _show,
    "approve": _approve,
    "reject": _reject,
    "undo": _undo,
}
