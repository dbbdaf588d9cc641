"""Globs over labels and names: what the wildcards cross, how plainly a pattern names a tool, bounded matching."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.patterns import PATTERN_CHARS_MAX, SUBJECT_CHARS_MAX, Naming, Pattern, parse


@pytest.mark.parametrize(
    ("pattern", "subject", "matches"),
    [
        ("job.refund.process", "job.refund.process", True),
        ("job.refund.process", "job.refund.processes", False),
        ("job.*.read", "job.crm.read", True),
        ("job.*.read", "job.crm.deep.read", True),
        ("job.*", "job", False),
        ("job.*", "job.", True),
        ("*", "a.b", True),
        ("*", "a/b", False),
        ("**", "a/b", True),
        ("files/*", "files/read", True),
        ("files/*", "files/read/all", False),
        ("files/**", "files/read/all", True),
        ("a*b*c", "abc", True),
        ("a*b*c", "acb", False),
        ("*.*", "nodot", False),
        ("a.b", "aXb", False),
        ("(x)+", "(x)+", True),
        ("***", "a/b", True),
    ],
)
def test_one_star_crosses_dots_and_two_cross_slashes(pattern: str, subject: str, matches: bool) -> None:
    assert parse(pattern).matches(subject) is matches


@pytest.mark.parametrize(
    ("pattern", "server", "tool", "matches"),
    [
        ("search.web", "search", "web", True),
        ("search.web", "google", "search.web", True),
        ("web", "search", "web", True),
        ("search", "search", "web", False),
        ("search/web", "search", "web", True),
        ("search/web", "google", "search/web", False),
        ("*/web", "search", "web", True),
        ("read_*", "files", "read_all", True),
    ],
)
def test_a_pattern_without_slash_is_tried_against_server_dot_tool_and_the_bare_name(
    pattern: str, server: str, tool: str, matches: bool
) -> None:
    assert parse(pattern).matches_tool(server, tool) is matches


@pytest.mark.parametrize(
    ("pattern", "naming"),
    [
        ("files/read", Naming.LITERALLY),
        ("files.read", Naming.LITERALLY),
        ("read", Naming.LITERALLY),
        ("files/*", Naming.BY_GLOB),
        ("files/re**", Naming.BY_GLOB),
        ("files.*", Naming.BY_GLOB),
        ("*/read", Naming.NOT),
        ("f*/read", Naming.NOT),
        ("read*", Naming.NOT),
        ("*", Naming.NOT),
        ("**", Naming.NOT),
        ("other/read", Naming.NOT),
    ],
)
def test_a_tool_is_named_by_a_literal_or_by_a_glob_whose_server_is_literal(pattern: str, naming: Naming) -> None:
    assert parse(pattern).names("files", "read") is naming


@pytest.mark.parametrize("text", ["a?", "a[b]", "{a,b}", "", " a", "a\n", "a\x00b", "x" * (PATTERN_CHARS_MAX + 1)])
def test_what_only_looks_like_a_wildcard_and_what_cannot_be_seen_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="pattern"):
        parse(text)


def test_a_name_beyond_the_limit_is_never_quietly_unmatched() -> None:
    assert parse("a*").matches("a" * SUBJECT_CHARS_MAX)
    with pytest.raises(ValueError, match="cannot be judged"):
        parse("a*").matches("a" * (SUBJECT_CHARS_MAX + 1))


def test_matching_takes_bounded_time_for_any_pattern() -> None:
    began = time.process_time()
    assert not parse("a*" * 127 + "b").matches("a" * SUBJECT_CHARS_MAX)
    assert time.process_time() - began < 2


@given(st.text("ab./*", max_size=8), st.text("ab./", max_size=8))
def test_matching_agrees_with_the_same_pattern_as_a_regular_expression(pattern: str, subject: str) -> None:
    expression = re.escape(pattern).replace(r"\*\*", "\0").replace(r"\*", "[^/]*").replace("\0", ".*")
    expression = re.sub(r"(\.\*)+(\[\^/\]\*)*", ".*", expression)
    assert Pattern(pattern).matches(subject) is bool(re.fullmatch(expression, subject))
