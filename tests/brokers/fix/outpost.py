"""Our FIX broker against an engine that is not ours, on a real ledger: what interop stories need.

Orders are taken and claimed as the gateway does it, so that each has an attempt on disk before it
leaves; answers are settled, reports are applied, and doubts are asked about by the house's own
reconciler. What the broker says is then compared with the broker's own record, its audit.

The trap is a story that waits for what it hopes: each waits for a fact of one of the two sides.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from itertools import count
from typing import Any, Final

from app.brokers.fix.broker import FixBroker
from app.clock import SystemClock
from app.dispatch.gate import GatedBroker
from app.dispatch.plan import submission
from app.dispatch.reconciler import Reconciler
from app.domain.broker_session import SessionStatus
from app.domain.messages import Answer, ExecutionReport, Submission
from app.domain.order import Order
from app.domain.records import Actor, Fence, Settlement
from app.ledger.schema import upgrade
from app.ledger.sessions.store import SessionLedger
from app.ledger.store import Ledger
from app.ports.brokers import Standing
from app.ports.sessions import Unread
from app.sqlite import Database
from tests.builders import SESSION, a_taking
from tests.contracts.record import sendable
from tests.eventually import eventually
from tests.servers.fix import SENDER, Client

NAME: Final = "north"
LEASE_MS: Final = 600_000
KIM: Final = Actor("kim", "the broker asked for it")
# A broker that is back is found at once; its answers count after a moment, as declared.
QUICK: Final = {"back_off_s_min": 0.02, "back_off_s_max": 0.1}
SEEN: Final = {"visibility_window_s": 0.1, "unknown_answers_required": 2}


class Outpost:
    """A ledger, one broker on it, and everything that came of it."""

    def __init__(self, client: Client, **options: Any) -> None:
        self.client = client
        self.clock = SystemClock()
        self.database = Database(None)
        upgrade(self.database)
        self.ledger = Ledger(self.database, self.clock)
        self.ledger.declare({NAME: 1_000}, {"XNAS": NAME})
        self.sessions = SessionLedger(self.database, self.clock)
        given: dict[str, Any] = {
            "hosts": f"{client.host}:{client.port}",
            "answer_s": 5.0,
            **QUICK,
            **SEEN,
        }
        session: dict[str, Any] = {"sender": client.name, "target": SENDER, "heartbeat_s": 30}
        self.broker = FixBroker(name=NAME, clock=self.clock, **(session | given | options))
        self.reports: list[ExecutionReport] = []
        self.epoch = 0
        self._numbers = count(1)

    async def park(self, unread: Sequence[Unread]) -> None:
        raise AssertionError(unread)

    async def publish(self, reports: Sequence[ExecutionReport]) -> None:
        self.reports += reports

    @property
    def status(self) -> SessionStatus:
        found = self.broker.session()
        assert found is not None
        return found

    def is_up(self) -> bool:
        found = self.broker.session()
        return found is not None and found.state == "logged_on"

    def says(self, words: str) -> bool:
        """Tell whether the line's reason for being down has these words."""
        found = self.broker.session()
        return found is not None and words in (found.why or "")

    async def back(self, since: int) -> None:
        """Wait for a logon that is younger than the state of then."""
        await eventually(lambda: self.is_up() and self.status.since > since)

    async def claimed(self, orders: int = 1) -> list[Submission]:
        """Take orders and claim them: their attempts are on disk."""
        entries = [a_taking(f"c-{next(self._numbers)}") for _ in range(orders)]
        await self.ledger.take(entries)
        return await self.claimed_again(orders)

    async def claimed_again(self, orders: int) -> list[Submission]:
        """Claim so many of those that wait."""
        fence = Fence(NAME, "me", self.epoch, frozenset({SESSION.trading_session_id}))
        return [submission(one) for one in await self.ledger.claim(fence, orders, sendable)]

    async def sent(self, batch: Sequence[Submission]) -> list[Answer]:
        """Send each by itself, all at once, and settle what was answered."""
        asked = [self.broker.submit([one]) for one in batch]
        answers = [answer for (answer,) in await asyncio.gather(*asked)]
        now = self.clock.monotonic_ns()
        pairs = zip(batch, answers, strict=True)
        await self.ledger.settle([Settlement(one.broker_order_key, a, now) for one, a in pairs])
        return answers

    async def placed(self, orders: int = 1) -> list[Submission]:
        """Send so many orders; each of them is accepted."""
        batch = await self.claimed(orders)
        answers = await self.sent(batch)
        assert [type(answer).__name__ for answer in answers] == ["Accepted"] * orders, answers
        return batch

    async def changed(self, sent: Submission, quantity: str, price: str) -> tuple[str, Answer]:
        """Ask for new terms as the gateway does it; return the request's key and the answer."""
        order = await self.order(sent)
        await self.ledger.amend(order.order_id, order.version, Decimal(quantity), Decimal(price))
        fence = Fence(NAME, "me", self.epoch, frozenset())
        (claimed,) = await self.ledger.claim_replaces(fence, 1, sendable)
        key = claimed.replacement.broker_order_key
        (answer,) = await self.broker.replace([claimed.replacement])
        await self.ledger.settle_replaces([Settlement(key, answer, self.clock.monotonic_ns())])
        return key, answer

    async def applied(self) -> None:
        """Fold every report that was published into the ledger, as often as it came."""
        await self.ledger.apply(self.reports, "report")

    async def order(self, sent: Submission) -> Order:
        found = await self.sessions.orders([sent.broker_order_key])
        return found[sent.broker_order_key]

    async def asks(self, until: int) -> None:
        """Let the reconciler ask until so many doubts are settled."""
        reconciler = Reconciler(GatedBroker(self.broker, self.clock), self.ledger, self.clock)
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + 15
        while reconciler.settled.total() < until:
            assert loop.time() < give_up_at, f"settled {reconciler.settled}, wanted {until}"
            await reconciler.step()
            await asyncio.sleep(0.02)


@asynccontextmanager
async def manned(client: Client, *, up: bool = True, **options: Any) -> AsyncIterator[Outpost]:
    """Run the broker's session meanwhile; by default once it is logged on."""
    outpost = Outpost(client, **options)
    outpost.epoch = await outpost.ledger.take_lease(NAME, "me", LEASE_MS)
    standing = Standing(
        outpost.sessions, outpost.publish, outpost.park, lambda: outpost.epoch, lambda: True
    )
    try:
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(outpost.broker.run(standing))
            if up:
                await eventually(lambda: outpost.is_up() or running.done())
            yield outpost
            running.cancel()
    finally:
        await outpost.broker.close()
        outpost.database.close()
