"""The people of a storm: they post, change their minds and turn dials while the house burns.

They remember what they were told, and nothing else: an order they have an answer for, an order
they do not know about, a cancel that was granted at once, one that was noted, a change that
was or may have been made. What they remember is half of the evidence. The trap is a client
that helps: these never post again what was answered, and ask before they post again what was
not.
"""

import json
import random
from collections.abc import Iterator, Sequence
from itertools import islice
from threading import Event, Thread
from typing import Any, Final

from app.cli.asking.client import Client
from app.cli.asking.problems import Problem, Unreachable
from app.domain.errors import Code
from tests.faults.storm_stage import Order, StormStage, kept

# A broker whose fills pass new terms makes what has traded of them.
AS_FILLED: Final = "as filled"
TRY_AGAIN: Final = (429, 503)
PAUSE_S: Final = 0.05
# A start takes a second or two; a storm kills the next one as well, and the one after that.
TRIES_MAX: Final = 2_000
# Of the last orders taken, so that most are still on their way.
RECENT: Final = 150
CANCEL_SHARE: Final = 0.75
# What is reserved in the evening, before anything goes wrong.
BOOK: Final = 600


class Crowd:
    """A poster, somebody fickle, and an operator, each with a thread and a line of their own."""

    def __init__(self, stage: StormStage, orders: Iterator[Order], seed: str) -> None:
        self._stage = stage
        self._orders = orders
        self._seed = seed
        self._enough = Event()
        self._abandoned = Event()
        self._threads: list[Thread] = []
        self.errors: list[str] = []
        self.history = stage.directory / "acked.jsonl"
        self.rates_max = {name: broker.rate for name, broker in stage.brokers.items()}
        self.posted: dict[str, Order] = {}  # by order id, as posted
        self.acked: list[str] = []
        self.unknown = 0  # orders without an answer, each asked about afterwards
        self.canceled_at_once: set[str] = set()
        self.cancel_noted: set[str] = set()
        self.maybe_canceled: set[str] = set()
        self.quantities: dict[str, set[str]] = {}  # of amended orders: what may stand there
        self.dials_turned = 0

    def start(self) -> None:
        """Let them all begin."""
        for part in (self._post, self._change_minds, self._turn_dials):
            # One that `finish` has given up holds up no interpreter's end.
            thread = Thread(target=self._guarded, args=(part,), name=part.__name__, daemon=True)
            thread.start()
            self._threads.append(thread)

    def finish(self, timeout_s: float = 60.0) -> None:
        """Let them end what they are at; then say what went wrong."""
        self._enough.set()
        for thread in self._threads:
            thread.join(timeout_s)
            assert not thread.is_alive(), f"{thread.name} does not come to an end"

    def abandon(self) -> None:
        """Tell them that nobody will answer any more: the night has failed."""
        self._abandoned.set()
        self._enough.set()

    def _wait_a_little(self) -> None:
        if self._abandoned.wait(PAUSE_S):
            raise AssertionError("abandoned without an answer")

    def _guarded(self, part: Any) -> None:
        who = "operator" if part == self._turn_dials else "client"
        client = self._stage.client(who)
        try:
            part(client, random.Random(f"{self._seed}:{part.__name__}"))
        except Exception as e:  # noqa: BLE001 - told by `finish`, in the test's own thread
            self.errors.append(f"{part.__name__}: {type(e).__name__}: {e}")
        finally:
            client.close()

    # --- posting --------------------------------------------------------------------------

    def _post(self, client: Client, die: random.Random) -> None:
        with self.history.open("a") as history:
            size = BOOK
            while not self._enough.is_set():
                some = list(islice(self._orders, size))
                size = die.choice((1, 1, 4, 12, 40))
                if not some:
                    return
                for order in self._insisted(client, some):
                    history.write(kept(order))
                history.flush()
                self._enough.wait(PAUSE_S)

    def _insisted(self, client: Client, orders: list[Order]) -> list[Order]:
        """Post until all are answered; between two tries, ask what became of the first."""
        answered: list[Order] = []
        known: dict[str, str | None] = {}
        for _ in range(TRIES_MAX):
            try:
                results = _posted(client, orders)
            except Unreachable as e:
                self._wait_a_little()
                if e.maybe_sent:
                    self.unknown += len(orders)
                    known = self._asked(client, orders)
                continue
            again = []
            for order, (status, document) in zip(orders, results, strict=True):
                if status in TRY_AGAIN:
                    again.append(order)
                else:
                    answered.append(self._noted(order, status, document, known))
            if not again:
                return answered
            orders, known = again, {}
            self._wait_a_little()
        raise AssertionError(f"no answer to {orders[0]['client_order_id']}")

    def _asked(self, client: Client, orders: Sequence[Order]) -> dict[str, str | None]:
        """Ask for each by the client's own id, until the answer is definite."""
        found: dict[str, str | None] = {}
        for order in orders:
            name = order["client_order_id"]
            path = f"/v1/accounts/{order['account_id']}/orders/by-client-order-id/{name}"
            for _ in range(TRIES_MAX):
                try:
                    found[name] = client.get(path)["order_id"]
                except Unreachable:
                    self._wait_a_little()
                    continue
                except Problem as e:
                    if e.code != Code.NOT_FOUND.code:
                        raise
                    found[name] = None
                break
        return found

    def _noted(
        self, order: Order, status: int, document: Order, known: dict[str, str | None]
    ) -> Order:
        name = order["client_order_id"]
        if status not in {200, 201}:
            raise AssertionError(f"{name} was refused: {document}")
        order_id = document["order_id"]
        if name in known:
            expected = (201, order_id) if known[name] is None else (200, known[name])
            if (status, order_id) != expected:
                self.errors.append(f"{name}: asked {known[name]}, then told {status} {order_id}")
        elif status != 201:
            self.errors.append(f"{name}: {status} to a first post")
        self.posted[order_id] = order
        self.acked.append(order_id)
        return document

    # --- changing minds -------------------------------------------------------------------

    def _change_minds(self, client: Client, die: random.Random) -> None:
        while not self._enough.wait(PAUSE_S):
            recent = self.acked[-RECENT:]
            if not recent:
                continue
            order_id = die.choice(recent)
            try:
                if die.random() < CANCEL_SHARE:
                    self._cancel(client, order_id)
                else:
                    self._amend(client, order_id, str(die.randint(1, 100)))
            except Problem as e:
                # Too late is an answer; what nobody planned for is not.
                if e.status not in {409, 412, 422, *TRY_AGAIN}:
                    raise

    def _cancel(self, client: Client, order_id: str) -> None:
        try:
            reply = client.call("DELETE", f"/v1/orders/{order_id}")
        except Unreachable as e:
            if e.maybe_sent:
                self.maybe_canceled.add(order_id)
            return
        if reply.status == 200:
            self.canceled_at_once.add(order_id)
        else:
            self.cancel_noted.add(order_id)

    def _amend(self, client: Client, order_id: str, quantity: str) -> None:
        path = f"/v1/orders/{order_id}"
        standing = self.quantities.setdefault(order_id, {self.posted[order_id]["quantity"]})
        try:
            reply = client.change("PATCH", path, {"quantity": quantity}, seen=path)
        except Unreachable as e:
            if e.maybe_sent:
                standing.add(quantity)
            return
        if reply.status == 200:
            self.quantities[order_id] = {quantity}
        else:  # at its broker by now, whose word decides
            standing.update({quantity, AS_FILLED})

    # --- turning dials --------------------------------------------------------------------

    def _turn_dials(self, client: Client, die: random.Random) -> None:
        names = list(self._stage.brokers)
        while not self._enough.wait(10 * PAUSE_S):
            name, tps = die.choice(names), die.randrange(150, 400, 10)
            seen = f"/admin/v1/brokers/{name}"
            body = {"tps": tps, "reason": "the crowd's operator"}
            self.rates_max[name] = max(self.rates_max[name], tps)
            try:
                client.change("PATCH", f"{seen}/rate", body, seen=seen, confirm=name)
            except Unreachable:
                continue
            self.dials_turned += 1


def _posted(client: Client, orders: Sequence[Order]) -> list[tuple[int, Order]]:
    """Post one by its own door and several by the other; return a status and a body for each."""
    try:
        if len(orders) == 1:
            reply = client.call("POST", "/v1/orders", orders[0])
            return [(reply.status, reply.document)]
        body = json.dumps({"orders": orders}).encode()
        results = client.call("POST", "/v1/orders/batch", body).document["results"]
        return [(r["status"], r.get("order") or r["error"]) for r in results]
    except Problem as e:
        return [(e.status, dict(e.document))] * len(orders)
