"""Finds what a broker has told nobody: asks about working orders, and applies what it shows.

A broker that can is asked about all of them in one question. What it shows is an answer for each;
what it leaves out is asked about alone, because a list that ends too early looks like any other.
The slow round asks one by one all the same, so nobody depends on a list for ever.

`rounds` says when, `walk` reads which, and what a look-up shows goes into the ledger as the
reports that it amounts to: what was known changes nothing, what was missed moves the order as if
it had been told in time. Nothing here changes an order by itself, and no silence does.

The trap is the moment between two stores: a report that is on its way to the ledger while the
broker is asked looks like one that never came. So what looks wrong is asked about again, after
longer than any report takes, and only then somebody is told.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Final

from app.clock import Clock
from app.dispatch import rounds
from app.dispatch.contract import held, held_to_show
from app.dispatch.evidence import reports_of
from app.dispatch.gaps import ABSENT, FILLS, Gaps, least_traded, traded
from app.dispatch.gate import GatedBroker, Lane
from app.dispatch.ownership import Ownership
from app.dispatch.rounds import SECOND_NS, Rhythm, Round, Rounds, Signs
from app.dispatch.walk import Trail, Walk
from app.domain.messages import Absent, ExecutionReport, Found, Lookup, Unknown
from app.domain.order import WORKING, Order
from app.domain.working import WorkingOrder
from app.ports.brokers import LiveBroker
from app.ports.dispatch import DispatchStore, Witness
from app.ports.trouble import AnomalyStore

log: Final = logging.getLogger(__name__)

TICK_S: Final = 0.5
BY: Final = "catch-up"
# Longer than a report needs from a broker's door to the ledger.
SECOND_LOOK_S: Final = 10.0
# More than these that look wrong are no news any more; the next round asks about the rest.
SECOND_LOOKS_MAX: Final = 10_000
# Of orders that were shown and do not work here, in one commit.
REST_MAX: Final = 100
# A broker that does not answer is asked less and less.
PAUSE_S: Final = 1.0
PAUSE_S_MAX: Final = 30.0


class CatchUp:
    """Asks one broker about the orders that work there."""

    def __init__(  # noqa: PLR0913 - keyword-only: all that it stands on
        self,
        *,
        broker: GatedBroker,
        store: DispatchStore,
        anomalies: AnomalyStore,
        clock: Clock,
        ownership: Ownership,
        signs: Callable[[int], Signs],
        rhythm: Rhythm | None = None,
    ) -> None:
        self._broker = broker
        self._store = store
        self._anomalies = anomalies
        self._clock = clock
        self._ownership = ownership
        self._signs = signs  # of this lease
        self._rhythm = rhythm or Rhythm()
        self._size = max(1, broker.capabilities.find_batch_max)
        self._rounds = Rounds()
        self._shown_last = 0  # so many orders were shown on one question, the last time
        self._follow_at = self._ask_at = 0
        self._pause_s = 0.0
        self.missed = 0  # reports that nobody had told us
        self._forget()
        self._begin(Rounds())

    def _forget(self) -> None:
        """Begin as whoever has just become the owner: others have moved these orders."""
        self._trail = Trail(self._store, self._broker.name)
        self._gaps = Gaps(self._broker.name)

    def _begin(self, anew: Rounds) -> None:
        start = self._trail.oldest if anew.under_way is Round.SAMPLE else None
        self._walk = Walk(self._trail, start)
        self._number = anew.number
        self._asked = self._answered = self._missed = self._odd = self._unanswered = 0
        self._again: dict[str, WorkingOrder] = {}  # what the first look did not explain
        self._is_second = False
        self._shown: dict[str, Found] = {}  # on one question, and nobody has taken it yet
        self._is_sample = anew.under_way is Round.SAMPLE
        few = anew.under_way is Round.SAMPLE and self._shown_last <= self._rhythm.shown_max
        able = self._broker.capabilities.mass_status
        self._asks_all = able and (few or anew.under_way is Round.FULL)

    async def run(self) -> None:
        """Ask for ever, where this broker can be asked at all."""
        while self._broker.capabilities.query_by_key:
            await self.step()
            await asyncio.sleep(TICK_S)

    async def step(self) -> None:
        """Spend one tick's budget, if there is anything to ask."""
        now = self._clock.monotonic_ns()
        epoch = self._ownership.epoch if self._ownership.is_sure() else 0
        if epoch and epoch != self._rounds.signs.epoch:
            self._forget()
        self._rounds = rounds.noticed(self._rounds, self._signs(epoch), now)
        if not epoch:
            return
        self._rounds = rounds.begun(self._rounds, now, self._rhythm)
        if self._rounds.number != self._number:
            self._begin(self._rounds)
        if now >= self._ask_at:
            await self._spend(rounds.budget(self._rounds, self._rhythm))
        if now >= self._follow_at:
            self._follow_at = now + round(SECOND_LOOK_S * SECOND_NS)
            await self._follow()

    async def _spend(self, requests: int) -> None:
        if requests and self._asks_all:
            requests -= 1
            await self._ask_all()
        self._walk.tick()
        while requests > 0:
            orders = self._second() if self._is_second else await self._first()
            if not orders:
                return
            requests -= await self._ask(orders)
            if self._pause_s or not self._ownership.is_sure():
                return

    async def _ask_all(self) -> None:
        """Let all be shown at once; then no sample is needed, if the broker says that it is all."""
        self._asks_all = False
        shown = await held_to_show(self._broker.find_all())
        self._shown, self._shown_last = dict(shown.orders), len(shown.orders)
        if shown.ended:
            self._is_sample, self._walk = False, Walk(self._trail)

    async def _first(self) -> Sequence[WorkingOrder]:
        """Return whom to ask about next; nobody yet, or nobody any more."""
        left = self._rhythm.sample - self._asked if self._is_sample else self._size
        orders = await self._walk.take(min(self._size, left)) if left else []
        self._asked += len(orders)
        if orders or (left and not self._walk.done):
            return orders
        await self._take_rest()
        if self._is_sample or not self._again:
            self._end()
        else:
            self._is_second = True
            wait_s = max(SECOND_LOOK_S, self._broker.capabilities.visibility_window_s)
            self._ask_at = self._clock.monotonic_ns() + round(wait_s * SECOND_NS)
        return []

    def _second(self) -> Sequence[WorkingOrder]:
        keys = list(self._again)[: self._size]
        if not keys:
            self._end()
        return [self._again.pop(key) for key in keys]

    def _end(self) -> None:
        why, name = self._rounds.why, self._broker.name
        if self._missed:
            words = (name, self._missed, self._asked, why)
            log.warning("broker %s: %d reports missed, of %d working orders asked (%s)", *words)
        if self._unanswered:
            log.warning("broker %s: nothing is shown of %d orders", name, self._unanswered)
        self._rounds = rounds.ended(
            self._rounds,
            self._clock.monotonic_ns(),
            missed=bool(self._missed or self._odd) and self._is_sample,
            silent=bool(self._asked and not self._answered),
        )

    async def _ask(self, orders: Sequence[WorkingOrder]) -> int:
        """Look these up, apply what is shown, and keep what that does not explain.

        Return how many requests that took: none, where all of them had been shown.
        """
        keys = [order.broker_order_key for order in orders]
        found: dict[str, Lookup] = {k: self._shown.pop(k) for k in keys if k in self._shown}
        self._answered += len(found)
        if left := [key for key in keys if key not in found]:
            lookups = await held(self._broker.find(left), len(left), "other orders")
            self._rest(lookups)
            found |= dict(zip(left, lookups, strict=True))
        if self._ownership.is_sure():  # else the next owner asks for himself
            await self._apply(found)
            stand = await self._store.orders_of(keys)
            for order, key in zip(orders, keys, strict=True):
                self._weigh(order, found[key], stand.get(key))
        return 1 if left else 0

    async def _apply(self, found: Mapping[str, Lookup]) -> None:
        now, name = self._clock.now(), self._broker.name
        reports: list[ExecutionReport] = []
        for key, lookup in found.items():
            if isinstance(lookup, Found):
                reports += reports_of(lookup, key, name, now)
        if reports:
            done = await self._store.apply(reports, BY)
            self._missed += done.applied
            self.missed += done.applied

    async def _take_rest(self) -> None:
        """Apply what was shown of orders that do not work here: it may be what nobody knows."""
        rest, self._shown = list(self._shown.items()), {}
        for start in range(0, len(rest), REST_MAX):
            if self._ownership.is_sure() and not self._is_sample:
                await self._apply(dict(rest[start : start + REST_MAX]))

    def _rest(self, lookups: Sequence[Lookup]) -> None:
        """Wait longer each time that nothing at all was answered."""
        answered = sum(not isinstance(lookup, Unknown) for lookup in lookups)
        self._answered += answered
        self._pause_s = 0.0 if answered else min(max(PAUSE_S, 2 * self._pause_s), PAUSE_S_MAX)
        self._ask_at = self._clock.monotonic_ns() + round(self._pause_s * SECOND_NS)

    def _weigh(self, order: WorkingOrder, lookup: Lookup, stands: Order | None) -> None:
        """Keep what is odd for a second look; what still is at that one is a gap."""
        key = order.broker_order_key
        match lookup:
            case Found():
                self._gaps.explained(ABSENT, key)
                least = least_traded(lookup, order.quantity)
                if stands is None or traded(stands) >= least:
                    self._gaps.explained(FILLS, key)
                else:
                    self._gap(FILLS, order, least)
            case Absent():
                if stands is not None and stands.status in WORKING:
                    self._gap(ABSENT, order, Decimal(0))
            case Unknown():
                self._unanswered += self._is_second
                self._look_again(order)

    def _gap(self, rule: str, order: WorkingOrder, amount: Decimal) -> None:
        key = order.broker_order_key
        if self._is_second:
            self._gaps.note(rule, key, amount)
            return
        self._odd += not self._gaps.knows(key)
        self._look_again(order)

    def _look_again(self, order: WorkingOrder) -> None:
        if not self._is_second and len(self._again) < SECOND_LOOKS_MAX:
            self._again[order.broker_order_key] = order

    async def _follow(self) -> None:
        """Say what is missing and what is no more; where the store is away, later."""
        try:
            self._gaps.hear(await self._anomalies.open_anomalies())
            if keys := self._gaps.keys:
                self._gaps.follow(await self._store.orders_of(sorted(keys)))
            if findings := self._gaps.news():
                await self._anomalies.note(findings)
                self._gaps.told(findings)
        except OSError as e:
            log.warning("broker %s: gaps are told later: %s", self._broker.name, e)


def signs_of(
    broker: GatedBroker, witness: Witness, reports: Callable[[], int], live: LiveBroker | None
) -> Callable[[int], Signs]:
    """Return how to look at a broker: its circuits, its health, its session."""

    def look(epoch: int) -> Signs:
        health = witness.health(broker.name)
        closed = all(broker.state(lane).state == "closed" for lane in (Lane.SUBMIT, Lane.FIND))
        well = health is None or (
            health.ping is not False and health.session_up and not health.silent
        )
        session = None if live is None else live.session()
        logon = 0 if live is None else None
        if session is not None and session.state == "logged_on":
            logon = session.since
        return Signs(epoch, closed and well, reports(), logon)

    return look
