"""The console in a real browser: an open watched, the dial turned, a conflict, a halt and its end.

It drives the Chromium that the machine has; without one it is skipped, and says so, and it never
fetches one. The trap it is here for: a page that is right as HTML and dead under its own policy,
or that loses a half-written reason with each tick.
"""

import asyncio
import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from tests.builders import a_lane
from tests.web.house import Gateway, put_in_doubt, run
from tests.web.operators import reserve

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
if CHROMIUM is None:
    pytest.skip("no chromium on this machine", allow_module_level=True)
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

WAIT_MS = 15_000
SIZES = ((1440, 1000), (390, 844))


class Served:
    """A gateway behind a real server, and a clock that passes when it is told to."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        config = uvicorn.Config(
            gateway.client.app, log_level="critical", lifespan="off", timeout_graceful_shutdown=1
        )
        self._server = uvicorn.Server(config)
        self._bound = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._bound.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        asyncio.run(self._server.serve([self._bound]))

    def loses_every_answer(self) -> None:
        """Lead all orders into doubt, in a thread: Playwright's own loop runs in this one."""
        work = threading.Thread(target=lambda: run(put_in_doubt(self.gateway.ledger)))
        work.start()
        work.join()

    def passes(self, seconds: int = 2) -> None:
        self.gateway.clock.at += seconds * 1_000

    def close(self) -> None:
        """Let the server drain, as it does at its end; a second time is nothing."""
        self.gateway.house.health.draining = True
        self.passes()
        self._server.should_exit = True
        self._thread.join()
        self._bound.close()


@pytest.fixture
def served(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setattr("app.web.console.stream.TICK_S", 0.05)
    gateway.floor.others = [a_lane("sol", tps_configured=200, tps_effective=200, tps_contract=400)]
    reserve(gateway, 8)
    served = Served(gateway)
    yield served
    served.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


def signed_in(browser: Any, served: Served, name: str = "mina", **options: Any) -> Any:
    token = served.gateway.key(name)["Authorization"].removeprefix("Bearer ")
    page = browser.new_context(**options).new_page()
    page.set_default_timeout(WAIT_MS)
    page.troubles = []
    page.on("pageerror", lambda e: page.troubles.append(str(e)))
    page.on("console", lambda m: page.troubles.append(m.text) if "Policy" in m.text else None)
    page.goto(f"{served.url}/console/login")
    page.fill("#key", token)
    page.click("button")
    page.wait_for_selector("#live.ok")
    return page


def shows(page: Any, selector: str, words: str) -> None:
    page.locator(selector, has_text=words).first.wait_for()


def test_an_open_is_watched_and_led(browser: Any, served: Served) -> None:
    page = signed_in(browser, served)
    shows(page, "#verdict", "All is well")

    # The drain moves while a reason is half written, and the words stay where they are.
    shows(page, "#drained", "0 / 8 0 %")
    page.fill("#reason", "desk as")
    served.loses_every_answer()
    served.passes()
    shows(page, "#drained", "8 / 8 100 %")
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
    assert page.troubles == []
    page.context.close()


def test_a_colleague_was_faster_and_nothing_is_overwritten(browser: Any, served: Served) -> None:
    gateway = served.gateway
    page = signed_in(browser, served)
    page.keyboard.press("1")
    page.keyboard.press("s")
    page.fill("[name=tps]", "510")
    shows(page, "#act-preview", "8 orders wait")
    page.fill("#act-reason", "desk asked")
    lee = gateway.key("lee") | {"If-Match": '"v1"'}
    body = {"tps": 800, "reason": "the broker asked"}
    gateway.client.patch("/admin/v1/brokers/nova/rate", json=body, headers=lee)

    page.click("#act-go")

    shows(page, "#act-trouble", "CONFLICT: lee changed this")
    shows(page, "#act-trouble", "It stands at 800 now. Nothing was overwritten.")
    # From 800 the same number is a large step: it is typed a second time.
    page.click("#act-go")
    shows(page, "#act-trouble", "Type the number again: 510")
    page.fill("#act-typed", "510")
    page.click("#act-go")
    shows(page, "#toast", "Done: nova: set the rate")
    assert page.troubles == []
    page.context.close()


def test_a_halt_wants_its_name_and_another_person_to_end_it(browser: Any, served: Served) -> None:
    mina = signed_in(browser, served)
    mina.keyboard.press("h")
    shows(mina, "#act-says", "does NOT cancel working orders")
    mina.fill("#act-reason", "quotes are strange")
    mina.click("#act-go")
    shows(mina, "#act-trouble", "Type the name exactly: all")
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
    for page in (mina, lee):
        assert page.troubles == []
        page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_wall_and_a_phone(
    browser: Any, served: Served, scheme: str, tmp_path: Path
) -> None:
    served.loses_every_answer()
    for width, height in SIZES:
        viewport = {"width": width, "height": height}
        page = signed_in(browser, served, viewport=viewport, color_scheme=scheme)
        page.screenshot(path=tmp_path / f"{scheme}-{width}.png", full_page=True)

        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator("[data-key=halt]").is_visible()
        assert page.troubles == []
        page.context.close()


def test_a_silent_line_says_so(browser: Any, served: Served) -> None:
    page = signed_in(browser, served)
    served.close()

    shows(page, "#live", "STALE")
    page.context.close()
