"""The HTTP dialect as values, and what each of its words proves. Pure.

A reply is believed item by item: what is missing, named twice, or about somebody else's
order proves nothing and stays `Unknown`. Amounts are decimal strings; a float, a NaN or a
sign makes the whole text unreadable.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from typing import Final, TypeVar

import msgspec

from app.domain.messages import (
    Absent,
    Accepted,
    Answer,
    ExecutionReport,
    ExecutionType,
    Found,
    Lookup,
    Rejected,
    Throttled,
    Unknown,
)
from app.domain.values import Status, attempt_key_of

AMOUNT: Final = re.compile(r"[0-9]{1,18}(\.[0-9]{1,12})?")
IDENTIFIER: Final = re.compile(r"[\x21-\x7e]{1,64}")
CODE: Final = re.compile(r"[\x20-\x7e]{1,64}")
TEXT_MAX: Final = 256
AT_MS_END: Final = 253_402_300_800_000  # the year 10,000, which no calendar here can write
REPORTS_MAX: Final = 500
# A broker that asks for more than an hour has something else in mind than our rate.
RETRY_AFTER_MAX_S: Final = 3600.0
# What a broker may show; our own local states are not its to claim.
SHOWN: Final = frozenset(
    {
        Status.NEW,
        Status.PARTIALLY_FILLED,
        Status.FILLED,
        Status.CANCELED,
        Status.EXPIRED,
        Status.REJECTED,
    }
)
# Proof of receipt, not a refusal: an order under this id is there already.
DUPLICATE: Final = "duplicate-client-order-id"
TRADES: Final = frozenset({ExecutionType.TRADE, ExecutionType.TRADE_CORRECT})
REFERRING: Final = frozenset({ExecutionType.TRADE_CANCEL, ExecutionType.TRADE_CORRECT})


class Unreadable(ValueError):
    """A text that is not what the dialect says."""


class Result(msgspec.Struct):
    """One item of an answer to orders or cancels."""

    client_order_id: str
    status: str
    order_id: str | None = None
    code: str | None = None
    detail: str | None = None
    retry_after: float | None = None


class Results(msgspec.Struct):
    """The answer to orders or cancels."""

    results: list[Result]


class Report(msgspec.Struct):
    """One execution, in a callback or in a look-up."""

    client_order_id: str
    order_id: str
    execution_id: str
    type: ExecutionType
    trade_date: date
    at_ms: int
    last_quantity: str | None = None
    last_price: str | None = None
    referenced_execution_id: str | None = None
    reason: str | None = None
    possible_duplicate: bool = False
    quantity: str | None = None
    limit_price: str | None = None


class Shown(msgspec.Struct):
    """One item of an answer to look-ups."""

    client_order_id: str
    found: bool
    order_id: str | None = None
    status: Status | None = None
    reason: str | None = None
    executions: list[Report] = []
    pending: bool = False  # the key is that of a replace which the broker has not decided yet
    quantity: str | None = None
    limit_price: str | None = None


class AllShown(msgspec.Struct):
    """The answer to look-ups."""

    results: list[Shown]


Item = TypeVar("Item", Result, Shown)


class Push(msgspec.Struct):
    """A callback's body."""

    broker: str
    reports: list[Report]


class Refusal(msgspec.Struct):
    """The body of a 400 or 422 in which the broker says what it found wrong."""

    code: str
    detail: str = ""


# msgspec lets two more escape: broken UTF-8 inside a string, and nesting without end.
Malformed: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
read_results: Final = msgspec.json.Decoder(Results).decode
read_shown: Final = msgspec.json.Decoder(AllShown).decode
read_push: Final = msgspec.json.Decoder(Push).decode
read_refusal: Final = msgspec.json.Decoder(Refusal).decode


def by_key(items: Iterable[Item]) -> dict[str, Item | None]:
    """Index a reply; what it names twice is worth nothing, so it maps to None."""
    index: dict[str, Item | None] = {}
    for item in items:
        index[item.client_order_id] = None if item.client_order_id in index else item
    return index


def submit_answer(result: Result | None) -> Answer:
    """Return what one item proves about one new order."""
    if result is None:
        return Unknown("the reply does not speak of this order")
    if result.status == "rejected" and result.code == DUPLICATE:
        return Unknown("duplicate id: the broker has seen it")
    return _judged(result)


def cancel_answer(result: Result | None, known_id: str | None) -> Answer:
    """Return what one item proves about one cancel; it need not repeat the order's id."""
    if result is None:
        return Unknown("the reply does not speak of this request")
    if result.status == "accepted" and result.order_id is None:
        return Accepted(known_id or "")
    return _judged(result)


def replace_answer(result: Result | None, known_id: str | None) -> Answer:
    """Return what one item proves about one replace; it need not repeat the order's id."""
    if result is not None and result.status == "rejected" and result.code == DUPLICATE:
        return Unknown("duplicate id: the broker has seen this replace")
    return cancel_answer(result, known_id)


def lookup_answer(broker_id: str, key: str, shown: Shown | None) -> Lookup:
    """Return what one item shows of one order."""
    if shown is None:
        return Unknown("the reply does not speak of this order")
    if not shown.found:
        return Absent()
    if shown.pending:
        return Unknown("found, and still pending there")
    if shown.order_id is None or not IDENTIFIER.fullmatch(shown.order_id):
        return Unknown("found, but without an order id")
    if shown.status not in SHOWN:
        return Unknown(f"found, but in no state that a broker has: {shown.status}")
    chain = attempt_key_of(key)  # an order goes on under the keys of its replaces
    if any(attempt_key_of(report.client_order_id) != chain for report in shown.executions):
        return Unknown("found, with another order's executions")
    try:
        executions = tuple(execution_report(broker_id, report) for report in shown.executions)
        terms = (_optional(shown.quantity), _optional(shown.limit_price))
    except Unreadable as e:
        return Unknown(f"found, but {e}")
    return Found(shown.order_id, shown.status, executions, _short(shown.reason), *terms)


def execution_report(broker_id: str, report: Report) -> ExecutionReport:
    """Read one execution, or raise `Unreadable`."""
    kind = report.type
    for text in (report.client_order_id, report.order_id, report.execution_id):
        if not IDENTIFIER.fullmatch(text):
            raise Unreadable(f"expected an id of 1 to 64 printable characters, was {text[:80]!r}")
    quantity = _amount(report.last_quantity)
    price = _optional(report.last_price)
    if kind in TRADES and (not quantity or price is None):
        raise Unreadable(f"execution {report.execution_id}: a trade without quantity or price")
    if kind in REFERRING and not report.referenced_execution_id:
        raise Unreadable(f"execution {report.execution_id}: it does not say what it undoes")
    if not 0 <= report.at_ms < AT_MS_END:
        raise Unreadable(f"execution {report.execution_id}: at no time that we can write")
    return ExecutionReport(
        broker_id=broker_id,
        broker_order_key=report.client_order_id,
        broker_order_id=report.order_id,
        execution_id=report.execution_id,
        execution_type=kind,
        trade_date=report.trade_date,
        at=report.at_ms,
        last_quantity=quantity,
        last_price=price,
        referenced_execution_id=report.referenced_execution_id,
        reason=_short(report.reason),
        possible_duplicate=report.possible_duplicate,
        quantity=_optional(report.quantity),
        limit_price=_optional(report.limit_price),
    )


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Read `Retry-After` in seconds; a date or nonsense is no hint."""
    text = headers.get("Retry-After", "").strip()
    return _wait(float(text)) if AMOUNT.fullmatch(text) else None


def _judged(result: Result) -> Answer:
    match result.status:
        case "accepted":
            if result.order_id is None or not IDENTIFIER.fullmatch(result.order_id):
                return Unknown("accepted, but without an order id")
            return Accepted(result.order_id)
        case "rejected":
            if result.code is None or not CODE.fullmatch(result.code):
                return Unknown("rejected, but without a code")
            return Rejected(result.code, _short(result.detail) or "")
        case "throttled":
            return Throttled(_wait(result.retry_after))
        case other:
            return Unknown(f"no such status: {other[:32]!r}")


def _optional(text: str | None) -> Decimal | None:
    return None if text is None else _amount(text)


def _amount(text: str | None) -> Decimal:
    if text is None:
        return Decimal(0)
    if not AMOUNT.fullmatch(text):
        raise Unreadable(f"expected a decimal without sign or exponent, was {text[:40]!r}")
    return Decimal(text)


def _wait(seconds: float | None) -> float | None:
    return None if seconds is None or seconds < 0 else min(seconds, RETRY_AFTER_MAX_S)


def _short(text: str | None) -> str | None:
    return None if text is None else text[:TEXT_MAX]
