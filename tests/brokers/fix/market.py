"""What a plain counterpart remembers, and how it answers orders: one word of a script for each.

`new` `fill` `pending` `silent` `swallow` (the number was taken, the order lost) `drop` (it falls
over in mid order) `new_drop` `fill_drop` `reject` `business` `throttle` `refuse` `beat` (first).

To a request to replace it answers by a script of its own: `replace` `pending` `silent` (it is done
without a word) `swallow` `drop` (before it has read it) `late` `refuse` (with a report, 150=8)
`throttle` `passed` (it is filled meanwhile). An order goes by its latest id only.

A list it takes by one word of a third script: `each` (its orders one by one, by their own words),
`refuse` (each of them, in a ListStatus) `whole` (all of them, naming none) `some` (only the first,
the others have no word) `reject` (the message itself) `silent` (it has them) `swallow` `drop`.

Asked for all orders at once it answers by one word of a fourth: `last` (the last one says so)
`count` (each says of how many) `endless` (neither) `short` (it leaves the first one out, and says
that this was all) `twice` `refuse` `silent` `drop` (after the first).
"""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import simplefix  # type: ignore[import-untyped]  # it carries no types

STAMP = "20260302-14:30:00.000"

Fields = Sequence[tuple[int, object]]


@dataclass
class Audited:
    """One application message as it came, or one fill as it was made."""

    type: str
    number: int
    key: str
    possible_duplicate: bool = False
    at: float = 0.0


@dataclass
class Book:
    """What outlives connections: numbers, orders, and everything that was ever sent."""

    next_in: int = 1
    next_out: int = 1
    sent: list[tuple[int, str, Fields]] = field(default_factory=list)
    orders: dict[str, dict[str, str]] = field(default_factory=dict)
    audit: list[Audited] = field(default_factory=list)
    script: list[str] = field(default_factory=list)
    replaces: list[str] = field(default_factory=list)
    lists: list[str] = field(default_factory=list)
    masses: list[str] = field(default_factory=list)
    fills: bool = False
    logon_words: str | None = None  # refuse a logon with these
    asks_again: bool = True  # whether it asks for numbers that it lacks
    answers_questions: bool = True
    logons: int = 0
    executions: int = 0
    file: Path | None = None

    def note(self, audited: Audited) -> None:
        self.audit.append(audited)
        if self.file is not None:
            with self.file.open("a") as f:
                f.write(json.dumps(vars(audited)) + "\n")

    def keys(self, type_: str = "D") -> list[str]:
        return [a.key for a in self.audit if a.type == type_]


class Market:
    """How one connection's orders are answered."""

    def __init__(self, book: Book, send: Callable[[str, Fields], None]) -> None:
        self.book = book
        self.send = send

    def take(self, kind: str, message: simplefix.FixMessage) -> bool:
        """Answer one application message; return False to fall over."""
        match kind:
            case "D":
                return self._order(message)
            case "E":
                return self._list(message)
            case "F":
                self._cancel(message)
            case "G":
                return self._replace(message)
            case "AF":
                return self._mass_status(message)
            case "H" if self.book.answers_questions:
                self._status(message)
            case _:
                pass
        return True

    def _list(self, message: simplefix.FixMessage) -> bool:
        word = self.book.lists.pop(0) if self.book.lists else "each"
        legs = legs_of(message)
        match word:
            case "each":
                return all(self._order(leg) for leg in legs)
            case "silent":
                for leg in legs:
                    number = len(self.book.orders) + 1
                    self.book.orders[text(leg, 11)] = _as_booked(leg, number)
            case "refuse" | "whole" | "some":
                named = {"refuse": legs, "whole": [], "some": legs[:1]}[word]
                self.list_status(text(message, 66), [text(leg, 11) for leg in named])
            case "reject":
                about = [(45, text(message, 34)), (371, 207), (372, "E"), (373, 5)]
                self.send("3", [*about, (58, "no such market")])
            case _:
                pass
        return word != "drop"

    def list_status(self, name: str, refused: Sequence[str]) -> None:
        """Refuse these orders of a list; naming none of them, all."""
        fields: list[tuple[int, object]] = [(66, name), (429, 2), (82, 1), (431, 7), (83, 1)]
        fields += [(444, "not today"), (60, STAMP), (68, len(refused)), (73, len(refused))]
        for key in refused:
            fields += [(11, key), (14, 0), (39, 8), (151, 0), (84, 0), (6, 0), (103, 2)]
        self.send("N", fields)

    def _order(self, message: simplefix.FixMessage) -> bool:
        book = self.book
        word = book.script.pop(0) if book.script else "new"
        if word == "drop":  # it has the order in hand, and falls over
            return False
        if word == "swallow":  # it took the number and lost the order
            return True
        key, order = text(message, 11), _as_booked(message, len(book.orders) + 1)
        if (reason := self._impossible(key, order)) is not None:
            about = order | {"37": "NONE", "39": "8"}
            self.report(key, about, "8", [(103, reason), (58, "impossible")])
        elif not self._refused(word, message, order):
            book.orders[key] = order
            self._answer(word, key, order)
        return not word.endswith("_drop")

    def _impossible(self, key: str, order: dict[str, str]) -> int | None:
        """Return why no broker would take this order: its id is not new, or it asks for nothing."""
        if key in self.book.orders:
            return 6
        return None if float(order["38"]) > 0 else 13

    def _refused(self, word: str, message: simplefix.FixMessage, order: dict[str, str]) -> bool:
        about = [(45, text(message, 34)), (372, "D")]
        match word:
            case "reject":
                more = [(103, 3), (58, "too large")]
                self.report(text(message, 11), order | {"39": "8"}, "8", more)
            case "business":
                self.send("j", [*about, (380, 4), (58, "not now")])
            case "throttle":
                self.send("j", [*about, (380, 8), (58, "too fast")])
            case "refuse":
                self.send("3", [*about, (373, 5), (58, "bad value")])
            case _:
                return False
        return True

    def _answer(self, word: str, key: str, order: dict[str, str]) -> None:
        if word == "pending":
            self.report(key, order | {"39": "A"}, "A", [])
        if word == "beat":  # so that both are not read at once
            self.send("0", [])
            asyncio.get_running_loop().call_later(0.1, self.report, key, order, "0", [])
        if word in {"new", "new_drop"}:
            self.report(key, order, "0", [])
        if word in {"fill", "fill_drop"} or self.book.fills or not order["44"]:
            self.fill(key)

    def fill(self, key: str) -> None:
        order = self.book.orders[key]
        order |= {"39": "2", "14": order["38"]}
        self.book.note(Audited("fill", self.book.executions + 1, key))
        self.report(key, order, "F", [(32, order["38"]), (31, order["44"] or "100")])

    def _cancel(self, message: simplefix.FixMessage) -> None:
        key, own = text(message, 41), text(message, 11)
        order = self.book.orders.get(key)
        if order is None or order["39"] not in {"0", "E"}:
            status, reason = ("8", 1) if order is None else (order["39"], 0)
            fields = [(37, "NONE" if order is None else order["37"]), (11, own), (41, key)]
            self.send("9", [*fields, (39, status), (434, 1), (102, reason)])
            return
        order["39"] = "4"
        self.report(own, order, "4", [(41, key)])

    def _replace(self, message: simplefix.FixMessage) -> bool:
        word = self.book.replaces.pop(0) if self.book.replaces else "replace"
        own, key = text(message, 11), text(message, 41)
        order = self.book.orders.get(key)
        if word in {"swallow", "drop"}:
            return word == "swallow"
        if order is None or order["39"] in "24" or word in {"late", "passed", "throttle"}:
            self._refuse_replace(word, own, key)
        elif word == "refuse":
            self.report(own, order | {"39": "8"}, "8", [(41, key), (103, 3), (58, "too large")])
        elif word == "pending":
            order["39"] = "E"
            self.report(own, order, "E", [(41, key)])
        else:
            self.replaced(own, key, {tag: text(message, int(tag)) for tag in ("38", "44")}, word)
        return True

    def replaced(self, own: str, key: str, terms: dict[str, str], word: str = "replace") -> None:
        """Put new terms in force; say so unless the word is `silent`."""
        order = self.book.orders.pop(key) | terms
        order["39"] = "1" if order["14"] != "0" else "0"
        self.book.orders[own] = order
        if word != "silent":
            self.report(own, order, "5", [(41, key), (44, order["44"])])

    def _refuse_replace(self, word: str, own: str, key: str) -> None:
        if word == "passed":
            self.fill(key)
        order = self.book.orders.get(key, {"37": "NONE", "39": "8"})
        reason = 1 if order["37"] == "NONE" else 0
        words = "too fast" if word == "throttle" else word
        fields = [(37, order["37"]), (11, own), (41, key), (39, order["39"])]
        self.send("9", [*fields, (434, 2), (102, reason), (58, words)])

    def _status(self, message: simplefix.FixMessage) -> None:
        key = text(message, 11)
        order = self.book.orders.get(key)
        asked = [(790, text(message, 790))] if text(message, 790) else []
        if order is None:
            nothing = {"37": "NONE", "39": "8", "14": "0", "38": "0", "54": text(message, 54)}
            nothing |= {"55": text(message, 55)}
            self.report(key, nothing, "I", [*asked, (103, 5), (58, "unknown order")])
            return
        self.report(key, order, "I", [*asked, (44, order["44"])])

    def _mass_status(self, message: simplefix.FixMessage) -> bool:
        word = self.book.masses.pop(0) if self.book.masses else "last"
        if word == "refuse":
            self.send("j", [(45, text(message, 34)), (372, "AF"), (380, 3), (58, "unsupported")])
        if word in {"refuse", "silent"}:
            return True
        orders = list(self.book.orders.items())[word == "short" :]
        orders *= 1 + (word == "twice")
        named: list[tuple[int, object]] = [(584, text(message, 584))]
        if not orders:
            nothing = dict.fromkeys(("14", "38"), "0") | {"37": "NONE", "39": "8", "54": "1"}
            self.report("", nothing | {"55": "N/A"}, "I", [*named, (103, 5), (911, 0)])
        for place, (key, order) in enumerate(orders, start=1):
            says = {"count": [(911, len(orders))], "endless": [], "drop": []}
            end = says.get(word, [(912, "Y" if place == len(orders) else "N")])
            self.report(key, order, "I", [*named, *end, (44, order["44"])])
            if word == "drop":
                return False
        return True

    def report(self, key: str, order: dict[str, str], kind: str, more: Fields) -> None:
        self.book.executions += 1
        left = int(order["38"]) - int(order["14"]) if order["39"] in "0A1" else 0
        fields: list[tuple[int, object]] = [
            (37, order["37"]),
            (11, key),
            (17, f"E{self.book.executions}"),
            (150, kind),
            (39, order["39"]),
            (55, order["55"]),
            (54, order["54"]),
            (38, order["38"]),
            (151, left),
            (14, order["14"]),
            (6, order.get("44") or "0"),
            (60, STAMP),
            (75, STAMP[:8]),
        ]
        self.send("8", [(tag, value) for tag, value in (*fields, *more) if value != ""])


def _as_booked(message: simplefix.FixMessage, number: int) -> dict[str, str]:
    order = {tag: text(message, int(tag)) for tag in ("1", "38", "44", "54", "55")}
    return order | {"37": f"N-{number}", "39": "0", "14": "0"}


def legs_of(message: simplefix.FixMessage) -> list[simplefix.FixMessage]:
    """Return the orders of a list, each as a message; each begins with its 11. Else the message."""
    if message.get(35) != b"E":
        return [message]
    legs: list[simplefix.FixMessage] = []
    for tag, value in message.pairs:
        if tag == b"11":
            legs.append(simplefix.FixMessage())
        if legs:
            legs[-1].append_pair(tag, value)
    return legs


def text(message: simplefix.FixMessage, tag: int) -> str:
    value = message.get(tag)
    return "" if value is None else value.decode("latin-1")
