"""The processes of a claim storm, each started as `python -m tests.faults.claim_workers JSON`.

A `dispatcher` is the program's own, furnished by `wiring` on the shared ledger: lanes, reconciler,
board and bell. Only its bus and its view are its own memory, for nothing here asks about them. A
`claimer` does nothing but claim, under a lease that others use as well, and writes down what it was
given before it claims again.

The trap is a crowd in one process: threads share an interpreter's lock and end together.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from app import crash
from app.accounts.sqlite import SqliteAccountBook
from app.brokers.registry import load
from app.bus.log import LogBus
from app.clock import SystemClock
from app.domain.instruments import Instrument
from app.domain.records import Fence
from app.ledger.outbox.queue import SharedOutbox
from app.ledger.store import Ledger
from app.postgres import PostgresDatabase
from app.reference import Reference, load_calendar
from app.settings import BrokerSettings, KafkaSettings, MongoSettings, Settings
from app.sqlite import Database
from app.stores import Stores
from app.wiring import furnish
from tests.builders import SESSION
from tests.children import first_words
from tests.ledger.books import sendable
from tests.servers.wishes import without_settings

Part = Callable[..., Coroutine[Any, Any, None]]
AAPL: Final = Instrument("AAPL", "XNAS", "USD", reference_price=Decimal("187.25"))
# More than anybody claims: nothing paces a storm.
RATE: Final = 1_000_000
CLAIM_MAX: Final = 200
# A queue that others hold for a moment looks empty; one that is empty stays so.
EMPTY_MAX: Final = 20


class Worker:
    """One of the processes, as the test sees it."""

    def __init__(self, **asked: Any) -> None:
        command = [sys.executable, "-m", "tests.faults.claim_workers", json.dumps(asked)]
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            command,
            cwd=Path(__file__).parents[2],
            env=without_settings(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def is_ready(self) -> None:
        """Wait for its first word: it has taken what it could of the brokers that it names."""
        assert first_words(self._process) == "ready\n", "it was not ready in time, or has ended"

    def goes(self) -> None:
        """Let a claimer begin."""
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def drained(self, timeout_s: float) -> int:
        """Ask for its end and wait for it."""
        self._process.terminate()
        return self.ended(timeout_s)

    def ended(self, timeout_s: float) -> int:
        return self._process.wait(timeout_s)


def main(asked: dict[str, Any]) -> None:
    if dies_at := asked.pop("dies_at", None):
        crash.arm(*dies_at)
    parts: dict[str, Part] = {"dispatcher": dispatcher, "claimer": claimer}
    asyncio.run(parts[asked.pop("does")](**asked))


async def dispatcher(url: str, directory: str, brokers: dict[str, Any]) -> None:
    """Send what waits for these brokers until SIGTERM; stand by for those that others own."""
    clock = SystemClock()
    settings = Settings(
        data_dir=Path(directory),
        role="dispatcher",
        ledger_url=url,
        kafka=KafkaSettings(bootstrap="nobody:1"),
        mongo=MongoSettings(url="mongodb://nobody"),
        brokers={
            name: BrokerSettings(orders_per_second=RATE, options=o) for name, o in brokers.items()
        },
        unlimited=True,
        view=False,
    )
    adapters = {
        name: load(b.adapter, {"name": name, "clock": clock, **b.options})
        for name, b in settings.brokers.items()
    }
    ledger = PostgresDatabase(url)
    stores = Stores(
        ledger=ledger,
        outbox=SharedOutbox(ledger),
        bus=LogBus(Database(None), clock),
        book=SqliteAccountBook(Database(None)),
    )
    stores.opened.callback(ledger.close)
    reference = Reference(load_calendar(), {("XNAS", "AAPL"): AAPL})
    gateway = await furnish(settings, clock, stores, adapters, reference)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, gateway.drain)
    async with asyncio.TaskGroup() as parts:
        parts.create_task(gateway.run())
        await gateway.ready.wait()
        say("ready")
    await gateway.close()


async def claimer(url: str, directory: str, holder: str, epoch: int, name: str) -> None:
    """Claim until nothing is left, writing down each claim before the next."""
    fence = Fence("b0", holder, epoch, frozenset({SESSION.trading_session_id}))
    claims = os.open(Path(directory) / f"{name}.claims", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    with closing(PostgresDatabase(url, writers=1)) as database:
        ledger, empty = Ledger(database, SystemClock()), 0
        say("ready")
        sys.stdin.readline()
        while empty < EMPTY_MAX:
            claimed = await ledger.claim(fence, CLAIM_MAX, sendable)
            crash.point("claim.after_commit")
            empty = 0 if claimed else empty + 1
            os.write(claims, "".join(f"{c.broker_order_key}\n" for c in claimed).encode())
    os.close(claims)


def say(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
