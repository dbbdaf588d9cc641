"""Glob patterns as the sets of names they match: whether one lies within another, and a name that two of them share.

Rules of this module:
* What is said to lie within does: a pattern read as a tool's (`server.tool`, or the bare name) is compared in every
  way it can match. Where it cannot be shown within `STATES_MAX` steps, the answer is no.
* Two patterns share nothing only if no name can match both; a shared name is an example one can try.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from functools import lru_cache

from policies.patterns import Pattern, Tokens, rest, step, tokens_of

STATES_MAX = 20_000  # looked at before giving up on one pair of patterns
PAIRS_CACHED_MAX = 65_536

_SPARE = "xyzqjkvwXYZQ0123456789"  # a letter that neither pattern names stands for every such letter

type _States = frozenset[int]


@lru_cache(maxsize=PAIRS_CACHED_MAX)
def is_within(inner: str, outer: str) -> bool:
    """Whether every name that `inner` matches, `outer` matches too."""
    if inner == outer or outer == "**":
        return True
    if "*" not in inner:
        return Pattern(outer).matches(inner)
    if "*" not in outer:
        return False
    left, right = _tokens(inner), _tokens(outer)
    letters = _letters(left, right)
    begin = (_begin(left), _begin(right))
    seen, waiting = {begin}, deque([begin])
    while waiting:
        here, there = waiting.popleft()
        if len(left) in here and len(right) not in there:
            return False
        if len(seen) > STATES_MAX:
            return False
        for letter in letters:
            after = (_moved(here, letter, left), _moved(there, letter, right))
            if after[0] and after not in seen:
                seen.add(after)
                waiting.append(after)
    return True


@lru_cache(maxsize=PAIRS_CACHED_MAX)
def is_tool_within(inner: str, outer: str) -> bool:
    """Whether every tool that `inner` matches (as `server/tool`, `server.tool` or bare) `outer` matches too."""
    if inner == outer or outer == "**":
        return True
    if ("/" in inner) == ("/" in outer):
        return is_within(inner, outer)
    server, slash, tool = inner.partition("/")
    if not slash or "**" in server:
        return False
    return is_within(f"{server}.{tool}", outer) or is_within(tool, outer)


@lru_cache(maxsize=PAIRS_CACHED_MAX)
def shared_tool(one: str, other: str) -> str | None:
    """The shortest `server/tool` that both match; None if there is none, empty if it took too long to find out."""
    ways = [_shared(_tokens(a), _tokens(b)) for a in _slashed(one) for b in _slashed(other)]
    names = [name for name in ways if name]
    return min(names, key=lambda name: (len(name), name)) if names else ("" if "" in ways else None)


def example_tool(pattern: str) -> str:
    """A `server/tool` that the pattern matches; empty if none was found."""
    return shared_tool(pattern, "**/**") or ""


def is_disjoint(one: str, other: str) -> bool:
    """Whether no name (of a server, an agent, a topic) can match both."""
    if "*" not in one:
        return not Pattern(other).matches(one)
    if "*" not in other:
        return not Pattern(one).matches(other)
    return _shared(_tokens(f"-/{one}"), _tokens(f"-/{other}")) is None


def _slashed(pattern: str) -> Iterator[str]:
    """The ways in which a pattern matches tools, each as a pattern of `server/tool`."""
    if "/" in pattern:
        yield pattern
        return
    yield f"*/{pattern}"
    for token in re.finditer(r"\.|\*+", pattern):
        server, tool = pattern[: token.start()].replace("**", "*"), pattern[token.end() :]  # no server has a slash
        yield f"{server}/{tool}" if token.group() == "." else f"{server}*/{token.group()}{tool}"


def _shared(left: Tokens, right: Tokens) -> str | None:
    """The shortest `server/tool` of both, neither part of it empty; empty where it was not found in `STATES_MAX`."""
    letters = _letters(left, right)
    begin = (_begin(left), _begin(right), 0)
    names = {begin: ""}
    waiting = deque([begin])
    while waiting:
        here, there, part = state = waiting.popleft()
        if part == _IN_TOOL and len(left) in here and len(right) in there:
            return names[state]
        if len(names) > STATES_MAX:
            return ""
        for letter in letters:
            if letter == "/" and part == 0:
                continue
            moved = _AFTER_SLASH if letter == "/" and part == 1 else (1, 1, _IN_TOOL, _IN_TOOL)[part]
            after = (_moved(here, letter, left), _moved(there, letter, right), moved)
            if after[0] and after[1] and after not in names:
                names[after] = names[state] + letter
                waiting.append(after)
    return None


_AFTER_SLASH, _IN_TOOL = 2, 3


_tokens = lru_cache(maxsize=4_096)(tokens_of)


def _letters(left: Tokens, right: Tokens) -> str:
    """Every letter the patterns name, the slash, and one that stands for all others."""
    named = sorted({token for token in (*left, *right) if "*" not in token} | {"/"})
    spare = next(letter for letter in _SPARE + "".join(map(chr, range(0x3B1, 0x600))) if letter not in named)
    return "".join((spare, *named))


def _begin(tokens: Tokens) -> _States:
    return frozenset(rest({0}, tokens))


def _moved(states: _States, letter: str, tokens: Tokens) -> _States:
    return frozenset(step(states, letter, tokens))
