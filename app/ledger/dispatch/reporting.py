"""Folds reports into orders: each execution once, and what does not fit is kept apart.

A batch is worked through in memory and written once. The traps are a stranger's: an id that he
gave to two executions, a report for the attempt of another broker, a number that is none, words
about an attempt that we had settled as never received. None of them may stop the loop that
applies everybody's fills, because what stops it once stops it at each start.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from operator import attrgetter, itemgetter
from typing import Any, Final

from sqlalchemy import Connection

from app import codec
from app.domain import reports
from app.domain.errors import InvalidTransition
from app.domain.messages import ExecutionReport, ExecutionType
from app.domain.order import MAYBE_OUT, UNSENT, Order
from app.domain.records import Applied
from app.domain.replacing import ENDED, WORDS, Chain
from app.domain.reports import NO_CHAIN
from app.domain.trades import NOTHING, TRADES, Identity, Trades, identity, judge, same_fact
from app.domain.values import (
    GONE,
    ORDER_ID_LENGTH,
    Outcome,
    PendingRequest,
    attempt_key_of,
    is_replace_key,
    legible,
)
from app.ledger import rows
from app.ledger.dialect import Statement, by_day
from app.ledger.dispatch import attempts, replaces
from app.ledger.dispatch.attempts import OPEN, Attempt, Closing
from app.ledger.orders.booking import leave_queues

# How an execution is named that stands for a person's word; no broker's id begins so.
BY_OPERATOR: Final = "operator-"
_NAME: Final = {"execution_id": "text", "broker_id": "text", "execution_date": "text"}
# Of the orders in hand, and whatever order of their day has an execution of the same name.
_KNOWN: Final = Statement(
    lambda d: d.listed(
        d.array("order_id", d.json("report")),
        "(SELECT e.order_id, e.report FROM executions@day AS e WHERE e.trade_date = @day"
        f" AND e.order_id {d.among('ids')}"
        f" UNION SELECT e.order_id, e.report FROM {d.staged('names', _NAME)} AS n"
        " JOIN executions@day AS e ON e.broker_id = n.broker_id"
        " AND e.execution_date = n.execution_date AND e.execution_id = n.execution_id"
        " WHERE e.trade_date = @day) AS known",
    )
)
_KEPT: Final = {
    "trade_date": "date",
    "execution_date": "text",
    "broker_id": "text",
    "execution_id": "text",
    "order_id": "text",
    "referenced_execution_id": "text",
    "report": "text",
}
_KEEP: Final = Statement(
    lambda d: (
        f"INSERT INTO executions@day ({', '.join(_KEPT)}, applied_at)"
        f" SELECT {', '.join(_KEPT)}, {d.given('now', 'integer')}"
        f" FROM {d.staged('rows', _KEPT)} AS k"
    )
)
_COPY: Final = dict.fromkeys(("event_id", "aggregateid", "type", "payload"), "text")
_DROP_COPY: Final = Statement(
    lambda d: (
        f"INSERT INTO outbox (aggregatetype, {', '.join(_COPY)})"
        f" SELECT 'executions', {', '.join(_COPY)} FROM {d.staged('rows', _COPY)} AS c"
        " ORDER BY place"
    )
)
_APART: Final = dict.fromkeys(
    ("broker_id", "broker_order_key", "execution_id", "cause", "report"), "text"
)
_QUARANTINE: Final = Statement(
    lambda d: (
        f"INSERT INTO quarantine ({', '.join(_APART)}, at)"
        f" SELECT {', '.join(_APART)}, {d.given('now', 'integer')}"
        f" FROM {d.staged('rows', _APART)} AS a WHERE true ON CONFLICT DO NOTHING"
    )
)


def apply(connection: Connection, arrived: Sequence[ExecutionReport], by: str, now: int) -> Applied:
    """Fold reports into their orders, each execution once; keep apart what does not fit."""
    arrived = [_legible(report) for report in arrived]
    orders = attempts.lock_orders(connection, (r.broker_order_key for r in arrived))
    known = attempts.by_keys(connection, (attempt_key_of(r.broker_order_key) for r in arrived))
    fold = _Fold(orders, _executions(connection, orders, arrived), now)
    fold.chains = replaces.chains(connection, _chained(orders, arrived))
    for report in arrived:
        attempt = known.get(attempt_key_of(report.broker_order_key))
        if attempt is None or attempt.broker_id != report.broker_id:
            fold.quarantine(report, "no attempt of ours carries this key at this broker")
        else:
            fold.apply(attempt, report)
    closings = [Closing(key, outcome, None, by) for key, outcome in fold.evidence.items()]
    attempts.close(connection, closings, now)
    for order_id in fold.steps:  # held by stray evidence: it must not be claimed again
        if orders[order_id].status in UNSENT:
            leave_queues(connection, orders[order_id])
    replaces.write(connection, fold.chains.values(), by, now)
    rows.write(connection, fold.moves(orders), by)
    for day, kept in by_day(fold.kept, itemgetter(0)):
        _KEEP.run(connection, day, rows=codec.text(kept), now=now)
    if fold.copies:
        _DROP_COPY.run(connection, rows=codec.text(fold.copies))
    if fold.apart:
        _QUARANTINE.run(connection, rows=codec.text(fold.apart), now=now)
    counts = fold.counts
    return Applied(counts["applied"], counts["known"], counts["quarantined"], tuple(fold.strays))


def _legible(report: ExecutionReport) -> ExecutionReport:
    texts = (
        report.broker_id,
        report.broker_order_key,
        report.broker_order_id,
        report.execution_id,
        report.referenced_execution_id or "",
        report.reason or "",
    )
    if all(map(str.isprintable, texts)):
        return report
    reference, reason = report.referenced_execution_id, report.reason
    return replace(
        report,
        broker_id=legible(report.broker_id),
        broker_order_key=legible(report.broker_order_key),
        broker_order_id=legible(report.broker_order_id),
        execution_id=legible(report.execution_id),
        referenced_execution_id=None if reference is None else legible(reference),
        reason=None if reason is None else legible(reason),
    )


def _chained(orders: Mapping[str, Order], arrived: Sequence[ExecutionReport]) -> set[str]:
    """Return the orders of which a request to replace may have something to say; most have none."""
    asking = {
        order_id
        for order_id, order in orders.items()
        if order.pending_request is not PendingRequest.NONE or order.status in ENDED
    }
    named = {
        report.broker_order_key[:ORDER_ID_LENGTH]
        for report in arrived
        if is_replace_key(report.broker_order_key) or report.execution_type in WORDS
    }
    return asking | (named & orders.keys())


def _executions(
    connection: Connection, orders: Mapping[str, Order], arrived: Sequence[ExecutionReport]
) -> list[tuple[str, ExecutionReport]]:
    named = {identity(r) for r in arrived if r.execution_type in TRADES}
    names = codec.text([(name, broker, day) for broker, day, name in sorted(named)])
    found: list[tuple[str, ExecutionReport]] = []
    for day, each in by_day(orders.values(), attrgetter("trade_date")):
        ids = codec.text([order.order_id for order in each])
        known = _KNOWN.run(connection, day, ids=ids, names=names).scalar_one()
        found += codec.decode_executions(known)
    return found


class _Fold:
    """One batch at work: the orders as they have come to stand, and what is to be written."""

    def __init__(
        self,
        orders: dict[str, Order],
        known: Sequence[tuple[str, ExecutionReport]],
        now: int,
    ) -> None:
        self.now = now
        self.orders = dict(orders)
        self.known: dict[Identity, tuple[str, ExecutionReport]] = {
            identity(report): (order_id, report) for order_id, report in known
        }
        self.trades = {
            order_id: Trades(report for owner, report in known if owner == order_id)
            for order_id in orders
        }
        self.steps: dict[str, list[Order]] = {}
        self.chains: dict[str, Chain] = {}
        self.evidence: dict[str, Outcome] = {}
        self.kept: list[tuple[Any, ...]] = []
        self.copies: list[tuple[object, ...]] = []
        self.apart: list[tuple[object, ...]] = []
        self.strays: list[str] = []
        self.counts: Counter[str] = Counter()

    def apply(self, attempt: Attempt, report: ExecutionReport) -> None:
        order = self.orders[attempt.order_id]
        chain = self.chains.get(attempt.order_id, NO_CHAIN)
        if is_replace_key(report.broker_order_key) and not chain.knows(report.broker_order_key):
            self.quarantine(report, "no replace of ours carries this key")
            return
        try:
            if report.execution_type in TRADES and self._seen(order, report):
                self.counts["known"] += 1
                return
            # Only now: what is kept apart takes nobody's word back.
            if (word := self._word_on(attempt, report)) is not None:
                self.apply(attempt, word)
                order = self.orders[attempt.order_id]
            stray = attempt.outcome in GONE
            late = len(chain.late)
            steps = self._steps(order, report, chain, stray=stray)
        except InvalidTransition as e:
            self.quarantine(report, str(e))
            return
        self.counts["applied" if steps or report.execution_type in TRADES else "known"] += 1
        if (steps and stray) or len(chain.late) > late:
            self.strays.append(report.broker_id)
        if steps:
            self.steps.setdefault(order.order_id, []).extend(steps)
            self.orders[order.order_id] = steps[-1]
        if order.status in MAYBE_OUT and attempt.outcome in OPEN:
            self._settle(attempt, report)

    def _word_on(self, attempt: Attempt, report: ExecutionReport) -> ExecutionReport | None:
        """Return what takes back an operator's "filled", now that the broker's own trade is here.

        His word stood for trades that nobody could see; beside them it would count twice.
        """
        name = BY_OPERATOR + attempt.key
        if report.execution_type is not ExecutionType.TRADE or report.execution_id == name:
            return None
        day = self.orders[attempt.order_id].trade_date
        _, past = self.known.get((report.broker_id, str(day), name), (None, None))
        if past is None or (report.broker_id, str(day), f"{name}-undone") in self.known:
            return None
        return replace(
            past,
            execution_type=ExecutionType.TRADE_CANCEL,
            execution_id=f"{name}-undone",
            referenced_execution_id=name,
        )

    def _steps(
        self, order: Order, report: ExecutionReport, chain: Chain, *, stray: bool
    ) -> list[Order]:
        if report.execution_type not in TRADES:
            return reports.applied(order, report, NOTHING, self.now, stray=stray, chain=chain)
        change = self.trades[order.order_id].add(report)
        self._keep(order, report)
        return reports.applied(order, report, change, self.now, stray=stray, chain=chain)

    def _settle(self, attempt: Attempt, report: ExecutionReport) -> None:
        """Whatever the broker says of an attempt proves that it got there: it is open no more."""
        after = self.orders[attempt.order_id]
        assert after.status not in MAYBE_OUT, f"{report.execution_type} left it {after.status}"
        refused = report.execution_type is ExecutionType.REJECTED
        self.evidence[attempt.key] = Outcome.REJECTED if refused else Outcome.ACCEPTED

    def _seen(self, order: Order, report: ExecutionReport) -> bool:
        """Whether this very execution was counted; raise if its id belongs to another one."""
        judge(report)
        past = self.known.get(identity(report))
        if past is None:
            return False
        if past[0] != order.order_id or not same_fact(past[1], report):
            raise InvalidTransition(
                f"execution {report.execution_id} is another one, of order {past[0]}"
            )
        return True

    def _keep(self, order: Order, report: ExecutionReport) -> None:
        self.known[identity(report)] = (order.order_id, report)
        body = codec.text(report)
        place = (order.trade_date, report.trade_date, report.broker_id, report.execution_id)
        self.kept.append((*place, order.order_id, report.referenced_execution_id, body))
        event = f"{report.broker_id}-{report.trade_date}-{report.execution_id}"
        kind = f"io.openbell.execution.{report.execution_type}.v1"
        self.copies.append((event, order.account_id, kind, body))

    def quarantine(self, report: ExecutionReport, cause: str) -> None:
        self.counts["quarantined"] += 1
        key, execution = report.broker_order_key, report.execution_id
        self.apart.append((report.broker_id, key, execution, cause, codec.text(report)))

    def moves(self, before: dict[str, Order]) -> list[rows.Move]:
        return [rows.Move(before[i], steps, "report") for i, steps in self.steps.items()]
