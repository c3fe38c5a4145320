"""A gateway behind a real server and a browser before it: what the suites that look share."""

import asyncio
import socket
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import uvicorn
from prometheus_client import CollectorRegistry

from app.web.app import create_app
from tests.web.house import Gateway, owned, put_in_doubt, run

WAIT_MS: Final = 20_000
ENDS_WITHIN_S: Final = 30.0
# What the page is forbidden and tries all the same, as the browser itself tells it.
WATCH: Final = """
window.violations = [];
document.addEventListener("securitypolicyviolation",
  (e) => window.violations.push(`${e.violatedDirective} ${e.blockedURI} ${e.sample}`));
"""


class Served:
    """A gateway behind a real server, and a clock that passes when it is told to."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.port = 0
        self.open()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def open(self) -> None:
        """Start a new process, as far as a browser can tell: nothing is left but the ledger."""
        self.gateway.house.health.draining = False
        app = create_app(replace(self.gateway.house, registry=CollectorRegistry()))
        config = uvicorn.Config(
            app, log_level="critical", lifespan="off", timeout_graceful_shutdown=1
        )
        self._server = uvicorn.Server(config)
        self._bound = socket.create_server(("127.0.0.1", self.port))
        self.port = self._bound.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        asyncio.run(self._server.serve([self._bound]))

    def loses_every_answer(self) -> None:
        """Lead all orders into doubt."""
        _beside(lambda: run(put_in_doubt(self.gateway.ledger)))

    def has_owners(self, *broker_ids: str) -> None:
        """Let a dispatcher own these brokers."""
        _beside(lambda: run(owned(self.gateway.ledger, *broker_ids)))

    def passes(self, seconds: int = 2) -> None:
        self.gateway.clock.at += seconds * 1_000

    def token(self, name: str = "mina") -> str:
        return self.gateway.key(name)["Authorization"].removeprefix("Bearer ")

    def close(self) -> None:
        """Let the server drain, as it does at its end; a second time is nothing."""
        self.gateway.house.health.draining = True
        self.passes()
        self._server.should_exit = True
        self._thread.join(ENDS_WITHIN_S)
        assert not self._thread.is_alive(), "the server does not come to an end"
        self._bound.close()


def _beside(work: Callable[[], object]) -> None:
    """Run it in a thread: Playwright's own loop runs in this one."""
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def a_page(browser: Any, **options: Any) -> Any:
    """Open a tab that keeps what goes wrong in it."""
    page = browser.new_context(**options).new_page()
    page.set_default_timeout(WAIT_MS)
    page.troubles = []
    page.on("pageerror", lambda e: page.troubles.append(str(e)))
    page.on("console", lambda m: page.troubles.append(m.text) if "Policy" in m.text else None)
    page.add_init_script(WATCH)
    return page


def signed_in(browser: Any, served: Served, name: str = "mina", **options: Any) -> Any:
    page = a_page(browser, **options)
    page.goto(f"{served.url}/console/login")
    page.fill("#key", served.token(name))
    page.click("button")
    page.wait_for_selector("#live.ok")
    return page


def shows(page: Any, selector: str, words: str) -> None:
    page.locator(selector, has_text=words).first.wait_for()


def leave(*pages: Any) -> None:
    """Close the tabs, in which nothing went wrong."""
    for page in pages:
        assert page.troubles == []
        assert page.evaluate("window.violations") == []
        page.context.close()
