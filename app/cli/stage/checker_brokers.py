"""Reads what brokers wrote down: which orders came, in which terms, what became of them.

A part of `checker`, under the same rule: files and the standard library, nothing of the
gateway's. An order is called by the keys of its replaces too; each begins with its id.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

SECOND_NS: Final = 1_000_000_000
ID_LENGTH: Final = 26
ZERO: Final = Decimal(0)
QUANTITY, PRICE = 4, 5  # where these stand among the terms

Note = Callable[[str, str], None]
Terms = tuple[str | None, ...]


@dataclass(slots=True)
class Seen:
    """What all brokers together know of one order."""

    accepted: list[tuple[str, str]] = field(default_factory=list)  # broker, key
    news: Counter[str] = field(default_factory=Counter)  # by key
    replaces: Counter[str] = field(default_factory=Counter)  # by key
    quantities: list[Decimal] = field(default_factory=list)  # each that was in force
    filled: Decimal = ZERO


def lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield json.loads(line)


def read_audit(
    broker: str, path: Path, seen: dict[str, Seen], terms: dict[str, Terms], note: Note
) -> tuple[int, int]:
    """Read one broker's record; return its worst second, and how many were too fast for it."""
    arrivals: list[int] = []
    refused = 0
    for line in lines(path):
        if line["kind"] in ("NEW", "REPLACE", "CANCEL"):
            arrivals.append(line["ns"])
        refused += line["kind"] == "NEW" and line["decision"] == "throttled"
        if line["kind"] in ("NEW", "REPLACE", "CHANGE", "FILL") and line.get("fault") is None:
            order_id = line["client_order_id"][:ID_LENGTH]
            _read_line(broker, line, seen[order_id], note)
            _note_terms(order_id, line, terms, note)
    return worst_second(arrivals), refused


def _read_line(broker: str, line: dict[str, Any], seen: Seen, note: Note) -> None:
    key = line["client_order_id"]
    match line["kind"]:
        case "NEW":
            seen.news[key] += 1
            if line["decision"] == "accepted":
                seen.accepted.append((broker, key))
                seen.quantities.append(Decimal(line["quantity"]))
        case "REPLACE":
            seen.replaces[key] += 1
            if seen.replaces[key] > 1:
                note("P3 a key leaves once", f"{key} reached a broker again")
            if line.get("code") == "already-pending":
                note("P3 one replace at a time", f"{key} came while another one was pending")
        case "CHANGE" if line["type"] == "replaced":
            seen.quantities.append(Decimal(line["quantity"]))
        case "FILL" if line["type"] in ("trade", "trade_cancel"):
            sign = -1 if line["type"] == "trade_cancel" else 1
            seen.filled += sign * Decimal(line["last_quantity"])


def _note_terms(order_id: str, line: dict[str, Any], terms: dict[str, Terms], note: Note) -> None:
    if line["kind"] == "CHANGE" and line["type"] == "replaced" and order_id in terms:
        before = terms[order_id]
        terms[order_id] = (*before[:QUANTITY], *_amounts(line), *before[PRICE + 1 :])
    if line["kind"] != "NEW" or line["decision"] != "accepted":
        return
    where = (line["account"], line["symbol"], line["market"], line["side"])
    told = (*where, *_amounts(line), line["time_in_force"])
    if terms.setdefault(order_id, told) != told:
        note("P3 nothing altered", f"{order_id} arrived with two sets of terms")


def _amounts(line: dict[str, Any]) -> Terms:
    price = line.get("limit_price")
    quantity = str(Decimal(line["quantity"]).normalize())
    return quantity, None if price is None else str(Decimal(price).normalize())


def worst_second(instants: Iterable[int]) -> int:
    """Return the largest number of instants in any half-open second."""
    ordered = sorted(instants)
    worst = start = 0
    for end, instant in enumerate(ordered):
        while ordered[start] <= instant - SECOND_NS:
            start += 1
        worst = max(worst, end - start + 1)
    return worst
