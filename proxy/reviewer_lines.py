"""What `interlock approvals` prints of a question: a line in a list, and the whole of it.

Rules of this module:
* Everything from an agent or a tool is printed inert (`review.inert.terminal`) and cannot leave its line.
* Of a held output it says paths, kinds and lengths, never values.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from policies.constraints import said
from policies.model import JsonObject
from review import exact
from review.inert import inert, marked_json, terminal

SPOKEN_LENGTH = 6
FINDINGS_SHOWN_MAX = 40


def row(review: JsonObject, call: JsonObject, now: float) -> str:
    begin = f"{in_line(call['agent'])} → {what(call)}"
    left = _left(review["expires_at"] - now)
    if review["kind"] == "release":
        return f"{spoken(review)}  output held  {begin}  [{in_line(_why_held(call))}]  {left}"
    rules = ", ".join(review["answered_rules"])
    return f"{spoken(review)}  asks         {begin}  {arguments(call)}  [{in_line(rules)}]  {left}"


def vetoable_row(review: JsonObject, call: JsonObject, now: float) -> str:
    begin = f"{in_line(call['agent'])} → {what(call)}"
    left_sec = max(0, int(review["expires_at"] - now))
    return f"{spoken(review)}  on the loop  {begin}  {arguments(call)}  [goes in {left_sec} s unless vetoed]"


def undoable_row(review: JsonObject, call: JsonObject) -> str:
    begin = f"{in_line(call['agent'])} → {what(call)}"
    return f"{spoken(review)}  approved     {begin}  {arguments(call)}  [not sent yet]"


def unjudged_row(review: JsonObject, call: JsonObject) -> str:
    return f"{spoken(review)}  to judge     {in_line(call['agent'])} → {what(call)}  {arguments(call)}"


def doubtful_row(call: JsonObject) -> str:
    return f"{spoken(call)}  in doubt     {in_line(call['agent'])} → {what(call)}"


def spoken(row: JsonObject) -> str:
    return str(row["id"])[-SPOKEN_LENGTH:]


def _left(sec: float) -> str:
    minutes = max(0, int(sec)) // 60
    if minutes < 120:
        return f"{minutes} min left"
    return f"{minutes // 60} h left" if minutes < 48 * 60 else f"{minutes // 1440} days left"


def what(call: JsonObject) -> str:
    return f"{in_line(call['server'])}/{in_line(call['tool'])}"


def in_line(text: object, chars_max: int = 240) -> str:
    """Text from outside that cannot leave its line: an agent writes no rows of ours."""
    return terminal(str(text), chars_max=chars_max).replace("\n", "⏎")


def _why_held(call: JsonObject) -> str:
    return str((call.get("inspection") or {}).get("why") or "no reason is kept")


def _to_send(call: JsonObject) -> JsonObject:
    return call.get("approved") or call.get("proposed") or {}


def arguments(call: JsonObject) -> str:
    if call.get("arguments_omitted"):
        told = call["arguments"]
        first = ", ".join(f"{one['path'].removeprefix('$.')}={exact.text(one['value'])}" for one in told["first"])
        return f"{in_line(first, chars_max=160)} (in all {told['size_bytes']:,} bytes)".lstrip()
    return in_line(exact.text(_to_send(call).get("arguments", {})), chars_max=160)


def print_shown(shown: JsonObject, url: str) -> None:
    """Everything that an approval of it binds, and what a reader should beware of."""
    call, review = shown["call"], shown["review"] or {}
    print(f"{in_line(call['agent'])} wants {what(call)}   (call {call['id']})")
    if call.get("on_behalf_of"):
        print(f"It says it acts for {in_line(call['on_behalf_of'])} (stated by the agent, not proven)")
    print(_standing(shown))
    decision = call["decision"]
    print(f"Why: {in_line(decision.get('reason', ''), chars_max=2_000)}")
    for rule in decision.get("rules", ()):
        print(f"  rule {in_line(rule)}")
    for one in decision.get("constraints", ()):
        print(f"  held to {in_line(one['kind'])} {in_line(said(one['value']))} by {in_line(one['rule'])}")
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
        print(f"Its output is held: {in_line(_why_held(call), chars_max=2_000)}")
        for line in _findings(call):
            print(line)
        print(f"It is shown in clear, for a reason, in the console: {url}/q/{call['id']}")
    if call["state"] == "in_doubt":
        print("It may or may not have happened. Say what you found: interlock approvals resolve,")
        print(f"or in the console: {url}/c/{call['id']}")
    for one in shown.get("comments", ()):
        print(f"{in_line(one['reviewer'])} said: {in_line(one['comment'], chars_max=2_000)}")
    if shown["shown"]:
        print(f"Digest of what an approval binds: {shown['shown']}")
    if shown["cannot_decide"]:
        print(f"You cannot decide this: {in_line(shown['cannot_decide'], chars_max=2_000)}")


def _findings(call: JsonObject) -> Iterator[str]:
    """What was found where, and never what it is."""
    found = (call.get("inspection") or {}).get("findings") or ()
    for one in found[:FINDINGS_SHOWN_MAX]:
        yield f"  found {in_line(one.get('kind', '?'))} at {in_line(one.get('path', '$'))}"
    if len(found) > FINDINGS_SHOWN_MAX:
        yield f"  … and {len(found) - FINDINGS_SHOWN_MAX} more findings"


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
