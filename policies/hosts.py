"""Hosts that stand in a call's values: what a network allow-list is held against. Pure, and linear in the text.

Rules of this module:
* More is taken for a host than is one, never less where it can be helped: a host that is overlooked is a way out, one
  found too many asks its author to say where hosts stand (`hosts_in`). `release.notes` could be a host, so it is one.
* A text is read as those read it who will resolve it: compatibility forms and other full stops count as what they
  stand for, characters that are not seen do not count (UTS 46), and a backslash is a slash (WHATWG URL §4.4).
* An authority that two readers could read differently (`user@`, `%`, a backslash in it) is `UNREADABLE`, which no list
  has. A host with letters beyond ASCII is in no list either: lists and arguments write it as `xn--…`.
* What cannot be told from a word is found in a URL or by `hosts_in` only: names without a dot, and addresses written as
  one number.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

UNREADABLE = "?"  # a host that cannot be known: `?` stands in no name and in no pattern
_NAME_CHARS = 253
_LABEL_CHARS = 63

_DOTS = str.maketrans({"\u3002": ".", "\uff0e": ".", "\uff61": "."})
_UNSEEN = frozenset("\u034f\u180b\u180c\u180d\u180f") | frozenset(map(chr, range(0xFE00, 0xFE10)))
_LINE_BREAKS = re.compile(r"[\t\r\n]")

_SPECIAL = r"(?:https?|wss?|ftp):[/\\]*"  # for these, slashes are optional
_URL = re.compile(rf"(?:(?<![\w+.-]){_SPECIAL}|(?<=[\w+.-]):[/\\]{{2}}|\A\s*[/\\]{{2}})([^/?#\s]*)", re.IGNORECASE)
_WHOLE = re.compile(rf"(?:{_SPECIAL}|[a-z][a-z0-9+.-]*:[/\\]{{2}}|[/\\]{{2}})?([^/?#\s]*)(?=[/?#]|\Z)", re.IGNORECASE)
_STARTS_URL = re.compile(r"\s*[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_OUTSIDE_HOST = re.compile(r"[^\w.:\[\]-]")
_PORT = re.compile(r":[0-9]*\Z")
_DOTTED = re.compile(r"(?<![\w-])[\w-]++(?:\.[\w-]++)+")
_PATH = re.compile(r"(?::[0-9]*)?[/?#][^\s\"'<>`{|}\\^,;()]*")  # what comes after a host is none
_LOCALHOST = re.compile(r"(?<![\w.-])localhost(?![\w.-])", re.IGNORECASE)
_COLONS = re.compile(r"[0-9A-Fa-f:.]{2,}")
_NUMBER = re.compile(r"(?:0[xX][0-9a-fA-F]+|[0-9]+)\Z")


def hosts_in(value: Any) -> Iterator[str]:
    """Every host in the texts of a value, keys included, in lower case. Without recursion: depth is the agent's."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            yield from _hosts_of(one)
        elif isinstance(one, dict):
            waiting.extend(one.keys())
            waiting.extend(one.values())
        elif isinstance(one, list):
            waiting.extend(one)


def host_of(value: Any) -> str:
    """The host of a value that is one: a URL, or a name or address with or without port and path."""
    if not isinstance(value, str):
        return UNREADABLE
    found = _WHOLE.match(_LINE_BREAKS.sub("", _seen(value)).strip())
    return (_host(found.group(1)) if found is not None else "") or UNREADABLE


def _hosts_of(text: str) -> Iterator[str]:
    seen = _seen(text)
    readings = [seen]
    if _STARTS_URL.match(seen) and _LINE_BREAKS.search(seen):
        readings.append(_LINE_BREAKS.sub("", seen))  # whoever is given a whole URL reads it without them
    for reading in readings:
        for found in _URL.finditer(reading):
            host = _host(found.group(1))
            if host:
                yield host
    yield from _bare(_without_paths(seen))
    if _LOCALHOST.search(seen):
        yield "localhost"
    if seen.count(":") > 1:
        for run in _COLONS.finditer(seen):
            address = _address(run.group()) if run.group().count(":") > 1 else None
            if address is not None:
                yield address


def _without_paths(text: str) -> str:
    """The text without what comes after the hosts of its URLs: `chat.postMessage` is no host there."""
    kept, end = [], 0
    for found in _URL.finditer(text):
        if found.end() >= end:
            path = _PATH.match(text, found.end())
            kept.append(text[end : found.end()])
            end = path.end() if path is not None else found.end()
    return " ".join((*kept, text[end:]))


def _bare(text: str) -> Iterator[str]:
    """Dotted words that could be hosts."""
    at = 0
    while (dotted := _DOTTED.search(text, at)) is not None:
        at = dotted.end()
        if _is_host_like(dotted.group()):
            yield dotted.group().strip("-").lower()
            path = _PATH.match(text, at)
            at = path.end() if path is not None else at


def _seen(text: str) -> str:
    """The text as one who resolves names reads it."""
    if text.isascii():
        return text
    plain = unicodedata.normalize("NFKC", text.translate(_DOTS)).translate(_DOTS)
    return "".join(one for one in plain if one not in _UNSEEN and unicodedata.category(one) != "Cf")


def _host(authority: str) -> str:
    """The host of an authority, empty if there is none."""
    if any(sign in authority for sign in "@%\\"):
        return UNREADABLE
    outside = _OUTSIDE_HOST.search(authority)
    name = authority if outside is None else authority[: outside.start()]
    name = _PORT.sub("", name)
    if ":" in name or "[" in name or "]" in name:
        inner = name[1:-1] if name.startswith("[") and name.endswith("]") else name
        return _address(inner) or (UNREADABLE if name.strip(":[]") else "")
    name = name.strip(".").lower()
    return name if len(name) <= _NAME_CHARS else UNREADABLE


def _is_host_like(name: str) -> bool:
    """Whether a dotted word could be a host: an address of four numbers, or a last label as top-level names are."""
    labels = name.strip("-").split(".")
    if len(name) > _NAME_CHARS or any(len(label) > _LABEL_CHARS for label in labels):
        return False
    if len(labels) == 4 and all(_NUMBER.match(label) for label in labels):
        return True
    last = labels[-1]
    return len(last) > 1 and last[0].isalpha()


def _address(text: str) -> str | None:
    """An IPv6 address in its shortest form."""
    try:
        return str(ip_address(text))
    except ValueError:
        return None
