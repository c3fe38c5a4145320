"""One ExecutionReport (35=8) as the execution that it is, or the reason why it is none. Pure.

Amounts are decimals as the HTTP dialect reads them: no sign, no exponent, no float on the way.
The trap is an execution whose identity moves between two tellings: it would count twice. So
where a broker leaves out the trade date (75) it follows from TransactTime (60) in the
exchange's own zone, and where it leaves out that as well, from the *first* sending time, which
a resend repeats; never from our clock.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from app.brokers.fix import refusals, stamps, tags
from app.brokers.fix.commands import Message
from app.brokers.fix.words import ORDER_TYPES, Dialect, order_key_in
from app.brokers.wire import AMOUNT, IDENTIFIER, REFERRING, Unreadable
from app.brokers.wire import TRADES as PRICED
from app.domain.messages import ExecutionReport, ExecutionType
from app.domain.values import OrderType, legible

_E = ExecutionType
# ExecType (150). What is asked for and pending is evidence that the order is there, no more.
KINDS: Final[dict[str, ExecutionType]] = {
    "0": _E.NEW,
    "3": _E.DONE_FOR_DAY,
    "4": _E.CANCELED,
    "5": _E.REPLACED,
    "6": _E.PENDING_CANCEL,
    "7": _E.ORDER_STATUS,  # stopped
    "8": _E.REJECTED,
    "9": _E.ORDER_STATUS,  # suspended
    "A": _E.ORDER_STATUS,  # pending new
    "B": _E.ORDER_STATUS,  # calculated
    "C": _E.EXPIRED,
    "D": _E.ORDER_STATUS,  # restated
    "E": _E.PENDING_REPLACE,
    "F": _E.TRADE,
    "G": _E.TRADE_CORRECT,
    "H": _E.TRADE_CANCEL,
    "I": _E.ORDER_STATUS,
}
# Before 4.3, 150 named the fill and 20 what had become of it.
KINDS_OF_4_2: Final = {
    "0": _E.TRADE,
    "1": _E.TRADE_CANCEL,
    "2": _E.TRADE_CORRECT,
    "3": _E.ORDER_STATUS,
}
FILLS_OF_4_2: Final = frozenset({"1", "2"})
MARKET: Final = ORDER_TYPES[OrderType.MARKET]
# What FIX writes where there is no id: an order given by telephone, a refused one.
NONE: Final = "NONE"
# Twice in one report, each of these makes it two reports; no repeating group of it has them.
_ONCE: Final = frozenset(
    {tags.CLIENT_ORDER_ID, tags.ORIGINAL_CLIENT_ORDER_ID, tags.ORDER_ID, tags.EXECUTION_ID}
    | {tags.EXECUTION_TYPE, tags.ORDER_STATUS, tags.LAST_QUANTITY, tags.LAST_PRICE}
    | {tags.REFERENCED_EXECUTION_ID, tags.TRANSACT_TIME, tags.TRADE_DATE, tags.STATUS_ID}
    | {tags.ORDER_REJECT_REASON, tags.TRANSACTION, tags.FILLED_QUANTITY}
    | {tags.QUANTITY, tags.LIMIT_PRICE}
)
_ZERO: Final = datetime(1970, 1, 1, tzinfo=UTC)


_Values = Mapping[int, str]


def kind_of(dialect: Dialect, values: _Values) -> ExecutionType:
    type_ = values.get(tags.EXECUTION_TYPE, "")
    kind = KINDS.get(type_)
    if dialect.fills_of_4_2 and type_ in FILLS_OF_4_2:
        kind = KINDS_OF_4_2.get(values.get(tags.TRANSACTION, "0"))
    if kind is None:
        raise Unreadable(f"no such ExecType: {legible(type_)[:8]!r}")
    return kind


def report_of(
    broker_id: str, dialect: Dialect, values: _Values, kind: ExecutionType
) -> ExecutionReport:
    """Read one execution, or raise `Unreadable`."""
    is_trade = kind in PRICED
    quantity = _amount(values, tags.LAST_QUANTITY) if is_trade else Decimal(0)
    price = _amount(values, tags.LAST_PRICE) if is_trade else None
    if is_trade and not quantity:
        raise Unreadable("a trade of nothing")
    reference = None
    if kind in REFERRING:
        reference = _identifier(values, tags.REFERENCED_EXECUTION_ID)
    needs_id = is_trade or kind in REFERRING
    quantity_now, price_now = terms_of(values) if kind is _E.REPLACED else (None, None)
    at = _at(values)
    return ExecutionReport(
        broker_id=broker_id,
        broker_order_key=order_key_in(_identifier(values, tags.CLIENT_ORDER_ID, NONE)),
        broker_order_id=_identifier(values, tags.ORDER_ID),
        execution_id=_identifier(values, tags.EXECUTION_ID, None if needs_id else NONE),
        execution_type=kind,
        trade_date=_trade_date(dialect, values, at),
        at=at,
        last_quantity=quantity,
        last_price=price,
        referenced_execution_id=reference,
        reason=refusals.reason_of(values),
        possible_duplicate="Y"
        in {values.get(tags.POSSIBLE_DUPLICATE), values.get(tags.POSSIBLE_RESEND)},
        quantity=quantity_now,
        limit_price=price_now,
    )


def refused(
    broker_id: str, dialect: Dialect, values: _Values, kind: ExecutionType
) -> ExecutionReport:
    """Read a refusal that is no ExecutionReport as the report that it amounts to.

    It names no execution, and sometimes no order of theirs.
    """
    key = values[tags.CLIENT_ORDER_ID]
    named = {tags.EXECUTION_ID: f"reject-{key}", tags.ORDER_ID: NONE}
    return report_of(broker_id, dialect, {**named, **values}, kind)


def terms_of(values: _Values) -> tuple[Decimal | None, Decimal | None]:
    """Return the terms (38, 44) that a broker says are in force; None where it does not say.

    A market order has no price, whatever fills the field, and no order has the price 0.
    """
    quantity = _amount(values, tags.QUANTITY) if tags.QUANTITY in values else None
    if tags.LIMIT_PRICE not in values or values.get(tags.ORDER_TYPE) == MARKET:
        return quantity, None
    return quantity, _amount(values, tags.LIMIT_PRICE) or None


def _at(values: _Values) -> int:
    """Return when it happened: 60, else when it was first sent, which a resend repeats."""
    for tag in (tags.TRANSACT_TIME, tags.ORIGINAL_SENDING_TIME, tags.SENDING_TIME):
        if tag in values:
            at = stamps.read(values[tag])
            if at is None or at < 0:
                raise Unreadable(f"tag {tag}: no time, was {values[tag][:40]!r}")
            return at
    raise Unreadable("at no time at all")


def _trade_date(dialect: Dialect, values: _Values, at: int) -> date:
    text = values.get(tags.TRADE_DATE)
    if text is None:
        try:
            return (_ZERO + timedelta(milliseconds=at)).astimezone(_zone(dialect.zone)).date()
        except OverflowError as e:  # the last night of the year 9999 ends after it, in the east
            raise Unreadable(
                f"no such day there: {values.get(tags.TRANSACT_TIME, '')[:40]!r}"
            ) from e
    day = stamps.read_date(text)
    if day is None:
        raise Unreadable(f"no trade date: {text[:40]!r}")
    return day


@lru_cache(maxsize=16)  # one a broker
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def expect_once(message: Message, values: _Values) -> None:
    if len(values) == len(message.fields):
        return
    seen: set[int] = set()
    for tag, _ in message.fields:
        if tag in seen and tag in _ONCE:
            raise Unreadable(f"it says tag {tag} twice")
        seen.add(tag)


def _identifier(values: _Values, tag: int, otherwise: str | None = None) -> str:
    text = values.get(tag, otherwise)
    if text is None or not IDENTIFIER.fullmatch(text):
        raise Unreadable(f"tag {tag}: expected 1 to 64 printable characters, was {text!r:.80}")
    return text


def _amount(values: _Values, tag: int) -> Decimal:
    text = values.get(tag, "")
    if not AMOUNT.fullmatch(text):
        raise Unreadable(f"tag {tag}: expected a plain decimal, was {text[:40]!r}")
    return Decimal(text)


def hint_of(values: _Values, tag: int) -> Decimal | None:
    """Return an amount on which nothing hangs, None if it cannot be read."""
    text = values.get(tag, "")
    return Decimal(text) if AMOUNT.fullmatch(text) else None
