"""Eight writers and somebody fickle, who talk to the doors over HTTP while the stores fall.

As in `crowd`, they remember what they were told and nothing else. Here the doors may also say
"it may exist" (`commit-outcome-unknown`, `store-away`): then a writer posts the same again under
the same ids, and may be told 200 or 201. To every other order the first answer must be 201: a
200 would be an order that nobody has placed. "No order exists" is a promise too, so after a
refusal of that kind the first answer is 201 as well.

The trap is a writer that stops at the first refusal: then the storm blows over an idle house.
"""

import random
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from itertools import islice
from threading import Event, Lock, Thread
from typing import Any, Final

from app.cli.asking.client import Client
from app.cli.asking.problems import Problem, Unreachable
from app.cli.stage.book import reserved_book
from app.domain.errors import Code
from tests.faults.crowd import AS_FILLED, TRY_AGAIN, _posted
from tests.faults.stack_stage import StackStage
from tests.faults.storm_stage import Order, kept

WRITERS: Final = 8
# PostgreSQL is back after some seconds, and a writer that waited longer would miss the storm.
PAUSE_S: Final = 0.2
TRIES_MAX: Final = 1_000
FICKLE_PAUSE_S: Final = 0.1
CANCEL_SHARE: Final = 0.75
# Of the last orders taken, so that most are still on their way.
RECENT: Final = 200
# More than any storm posts: writers stop when it is over and enough is taken.
BOOK: Final = 400_000
# Whoever is told this has no order, whatever else happens.
NO_ORDER: Final = frozenset({Code.OVERLOADED.code, Code.DRAINING.code, Code.QUOTA_EXCEEDED.code})
# Terms that an order has already, or has traded beyond, are no news either.
TOO_LATE: Final = frozenset({409, 412, 422})
JOIN_S_MAX: Final = 90.0


class Crowd:
    """All of them, with a thread and a line each."""

    def __init__(
        self,
        stage: StackStage,
        sessions: dict[str, str],
        *,
        sizes: Sequence[int],
        pause_s: float,
        seed: str,
    ) -> None:
        self._stage = stage
        self._sizes = sizes
        self._pause_s = pause_s
        self._seed = seed
        self._sessions = sessions
        self.enough = Event()
        self._abandoned = Event()
        self._memory = Lock()
        self._threads: list[Thread] = []
        self.recent: deque[str] = deque(maxlen=RECENT)
        self.errors: list[str] = []
        self.posted: dict[str, Order] = {}  # by order id, as posted
        self.refused: Counter[str] = Counter()  # why they had to post again
        self.unknown = 0  # orders that may have existed when they were posted again
        self.found = 0  # of these, the ones that did
        self.canceled_at_once: set[str] = set()
        self.cancel_noted: set[str] = set()
        self.quantities: dict[str, set[str]] = {}  # of amended orders: what may stand there

    @property
    def taken(self) -> int:
        return len(self.posted)

    def start(self) -> None:
        """Let them all begin."""
        for number in range(WRITERS):
            self._begin(Thread(target=self._guarded, args=(self._write, f"writer-{number}")))
        self._begin(Thread(target=self._guarded, args=(self._change_minds, "fickle")))

    def _begin(self, thread: Thread) -> None:
        thread.daemon = True  # one that `finish` has given up holds up no interpreter's end
        thread.start()
        self._threads.append(thread)

    def finish(self) -> None:
        """Let each end what it is at."""
        self.enough.set()
        for thread in self._threads:
            thread.join(JOIN_S_MAX)
            assert not thread.is_alive(), f"{thread.name} does not come to an end"

    def abandon(self) -> None:
        """Tell them that nobody will answer any more."""
        self._abandoned.set()
        self.enough.set()

    def _guarded(self, part: Any, name: str) -> None:
        client = self._stage.client("client")
        try:
            part(client, name, random.Random(f"{self._seed}:{name}"))
        except Exception as e:  # noqa: BLE001 - told in the account, by the test's own thread
            self.errors.append(f"{name}: {type(e).__name__}: {e}")
        finally:
            client.close()

    def _wait_a_little(self) -> None:
        if self._abandoned.wait(PAUSE_S):
            raise AssertionError("abandoned without an answer")

    # --- posting --------------------------------------------------------------------------

    def _write(self, client: Client, name: str, die: random.Random) -> None:
        orders = self._orders(name, die)
        history = self._stage.directory / f"{name}.acked.jsonl"
        with history.open("w") as file:
            while not self.enough.is_set():
                some = list(islice(orders, die.choice(self._sizes)))
                file.writelines(kept(order) for order in self._insisted(client, some))
                self.enough.wait(self._pause_s * die.uniform(0.5, 1.5))

    def place(self, client: Client, name: str, number: int) -> None:
        """Place some more, afterwards."""
        self._insisted(client, list(islice(self._orders(name, random.Random(name)), number)))

    def _orders(self, name: str, die: random.Random) -> Iterator[Order]:
        """Yield a book of one's own; the accounts are everybody's, so writers meet there."""
        for order in reserved_book(BOOK, self._sessions, seed=die.randrange(1 << 30)):
            yield order | {"client_order_id": f"{name}-{order['client_order_id']}"}

    def _insisted(self, client: Client, orders: list[Order]) -> list[Order]:
        """Post until all are answered, always under the same ids."""
        answered: list[Order] = []
        maybe: set[str] = set()
        for _ in range(TRIES_MAX):
            try:
                results = _posted(client, orders)
            except Unreachable as e:
                with self._memory:
                    self.refused["unreachable"] += len(orders)
                if e.maybe_sent:
                    maybe.update(order["client_order_id"] for order in orders)
                self._wait_a_little()
                continue
            again = []
            for order, (status, document) in zip(orders, results, strict=True):
                if status in TRY_AGAIN:
                    again.append(order)
                    if document["code"] not in NO_ORDER:
                        maybe.add(order["client_order_id"])
                    with self._memory:
                        self.refused[document["code"]] += 1
                else:
                    with self._memory:
                        answered.append(self._noted(order, status, document, maybe))
            if not again:
                return answered
            orders = again
            self._wait_a_little()
        raise AssertionError(f"no answer to {orders[0]['client_order_id']}")

    def _noted(self, order: Order, status: int, document: Order, maybe: set[str]) -> Order:
        name = order["client_order_id"]
        if status not in {200, 201}:
            raise AssertionError(f"{name} was refused: {status} {document}")
        if name in maybe:
            self.unknown += 1
            self.found += status == 200
        elif status != 201:
            self.errors.append(f"{name}: {status} to an order that nobody had placed")
        order_id = document["order_id"]
        if order_id in self.posted:
            self.errors.append(f"{name}: {order_id} was given twice")
        self.posted[order_id] = order
        self.recent.append(order_id)
        return document

    # --- changing minds -------------------------------------------------------------------

    def _change_minds(self, client: Client, _name: str, die: random.Random) -> None:
        while not self.enough.wait(FICKLE_PAUSE_S):
            recent = list(self.recent)
            if not recent:
                continue
            order_id = die.choice(recent)
            try:
                if die.random() < CANCEL_SHARE:
                    self._cancel(client, order_id)
                else:
                    self._amend(client, order_id, str(die.randint(1, 100)))
            except Problem as e:
                # Too late is an answer; a store that is away has told nothing.
                if e.status not in {*TOO_LATE, *TRY_AGAIN}:
                    raise
            except Unreachable:
                self._wait_a_little()

    def _cancel(self, client: Client, order_id: str) -> None:
        reply = client.call("DELETE", f"/v1/orders/{order_id}")
        told = self.canceled_at_once if reply.status == 200 else self.cancel_noted
        told.add(order_id)

    def _amend(self, client: Client, order_id: str, quantity: str) -> None:
        path = f"/v1/orders/{order_id}"
        standing = self.quantities.setdefault(order_id, {self.posted[order_id]["quantity"]})
        try:
            reply = client.change("PATCH", path, {"quantity": quantity}, seen=path)
        except (Problem, Unreachable) as e:
            if getattr(e, "status", 503) in TRY_AGAIN:  # it may have been done
                standing.add(quantity)
            raise
        if reply.status == 200:
            self.quantities[order_id] = {quantity}
        else:  # at its broker by now, whose word decides
            standing.update({quantity, AS_FILLED})
