"""A broker's answers in FIX 4.4, without the session: fields by tag in, messages out.

The engine around it is the stranger's own, so this knows nothing of numbers and connections. A
client's desk can be made to fill in several ways, to lose answers, to be mute, and to report what
nobody asked for.

The trap: a broker that is too kind. This one takes an order twice if it is sent twice under two
ids, refuses the second copy of one id in the client's face, and knows no order that it never got.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final, NamedTuple

from tests.servers.acceptors.book import (
    CANCELED,
    NEW,
    OPEN,
    REJECTED,
    REPLACED,
    STATUS,
    Book,
    Execution,
    Extra,
    Fields,
    Order,
)

FILLS: Final = ("none", "full", "partial")
MARKET: Final = "1"  # 40: no price stands between it and its fill
CANCEL_OF, REPLACE_OF = "1", "2"  # 434, what was refused
TOO_LATE, UNKNOWN_TO_CANCEL = "0", "1"  # 102
UNKNOWN, DUPLICATE, WRONG_QUANTITY = "5", "6", "13"  # 103; 1 would be an unknown symbol


class Message(NamedTuple):
    """One message to the client, without header and numbers."""

    type: str
    fields: Extra


class Desk:
    """One client's broker."""

    def __init__(self, book: Book) -> None:
        self.book = book
        self.fills = "none"
        self.mute = False
        self.drop = 0
        self.lose = 0
        self._asked: dict[str, Callable[[Fields], Iterable[Message]]] = {
            "D": self._place,
            "F": self._cancel,
            "G": self._replace,
            "H": self._status,
            "AF": self._mass_status,
        }

    def answers(self, of: Fields) -> list[Message]:
        """Do what a message asks; return what the client is told of it."""
        told = list(self._asked.get(of[35], _unsupported)(of))
        if self.mute:
            return []
        kept, self.drop = told[self.drop :], max(0, self.drop - len(told))
        return kept

    def does(self, what: str, given: Mapping[str, str]) -> list[Message] | None:
        """Report what nobody asked for; None where it knows no such command."""
        if what == "fill":
            order = self.book.held(given["name"])
            assert order is not None, f"no order {given['name']}"
            quantity = Decimal(given.get("quantity") or order.left)
            price = Decimal(given.get("price") or order.price)
            return [_executed(self.book.trade(order, quantity, price))]
        if what == "bust":
            return [_executed(self.book.bust(given["exec_id"]))]
        if what == "correct":
            now = Decimal(given["quantity"]), Decimal(given["price"])
            return [_executed(self.book.correct(given["exec_id"], *now))]
        if what == "cancel_all":
            return list(self._cancel_all())
        return None

    def _cancel_all(self) -> Iterable[Message]:
        for order in self.book.orders.values():
            if order.status in OPEN:
                order.status = CANCELED
                yield _executed(self.book.executed(order, CANCELED))

    def _place(self, of: Fields) -> Iterable[Message]:
        if Decimal(of[38]) <= 0:
            yield _nothing(of, WRONG_QUANTITY)
            return
        held = self.book.held(of[11])
        lost, self.lose = self.lose > 0, max(0, self.lose - 1)
        self.book.arrived(of, booked=held is None and not lost)
        if lost:
            return
        if held is not None:
            yield _state(held, of) if of.get(97) == "Y" else _nothing(of, DUPLICATE)
            return
        order = self.book.booked(of)
        yield _executed(self.book.executed(order, NEW))
        half = (order.quantity / 2).to_integral_value()
        fills = "full" if of[40] == MARKET else self.fills
        if quantity := {"full": order.quantity, "partial": half}.get(fills):
            yield _executed(self.book.trade(order, quantity, Decimal(order.price)))

    def _cancel(self, of: Fields) -> Iterable[Message]:
        order = self.book.held(of[41])
        if order is None or order.status not in OPEN:
            return [_refusal(of, order, CANCEL_OF)]
        order.status = CANCELED
        return [self._renamed(order, of, CANCELED)]

    def _replace(self, of: Fields) -> Iterable[Message]:
        order = self.book.held(of[41])
        if order is None or order.status not in OPEN or Decimal(of[38]) <= order.filled:
            return [_refusal(of, order, REPLACE_OF)]
        order.quantity, order.price = Decimal(of[38]), of.get(44, order.price)
        return [self._renamed(order, of, REPLACED)]

    def _renamed(self, order: Order, of: Fields, exec_type: str) -> Message:
        self.book.renamed(order, of[11])
        return _executed(self.book.executed(order, exec_type, ((41, of[41]),)))

    def _status(self, of: Fields) -> Iterable[Message]:
        held = self.book.held(of[11])
        return [_state(held, of) if held else _nothing(of, UNKNOWN)]

    def _mass_status(self, of: Fields) -> Iterable[Message]:
        orders = list(self.book.orders.values())
        about = ((584, of[584]), (911, str(len(orders))))
        if not orders:
            yield _nothing(of, UNKNOWN, (*about, (912, "Y")))
        for order in orders:
            yield _state(order, of, (*about, (912, "Y" if order is orders[-1] else "N")))


def _unsupported(of: Fields) -> Iterable[Message]:
    return [Message("j", ((45, of[34]), (372, of[35]), (380, "3"), (58, "unsupported")))]


def _executed(done: Execution) -> Message:
    return Message("8", (*_report(done.order, done.exec_id, done.exec_type), *done.extra))


def _state(order: Order, of: Fields, more: Extra = ()) -> Message:
    asked = ((790, of[790]),) if 790 in of else ()
    return Message("8", (*_report(order, f"S{of[34]}", STATUS), *asked, *more))


def _report(order: Order, exec_id: str, exec_type: str) -> Extra:
    now = _now()
    return (
        (37, order.order_id),
        (17, exec_id),
        (150, exec_type),
        (39, order.status),
        (11, order.name),
        (55, order.symbol),
        (54, order.side),
        (38, format(order.quantity, "f")),
        (44, order.price),
        (151, format(order.left, "f")),
        (14, format(order.filled, "f")),
        (6, format(order.average, "f")),
        (60, now),
        (75, now[:8]),
    )


def _nothing(of: Fields, reason: str, more: Extra = ()) -> Message:
    """Say that there is no such order, or, of a second copy, that it was not taken."""
    kind = REJECTED if of[35] == "D" else STATUS
    named = tuple((tag, of[tag]) for tag in (11, 790) if tag in of)
    about = ((37, "NONE"), (17, f"N{of[34]}"), (150, kind), (39, REJECTED), (103, reason), *named)
    none = ((151, "0"), (14, "0"), (6, "0"), (60, _now()))
    return Message("8", (*about, (55, of.get(55, "N/A")), (54, of.get(54, "1")), *none, *more))


def _refusal(of: Fields, order: Order | None, to: str) -> Message:
    number, status, reason = ("NONE", REJECTED, UNKNOWN_TO_CANCEL)
    if order is not None:
        number, status, reason = order.order_id, order.status, TOO_LATE
    told = ((37, number), (11, of[11]), (41, of[41]), (39, status), (434, to), (102, reason))
    return Message("9", (*told, (60, _now())))


def _now() -> str:
    now = datetime.now(UTC)  # noqa: TID251 - a stranger has a clock of its own
    return now.strftime("%Y%m%d-%H:%M:%S.%f")[:-3]
