"""The console in a real browser: an open watched and led, and whatever comes in between.

It drives the Chromium that the machine has; without one it is skipped, and says so, and it never
fetches one. The trap it is here for: a page that is right as HTML and dead under its own policy,
or that loses a half-written reason with each tick.
"""

from typing import Any

import pytest

from tests.web.console.browsing import Served, leave, shows, signed_in
from tests.web.operators import reserve
from tests.web.test_courses import names_sol, sol_is


def test_an_open_is_watched_and_led(browser: Any, served: Served) -> None:
    page = signed_in(browser, served)
    shows(page, "#verdict", "All is well")
    shows(page, "#session", "opens in")

    # The drain moves while a reason is half written, and the words stay where they are.
    shows(page, "#drained", "0 / 8 have left 0 %")
    page.fill("#reason", "desk as")
    served.loses_every_answer()
    served.passes()
    shows(page, "#drained", "8 / 8 have left 100 %")
    shows(page, "#doubts", "8 in doubt")
    page.type("#reason", "ked, OPS-12")
    assert page.input_value("#reason") == "desk asked, OPS-12"
    page.evaluate("document.activeElement.blur()")

    # The keyboard turns the dial, and only when it is armed.
    page.keyboard.press("1")
    page.keyboard.press("+")
    shows(page, "#toast", "Press e first")
    page.keyboard.press("e")
    page.keyboard.press("+")
    shows(page, "#toast", "Done: nova: 500 to 525")
    served.passes()
    shows(page, ".card.chosen", "set 525")
    page.keyboard.press("u")
    shows(page, "#toast", "Undone")
    served.passes()
    shows(page, ".card.chosen", "set 500")
    shows(page, "#tuning", "525")
    leave(page)


def test_a_colleague_was_faster_and_nothing_is_overwritten(browser: Any, served: Served) -> None:
    gateway = served.gateway
    lee = gateway.key("lee") | {"If-Match": '"v1"'}
    page = signed_in(browser, served)
    page.keyboard.press("1")
    page.keyboard.press("s")
    page.fill("[name=tps]", "400")
    shows(page, "#act-preview", "8 orders wait")
    page.fill("#act-reason", "desk asked")
    body = {"tps": 900, "reason": "the broker asked"}
    reply = gateway.client.patch("/admin/v1/brokers/nova/rate", json=body, headers=lee)
    assert reply.status_code == 200, reply.text

    page.click("#act-go")

    shows(page, "#act-trouble", "CONFLICT: lee changed this")
    shows(page, "#act-trouble", "It stands at 900 now. Nothing was overwritten.")
    # From 900 the same number is a large step: it is typed a second time.
    page.click("#act-go")
    shows(page, "#act-trouble", "Type the number again: 400")
    page.fill("#act-typed", "400")
    page.click("#act-go")
    shows(page, "#toast", "Done: nova: set the rate")
    # The way back is a large step as well, upwards: it wants the name.
    page.keyboard.press("u")
    shows(page, "#act-says", "400 to 900 is more than 2 times")
    page.fill("#act-reason", "the desk is back")
    page.fill("#act-typed", "nova")
    page.click("#act-go")
    shows(page, "#toast", "Done: Undo: nova: set the rate")
    leave(page)


def test_a_halt_wants_its_name_and_another_person_to_end_it(browser: Any, served: Served) -> None:
    mina = signed_in(browser, served)
    mina.keyboard.press("h")
    shows(mina, "#act-says", "does NOT cancel working orders")
    # Nothing dangerous lies under Enter.
    assert mina.evaluate("document.activeElement.id") == "act-cancel"
    shows(mina, "#act-preview", "8 orders wait in this scope")
    assert not mina.locator("[name=id]").is_visible()  # all has no other name
    mina.fill("#act-reason", "quotes are strange")
    mina.press("#act-reason", "Enter")
    assert mina.evaluate("document.activeElement.id") == "act-typed"
    mina.click("#act-go")
    shows(mina, "#act-trouble", "Type it exactly: all")
    mina.fill("#act-typed", "all")
    mina.click("#act-go")
    shows(mina, "#toast", "Done: Halt")
    served.passes()
    shows(mina, "#banner", "HALT everything by mina")

    def resume(page: Any) -> None:
        page.click("#banner button")
        page.fill("#act-reason", "quotes are sound")
        page.fill("#act-typed", "all")
        page.click("#act-go")

    resume(mina)
    shows(mina, "#act-trouble", "■")
    lee = signed_in(browser, served, "lee")
    resume(lee)
    shows(lee, "#toast", "Done: Resume")
    served.passes()
    shows(mina, "#verdict", "All is well")
    leave(mina, lee)


def test_a_route_is_led_away_by_the_name_of_where_it_goes(browser: Any, served: Served) -> None:
    names_sol(served.gateway)
    sol_is(served.gateway)
    page = signed_in(browser, served)
    page.keyboard.press("f")
    shows(page, "#act-says", "what was sent and what is in doubt stays there")
    shows(page, "#act-preview", "●")
    page.fill("#act-reason", "nova is slow tonight")
    page.fill("#act-typed", "nova")
    page.click("#act-go")
    shows(page, "#act-trouble", "Type it exactly: sol")

    page.fill("#act-typed", "sol")
    page.click("#act-go")

    shows(page, "#toast", "Done: Lead XNYS to another broker")
    served.passes()
    shows(page, "#banner", "nova → sol")
    shows(page, "#timeline", "failover XNYS nova → sol")
    leave(page)


def test_a_doubt_is_settled_by_evidence_and_a_second_person(browser: Any, served: Served) -> None:
    lee = served.token("lee")
    page = signed_in(browser, served)
    served.loses_every_answer()
    served.passes(60)
    shows(page, "#verdict", "needs you")
    order_id = page.locator("#doubts a").first.inner_text()

    page.locator("#doubts button", has_text="Resolve").first.click()
    shows(page, "#act-says", "There is no undo")
    page.select_option("[name=verdict]", "rejected")
    page.fill("[name=evidence]", "their desk, call of 22:41")
    page.fill("#act-reason", "nova says it has none")
    page.fill("#act-typed", order_id)
    page.click("#act-go")
    shows(page, "#act-trouble", "Fill in: The second person's key")
    page.fill("[name=approver]", lee)
    page.click("#act-go")

    shows(page, "#toast", f"Done: Settle {order_id}")
    served.passes()
    shows(page, "#doubts", "7 in doubt")
    assert page.locator("#doubts", has_text=order_id).count() == 0
    shows(page, "#timeline", f"settled order {order_id}")
    leave(page)


def test_the_story_can_be_narrowed_and_survives_a_tick(browser: Any, served: Served) -> None:
    gateway = served.gateway
    page = signed_in(browser, served)
    lee = gateway.key("lee") | {"If-Match": '"v1"'}
    body = {"tps": 480, "reason": "the broker asked"}
    gateway.client.patch("/admin/v1/brokers/nova/rate", json=body, headers=lee)
    served.passes()
    shows(page, "#timeline", "the broker asked")

    page.check("[name=story][value=critical]")

    served.passes(5)
    page.locator("#timeline li", has_text="the broker asked").wait_for(state="hidden")
    page.check("[name=story][value=human]")
    page.locator("#timeline li", has_text="the broker asked").wait_for(state="visible")
    leave(page)


def test_the_screen_can_be_frozen_and_its_times_turned(browser: Any, served: Served) -> None:
    page = signed_in(browser, served)
    page.keyboard.press(".")
    shows(page, "#live", "FROZEN by you")
    served.loses_every_answer()
    served.passes()
    shows(page, "#drained", "0 / 8 have left 0 %")
    page.keyboard.press(".")
    shows(page, "#drained", "8 / 8 have left 100 %")

    shows(page, ".session time", "Mon 23:30")
    page.keyboard.press("z")
    shows(page, "#toast", "Times in New York.")
    shows(page, ".session time", "Mon 09:30")
    served.passes()
    shows(page, ".session time", "Mon 09:30")
    leave(page)


def test_a_silent_line_says_so_and_a_new_process_fills_the_screen(
    browser: Any, served: Served
) -> None:
    page = signed_in(browser, served)
    shows(page, "#chart-says", "of 680")
    served.close()
    shows(page, "#live", "STALE")

    served.open()
    reserve(served.gateway, 9)
    served.passes()

    shows(page, "#live", "LIVE")
    shows(page, "#drained", "0 / 9 have left 0 %")
    for panel in ("session", "brokers", "doubts", "timeline", "pipelines", "tuning"):
        assert page.locator(f"#{panel}").inner_text().strip(), panel
    shows(page, "#chart-says", "of 680")
    leave(page)


def test_kafka_and_mongodb_may_be_away_and_two_steps_still_halt(
    browser: Any, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object, **__: object) -> int:
        raise ConnectionError("no route to host")

    for name in ("lag", "poll", "publish", "wait", "commit"):
        monkeypatch.setattr(served.gateway.bus, name, away)
    for name in ("page", "summary", "upsert", "clear"):
        monkeypatch.setattr(served.gateway.house.accounts, name, away)
    page = signed_in(browser, served, viewport={"width": 390, "height": 844})
    shows(page, "#banner", "unknown: the bus does not answer")
    shows(page, "#drained", "0 / 8 have left 0 %")

    page.click("[data-key=halt]")
    page.fill("#act-reason", "it is all strange")
    page.fill("#act-typed", "all")
    page.click("#act-go")

    shows(page, "#toast", "Done: Halt")
    served.passes()
    shows(page, "#banner", "HALT everything by mina")
    leave(page)


def test_an_order_is_found_and_is_canceled_by_its_name(browser: Any, served: Served) -> None:
    page = signed_in(browser, served)
    order_id = found_by(page, "A-1/c-3")
    shows(page, ".life", "reserved")
    page.keyboard.press("c")
    shows(page, "#act-says", "no broker ever sees it")
    assert page.evaluate("document.activeElement.id") == "act-cancel"
    page.fill("#act-reason", "the client has called")
    page.fill("#act-typed", "AA")
    page.click("#act-go")
    shows(page, "#act-trouble", "Type it exactly")
    page.fill("#act-typed", order_id)
    page.click("#act-go")

    shows(page, "#toast", "Done: Cancel order")
    # The page does not move by itself: it is asked for again, and tells what was done.
    shows(page, ".status", "canceled")
    shows(page, ".life", "the client has called")
    assert page.locator(".order button").count() == 0
    keys_work_beside_the_console(page)
    page.click("text=← Console")
    page.wait_for_selector("#live.ok")
    leave(page)


def found_by(page: Any, words: str) -> str:
    """Find an order by the keyboard and open its page; return its id."""
    page.keyboard.press("/")
    page.keyboard.type(words)
    page.keyboard.press("Enter")
    page.wait_for_url("**/console/orders?q=*")
    page.locator("td a").first.click()
    shows(page, "h1", "Order")
    found: str = page.locator("dd .id").inner_text()
    return found


def keys_work_beside_the_console(page: Any) -> None:
    """On a page that does not move, too; the zone that was chosen is kept."""
    page.keyboard.press(".")
    shows(page, "#toast", "does not move")
    page.keyboard.press("z")
    shows(page, "#toast", "Times in New York.")
    taken = page.locator(".life time").first.inner_text()
    page.reload()
    assert page.locator(".life time").first.inner_text() == taken
    page.keyboard.press("g")
    page.keyboard.press("b")
    page.wait_for_url("**/console#brokers")
    page.go_back()
