"""The kill switch in the console: thrown with a thumb at night, seen on every page, let go with a reason."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from review.model import StopScope
from tests.browser.conftest import log_in
from tests.browser.served import Served
from tests.browser.test_phone import TOO_SMALL

pytestmark = pytest.mark.browser


def test_a_stop_is_thrown_on_a_phone_and_seen_on_every_page_until_it_is_let_go(phone: Page, served: Served) -> None:
    log_in(phone, served)
    phone.get_by_role("link", name="Stop", exact=True).click()
    phone.locator("#target-agent").fill("suport-bot")
    phone.get_by_role("button", name="Stop it now").click()
    expect(phone.get_by_role("alert")).to_contain_text("the nearest is 'support-bot'")
    phone.locator("#target-agent").fill("support-*")
    phone.get_by_role("button", name="Stop it now").click()
    expect(phone.locator("#stopped")).to_contain_text("agent support-*")
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    assert phone.evaluate(TOO_SMALL) == []
    for path in ("/", "/tools"):
        phone.goto(path)
        expect(phone.locator("#stopped")).to_be_visible()
        for width in (390, 320):
            phone.set_viewport_size({"width": width, "height": 700})
            assert phone.evaluate("document.documentElement.scrollWidth") <= width, path
    phone.get_by_role("link", name="What is stopped, and why").click()
    phone.get_by_label("Why it may go on").fill("mended")
    phone.get_by_role("button", name="Let it go on").click()
    expect(phone.get_by_text("Let go again, and recorded.")).to_be_visible()
    expect(phone.locator("#stopped")).to_have_count(0)
    assert served.switch.standing() == []
    assert served.switch.names(StopScope.AGENT)


def test_pages_that_are_open_already_learn_of_a_stop_and_of_its_end(desktop: Page, served: Served) -> None:
    log_in(desktop, served)
    desktop.goto("/account")
    current = desktop.get_by_label("Present password")
    current.fill("half of it")
    stop_id = served.order(StopScope.SERVER, "payments")
    expect(desktop.locator("#stopped")).to_contain_text("server payments")
    expect(desktop.locator("#announce")).to_contain_text("Stopped: server payments")
    expect(current).to_have_value("half of it")
    served.lift(stop_id)
    expect(desktop.locator("#stopped")).to_have_count(0)

    desktop.goto("/stops")
    first = served.order(StopScope.SERVER, "payments")
    why = desktop.get_by_label("Why it may go on")
    why.fill("it is mended")
    served.order(StopScope.AGENT, "support-*")
    expect(desktop.locator("#standing li")).to_have_count(2)
    expect(desktop.locator(f"#why-{first}")).to_have_value("it is mended")
    expect(desktop.locator("#stopped")).to_contain_text("server payments, agent support-*")


def test_a_page_made_by_an_act_that_was_refused_learns_of_it_too(desktop: Page, served: Served) -> None:
    log_in(desktop, served)
    desktop.goto("/stops")
    desktop.locator("#target-agent").fill("suport-bot")
    desktop.get_by_role("button", name="Stop it now").click()
    expect(desktop.get_by_role("alert")).to_contain_text("the nearest is 'support-bot'")
    served.order(StopScope.ALL, "*")
    expect(desktop.locator("#stopped")).to_contain_text("everything")
    expect(desktop.locator("#stale")).to_be_hidden()
