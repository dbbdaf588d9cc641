"""Hostile text and hostile pages against a real browser: nothing runs, nothing is decided."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from playwright.sync_api import Browser, expect

from policies.model import Approval
from review.model import ReviewState
from tests.browser.conftest import DESKTOP, PHONE, leave, log_in, watch
from tests.browser.served import Served
from tests.review.builders import held_output, refund
from tests.review.hostile import ALL

pytestmark = pytest.mark.browser


def test_a07_a08_hostile_text_does_nothing_in_any_scheme_or_size(chromium: Browser, served: Served) -> None:
    texts = {name: text for name, text in ALL.items() if "surrogate" not in name}
    arguments = {**texts, **{text: name for name, text in texts.items()}}
    everything = " ".join(texts.values())
    decision = {
        "reason": everything,
        "rules": list(texts.values()),
        "facts": texts,
        "errors": [everything],
        "trace": [{"policy": "p", "rule": everything, "matched": True, "effect": "deny", "why": everything}],
    }
    call = refund(
        agent=everything[:200],
        tool=texts["right-to-left override"],
        server=texts["script"],
        proposed={"arguments": arguments, "input_responses": {"q": everything}},
        decision=decision,
    )
    served.park(1, call, Approval())
    served.park(2, replace(held_output(), outcome={"result": arguments}, tool=texts["broken script"]), Approval())
    for options in ({**DESKTOP, "color_scheme": "light"}, {**PHONE, "color_scheme": "dark"}):
        context = chromium.new_context(base_url=served.url, **options)  # type: ignore[arg-type]
        page = context.new_page()
        wrong = watch(page)
        log_in(page, served)
        for path in ("/?queue=waiting", "/?queue=quarantine", "/c/c-1", "/q/c-2"):
            page.goto(path)
            page.wait_for_timeout(150)
            assert page.evaluate("window.hacked") is None
            assert page.evaluate("document.scripts.length") == 1
            width = options["viewport"]["width"]  # type: ignore[index]
            assert page.evaluate("document.documentElement.scrollWidth") <= width
        for summary in page.locator("summary").all():
            if summary.is_visible():
                summary.click()
        assert page.evaluate("window.hacked") is None
        assert wrong == []
        leave(context)


def test_a06_the_console_can_not_be_framed(chromium: Browser, served: Served) -> None:
    served.park()
    context = chromium.new_context(base_url=served.url)
    page = context.new_page()
    log_in(page, served)
    page.route(
        "http://evil.example/",
        lambda route: route.fulfill(content_type="text/html", body=f"<iframe id=f src='{served.url}/c/c-1'></iframe>"),
    )
    page.goto("http://evil.example/")
    expect(page.locator("#f")).to_be_attached()
    assert page.frames[-1].url == "chrome-error://chromewebdata/"
    leave(context)


def test_a04_a_form_on_a_foreign_page_decides_nothing(chromium: Browser, served: Served) -> None:
    served.park()
    context = chromium.new_context(base_url=served.url)
    page = context.new_page()
    log_in(page, served)
    page.goto("/c/c-1")
    fields = page.evaluate("Object.fromEntries(new FormData(document.getElementById('decide')))")
    inputs = "".join(f"<input name='{name}' value='{value}'>" for name, value in fields.items())
    body = f"<form method=post action='{served.url}/c/c-1/approve'>{inputs}<button>Win a prize</button></form>"
    page.route("http://evil.example/", lambda route: route.fulfill(content_type="text/html", body=body))
    page.goto("http://evil.example/")
    page.click("button")
    expect(page.locator("body")).to_contain_text("does not come from the console")
    assert served.review().state is ReviewState.PARKED
    leave(context)


def test_a_link_from_elsewhere_finds_one_still_logged_in(chromium: Browser, served: Served) -> None:
    served.park()
    context = chromium.new_context(base_url=served.url)
    page = context.new_page()
    log_in(page, served)
    page.route(
        "http://chat.example/",
        lambda route: route.fulfill(content_type="text/html", body=f"<a href='{served.url}/c/c-1'>a call waits</a>"),
    )
    page.goto("http://chat.example/")
    page.click("a")
    expect(page.get_by_role("heading", name=re.compile("wants to run"))).to_be_visible()
    leave(context)
