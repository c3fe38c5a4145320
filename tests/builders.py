"""Orders, requests and reports that are valid by default: a test names only what matters to it.

The trap they avoid is a test that passes because of a field which nobody looks at.
"""

import random
from datetime import date
from decimal import Decimal
from typing import Any, Final

from app.domain.anomaly import Finding, Observed, Recommended, Severity, Subject, Threshold
from app.domain.messages import ExecutionReport, ExecutionType
from app.domain.order import Order
from app.domain.records import LaneStatus, Taking
from app.domain.request import OrderRequest, request_hash
from app.domain.session import TradingSession
from app.domain.values import (
    OrderType,
    PendingRequest,
    Side,
    Status,
    TimeInForce,
    broker_order_key,
    new_order_id,
)

TODAY: Final = date(2026, 3, 2)
OPENS_AT: Final = 1_772_461_800_000  # 14:30 UTC: the bell in New York
CLOSES_AT: Final = OPENS_AT + 23_400_000
NOW: Final = OPENS_AT + 60_000
SESSION: Final = TradingSession("XNAS-2026-03-02-REG", "XNAS", TODAY, OPENS_AT, CLOSES_AT)


class StillClock:
    """An `app.clock.Clock` that moves only when a test says so."""

    def __init__(self, now: int = NOW, seed: int = 0) -> None:
        self.at = now
        self._random = random.Random(seed)

    def now(self) -> int:
        return self.at

    def monotonic_ns(self) -> int:
        return self.at * 1_000_000

    def random_bits(self, bits: int) -> int:
        return self._random.getrandbits(bits)


def an_order(**facts: Any) -> Order:
    """Return an order that waits for its session: 10 AAPL at 187.25."""
    order = Order(
        accept_sequence=1,
        order_id=new_order_id(TODAY, NOW, 1),
        trade_date=TODAY,
        session_date=TODAY,
        trading_session_id=SESSION.trading_session_id,
        account_id="ann",
        client_order_id="c-1",
        list_id=None,
        symbol="AAPL",
        market="XNAS",
        side=Side.BUY,
        order_type=OrderType.LIMIT,
        quantity=Decimal(10),
        limit_price=Decimal("187.25"),
        currency="USD",
        time_in_force=TimeInForce.DAY,
        text=None,
        accepted_at=NOW,
        version=1,
        status=Status.RESERVED,
        pending_request=PendingRequest.NONE,
        filled_quantity=Decimal(0),
        overfilled_quantity=Decimal(0),
        filled_value=Decimal(0),
        average_price=None,
        broker_id=None,
        broker_order_id=None,
        reason_code=None,
        cancel_origin=None,
        done_for_day=False,
        released_at=None,
        updated_at=NOW,
    )
    return order._replace(**facts)


def a_report(
    execution_type: ExecutionType = ExecutionType.TRADE, execution_id: str = "e-1", **facts: Any
) -> ExecutionReport:
    """Return a report on the first attempt of `an_order`, from the broker north.

    A trade or a correction is of 10 at 187.25 unless it says otherwise.
    """
    traded = execution_type in {ExecutionType.TRADE, ExecutionType.TRADE_CORRECT}
    defaults: dict[str, Any] = {
        "broker_id": "north",
        "broker_order_key": broker_order_key(new_order_id(TODAY, NOW, 1), 1),
        "broker_order_id": "N-1",
        "execution_id": execution_id,
        "execution_type": execution_type,
        "trade_date": TODAY,
        "at": NOW,
        "last_quantity": Decimal(10 if traded else 0),
        "last_price": Decimal("187.25") if traded else None,
    }
    return ExecutionReport(**defaults | facts)


def a_request(client_order_id: str = "c-1", **facts: Any) -> OrderRequest:
    """Return a request of ann's: buy 10 AAPL at 187.25 today."""
    request = OrderRequest(
        account_id="ann",
        client_order_id=client_order_id,
        symbol="AAPL",
        market="XNAS",
        side=Side.BUY,
        order_type=OrderType.LIMIT,
        quantity=Decimal(10),
        limit_price=Decimal("187.25"),
        currency="USD",
        time_in_force=TimeInForce.DAY,
        trading_session_id=SESSION.trading_session_id,
        list_id=None,
        text=None,
    )
    return request._replace(**facts)


def a_taking(client_order_id: str = "c-1", *, reserved: bool = False, **facts: Any) -> Taking:
    """Return a checked request, queued at once unless reserved, on the route of its market."""
    route_id = facts.pop("route_id", None)
    session = facts.pop("session", SESSION)
    request = a_request(client_order_id, **facts)
    return Taking(request, request_hash(request), session, reserved, route_id or request.market)


def a_finding(
    severity: Severity | None = Severity.WARNING,
    subject: str = "broker/north",
    rule_id: str = "broker.error_rate",
    **facts: Any,
) -> Finding:
    """Return what a rule found: 71 of 100 answers were failures."""
    finding = Finding(
        rule_id=rule_id,
        rule_version=3,
        subject=Subject(*subject.split("/", 1)),
        severity=severity,
        observed=Observed("error_ratio", 0.71, "ratio", 10.0, 100),
        threshold=Threshold(">=", 0.2, 0.02, 8.0),
        recommended=Recommended("failover", "south", 0.9),
        evidence={"by_answer": {"unknown": 71}},
    )
    return finding._replace(**facts)


def a_lane(broker_id: str, **facts: Any) -> LaneStatus:
    """Return a lane that is owned, runs, and has sent nothing."""
    lane = LaneStatus(
        broker_id=broker_id,
        owner_epoch=1,
        running=True,
        why_not=None,
        tps_configured=100,
        tps_effective=100,
        applied_version=1,
        in_flight=0,
        sent_total=0,
        sent_last_second=0,
        answers={},
        circuit="closed",
        circuit_reason="",
        next_trial_s=None,
        tps_contract=100,
    )
    return lane._replace(**facts)
