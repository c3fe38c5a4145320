"""What a broker of the tests knows: its orders, its executions, and a record of both.

Every order that arrives and every execution is a line of `audit.jsonl`, written before anybody
is told, and the book is read from there when it starts: a broker that was killed still knows
what it took. All values are strings, so that the file is read without a JSON library, too.

The trap: a book that quietly drops a second copy of an order hides the very bug that it is there
to show. So each copy is a line of its own, and the tests count lines.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Final, NamedTuple

Fields = Mapping[int, str]
Extra = tuple[tuple[int, str], ...]
NEW, PART, FULL, CANCELED, REPLACED, REJECTED = "0", "1", "2", "4", "5", "8"
OPEN: Final = (NEW, PART)
TRADE, CORRECT, BUST, STATUS = "F", "G", "H", "I"
# A market order has no price, and somebody has to name one.
MARKET_PRICE: Final = "100"


@dataclass
class Order:
    """One order as the broker has it; `name` is the client's latest id of it."""

    order_id: str
    name: str
    symbol: str
    side: str
    quantity: Decimal
    price: str
    status: str = NEW
    filled: Decimal = Decimal(0)
    value: Decimal = Decimal(0)

    @property
    def left(self) -> Decimal:
        return max(self.quantity - self.filled, Decimal(0)) if self.status in OPEN else Decimal(0)

    @property
    def average(self) -> Decimal:
        return self.value / self.filled if self.filled else Decimal(0)

    def traded(self, quantity: Decimal, price: Decimal) -> None:
        self.filled += quantity
        self.value += quantity * price
        if self.status in (*OPEN, FULL):
            done = self.filled >= self.quantity
            self.status = FULL if done else PART if self.filled else NEW


class Execution(NamedTuple):
    """One thing that happened to an order, as it stands then: what a report tells."""

    exec_id: str
    exec_type: str
    order: Order
    extra: Extra


class Trade(NamedTuple):
    """One trade that a bust or a correction may name."""

    order_id: str
    quantity: Decimal
    price: Decimal


class Book:
    """One client's orders at the broker."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.orders: dict[str, Order] = {}
        self.executions = 0
        self.received = 0
        self._names: dict[str, str] = {}  # every id that the client ever gave, to ours
        self._trades: dict[str, Trade] = {}
        path = directory / "audit.jsonl"
        for line in path.read_text("utf-8").splitlines() if path.exists() else ():
            self._replay(json.loads(line))
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def held(self, name: str) -> Order | None:
        return self.orders.get(self._names.get(name, ""))

    def arrived(self, of: Fields, *, booked: bool) -> None:
        """Record that an order came in; not booked, it is forgotten with this life."""
        self.received += 1
        self._note(
            "received",
            name=of[11],
            number=of[34],
            poss_dup=of.get(43, "N"),
            poss_resend=of.get(97, "N"),
            booked="Y" if booked else "N",
            symbol=of[55],
            side=of[54],
            quantity=of[38],
            price=of.get(44, MARKET_PRICE),
        )

    def booked(self, of: Fields) -> Order:
        """Take an order in."""
        number, price = f"O{len(self.orders) + 1}", of.get(44, MARKET_PRICE)
        order = Order(number, of[11], of[55], of[54], Decimal(of[38]), price)
        self.orders[number] = order
        self._names[order.name] = number
        return order

    def renamed(self, order: Order, name: str) -> None:
        """Let the client call it so from here on; the old id is still understood."""
        self._names[name] = order.order_id
        order.name = name

    def trade(self, order: Order, quantity: Decimal, price: Decimal) -> Execution:
        order.traded(quantity, price)
        return self._traded(order, TRADE, Trade(order.order_id, quantity, price))

    def bust(self, exec_id: str) -> Execution:
        return self.executed(self._undone(exec_id), BUST, ((19, exec_id),))

    def correct(self, exec_id: str, quantity: Decimal, price: Decimal) -> Execution:
        order = self._undone(exec_id)
        order.traded(quantity, price)
        now = Trade(order.order_id, quantity, price)
        return self._traded(order, CORRECT, now, ((19, exec_id),))

    def executed(self, order: Order, exec_type: str, extra: Extra = ()) -> Execution:
        """Give what happened its id and its line, before anybody is told."""
        self.executions += 1
        exec_id = f"E{self.executions}"
        stands = {key: _text(value) for key, value in vars(order).items()}
        more = {f"tag_{tag}": value for tag, value in extra}
        self._note("executed", exec_id=exec_id, exec_type=exec_type, **stands, **more)
        return Execution(exec_id, exec_type, order, extra)

    def _traded(self, order: Order, exec_type: str, now: Trade, extra: Extra = ()) -> Execution:
        told = (*extra, (31, _text(now.price)), (32, _text(now.quantity)))
        execution = self.executed(order, exec_type, told)
        self._trades[execution.exec_id] = now
        return execution

    def _undone(self, exec_id: str) -> Order:
        trade = self._trades.pop(exec_id)
        order = self.orders[trade.order_id]
        order.traded(-trade.quantity, trade.price)
        return order

    def _note(self, what: str, **facts: str) -> None:
        os.write(self._file, (json.dumps({"what": what, **facts}) + "\n").encode())

    def _replay(self, line: dict[str, str]) -> None:
        if line["what"] == "executed":
            self._again(line)
            return
        self.received += 1
        if line["booked"] == "Y" and line["name"] not in self._names:
            about = {11: line["name"], 55: line["symbol"], 54: line["side"]}
            self.booked({**about, 38: line["quantity"], 44: line["price"]})

    def _again(self, line: dict[str, str]) -> None:
        self.executions += 1
        order = self.orders[line["order_id"]]
        self.renamed(order, line["name"])
        order.price, order.status = line["price"], line["status"]
        order.quantity, order.filled = Decimal(line["quantity"]), Decimal(line["filled"])
        order.value = Decimal(line["value"])
        self._trades.pop(line.get("tag_19", ""), None)
        if "tag_32" in line:
            quantity, price = Decimal(line["tag_32"]), Decimal(line["tag_31"])
            self._trades[line["exec_id"]] = Trade(order.order_id, quantity, price)


def _text(value: str | Decimal) -> str:
    return value if isinstance(value, str) else format(value, "f")
