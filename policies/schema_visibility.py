"""`visibility` of a policy file: which tools agents are shown in lists (see `visibility.py`).

Rules of this module:
* Entries match by what is known of a tool and an agent before anything is called: no arguments, no facts, no time.
"""

from __future__ import annotations

from policies.criteria import Match, read_match
from policies.criteria.base import Scope
from policies.reading import Node
from policies.snapshot import Visibility

VISIBILITY_KEYS = ("hide", "show", "hide_denied")
ENTRY_KEYS = ("match", "reason")
SEEN_BY = ("tools", "servers", "topics", "risk_tags", "risk", "reversible", "agents", "groups")


def read_visibility(node: Node, policy: str) -> Visibility | None:
    """What one file says of lists, or None after noting what is wrong."""
    children = node.mapping(VISIBILITY_KEYS, "visibility")
    if children is None:
        return None
    hide = _entries(children["hide"], allowing=False) if "hide" in children else ()
    show = _entries(children["show"], allowing=True) if "show" in children else ()
    denied = children["hide_denied"].truth() if "hide_denied" in children else False
    if not (hide or show or denied):
        node.mistake("visibility that hides nothing", "add hide, show or hide_denied: true")
        return None
    return Visibility(policy, hide, show, bool(denied))


def _entries(node: Node, *, allowing: bool) -> tuple[Match, ...]:
    found = (_entry(item, allowing=allowing) for item in node.items(node.name) or ())
    return tuple(match for match in found if match is not None)


def _entry(node: Node, *, allowing: bool) -> Match | None:
    children = node.mapping(ENTRY_KEYS, "an entry of visibility")
    if children is None:
        return None
    if "reason" in children:
        children["reason"].text()
    if "match" not in children:
        node.mistake("it lacks 'match'", "say which tools, servers, risk_tags, agents or groups it is about")
        return None
    if children["match"].mapping(SEEN_BY, "the match of visibility") is None:
        return None
    return read_match(children["match"], Scope(allowing=allowing, facts={}))
