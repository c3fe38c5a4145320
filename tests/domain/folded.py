"""An order and its reports, folded as the ledger folds them: each execution once."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

from app.domain.errors import Code
from app.domain.messages import ExecutionReport, ExecutionType
from app.domain.order import Order
from app.domain.replacing import Asked, Chain
from app.domain.reports import applied
from app.domain.trades import NOTHING, TRADES, Trades, identity, same_fact
from app.domain.values import CancelOrigin, PendingRequest, Status
from tests.builders import NOW, a_report, an_order

S = Status
E = ExecutionType
D = Decimal
LATER: Final = NOW + 1_000
STRAY: Final = Code.STRAY_EVIDENCE.code
WAITS: Final = {"pending_request": PendingRequest.CANCEL, "cancel_origin": CancelOrigin.CLIENT}


class Folded:
    """An order, and what the ledger does with its reports: each execution once."""

    def __init__(self, order: Order, asked: Sequence[Asked] = ()) -> None:
        self.order = order
        self.chain = Chain(asked)
        self.trades = Trades()
        self.seen: dict[object, ExecutionReport] = {}
        self.versions = [order]

    def report(self, report: ExecutionReport, *, stray: bool = False) -> list[Order]:
        change = NOTHING
        if report.execution_type in TRADES:
            if identity(report) in self.seen:
                assert same_fact(self.seen[identity(report)], report)
                return []
            change = self.trades.add(report)
            self.seen[identity(report)] = report
        chain = self.chain
        steps = applied(self.order, report, change, LATER, stray=stray, chain=chain)
        self.versions += steps
        self.order = self.versions[-1]
        return steps


def fold(reports: Sequence[ExecutionReport], **facts: Any) -> Order:
    folded = Folded(an_order(**{"status": S.NEW} | facts))
    for report in reports:
        folded.report(report)
    return folded.order


def trade(execution_id: str, quantity: object, price: object = "187.25") -> ExecutionReport:
    return a_report(E.TRADE, execution_id, last_quantity=D(str(quantity)), last_price=D(str(price)))


def bust(execution_id: str, of: str) -> ExecutionReport:
    return a_report(E.TRADE_CANCEL, execution_id, referenced_execution_id=of)


def correct(
    execution_id: str, of: str, quantity: object, price: object = "187.25", at: int = NOW
) -> ExecutionReport:
    return a_report(
        E.TRADE_CORRECT,
        execution_id,
        referenced_execution_id=of,
        last_quantity=D(str(quantity)),
        last_price=D(str(price)),
        at=at,
    )


def amounts(order: Order) -> tuple[object, object, object]:
    return order.filled_quantity, order.overfilled_quantity, order.filled_value
