"""One seeded run around the open: clients, operators, sick brokers and crashes, then health.

Each seed draws how bad everything is, and many odds are zero, so that one fault is also seen
alone. Then everything heals, and what is left must come to rest. The trap is a run in which
nothing happened: `counts` says what did, and the suite demands that all of it happens somewhere.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Final

from app.domain.errors import Busy, Refused
from app.domain.order import WORKING, Order
from app.domain.records import Taken
from app.domain.request import OrderRequest
from app.domain.values import CancelOrigin, Status
from tests.scenarios.builders import a_request
from tests.scenarios.floor import Floor
from tests.sim.sickness import CAPABILITIES, Sickness
from tests.virtual import Virtual

TROUBLE_S: Final = 8.0
CLIENT_TIMEOUT_S: Final = 2.0
REST_S_MAX: Final = 60.0
LOOK_EVERY_S: Final = 0.5
# The bell rings one second in.
BEFORE_S: Final = 1.0
MOVING: Final = (
    "SELECT order_id, status, pending_request FROM orders WHERE pending_request <> 'none'"
    " OR status IN ('reserved', 'held', 'queued', 'sending', 'in_doubt')"
)
Event = tuple[float, Callable[[], None]]


class Swarm:
    """One run."""

    def __init__(self, virtual: Virtual, seed: int, *, restless: bool = False) -> None:
        """Draw a run; `restless`: clients keep changing their orders, brokers take their time."""
        chance = self._chance = random.Random(f"{seed}:operators")
        disk = random.Random(f"{seed}:disk")
        self.counts: Counter[str] = Counter()
        self.floor = Floor(
            virtual,
            seed=seed,
            tps=chance.randint(4, 40),
            capabilities=replace(CAPABILITIES, batch_max=chance.choice([1, 1, 5, 20])),
            delay=lambda: disk.choice([0.0005, 0.0005, 0.001, 0.003, 0.015]),
        )
        self.sickness = Sickness(random.Random(f"{seed}:faults"), self.counts)
        if restless:
            slow = replace(self.sickness.odds, replaced=1.0, undecided=0.7, filled=0.8)
            self.sickness.odds, self.sickness.trades_within_s = slow, 4.0
        for broker in self.floor.brokers.values():
            self.sickness.befalls(broker)
        self.requests: dict[str, OrderRequest] = {}
        self.taken: dict[str, str] = {}  # client_order_id to order_id, as the clients heard it
        self.canceled_unsent: set[str] = set()  # answered `canceled` at once, never sent before
        self.cancel_requested: set[str] = set()  # noted; evidence decides
        self.halts: list[tuple[int, int]] = []  # from the answer until the lifting, of everything
        self._halted_ns: int | None = None
        self._running = True

    def run(self) -> None:
        """Make trouble, heal, wait for rest."""
        clients = random.Random(self._chance.random())
        for number in range(self._chance.randint(15, 40)):
            name = f"c-{number}"
            terms = {"account_id": f"A-{clients.randint(1, 4)}"}
            self.requests[name] = a_request(name, clients.choice([1, 3, 10]), "AAPL", **terms)
            self.floor.world.does(self._client(name, random.Random(clients.random())))
        began = self._now_s
        for at_s, act in self._schedule():
            self.floor.passes(max(0.0, began + at_s - self._now_s))
            act()
        self.floor.passes(max(0.0, began + TROUBLE_S - self._now_s))
        self._heal()
        self._rest()

    @property
    def _now_s(self) -> float:
        return self.floor.virtual.loop.time()

    # --- clients ------------------------------------------------------------------------

    async def _client(self, name: str, chance: random.Random) -> None:
        """Place one order until it is answered, and perhaps change one's mind."""
        await asyncio.sleep(chance.uniform(0, TROUBLE_S * 0.7) if chance.random() < 0.5 else 0.1)
        order_id = self.taken[name] = await self._placed(name)
        if chance.random() < self.sickness.odds.replaced:
            await self._changes(order_id, chance)
        if chance.random() < self.sickness.odds.canceled:
            await asyncio.sleep(chance.choice([0.0, 0.02, chance.uniform(0, 4)]))
            await self._cancels(order_id)

    async def _placed(self, name: str) -> str:
        while True:
            try:
                async with asyncio.timeout(CLIENT_TIMEOUT_S):
                    taken: Taken = await self.floor.gateway.desk.place(self.requests[name])
            except (TimeoutError, Busy):
                self.counts["asked_again"] += 1
                await asyncio.sleep(0.1)
            except Refused:  # halted; an order that was taken before is never refused again
                assert name not in self.taken
                await asyncio.sleep(0.3)
            else:
                return taken.order.order_id

    async def _changes(self, order_id: str, chance: random.Random) -> None:
        """Change one's mind about the terms, a few times, while the order works at a broker."""
        for _ in range(chance.randint(2, 8)):
            await asyncio.sleep(chance.choice([0.05, 0.3, chance.uniform(0, 2)]))
            order = await self._seen(order_id)
            if order is None or order.status not in WORKING:
                continue
            quantity = Decimal(chance.choice([2, 4, 8, 12, 20]))
            try:
                async with asyncio.timeout(CLIENT_TIMEOUT_S):
                    desk = self.floor.gateway.desk
                    await desk.amend(order, order.version, quantity, order.limit_price)
            except TimeoutError:
                self.counts["replace_unheard"] += 1
            except Refused:
                self.counts["replace_refused_here"] += 1
            else:
                self.counts["replace_asked"] += 1

    async def _seen(self, order_id: str) -> Order | None:
        try:
            async with asyncio.timeout(CLIENT_TIMEOUT_S):
                return await self.floor.gateway.ledger.get(order_id)
        except TimeoutError:
            return None

    async def _cancels(self, order_id: str) -> None:
        while True:
            try:
                async with asyncio.timeout(CLIENT_TIMEOUT_S):
                    ledger = self.floor.gateway.ledger
                    order = await ledger.cancel(order_id, None, CancelOrigin.CLIENT)
            except TimeoutError:
                await asyncio.sleep(0.1)
            except Refused:
                self.counts["cancel_too_late"] += 1
                return
            else:
                won = order.status is Status.CANCELED
                self.counts["canceled_unsent" if won else "cancel_requested"] += 1
                (self.canceled_unsent if won else self.cancel_requested).add(order_id)
                return

    # --- operators ----------------------------------------------------------------------

    def _schedule(self) -> list[Event]:
        chance, events = self._chance, list[Event]()

        def at(times: int, act: Callable[[], None]) -> None:
            events.extend((chance.uniform(0.2, TROUBLE_S - 1), act) for _ in range(times))

        at(chance.choice([0, 1, 4, 8]), self._turns_the_dial)
        at(chance.choice([0, 0, 1, 2]), self._halts)
        at(chance.choice([0, 1, 2]), self._resumes)
        at(chance.choice([0, 0, 1, 2]), self._moves_the_route)
        at(chance.choice([0, 1, 2, 3]), self._crashes)
        at(chance.choice([0, 0, 1]), self._stops)
        return sorted(events, key=lambda event: event[0])

    def _turns_the_dial(self) -> None:
        broker = self._chance.choice(["north", "south"])
        self.floor.rate(broker, self._chance.choice([1, 3, 10, 40, 100]))
        self.counts["dial_turned"] += 1

    def _halts(self) -> None:
        if self._halted_ns is None:
            self.floor.halt()
            self._halted_ns = self.floor.world.now_ns
            self.counts["halted"] += 1

    def _resumes(self) -> None:
        if self._halted_ns is not None:
            self.halts.append((self._halted_ns, self.floor.world.now_ns))
            self._halted_ns = None
            self.floor.resume()

    def _moves_the_route(self) -> None:
        self.floor.leads(self._chance.choice(["north", "south"]))
        self.counts["route_moved"] += 1

    def _crashes(self) -> None:
        in_flight = sum(lane.permits.in_flight for lane in self.floor.gateway.lanes)
        self.counts["crashed"] += 1
        self.counts["crashed_in_flight"] += in_flight > 0
        self.floor.crash()
        self.floor.passes(self._chance.choice([0.01, 0.3, 1.5]))
        self.floor.start()

    def _stops(self) -> None:
        self.counts["stopped"] += 1
        self.floor.stop()
        self.floor.start()

    def _heal(self) -> None:
        for broker in self.floor.brokers.values():
            self.sickness.leaves(broker)
        self._resumes()
        for name in self.floor.brokers:
            self.floor.rate(name, 50)

    def _rest(self) -> None:
        """Wait until nothing moves any more, and everything has been told."""
        healed = self._now_s
        while self.floor.world.unfinished or self.floor.query(MOVING):
            waited = self._now_s - healed
            assert waited < REST_S_MAX, f"still moving: {self.floor.query(MOVING)}"
            self.floor.passes(LOOK_EVERY_S)
        self.floor.passes(LOOK_EVERY_S)  # what was told last is applied
        assert self.floor.query(MOVING) == []
