"""Makes the README's pictures of the console, from a real gateway in the middle of an open.

    python -m tests.web.console.shots                 into tests/web/console/shots/
    python -m tests.web.console.shots --into DIR      somewhere else, to look at first

It starts what `openbell demo` starts, a gateway and two simulated brokers in processes of their
own, lets an open run, turns the dial and makes one broker fall silent for a moment, and takes
each picture from Chromium as the screen is then. Nothing in a picture is painted afterwards; its
colours are counted down to a palette, so that a page of them loads at once.

The trap: a picture that is older than the screen. So it takes one command and a minute to make
them again, and they are made again when the screen changes.
"""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from time import monotonic, sleep  # noqa: TID251 - it watches a gateway from outside
from typing import Any, Final, NamedTuple

from playwright.sync_api import Browser, Page, sync_playwright

from app.cli.asking.client import Client
from app.cli.stage.night import Night
from app.cli.stage.processes import Stage
from app.clock import SystemClock
from app.web.access.keyfile import SCOPES, Grant, create_key
from tests.web.console.chromium import CHROMIUM, FLAGS
from tests.web.console.palette import repacked

INTO: Final = Path(__file__).with_name("shots")
# Two cores carry this beside a browser, so what left lies close under what may leave.
ORDERS: Final = 50_000
TPS: Final = 300
BYTES_MAX: Final = 150_000
WAIT_MS: Final = 30_000
# The chart takes its new colours and its new width.
REST_MS: Final = 400
# The line of the pace says something from here on.
DRAINS_S: Final = 36.0
# After a switch: the other broker warms up, and the line shows it.
SETTLES_S: Final = 12.0


class Shot(NamedTuple):
    """One way to look at an act."""

    look: str
    width: int
    height: int
    scheme: str


Pictures = dict[str, bytes]  # by the names of their files
SHOTS: Final = (
    Shot("light", 1440, 1180, "light"),
    Shot("dark", 1440, 1180, "dark"),
    Shot("phone", 390, 844, "dark"),
)


def main() -> None:
    """Play an open and take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--into", type=Path, default=INTO)
    parser.add_argument("--orders", type=int, default=ORDERS)
    asked = parser.parse_args()
    if CHROMIUM is None:
        sys.exit("no chromium on this machine: apt-get install chromium, or make them elsewhere")
    asked.into.mkdir(parents=True, exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix="openbell-shots-"))
    try:
        with _open(directory) as stage, sync_playwright() as started:
            browser = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            with closing(browser):
                taken = _play(stage, asked.orders, browser)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    _keep(taken, asked.into)


@contextmanager
def _open(directory: Path) -> Iterator[Stage]:
    """Run a gateway and two simulated brokers."""
    stage = Stage(
        directory,
        rates={"north": TPS, "south": TPS},
        contract=2 * TPS,
        arguments=("--fills", "partial"),
        settings={"OPENBELL_ENVIRONMENT": "demo"},
    )
    try:
        stage.open()
        yield stage
        stage.stop()
    finally:
        stage.close()


def _play(stage: Stage, orders: int, browser: Browser) -> Pictures:
    """Ring, turn the dial and take the first pictures; let a broker die and take the others."""

    def night() -> Night:  # anew for each act: a connection that rests is closed
        return Night(stage, orders, lambda _: None, _say)

    token = _key(stage.directory, "mina")
    page = _signed_in(browser, stage.url, token)
    first = night()
    first.load(lambda _: None)
    first.allow()
    first.ring()
    sleep(DRAINS_S / 2)
    night().turn_the_dial("south", TPS * 6 // 5)
    sleep(DRAINS_S / 2)
    taken = _take(page, "drain")
    night().dies()
    with closing(stage.client("operator")) as operator:
        _until(lambda: _switched(operator))
    sleep(SETTLES_S)
    return taken | _take(page, "failover")


def _switched(operator: Client) -> bool:
    found = operator.get("/admin/v1/failovers")["data"]
    return bool(found) and found[0]["state"] == "done"


def _key(directory: Path, name: str) -> str:
    grant = Grant(name, SCOPES, ("*",))
    return create_key(directory / "data" / "keys.json", grant, SystemClock())


def _signed_in(browser: Browser, url: str, token: str) -> Page:
    page = browser.new_page()
    page.set_default_timeout(WAIT_MS)
    _until(lambda: _enters(page, url, token))
    page.wait_for_selector("#live.ok")
    return page


def _enters(page: Page, url: str, token: str) -> bool:
    """Sign in; the gateway reads a new key within a second."""
    page.goto(f"{url}/console/login")
    page.fill("#key", token)
    page.click("button")
    return page.locator("#live").count() > 0


def _take(page: Page, act: str) -> Pictures:
    """Look at an act in each way."""
    taken = {}
    for shot in SHOTS:
        scheme: Any = shot.scheme
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": shot.width, "height": shot.height})
        page.wait_for_timeout(REST_MS)
        taken[f"{act}-{shot.look}.png"] = page.screenshot()
    return taken


def _keep(taken: Pictures, into: Path) -> None:
    """Pack the pictures; it takes a processor for a minute, so the open is over by then."""
    for name, png in taken.items():
        packed = repacked(png)
        (into / name).write_bytes(packed)
        _say(f"{name}: {len(packed):,} bytes")
        if len(packed) > BYTES_MAX:
            sys.exit(f"{name} is heavier than {BYTES_MAX:,} bytes")


def _until(true: Callable[[], bool]) -> None:
    deadline = monotonic() + WAIT_MS / 1_000 * 3
    while not true():
        if monotonic() > deadline:
            raise TimeoutError("the open did not come so far")
        sleep(0.2)


def _say(words: str) -> None:
    print(f"· {words}", file=sys.stderr)  # noqa: T201 - it speaks to the person at the terminal


if __name__ == "__main__":
    main()
