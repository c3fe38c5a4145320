"""How the console looks and weighs in a real browser: on a wall and a phone, by day and night.

axe-core's rules are the judge of what people with poor sight or no mouse can use; the browser
itself tells what the policy had to forbid, and what came over the wire.
"""

from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import pytest

from tests.web.console.browsing import Served, a_page, leave, shows, signed_in

SIZES: Final = ((1440, 1000), (390, 844))
WEIGHT_MAX: Final = 100_000
AXE: Final = "axe.run(document, {resultTypes: ['violations']})"
BAD: Final = frozenset({"serious", "critical"})
WEIGHED: Final = """() => ["navigation", "resource"]
  .flatMap((kind) => performance.getEntriesByType(kind))
  .filter((one) => !one.name.endsWith("/stream"))
  .map((one) => [one.name, one.encodedBodySize])"""


def hurts(page: Any) -> list[str]:
    """Return what axe-core finds bad on this page as it stands."""
    page.evaluate(files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8"))
    found = page.evaluate(AXE)["violations"]
    return [
        f"{one['id']} ({one['impact']}): {node['html'][:200]} {node['failureSummary']}"
        for one in found
        if one["impact"] in BAD
        for node in one["nodes"]
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_wall_and_a_phone_and_hurts_nobody(
    browser: Any, served: Served, scheme: str, tmp_path: Path
) -> None:
    """With doubts, a halt and an open dialog: the night in which everything is on the screen."""
    gateway = served.gateway
    halt = {"scope": "symbol", "id": "AA", "reason": "quotes are strange"}
    served.loses_every_answer()
    gateway.client.post("/admin/v1/halt", json=halt, headers=gateway.key("lee"))
    for width, height in SIZES:
        viewport = {"width": width, "height": height}
        page = signed_in(browser, served, viewport=viewport, color_scheme=scheme)
        shows(page, "#doubts", "8 in doubt")
        page.screenshot(path=tmp_path / f"{scheme}-{width}.png", full_page=True)

        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator("[data-key=halt]").is_visible()
        assert hurts(page) == []
        page.keyboard.press("1")
        page.keyboard.press("s")
        page.wait_for_selector("#act[open]")
        assert hurts(page) == []
        page.keyboard.press("Escape")
        page.wait_for_selector("#act", state="hidden")
        page.keyboard.press("h")
        page.wait_for_selector("#act.danger[open]")
        assert hurts(page) == []
        page.goto(served.url + page.locator("#doubts a").first.get_attribute("href"))
        page.wait_for_selector(".life .doubt")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert hurts(page) == []
        page.keyboard.press("c")
        page.wait_for_selector("#act.danger[open]")
        assert hurts(page) == []
        leave(page)


def test_the_small_pages_hurt_nobody(browser: Any, served: Served) -> None:
    page = signed_in(browser, served)
    page.keyboard.press("?")
    page.wait_for_selector("#help[open]")
    assert hurts(page) == []
    for path in (
        "/console/orders",
        "/console/orders?q=AA",
        "/console/orders?q=nobody",
        "/console/audit",
    ):
        page.goto(f"{served.url}{path}")
        assert hurts(page) == [], path
    leave(page)
    stranger = a_page(browser)
    stranger.goto(f"{served.url}/console/login")
    assert hurts(stranger) == []
    leave(stranger)


def test_what_comes_over_the_wire_is_light_and_all_our_own(browser: Any, served: Served) -> None:
    page = signed_in(browser, served)
    page.reload()
    page.wait_for_selector("#live.ok")

    weights = dict(page.evaluate(WEIGHED))

    assert all(name.startswith(served.url) for name in weights)
    assert {name.rpartition("/")[2] for name in weights} >= {"console.js", "uplot.js", "console"}
    assert sum(weights.values()) < WEIGHT_MAX, weights
    leave(page)


def test_the_browser_would_have_told_of_anything_foreign(browser: Any, served: Served) -> None:
    """The other tests find no violation; this one shows that they would."""
    page = signed_in(browser, served)
    page.evaluate(
        """() => {
          const p = document.createElement("p");
          p.innerHTML = '<b style="color: red">x</b><img src="https://evil.example/x.png">';
          document.body.append(p);
          const script = document.createElement("script");
          script.textContent = "window.ran = true";
          document.body.append(script);
        }"""
    )

    page.wait_for_function("window.violations.length >= 3")

    told = " ".join(page.evaluate("window.violations"))
    assert {"style-src-attr", "img-src", "script-src-elem"} <= set(told.split())
    assert page.evaluate("window.ran") is None
    page.context.close()
