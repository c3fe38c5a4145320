"""Eight writers post while the server under them is killed, five times: what was answered is there.

Each writer is a process's own intake, desk and group commit, with a loop and connections of its
own. They ask again, with the same ids, for whatever they had no answer for, as clients must. The
trap is a commit that stood although its answer was lost: it must be found, and not made twice.
"""

import asyncio
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from time import perf_counter
from typing import Final

import pytest

from app.domain.errors import Busy
from app.domain.halts import Halts
from app.domain.limits import Limits
from app.domain.records import Taken
from app.domain.request import OrderRequest
from app.intake.desk import Desk
from app.intake.writer import Writer
from tests.faults.storm_stage import say
from tests.ledger.pg import Process, Site, until
from tests.scenarios.builders import REFERENCE, a_request
from tests.servers.postgres import PostgresServer

pytestmark = pytest.mark.storm

KILLS: Final = 5
WRITERS: Final = 8
BATCH_MAX: Final = 7
# Between two kills each writer has been answered so often: the next one hits a server at work.
ANSWERS: Final = 3
# Shorter than any restart, so that some are told that nobody knows.
PATIENCE_S: Final = 0.05
PAUSE_S: Final = 0.05
# After the last kill. A server that never came back would be asked for ever.
GIVEN_UP_S: Final = 60.0


@dataclass
class Client:
    """One writer, and what it was told."""

    process: Process
    answered: dict[str, str] = field(default_factory=dict)  # order id by client_order_id
    unanswered: int = 0  # orders of which nobody could say whether they exist
    existed: int = 0  # of these, those that did
    answers: int = 0

    async def posts(self, enough: threading.Event) -> None:
        ledger, clock = self.process.ledger, self.process.clock
        writer = Writer(ledger, clock)
        desk = Desk(
            store=ledger,
            writer=writer,
            clock=clock,
            reference=lambda: REFERENCE,
            halts=Halts,
            limits=Limits(),
        )
        async with asyncio.TaskGroup() as loops:
            loops.create_task(writer.run())
            while not enough.is_set():
                fresh = self._fresh(clock.random_bits(16) % BATCH_MAX + 1)
                await self._post(desk, fresh, enough)
            writer.drain()

    def _fresh(self, count: int) -> list[OrderRequest]:
        made = len(self.answered)
        account = f"A-{self.process.name}"
        names = [f"c-{made + n}" for n in range(count)]
        return [a_request(name, 10, "AAPL", account_id=account) for name in names]

    async def _post(
        self, desk: Desk, requests: Sequence[OrderRequest], enough: threading.Event
    ) -> None:
        """Ask until each has an answer."""
        asked_again, over_at = False, None
        while requests:
            if over_at is None and enough.is_set():
                over_at = perf_counter() + GIVEN_UP_S
            assert over_at is None or perf_counter() < over_at, "the server never came back"
            told = list(zip(requests, await desk.place_all(requests), strict=True))
            requests = [request for request, answer in told if isinstance(answer, Busy)]
            for request, answer in told:
                if not isinstance(answer, Busy):
                    assert isinstance(answer, Taken), answer
                    assert answer.created or asked_again, "taken before it was asked for"
                    self.existed += not answer.created
                    self.answered[request.client_order_id] = answer.order.order_id
            self.answers += len(requests) < len(told)
            self.unanswered += len(requests)
            asked_again = bool(requests)
            if asked_again:
                await asyncio.sleep(PAUSE_S)


@pytest.fixture
def site(postgres: PostgresServer) -> Iterator[Site]:
    postgres.needs("kill", "durable")
    with postgres.fresh_database() as url:
        site = Site(url)
        yield site
        site.close()
        site.check()


def until_at_work(clients: Sequence[Client]) -> None:
    """Wait until each of them has been answered a few times more."""
    before = [client.answers for client in clients]

    def at_work() -> bool:
        done = zip(clients, before, strict=True)
        return all(client.answers >= was + ANSWERS for client, was in done)

    until(at_work)


def test_what_was_answered_is_there_once_whenever_the_server_dies(
    postgres: PostgresServer, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.ledger.orders.store.CLIENT_PATIENCE_S", PATIENCE_S)
    enough = threading.Event()
    clients = [Client(site.process(f"w-{n}", writers=1)) for n in range(WRITERS)]
    began = perf_counter()
    busy: list[Future[None]] = [client.process.starts(client.posts(enough)) for client in clients]
    try:
        for _ in range(KILLS):
            until_at_work(clients)
            postgres.kill()
            postgres.start()
        until_at_work(clients)
        took = perf_counter() - began
    finally:
        enough.set()
    for each in busy:
        each.result(60)
    answered = {(f"A-{c.process.name}", name): i for c in clients for name, i in c.answered.items()}
    unanswered, existed = (sum(getattr(c, n) for c in clients) for n in ("unanswered", "existed"))
    say(
        f"{KILLS} kills in {took:.1f} s: {len(answered)} orders answered,"
        f" {unanswered} times nobody knew, {existed} of these were there"
    )

    found = site.sql("SELECT account_id, client_order_id, order_id FROM orders")
    assert len(found) == len(answered)
    assert {(account, name): order_id for account, name, order_id in found} == answered
    keys = site.sql("SELECT account_id, client_order_id, order_id FROM order_keys")
    assert sorted(keys) == sorted(found)
    assert unanswered, "no kill fell into a commit: this run proves nothing"
