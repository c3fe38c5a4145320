"""Alpaca as a broker: one order a request, and each of its words one of our answers.

Whatever fails before the first byte is `NotSent` and after it `Unknown` (`exchange`); what a reply
proves stands in `words`. Nothing here repeats a request.

The trap is an order that ends with fills that nobody has seen: shown as canceled, it would be
canceled here, and its fills would come to an order that is over. So a look-up shows an end together
with every fill, or it shows that the order is there and no more than that.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final
from urllib.parse import quote, urlencode

from app.brokers.alpaca import listing, words
from app.brokers.alpaca.feed import Feed, Pace, span
from app.brokers.alpaca.listing import NoList
from app.brokers.alpaca.shapes import ENDED, Order, amount, is_well, order_body, replace_body
from app.brokers.alpaca.stream import Door, Stream
from app.brokers.alpaca.told import Told
from app.brokers.exchange import OK, Exchange, Reply
from app.clock import Clock
from app.domain.broker_session import SessionStatus
from app.domain.capabilities import Capabilities
from app.domain.messages import (
    Absent,
    Accepted,
    Answer,
    Cancellation,
    ExecutionReport,
    Found,
    Lookup,
    NotSent,
    Rejected,
    Replacement,
    Submission,
    Unknown,
)
from app.domain.values import Status
from app.ending import ended
from app.ports.brokers import BadCallback, Standing

PAPER: Final = "https://paper-api.alpaca.markets"
# Its documents do not say how old an answer may be, and users saw two lists ten seconds apart; so
# three times that, and one answer more than elsewhere. Two orders a second leave room, of 200
# requests a minute, for the feed and for look-ups. No replaces unless settings say so: see there.
DEFAULTS: Final = Capabilities(
    visibility_window_s=30.0, unknown_answers_required=3, orders_per_second_max=2
)
# Two thousand fills of one account within the life of one order; beyond them its end is the feed's.
FIND_PAGES_MAX: Final = 20
OWNER_TICK_S: Final = 0.5


class AlpacaBroker:
    """One Alpaca account, which should be the gateway's alone.

    The orders of other programs on it are reported too, and the ledger keeps them in quarantine
    with an anomaly. All of our accounts trade on it as one: Alpaca's trading API knows no others.
    """

    def __init__(  # noqa: PLR0913 - keyword-only options, as settings name them
        self,
        *,
        name: str,
        key_id: str,
        secret: str,
        clock: Clock,
        url: str = PAPER,
        timeout_s: float = 5.0,
        connect_timeout_s: float = 2.0,
        max_in_flight: int = 16,
        look_gap_s: float = 1.0,
        silence_s: float = 15.0,
        sweep_every_s: float = 300.0,
        look_back_s: float = 86_400.0,
        patience_s: float = 60.0,
        **capabilities: Any,
    ) -> None:
        """Take the options of the settings; every `_s` is in seconds and above zero.

        - `key_id`, `secret`: the API key. `url`: live trading is https://api.alpaca.markets.
        - `timeout_s` bounds one exchange, `connect_timeout_s` what comes before its first byte.
        - `max_in_flight`: requests without an answer, 1 or more.
        - `look_gap_s`: at least so long between two looks for fills, a request or more each.
        - `silence_s`: a look, though nothing rang for so long.
        - `sweep_every_s`: how often the orders that have ended are listed.
        - `look_back_s`: how far back a start reads, at most a week.
        - `patience_s`: how long an end waits for fills that its order shows and no list does.
        - any of `Capabilities`; `replaces = true` lets orders be replaced there.
        """
        pace = Pace(look_gap_s, silence_s, sweep_every_s, look_back_s, patience_s)
        _check((*pace, timeout_s, connect_timeout_s), look_back_s)
        self.name = name
        self.capabilities = replace(DEFAULTS, max_in_flight=max_in_flight, **capabilities)
        self._clock = clock
        self._exchange = Exchange(
            url,
            {
                "APCA-API-KEY-ID": key_id,
                "APCA-API-SECRET-KEY": secret,
                "Content-Type": "application/json",
            },
            timeout_s=timeout_s,
            connect_timeout_s=connect_timeout_s,
            max_in_flight=self.capabilities.max_in_flight,
        )
        self._told = Told()
        self._feed = Feed(name, self._exchange, clock, self._told, pace)
        line = "ws" + url.rstrip("/").removeprefix("http") + "/stream"
        door = Door(line, key_id, secret, timeout_s)
        self._stream = Stream(door, clock, self._feed.hear, self._feed.line_is_new)
        self._host = url
        self._stands_by: bool | None = None  # None before `run`
        self._stops: Callable[[str], str | None] = lambda _key: None  # the lane's, once it runs

    async def submit(self, batch: Sequence[Submission]) -> list[Answer]:
        """Send one order in one request."""
        assert len(batch) <= 1
        return [await self._submit(item) for item in batch]

    async def cancel(self, batch: Sequence[Cancellation]) -> list[Answer]:
        """Ask to cancel one order; where its id is not known, it is looked up first."""
        assert len(batch) <= 1
        return [await self._cancel(item) for item in batch]

    async def replace(self, batch: Sequence[Replacement]) -> list[Answer]:
        """Ask for new terms of one order, of which nothing has traded yet.

        It goes on under another id, and no public page says whether the new quantity counts what
        was filled under the old one (users found that it does not: an order that asks for more
        than it may). So one that shows a fill is refused here; for a fill within the moment
        between that look and the request, the terms that Alpaca shows are reported as they are.
        """
        assert len(batch) <= 1
        return [await self._replace(item) for item in batch]

    async def find(self, keys: Sequence[str]) -> list[Lookup]:
        """Look one order up, on a connection of its own."""
        assert len(keys) <= 1
        return [await self._find(key) for key in keys]

    async def ping(self) -> bool:
        """Return whether the account answers, and may trade."""
        reply = await self._exchange.ask("/v2/account")
        return isinstance(reply, Reply) and reply.status in OK and is_well(reply.body)

    def read_callback(self, headers: Mapping[str, str], body: bytes) -> list[ExecutionReport]:
        """Refuse: Alpaca pushes to nobody's door."""
        del headers, body
        raise BadCallback("Alpaca makes no callbacks")

    async def run(self, standing: Standing) -> None:
        """Hear and publish what becomes of orders, for ever, while the lane is ours."""
        self._stops = standing.stops
        while True:
            self._stands_by = True
            while not standing.epoch():  # noqa: ASYNC110 - a lease rings no bell
                await asyncio.sleep(OWNER_TICK_S)
            self._stands_by = False
            async with asyncio.TaskGroup() as loops:
                tasks = [
                    loops.create_task(self._stream.run()),
                    loops.create_task(self._feed.run(standing.publish)),
                ]
                try:
                    while standing.epoch():  # noqa: ASYNC110 - nor when it is lost
                        await asyncio.sleep(OWNER_TICK_S)
                finally:
                    await ended(*tasks)

    def session(self) -> SessionStatus | None:
        """Return how the line to the stream stands. It has no numbers."""
        if self._stands_by is None:
            return None
        line = self._stream.standing
        return SessionStatus(
            session_id=f"{self.name}-trade-updates",
            state="standing_by" if self._stands_by else line.state,
            why=line.why,
            host=self._host,
            since=line.since,
            numbering=0,
            next_out=0,
            next_in=0,
            last_out_at=None,
            last_in_at=self._stream.last_in_at,
            alarm=self._feed.trouble,
        )

    async def log_out(self, reason: str) -> None:
        """End the line to the stream politely; it is made again as after any loss."""
        del reason  # the stream has no word for it
        await self._stream.hang_up()

    async def close(self) -> None:
        """Close idle connections; a later call opens new ones."""
        await self._exchange.close()

    async def _submit(self, item: Submission) -> Answer:
        if item.currency != "USD":
            # Alpaca's orders name no currency: a price in another one would be taken for dollars.
            return Rejected("unsupported-currency", f"{item.currency}: it trades in USD")
        stops = partial(self._stops, item.broker_order_key)
        reply = await self._exchange.send("/v2/orders", order_body(item), stops=stops)
        if not isinstance(reply, Reply):
            return reply
        answer = words.submit_answer(reply, item.broker_order_key, self._clock.now())
        if isinstance(answer, Accepted):
            self._told.know(answer.broker_order_id, item.broker_order_key)
        return answer

    async def _cancel(self, item: Cancellation) -> Answer:
        order_id = item.broker_order_id
        if order_id is None:
            order = await self._shown(item.broker_order_key)
            if isinstance(order, Absent):
                return Rejected("unknown-order")
            if isinstance(order, Unknown):
                return Unknown(f"the order's id is not known: {order.cause}")
            order_id = order.id
        path = f"/v2/orders/{quote(order_id, safe='')}"
        reply = await self._exchange.send(path, None, method="DELETE")
        if not isinstance(reply, Reply):
            return reply
        return words.cancel_answer(reply, order_id, self._clock.now())

    async def _replace(self, item: Replacement) -> Answer:
        order = await self._shown(item.original)
        if isinstance(order, Absent):
            return Rejected("unknown-order")
        if isinstance(order, Unknown):
            return NotSent(f"the order cannot be shown: {order.cause}")
        if amount(order.filled_qty):
            return Rejected("partially-filled", "Alpaca's quantities do not count earlier fills")
        # That look may have taken seconds, in which a halt came, or the lease went.
        stops = partial(self._stops, item.broker_order_key)
        path, body = f"/v2/orders/{quote(order.id, safe='')}", replace_body(item)
        reply = await self._exchange.send(path, body, method="PATCH", stops=stops)
        if not isinstance(reply, Reply):
            return reply
        return words.replace_answer(reply, item.broker_order_key, self._clock.now())

    async def _shown(self, key: str) -> Order | Absent | Unknown:
        query = urlencode({"client_order_id": key})
        reply = await self._exchange.ask(f"/v2/orders:by_client_order_id?{query}")
        order = words.shown(reply, key)
        if isinstance(order, Order):
            self._told.learn(order)
        return order

    async def _find(self, key: str) -> Lookup:
        order = await self._shown(key)
        if not isinstance(order, Order):
            return order
        try:
            chain = await listing.chain_of(self._exchange, order)
        except NoList as e:
            return Unknown(f"found, but what goes before it or after it is not known: {e}")
        first, last = chain[0], chain[-1]
        if order.replaces is not None and first is order:
            # Refused, it has no effect; else the old order works until it is shown as replaced.
            return Absent() if order.status == "rejected" else Unknown("found, and pending there")
        filled = words.filled(chain)
        executions = await self._executions(chain, key) if filled else ()
        status = words.status_of(last)
        if (filled and last.status not in ENDED) or words.together(executions) < filled:
            status = Status.PARTIALLY_FILLED
        terms = words.terms(chain)
        return Found(last.id, status, executions, None, *terms, filled_quantity=filled)

    async def _executions(self, chain: Sequence[Order], key: str) -> tuple[ExecutionReport, ...]:
        """Return the fills of one order under all of its ids, or none where they cannot be read."""
        now = self._clock.now()
        since, until = span(chain[0], now)[0], span(chain[-1], now)[1]
        ids = {order.id for order in chain}
        found: list[ExecutionReport] = []
        pages = 0
        try:
            async for page in listing.fills(self._exchange, now, since, until):
                of_it = [fill for fill in page if fill.order_id in ids]
                found += [words.execution_report(self.name, fill, key) for fill in of_it]
                pages += 1
                if pages == FIND_PAGES_MAX:
                    break
        except NoList:
            return ()
        return tuple(found)


def _check(spans: Sequence[float], look_back_s: float) -> None:
    """Refuse options that no clock can keep."""
    if not all(span_s > 0 for span_s in spans):
        raise ValueError(f"expected spans above zero, were {spans}")
    if look_back_s > 7 * 86_400:
        raise ValueError(f"look_back_s: expected a week at most, was {look_back_s}")
