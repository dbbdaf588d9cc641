"""Turning values into HTML. The only importer of Jinja2.

Rules of this module:
* Autoescape is on for every template, and a name a template does not know is an error, not an empty string.
* What comes from agents and tools passes through `inert` (or its relatives here) on its way: the filters below are the
  only ones that make markup, and each escapes every part it puts in.
* Templates hold no logic but choosing and repeating; words about states and times come from `views`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from review import exact, inert, shape
from review.console import listing, views
from review.inert import Inert, Kind, Part

TEMPLATES = Path(__file__).parent / "templates"


class Renderer:
    """Renders pages. `assets` are the addresses of our own files by name."""

    def __init__(self, assets: Mapping[str, str], *, arming_ms: int) -> None:
        self._always = {"assets": dict(assets), "arming_ms": arming_ms, "stops": ()}

    def page(self, template: str, context: Mapping[str, Any]) -> str:
        return _environment().get_template(template).render({**self._always, **context})


@cache
def _environment() -> Environment:
    """One for the process: compiling the templates takes longer than rendering them a hundred times."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters.update(
        shown=shown, name=name, short=short, line=inert.marked, leaf=leaf, brief=brief, raw=raw, time=time
    )
    environment.filters.update(ago=views.ago, left=views.left, span=views.span)
    environment.globals.update(rows=shape.rows, views=views, listing=listing)
    return environment


def shown(text: object) -> Markup:
    """Any text from outside, whole or folded, with its marks and cautions."""
    return _html(inert.inert(str(text)))


def name(text: object) -> Markup:
    """A name from outside (agent, server, tool, key): short, one line, and better plain ASCII."""
    return _html(inert.inert(str(text), is_name=True, head=160, tail=80))


def short(text: object) -> Markup:
    """Text from outside in one line of a list: cut in the middle, cautions as one sign. The page has it whole."""
    cut = inert.inert(" ".join(str(text).split(" ")), is_name=False, head=60, tail=30)
    body = Markup("").join(_part(part) if part.kind is not Kind.FOLD else Markup(" … ") for part in cut.parts)
    if not cut.cautions:
        return Markup('<bdi class="x" dir="ltr">{}</bdi>').format(body)
    said = "; ".join(caution.value for caution in cut.cautions)
    sign = Markup(
        '<span class="warned" title="{}"><span aria-hidden="true">⚠</span><span class="sr"> ({})</span></span>'
    )
    return Markup('<bdi class="x" dir="ltr">{}</bdi>{}').format(body, sign.format(said, said))


def leaf(found: shape.Leaf) -> Markup:
    """A JSON leaf as it is to be read: text in full, everything else as JSON writes it."""
    if isinstance(found.value, str):
        return (
            _html(inert.inert(found.value), "x text")
            if found.value
            else Markup('<span class="quiet">empty text</span>')
        )
    return Markup("<code>{}</code>").format(exact.text(found.value))


def brief(found: shape.Leaf) -> Markup:
    """A JSON leaf in a few words, for lists; the page has it whole."""
    return short(found.value if isinstance(found.value, str) else exact.text(found.value))


def raw(value: Any) -> Markup:
    """The value as JSON, every character that does not show itself written as an escape."""
    written = inert.marked_json(value)
    if len(written) > inert.OPEN_CHARS_MAX:
        return Markup(
            '<p class="quiet">{:,} characters: too long to show here. The page’s JSON twin has the whole.</p>'
        ).format(len(written))
    return Markup('<pre class="raw" tabindex="0">{}</pre>').format(written)


def time(at: float) -> Markup:
    """A moment: exact for machines and on hover, readable in UTC."""
    moment = datetime.fromtimestamp(at, UTC)
    return Markup('<time datetime="{}" data-at="{}">{}</time>').format(
        moment.isoformat(timespec="seconds"), int(at * 1000), moment.strftime("%d %b %Y, %H:%M:%S UTC")
    )


def _html(text: Inert, css: str = "x") -> Markup:
    body = _parts(text.parts)
    if text.is_folded:
        whole = (
            Markup(
                '<details class="whole"><summary>Show all {:,} characters</summary><span class="x">{}</span></details>'
            ).format(text.length, _parts(text.whole))
            if text.whole is not None
            else Markup('<p class="quiet">{:,} characters: the page’s JSON twin has the whole.</p>').format(text.length)
        )
        body = Markup('<span class="cut">{}</span>{}').format(body, whole)
    shown_whole = Markup('<bdi class="{}" dir="ltr">{}</bdi>').format(css, body)
    return Markup("{}{}").format(shown_whole, _caution(text)) if text.cautions else shown_whole


def _caution(text: Inert) -> Markup:
    said = ", ".join(caution.value for caution in text.cautions)
    return Markup('<span class="caution"><span aria-hidden="true">⚠</span> {}</span>').format(said)


def _parts(parts: Iterable[Part]) -> Markup:
    return Markup("").join(_part(part) for part in parts)


def _part(part: Part) -> Markup:
    match part.kind:
        case Kind.TEXT:
            return escape(part.text)
        case Kind.MARK:
            return Markup('<span class="mark">{}</span>').format(part.text)
        case Kind.LINE:
            return Markup('<span class="eol" aria-hidden="true">⏎</span>\n')
        case Kind.FOLD:
            return Markup('\n<span class="fold">… {} …</span>\n').format(part.text)
