"""A broker behind HTTP: every way in which a request can end becomes one of five answers.

How a request leaves and comes back is `exchange`'s: whatever failed before the first byte is
`NotSent`, and after it `Unknown`. Here only the broker's readable word about this very order
counts, in the dialect of `wire`. The trap is to take a word about the request, or a proxy's, for
one about the order.
"""

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from app.brokers import requests, wire
from app.brokers.callback import Key, read_callback, read_record
from app.brokers.exchange import OK, Exchange, Reply
from app.clock import Clock
from app.domain.capabilities import Capabilities
from app.domain.messages import (
    Answer,
    Cancellation,
    ExecutionReport,
    Lookup,
    Replacement,
    Submission,
    Throttled,
    Unknown,
)

log: Final = logging.getLogger(__name__)

# A name that Kafka takes, and none of ours: reports that are read and published again for ever.
TOPIC: Final = re.compile(r"(?!openbell\.)[A-Za-z0-9._-]{1,200}")
JUDGED: Final = frozenset({400, 422})
UNAVAILABLE: Final = 503
DEFAULTS: Final = Capabilities(
    batch_max=100,
    cancel_batch_max=100,
    find_batch_max=100,
    replaces=True,
    replace_batch_max=100,
)


class HttpBroker:
    """One broker that speaks the dialect of `wire`."""

    def __init__(  # noqa: PLR0913 - keyword-only options, as settings name them
        self,
        *,
        name: str,
        url: str,
        secret: str,
        clock: Clock,
        timeout_s: float = 5.0,
        connect_timeout_s: float = 1.0,
        max_in_flight: int = 64,
        callback_tolerance_s: float = 300.0,
        busy_means_not_accepted: bool = False,
        reports_topic: str | None = None,
        **capabilities: Any,
    ) -> None:
        """`busy_means_not_accepted`: the broker's documents say so of its 503.

        `reports_topic`: where on our bus it writes its reports, each signed like a callback; with
        as many partitions as our own topics have.
        """
        if reports_topic is not None and not TOPIC.fullmatch(reports_topic):
            raise ValueError(f"reports_topic: expected a topic of its own, was {reports_topic!r}")
        self.reports_topic = reports_topic
        self.name = name
        self.capabilities = replace(DEFAULTS, max_in_flight=max_in_flight, **capabilities)
        self._exchange = Exchange(
            url,
            {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"},
            timeout_s=timeout_s,
            connect_timeout_s=connect_timeout_s,
            max_in_flight=self.capabilities.max_in_flight,
        )
        self._key = Key(name, secret.encode(), callback_tolerance_s)
        self._clock = clock
        self._busy_means_not_accepted = busy_means_not_accepted
        self._stops: Callable[[str], str | None] = lambda _key: None  # the lane's, once it heeds

    def heed(self, stops: Callable[[str], str | None]) -> None:
        self._stops = stops

    async def submit(self, batch: Sequence[Submission]) -> list[Answer]:
        """Send one batch in one request."""
        assert len(batch) <= self.capabilities.batch_max
        if not batch:
            return []
        keys = [item.broker_order_key for item in batch]
        items = await self._judged("/v1/orders", requests.order_body(batch), keys, heeds=True)
        if not isinstance(items, dict):
            return [items] * len(batch)
        return [wire.submit_answer(items.get(item.broker_order_key)) for item in batch]

    async def cancel(self, batch: Sequence[Cancellation]) -> list[Answer]:
        """Ask to cancel."""
        assert len(batch) <= self.capabilities.cancel_batch_max
        if not batch:
            return []
        keys = [item.broker_order_key for item in batch]
        items = await self._judged("/v1/cancels", requests.cancel_body(batch), keys)
        if not isinstance(items, dict):
            return [items] * len(batch)
        return [
            wire.cancel_answer(items.get(item.broker_order_key), item.broker_order_id)
            for item in batch
        ]

    async def replace(self, batch: Sequence[Replacement]) -> list[Answer]:
        """Ask for new terms."""
        assert len(batch) <= self.capabilities.replace_batch_max
        if not batch:
            return []
        keys = [item.broker_order_key for item in batch]
        items = await self._judged("/v1/replaces", requests.replace_body(batch), keys, heeds=True)
        if not isinstance(items, dict):
            return [items] * len(batch)
        return [
            wire.replace_answer(items.get(item.broker_order_key), item.broker_order_id)
            for item in batch
        ]

    async def find(self, keys: Sequence[str]) -> list[Lookup]:
        """Look orders up on a connection of this call's own."""
        assert len(keys) <= self.capabilities.find_batch_max
        if not keys:
            return []
        reply = await self._exchange.ask("/v1/lookups", requests.lookup_body(keys))
        if not isinstance(reply, Reply):
            return [Unknown(reply.cause)] * len(keys)
        if reply.status not in OK:
            return [Unknown(f"HTTP {reply.status}")] * len(keys)
        try:
            shown = wire.by_key(wire.read_shown(reply.body).results)
        except wire.Malformed as e:
            return [Unknown(f"unreadable reply: {e}")] * len(keys)
        self._report_strays(shown, keys)
        return [wire.lookup_answer(self.name, key, shown.get(key)) for key in keys]

    async def ping(self) -> bool:
        """Return whether a cheap authenticated round trip succeeds."""
        reply = await self._exchange.ask("/v1/ping")
        return isinstance(reply, Reply) and reply.status in OK

    def read_callback(self, headers: Mapping[str, str], body: bytes) -> list[ExecutionReport]:
        """Verify and read reports that the broker pushed, or raise `BadCallback`."""
        return read_callback(self._key, headers, body, self._clock.now())

    def read_record(self, payload: bytes) -> list[ExecutionReport]:
        """Verify and read one record of the broker's topic, or raise `BadCallback`."""
        return read_record(self._key, payload)

    async def close(self) -> None:
        """Close idle connections; a later call opens new ones."""
        await self._exchange.close()

    async def _judged(
        self, path: str, body: bytes, keys: Sequence[str], *, heeds: bool = False
    ) -> dict[str, wire.Result | None] | Answer:
        """Return the reply's items, or the one answer that holds for the whole batch.

        What `heeds` whatever stops one of its orders is held back whole; a cancel always passes.
        """

        def stops() -> str | None:
            words = map(self._stops, keys if heeds else ())
            return next((why for why in words if why is not None), None)

        reply = await self._exchange.send(path, body, stops=stops)
        if not isinstance(reply, Reply):
            return reply
        if reply.status not in OK:
            return self._refused(reply, len(keys))
        try:
            items = wire.by_key(wire.read_results(reply.body).results)
        except wire.Malformed as e:
            return Unknown(f"unreadable reply: {e}")
        self._report_strays(items, keys)
        return items

    def _refused(self, reply: Reply, orders: int) -> Answer:
        """Return what a reply that is no 2xx proves about all of its orders."""
        if reply.status == UNAVAILABLE and self._busy_means_not_accepted:
            return Throttled(wire.retry_after_s(reply.headers))
        # Only a refusal that gives a reason is the broker's own, not some proxy's, and only of
        # a single order does it say which order was judged.
        if reply.status in JUDGED and orders == 1:
            try:
                refusal = wire.read_refusal(reply.body)
            except wire.Malformed:
                return Unknown(f"HTTP {reply.status} without a code")
            result = wire.Result("", "rejected", code=refusal.code, detail=refusal.detail)
            return wire.submit_answer(result)
        return reply.proves()

    def _report_strays(self, items: Mapping[str, object], keys: Sequence[str]) -> None:
        """Say that a reply spoke of other orders; it changes nothing for ours."""
        strays = set(items).difference(keys)
        if strays:
            named = sorted(strays)[:5]
            log.warning("broker %s answered for %d other orders: %s", self.name, len(strays), named)
