"""An entry of the record as one line for the terminal: when, what became of whose call, why.

Rules of this module:
* Pure. Everything from an agent, a tool or a reviewer is made inert, and stays on its line.
* Colour only adds: the word says the same without it.
* A kind of entry that is not known here is shown by its name: an older terminal hides nothing of a newer gate.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from enum import StrEnum
from typing import Any

from policies.model import JsonObject
from review.inert import terminal

TEXT_CHARS_MAX = 200
WORD_CHARS_MAX = 40
SPOKEN_LENGTH = 6
NOTED = "call_noted"


class Tone(StrEnum):
    """ANSI colours, by what they say."""

    GOOD = "32"
    WAITING = "33"
    BAD = "31"
    HELD = "35"
    PERSON = "36"
    QUIET = "2"


@dataclass(frozen=True, slots=True)
class Said:
    """`decision` is what filters by decision look at; empty where an entry decides nothing."""

    word: str
    tone: Tone
    decision: str = ""
    more: str = ""


@dataclass(frozen=True, slots=True)
class Filter:
    """What is to be shown; empty means everything. Noted traffic (pings, lists) only where it is wanted."""

    agents: frozenset[str] = frozenset()
    servers: frozenset[str] = frozenset()
    decisions: frozenset[str] = frozenset()
    shows_noted: bool = False

    def takes(self, event: JsonObject) -> bool:
        if event["kind"] == NOTED and not self.shows_noted:
            return False
        about = names(event)
        return (
            (not self.agents or about["agent"] in self.agents)
            and (not self.servers or about["server"] in self.servers)
            and (not self.decisions or said(event).decision in self.decisions)
        )


DECISIONS = ("allow", "deny", "ask", "redact", "quarantine")


def line(event: JsonObject, *, color: bool, zone: tzinfo | None = UTC) -> str:
    """The whole line."""
    what, about = said(event), names(event)
    when = datetime.fromtimestamp(event["at"], UTC).astimezone(zone).strftime("%H:%M:%S")
    word = f"{inert(what.word)[:WORD_CHARS_MAX]:<12}"
    if color:
        when, word = _colored(when, Tone.QUIET), _colored(word, what.tone)
    who = inert(about["agent"]) if about["agent"] else ""
    place = "/".join(inert(about[part]) for part in ("server", "tool") if about[part])
    call = f"{who}{' → ' if who and place else ''}{place}"
    short = f"…{inert(str(event['call_id']))[-SPOKEN_LENGTH:]}" if event.get("call_id") else ""
    parts = [when, word, call, inert(what.more) if what.more else "", short]
    return "  ".join(part for part in parts if part)


def _colored(text: str, tone: Tone) -> str:
    return f"\x1b[{tone.value}m{text}\x1b[0m"


def inert(text: object) -> str:
    return terminal(str(text), chars_max=TEXT_CHARS_MAX).replace("\n", "⏎")


def names(event: JsonObject) -> dict[str, str]:
    """Agent, server and tool, as far as the entry is about any."""
    about, body = event.get("about") or {}, event["body"]
    kind, _, actor = str(event["actor"]).partition(":")
    agent = about.get("agent") or (actor if kind == "agent" else "")
    tool = about.get("tool") or body.get("tool") or body.get("method") or ""
    return {"agent": str(agent), "server": str(about.get("server") or body.get("server") or ""), "tool": str(tool)}


def said(event: JsonObject) -> Said:
    """What an entry says, in a word and a few more."""
    build = _KINDS.get(event["kind"])
    if build is not None:
        return build(event["body"], event)
    return Said(inert(event["kind"]).replace("_", " "), Tone.QUIET, more=_why(event["body"]) or _by(event))


def _by(event: JsonObject) -> str:
    kind, _, name = str(event["actor"]).partition(":")
    return f"by {name}" if kind == "reviewer" else str(event["actor"]) if kind == "policy" else ""


def _why(body: Mapping[str, Any]) -> str:
    return str(body.get("comment") or body.get("why") or "")


def _joined(*parts: str) -> str:
    return ": ".join(part for part in parts if part)


_EFFECTS = {
    "allow": ("allowed", Tone.GOOD, "allow"),
    "deny": ("denied", Tone.BAD, "deny"),
    "require_approval": ("asks", Tone.WAITING, "ask"),
    "allow_unless_vetoed": ("on the loop", Tone.GOOD, "allow"),
}
_OUTCOMES = {
    "allow": ("answered", Tone.GOOD, "allow"),
    "redact": ("redacted", Tone.HELD, "redact"),
    "quarantine": ("quarantined", Tone.HELD, "quarantine"),
}


def _decided(body: Mapping[str, Any], _: JsonObject) -> Said:
    word, tone, decision = _EFFECTS.get(body.get("effect", ""), (str(body.get("effect")), Tone.QUIET, ""))
    rules = ", ".join(map(str, body.get("rules") or ()))
    return Said(word, tone, decision, f"[{rules}]" if rules else "no rule speaks for it")


def _answered(body: Mapping[str, Any], _: JsonObject) -> Said:
    word, tone, decision = _OUTCOMES.get(body.get("outcome", ""), (str(body.get("outcome")), Tone.QUIET, ""))
    kinds = ", ".join(map(str, body.get("findings") or ()))
    error = "with an error" if body.get("is_error") else ""
    return Said(word, tone, decision, ", ".join(part for part in (error, kinds, str(body.get("why") or "")) if part))


def _opened(body: Mapping[str, Any], event: JsonObject) -> Said:
    held = body.get("kind") == "release"
    if body.get("kind") == "afterwards":
        return Said("to judge", Tone.QUIET, more="people look at it afterwards")
    if body.get("goes_by_itself"):
        left_sec = max(0, int(body.get("expires_at", 0)) - int(event["at"]))
        return Said("vetoable", Tone.WAITING, more=f"goes in {left_sec} s unless somebody vetoes it")
    teams = ", ".join(map(str, body.get("teams") or ())) or "any reviewer"
    return Said("held" if held else "parked", Tone.HELD if held else Tone.WAITING, more=f"waits for {teams}")


def _settled(body: Mapping[str, Any], event: JsonObject) -> Said:
    state = str(body.get("to_state") or "settled")
    tone = Tone.GOOD if state in ("spendable", "approved", "released", "judged_ok") else Tone.BAD
    return Said(state, tone, more=_joined(_by(event), _why(body)))


def _person(word: str) -> Callable[[Mapping[str, Any], JsonObject], Said]:
    return lambda body, event: Said(word, Tone.PERSON, more=_joined(_by(event), _why(body)))


def _plain(word: str, tone: Tone) -> Callable[[Mapping[str, Any], JsonObject], Said]:
    return lambda body, _: Said(word, tone, more=_why(body))


def _voted(body: Mapping[str, Any], event: JsonObject) -> Said:
    return Said(str(body.get("verdict") or "voted"), Tone.PERSON, more=_joined(_by(event), _why(body)))


_KINDS: Mapping[str, Callable[[Mapping[str, Any], JsonObject], Said]] = {
    "call_decided": _decided,
    "call_answered": _answered,
    "call_refused": _plain("refused", Tone.BAD),
    "call_failed": _plain("failed", Tone.BAD),
    "call_in_doubt": _plain("in doubt", Tone.BAD),
    "call_resolved": _person("resolved"),
    "call_reattached": _plain("came back", Tone.QUIET),
    NOTED: _plain("noted", Tone.QUIET),
    "agent_left": _plain("agent left", Tone.QUIET),
    "ticket_issued": _plain("ticket", Tone.QUIET),
    "review_opened": _opened,
    "review_voted": _voted,
    "review_edited": _person("edited"),
    "review_settled": _settled,
    "review_voided": _plain("voided", Tone.BAD),
    "grant_spent": _plain("sent", Tone.GOOD),
    "output_released": _person("released"),
    "output_destroyed": _person("destroyed"),
    "stop_ordered": lambda body, event: Said(
        "STOP", Tone.BAD, more=_joined(f"{body.get('scope')} {body.get('target')}".rstrip(), _by(event), _why(body))
    ),
}
