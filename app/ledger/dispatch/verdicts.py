"""A person's word on a doubt, as the evidence that it stands for.

An operator does not set a status: he says what he has found out, and the same moves follow
that a broker's own report would have led through.
"""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from typing import Final, NamedTuple

from sqlalchemy import Connection

from app.domain.errors import Code, Refused
from app.domain.messages import ExecutionReport, ExecutionType
from app.domain.order import Order
from app.domain.records import Actor, Change
from app.domain.trades import is_amount
from app.domain.values import Outcome, ReplaceState, Status, is_replace_key, order_id_of
from app.ledger import rows
from app.ledger.dispatch import attempts, outcomes, replaces, replacing, reporting
from app.ledger.operators import audit

E: Final = ExecutionType
REPORT_OF: Final = {
    "accepted": ExecutionType.NEW,
    "rejected": ExecutionType.REJECTED,
    "canceled": ExecutionType.CANCELED,
    "filled": ExecutionType.TRADE,
}
VERDICTS: Final = frozenset({"not_received", *REPORT_OF})


class Word(NamedTuple):
    """What a person says of one attempt, and the version of its order that he has seen."""

    key: str
    verdict: str
    terms: Mapping[str, str]
    seen: int | None = None  # None: as it stands


def resolve(connection: Connection, word: Word, by: Actor, now: int) -> Order:
    """Settle one doubt, with its audit row, or raise `Refused`."""
    key, verdict, terms, _ = word
    order_id = order_id_of(key)
    before = rows.locked(connection, [order_id]).get(order_id) if order_id else None
    if order_id is None or before is None:
        raise Refused(Code.NOT_FOUND, f"no attempt {key}")
    if is_replace_key(key):
        return _resolve_replace(connection, before, word, by, now)
    attempt = attempts.by_keys(connection, [key]).get(key)
    if attempt is None or attempt.outcome is not Outcome.UNKNOWN:
        raise Refused(Code.DOUBT_SETTLED, f"the order is {before.status}", status=before.status)
    _must_be_seen(before, word)
    if verdict == "not_received":
        outcomes.never_received(connection, [key], by.name, now)
    else:
        report = report_of(before, attempt.broker_id, word, _kind(verdict), now)
        reporting.apply(connection, [report], by.name, now)
    after = rows.by_ids(connection, [order_id])[order_id]
    assert after.status is not Status.IN_DOUBT, f"{verdict} left {order_id} in doubt"
    change = _change(before, after, key, {**terms, "verdict": verdict})
    audit.append(connection, by, change, now)
    return after


def _must_be_seen(order: Order, word: Word) -> None:
    if word.seen not in {None, order.version}:
        raise Refused(
            Code.STALE_VERSION,
            f"the order is at version {order.version}",
            current=order._asdict(),
        )


def _resolve_replace(
    connection: Connection, before: Order, word: Word, by: Actor, now: int
) -> Order:
    """Say of a replace in doubt that it took effect (accepted), or that it did not."""
    key, verdict, order_id = word.key, word.verdict, before.order_id
    asked = replaces.chains(connection, [order_id])[order_id].standing
    if asked is None or asked.key != key or asked.state is not ReplaceState.UNKNOWN:
        raise Refused(Code.DOUBT_SETTLED, f"the order is {before.status}", status=before.status)
    _must_be_seen(before, word)
    if verdict == "accepted":
        report = report_of(before, before.broker_id or "", Word(key, verdict, {}), E.NEW, now)
        replaced = replace(
            report,
            execution_type=ExecutionType.REPLACED,
            broker_order_id=before.broker_order_id or "by-operator",
        )
        reporting.apply(connection, [replaced], by.name, now)
    elif verdict in {"not_received", "rejected"}:
        replacing.no_effect(connection, [key], by.name, now)
    else:
        detail = f"of a replace expected accepted, rejected or not_received, was {verdict}"
        raise Refused(Code.VALIDATION_FAILED, detail)
    after = rows.by_ids(connection, [order_id])[order_id]
    audit.append(connection, by, _change(before, after, key, {"verdict": verdict}), now)
    return after


def _change(before: Order, after: Order, key: str, words: Mapping[str, str]) -> Change:
    return Change(
        "doubt.resolve",
        f"order/{before.order_id}",
        {"status": before.status, "attempt": key},
        {**words, "status": after.status},
    )


def _kind(verdict: str) -> ExecutionType:
    kind = REPORT_OF.get(verdict)
    if kind is None:
        raise Refused(Code.VALIDATION_FAILED, f"expected one of {sorted(VERDICTS)}, was {verdict}")
    return kind


def report_of(
    order: Order, broker_id: str, word: Word, kind: ExecutionType, now: int
) -> ExecutionReport:
    """Return what the broker itself would have reported; a trade is of all that was left."""
    key, terms, trade = word.key, word.terms, kind is ExecutionType.TRADE
    return ExecutionReport(
        broker_id=broker_id,
        broker_order_key=key,
        broker_order_id=terms.get("broker_order_id", "by-operator"),
        execution_id=reporting.BY_OPERATOR + key,
        execution_type=kind,
        trade_date=order.trade_date,
        at=now,
        last_quantity=order.quantity - order.filled_quantity if trade else Decimal(0),
        last_price=_price(terms) if trade else None,
        reason=Code.OPERATOR_VERDICT.code,
    )


def _price(terms: Mapping[str, str]) -> Decimal:
    try:
        price = Decimal(terms["price"])
    except (KeyError, InvalidOperation):
        raise Refused(Code.VALIDATION_FAILED, "filled needs the price, a decimal string") from None
    if not is_amount(price):
        raise Refused(Code.VALIDATION_FAILED, f"expected a positive price, was {price}")
    return price
