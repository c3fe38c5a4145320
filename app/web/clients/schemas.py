"""The client API's words: FIX names spelled out, the tag in each description.

Requests are read by these very models: strict, so that a float never becomes money, and closed,
so that `limt_price` is found. Replies are described by them; clients must accept fields and
enum words that they do not know.
"""

from decimal import Decimal
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.config import JsonDict

from app.domain.order import Order
from app.domain.request import OrderRequest
from app.domain.values import OrderType, Side, TimeInForce
from app.web.told import AccountId, At, Day, OrderId, SessionId, Told

ORDERS_MAX: Final = 1_000
# Long enough for every amount that any market knows, and no exponent: 1E999999 is 8 bytes.
NUMBER: Final = r"^-?[0-9]{1,18}(\.[0-9]{1,12})?$"
# An id goes into SQL texts, URLs and logs, so it is made of letters that none of them minds.
NAME: Final = r"^[A-Za-z0-9._:-]{1,64}$"

Number = Annotated[str, StringConstraints(pattern=NUMBER)]
Name = Annotated[str, StringConstraints(pattern=NAME)]
Symbol = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._/-]{1,32}$")]
Market = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]{1,16}$")]
Words = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]{0,256}$")]


EXAMPLE: Final[JsonDict] = {
    "account_id": "A-1",
    "client_order_id": "2026-03-03-0001",
    "symbol": "AAPL",
    "market": "XNAS",
    "side": "buy",
    "order_type": "limit",
    "quantity": "10",
    "limit_price": "268.50",
    "currency": "USD",
    "trading_session_id": "XNAS-2026-03-03-REG",
}


class Asked(BaseModel):
    """A body or a query: what is not known here is refused."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class NewOrder(Asked):
    """One new order. Amounts are decimal strings."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    account_id: Name = Field(description="Tag 1.")
    client_order_id: Name = Field(
        description="Tag 11. Unique per account for ever: to cancel and resubmit takes a new id."
    )
    symbol: Symbol = Field(description="Tag 55.")
    market: Market = Field(description="Tag 207, a MIC such as XNYS.")
    side: Side = Field(description="Tag 54.")
    order_type: OrderType = Field(description="Tag 40.")
    quantity: Number = Field(description="Tag 38, a decimal string.", examples=["10"])
    limit_price: Number | None = Field(
        None, description="Tag 44, a decimal string; for limit orders.", examples=["268.50"]
    )
    currency: Annotated[str, StringConstraints(pattern="^[A-Z]{3}$")] = Field(
        description="Tag 15, such as USD."
    )
    time_in_force: TimeInForce = Field(TimeInForce.DAY, description="Tag 59.")
    trading_session_id: Name | None = Field(
        None,
        description="Tag 336. Name a session that has not opened to reserve for it;"
        " absent: the session that is open.",
        examples=["XNAS-2026-03-03-REG"],
    )
    list_id: Name | None = Field(None, description="Tag 66.")
    text: Words | None = Field(None, description="Tag 58, kept and shown, never read.")


class NewOrders(Asked):
    """A batch: each order is taken or refused by itself, durable and safe to repeat."""

    list_id: Name | None = Field(None, description="Tag 66, for each order that names none.")
    orders: list[NewOrder] = Field(max_length=ORDERS_MAX)


class NewTerms(Asked):
    """What an order may change to; absent: as it was."""

    quantity: Number | None = Field(
        None,
        description="Tag 38, the whole of it: what has traded already counts.",
        examples=["20"],
    )
    limit_price: Number | None = Field(None, description="Tag 44.")


class OrderInView(Told):
    """One order as its account's view has it."""

    order_id: OrderId
    account_id: AccountId
    client_order_id: str = Field(description="Tag 11.", examples=["2026-03-03-0001"])
    list_id: str | None = Field(description="Tag 66.", examples=[None])
    symbol: str = Field(description="Tag 55.", examples=["AAPL"])
    market: str = Field(description="Tag 207.", examples=["XNAS"])
    side: str = Field(description="Tag 54.", examples=["buy"])
    order_type: str = Field(description="Tag 40.", examples=["limit"])
    quantity: str = Field(description="Tag 38.", examples=["10"])
    limit_price: str | None = Field(description="Tag 44.", examples=["268.50"])
    currency: str = Field(description="Tag 15.", examples=["USD"])
    time_in_force: str = Field(description="Tag 59.", examples=["day"])
    trading_session_id: SessionId
    trade_date: Day = Field(description="Tag 75, the exchange's.")
    session_date: Day
    text: str | None = Field(description="Tag 58.", examples=[None])
    status: str = Field(
        description="Where it stands: an open list of words.", examples=["reserved"]
    )
    order_status: str = Field(description="Tag 39.", examples=["pending_new"])
    pending_request: str = Field(
        description="A cancel or a replace that waits for the broker's word, or none.",
        examples=["none"],
    )
    in_doubt: bool = Field(description="Sent, and no answer yet: it may be live at the broker.")
    working_indicator: bool = Field(description="Tag 636: a broker has said that it has it.")
    done_for_day: bool
    filled_quantity: str = Field(description="Tag 14.", examples=["0"])
    remaining_quantity: str = Field(description="Tag 151.", examples=["10"])
    overfilled_quantity: str = Field(
        description="What a broker traded beyond the quantity.", examples=["0"]
    )
    filled_value: str = Field(examples=["0"])
    average_price: str | None = Field(description="Tag 6.", examples=[None])
    broker_id: str | None = Field(examples=[None])
    broker_order_id: str | None = Field(description="Tag 198.", examples=[None])
    reason_code: str | None = Field(examples=[None])
    cancel_origin: str | None = Field(examples=[None])
    accept_sequence: int
    version: int = Field(description="Its ETag.")
    accepted_at: At
    released_at: At | None = Field(examples=[None])
    updated_at: At


class OrderTold(OrderInView):
    """One order, whole."""

    effective_time: At | None = Field(description="Tag 168: when its session opens.")


assert set(Order._fields) <= set(OrderTold.model_fields), "an order is told whole"


class Problem(Told):
    """RFC 9457. `code` is stable; the rest is for people."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    instance: str
    request_id: str
    retryable: bool
    retry_after: int | None = Field(description="Seconds, as in the header.")
    doc_url: str
    order_id: str | None
    param: str | None
    context: dict[str, object]
    errors: list[dict[str, str]]
    violated_policies: list[str] | None = Field(
        default=None,
        alias="violated-policies",
        description="Of a 429: the quotas in the way.",
    )


class ResultTold(Told):
    """What became of one order of a batch: `order` or `error`."""

    index: int
    client_order_id: str | None
    status: int = Field(description="201 created, 200 replayed, else as the problem says.")
    order: OrderTold | None = None
    error: Problem | None = None


class ResultsTold(Told):
    """One result for each order, in input order."""

    list_id: str | None
    accepted: int
    rejected: int
    results: list[ResultTold]


class PageTold(Told):
    """One page, newest first."""

    data: list[OrderTold]
    has_more: bool
    next_cursor: str | None


class BookPageTold(Told):
    """One page of the view, newest first."""

    data: list[OrderInView]
    has_more: bool
    next_cursor: str | None


class ListTold(Told):
    """How far a list is."""

    list_id: str = Field(description="Tag 66.", examples=["l-1"])
    account_id: AccountId
    total_orders: int = Field(description="Tag 68: all that came, whatever became of them.")
    open_orders: int = Field(description="Those that have not ended.")
    by_status: dict[str, int]
    list_order_status: str = Field(
        description="Tag 431: executing or all_done.", examples=["executing"]
    )


class ExecutionTold(Told):
    """One execution."""

    execution_id: str = Field(description="Tag 17.")
    referenced_execution_id: str | None = Field(description="Tag 19.")
    order_id: OrderId
    broker_id: str = Field(examples=["north"])
    broker_order_id: str = Field(description="Tag 198.")
    execution_type: str = Field(description="Tag 150.", examples=["trade"])
    last_quantity: str = Field(description="Tag 32.", examples=["10"])
    last_price: str | None = Field(description="Tag 31.", examples=["268.50"])
    trade_date: Day = Field(description="Tag 75.")
    at: At = Field(description="Tag 60.")
    possible_duplicate: bool = Field(description="Tag 43.")


class ExecutionsTold(Told):
    """All of them, in the order in which we learned of them."""

    data: list[ExecutionTold]


class EventTold(Told):
    """One step of an order's life."""

    sequence: int
    type: str = Field(examples=["reserved"])
    at: At
    actor: str
    cause: str


class EventsTold(Told):
    """Its whole life so far."""

    data: list[EventTold]


class SummaryTold(Told):
    """An account in one look."""

    account_id: AccountId
    by_status: dict[str, int]
    filled_value: dict[str, str]


def request_of(new: NewOrder, list_id: str | None = None) -> OrderRequest:
    """Return what intake judges."""
    return OrderRequest(
        account_id=new.account_id,
        client_order_id=new.client_order_id,
        symbol=new.symbol,
        market=new.market,
        side=new.side,
        order_type=new.order_type,
        quantity=Decimal(new.quantity),
        limit_price=None if new.limit_price is None else Decimal(new.limit_price),
        currency=new.currency,
        time_in_force=new.time_in_force,
        trading_session_id=new.trading_session_id,
        list_id=new.list_id or list_id,
        text=new.text,
    )
