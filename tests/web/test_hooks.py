"""Callbacks: believed by signature alone, and answered only when they are durable."""

from datetime import date
from decimal import Decimal

from app import codec
from app.domain.messages import ExecutionReport, ExecutionType
from tests.web.house import Gateway

PATH = "/hooks/brokers/nova"
ORDER_ID = "01KJQF7MY8DHPW43Y1W78A9T89"
FILL = ExecutionReport(
    broker_id="nova",
    broker_order_key=f"{ORDER_ID}01",
    broker_order_id="b-1",
    execution_id="E-7",
    execution_type=ExecutionType.TRADE,
    trade_date=date(2026, 3, 2),
    at=1_772_461_800_000,
    last_quantity=Decimal(4),
    last_price=Decimal("38.5"),
)
GOOD = {"X-Signature": "good"}


def test_a_report_is_durable_before_the_broker_may_forget_it(gateway: Gateway) -> None:
    reply = gateway.client.post(PATH, content=codec.encode([FILL]), headers=GOOD)

    (event,) = gateway.bus.published
    assert (reply.status_code, reply.json()) == (200, {"taken": 1})
    assert event.topic == "openbell.broker-reports.v1"
    assert event.key == ORDER_ID
    assert event.event_id == "nova-E-7-2026-03-02"
    assert codec.decode_report(event.payload) == FILL


def test_the_same_report_has_the_same_id(gateway: Gateway) -> None:
    for _ in range(2):
        gateway.client.post(PATH, content=codec.encode([FILL]), headers=GOOD)

    assert len({event.event_id for event in gateway.bus.published}) == 1


def test_a_bus_that_is_down_makes_the_broker_send_it_again(gateway: Gateway) -> None:
    gateway.bus.down = True

    reply = gateway.client.post(PATH, content=codec.encode([FILL]), headers=GOOD)

    assert reply.status_code == 503
    assert "retry-after" in reply.headers


def test_a_bad_signature_is_told_nothing(gateway: Gateway) -> None:
    reply = gateway.client.post(PATH, content=codec.encode([FILL]))

    assert (reply.status_code, reply.json()["code"]) == (401, "unauthenticated")
    assert gateway.bus.published == []


def test_a_broker_that_we_do_not_have_has_no_door(gateway: Gateway) -> None:
    reply = gateway.client.post("/hooks/brokers/x", content=b"[]", headers=GOOD)

    assert reply.status_code == 404
