"""What a broker showed on a look-up, as the reports that it amounts to. Pure.

A look-up hit and a late report must lead an order through the same moves, so the hit is turned
into reports with derived ids: asking twice proves nothing twice. To find an order by the key of a
replace is the word that this replace has taken effect; its terms come first, because what has
traded may be more than the old ones allow.
"""

from dataclasses import replace
from typing import Final

from app.domain.messages import ExecutionReport, ExecutionType, Found
from app.domain.values import Status, is_replace_key, order_id_of, trade_date_of

ENDED: Final = {
    Status.CANCELED: ExecutionType.CANCELED,
    Status.EXPIRED: ExecutionType.EXPIRED,
    Status.REJECTED: ExecutionType.REJECTED,
}


def reports_of(found: Found, key: str, broker_id: str, now: int) -> list[ExecutionReport]:
    """Return the reports that this hit stands for: receipt, every execution, the end if ended."""
    order_id = order_id_of(key)
    assert order_id is not None, f"expected a key of ours, was {key!r}"
    trade_date = trade_date_of(order_id)
    assert trade_date is not None
    receipt = ExecutionReport(
        broker_id=broker_id,
        broker_order_key=key,
        broker_order_id=found.broker_order_id,
        execution_id=f"lookup-{key}",
        execution_type=ExecutionType.ORDER_STATUS,
        trade_date=trade_date,
        at=now,
        reason=found.reason,
    )
    reports = [] if found.status is Status.REJECTED else [receipt]
    if is_replace_key(key):
        reports = [_of_replace(found, receipt)]
        if found.status is Status.REJECTED:  # the replace was, and not the order
            return reports
    reports += found.executions
    if found.status in ENDED:
        reports.append(
            replace(
                receipt,
                execution_type=ENDED[found.status],
                execution_id=f"lookup-{key}-{found.status}",
            )
        )
    return reports


def _of_replace(found: Found, receipt: ExecutionReport) -> ExecutionReport:
    if found.status is Status.REJECTED:
        return replace(receipt, execution_type=ExecutionType.REPLACE_REJECTED)
    return replace(
        receipt,
        execution_type=ExecutionType.REPLACED,
        quantity=found.quantity,
        limit_price=found.limit_price,
    )
