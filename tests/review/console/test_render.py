from __future__ import annotations

from html import unescape
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import UndefinedError

from review.console import assets
from review.console.render import Renderer, brief, leaf, name, raw, short, shown, time
from review.shape import Leaf
from tests.review.hostile import ALL

ANY_TEXT = st.text(st.characters(codec=None, categories=None), max_size=100) | st.sampled_from(list(ALL.values()))
OURS = {"bdi", "span", "details", "summary", "p", "pre", "code", "time"}


class Tags(HTMLParser):
    """Collects what a browser would see as markup."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {key for key, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def handle_comment(self, data: str) -> None:
        self.tags.add("comment")


@given(ANY_TEXT)
def test_a07_text_from_outside_never_becomes_markup(text: str) -> None:
    for html in (shown(text), name(text), short(text), leaf(Leaf("$", "text", text)), brief(Leaf("$", "text", text))):
        seen = Tags(str(html))
        assert seen.tags <= OURS
        assert seen.attributes <= {"class", "dir", "title", "aria-hidden"}


@given(ANY_TEXT)
def test_a07_nor_does_json(text: str) -> None:
    seen = Tags(str(raw({text: [text]})))
    assert seen.tags == {"pre"}
    assert seen.attributes == {"class", "tabindex"}


def test_a08_marks_stand_apart_from_text() -> None:
    assert str(shown("a\u202eb")).startswith(
        '<bdi class="x" dir="ltr">a<span class="mark">\u27e8U+202E\u27e9</span>b</bdi>'
    )


def test_long_text_can_be_opened_in_place_and_very_long_text_is_elsewhere() -> None:
    assert "Show all 2,000 characters" in shown("x" * 2000)
    assert "JSON twin" in shown("x" * 200_000)
    assert len(shown("x" * 200_000)) < 3_000


def test_in_a_list_text_stays_short_and_has_nothing_to_click() -> None:
    seen = Tags(str(short("\u202e" + "x" * 5000 + "tail")))
    assert not seen.tags & {"details", "summary", "a"}
    assert "".join(seen.text).count("x") < 100
    assert "tail" in "".join(seen.text)


def test_leaves_are_written_as_what_they_are() -> None:
    assert leaf(Leaf("$", "null", None)) == "<code>null</code>"
    assert leaf(Leaf("$", "true/false", True)) == "<code>true</code>"
    assert "empty text" in leaf(Leaf("$", "text", ""))
    assert ">true<" in leaf(Leaf("$", "text", "true"))  # text that says true is text


def test_raw_json_past_the_limit_is_named_and_not_shown() -> None:
    assert "JSON twin" in raw(["x" * 200_000])


def test_a_moment_is_exact_for_machines_and_in_utc_for_people() -> None:
    assert str(time(0)) == '<time datetime="1970-01-01T00:00:00+00:00" data-at="0">01 Jan 1970, 00:00:00 UTC</time>'


def test_a_template_that_names_what_is_not_given_fails_instead_of_showing_nothing() -> None:
    with pytest.raises(UndefinedError):
        Renderer({}, arming_ms=600).page("message.html", {"title": "x"})


def test_templates_escape_everything() -> None:
    renderer = Renderer(dict.fromkeys(assets.load(), ""), arming_ms=600)
    html = renderer.page("message.html", {"title": "<x>", "message": "<y>", "who": None})
    assert "<x>" not in html
    assert "<y>" not in html
    assert "<y>" in unescape(html)
