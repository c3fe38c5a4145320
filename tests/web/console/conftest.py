"""The browser, and the gateway that it looks at; without a browser, who asks for it is skipped."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.builders import a_lane
from tests.web.console.browsing import Served
from tests.web.console.chromium import CHROMIUM, FLAGS
from tests.web.house import Gateway
from tests.web.operators import reserve


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Lend the Chromium of this machine."""
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine, and none is ever fetched")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def served(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """Lend a gateway with two brokers and eight orders, one minute before its bell."""
    monkeypatch.setattr("app.web.console.stream.TICK_S", 0.05)
    # The house's clock stands still, so what comes too late on a busy machine is not asked again.
    for wait in ("READ_WITHIN_S", "COUNTED_WITHIN_S", "BUS_WITHIN_S"):
        monkeypatch.setattr(f"app.web.console.lookout.{wait}", 30.0)
    gateway.floor.others = [a_lane("sol", tps_configured=200, tps_effective=200, tps_contract=400)]
    reserve(gateway, 8)
    served = Served(gateway)
    served.has_owners("nova", "sol")
    yield served
    served.close()
