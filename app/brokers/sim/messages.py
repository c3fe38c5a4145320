"""What the simulated broker reads, answers and writes down. Values only.

`gc=False` because a million orders live here: none of these can be part of a cycle, and a
collector that walks a million objects stops the world just when the bell rings.
"""

from decimal import Decimal
from typing import Final, Literal

import msgspec

ZERO: Final = Decimal(0)
Decision = Literal["accepted", "rejected", "throttled", "duplicate"]


class NewOrder(msgspec.Struct, gc=False):
    """One item of POST /v1/orders. Strict: a number where a string belongs is a 400."""

    client_order_id: str
    account: str
    symbol: str
    market: str
    side: Literal["buy", "sell"]
    type: Literal["market", "limit"]
    quantity: str
    currency: str
    time_in_force: str
    limit_price: str | None = None


class Orders(msgspec.Struct):
    """The body of POST /v1/orders."""

    orders: list[NewOrder]


class Cancel(msgspec.Struct, gc=False):
    """One item of POST /v1/cancels."""

    client_order_id: str


class Cancels(msgspec.Struct):
    """The body of POST /v1/cancels."""

    orders: list[Cancel]


class NewTerms(msgspec.Struct, gc=False):
    """One item of POST /v1/replaces; also what an order is about to be changed to."""

    client_order_id: str  # its own
    original_client_order_id: str
    quantity: str
    limit_price: str | None = None


class Replaces(msgspec.Struct):
    """The body of POST /v1/replaces."""

    orders: list[NewTerms]


class Lookups(msgspec.Struct):
    """The body of POST /v1/lookups."""

    client_order_ids: list[str]


class Result(msgspec.Struct, omit_defaults=True, gc=False):
    """The answer to one order, one replace or one cancel."""

    client_order_id: str
    status: Literal["accepted", "rejected", "throttled"]
    order_id: str | None = None
    code: str | None = None
    detail: str | None = None
    retry_after: float | None = None


class Execution(msgspec.Struct, gc=False):
    """One report, as it is pushed and as a look-up lists it."""

    client_order_id: str
    order_id: str
    execution_id: str
    type: str
    trade_date: str
    at_ms: int
    last_quantity: str | None = None
    last_price: str | None = None
    referenced_execution_id: str | None = None
    reason: str | None = None
    possible_duplicate: bool = False
    quantity: str | None = None  # of `replaced`: the terms as they stand now
    limit_price: str | None = None


class Order(msgspec.Struct, gc=False):
    """One order as the broker holds it; what only the record needs stands only in the file."""

    client_order_id: str
    order_id: str
    market: str
    quantity: str
    limit_price: str | None
    accepted_ns: int
    status: str = "new"
    cancel_pending: bool = False
    filled: Decimal = ZERO
    reason: str | None = None
    executions: tuple[Execution, ...] = ()
    live: str = ""  # the key of the last replace that took effect
    replacing: NewTerms | None = None

    @property
    def key(self) -> str:
        """What it is called now: a replaced order goes on under the key of its replace."""
        return self.live or self.client_order_id


class AuditLine(msgspec.Struct, omit_defaults=True, gc=False):
    """One line of the record; absent fields are left out.

    NEW     a judged order: all its fields, `decision`, and `order_id` or `code`
    CANCEL  a judged cancel: `client_order_id`, `decision`, `code`
    REPLACE a judged replace: its own `client_order_id`, `original`, the terms, `decision`, `code`
    CHANGE  `type` replaced (with the terms as they stand) or replace_rejected, with execution_id
    QUERY   one look-up request: the ids answered `found` and `unknown`
    FILL    `type` trade, trade_cancel or trade_correct, with execution_id and amounts
    END     `type` canceled, expired or done_for_day
    FAULT   a request that was never judged (or an invented report), by the fault that ate it
    TOLD    executions whose callback got its 2xx

    `ns` is monotonic at receipt, so lines are not quite in its order; `decided_ns` is there
    when the judgement came much later (`late_accept`).
    """

    ns: int
    kind: Literal["NEW", "CANCEL", "REPLACE", "CHANGE", "QUERY", "FILL", "END", "FAULT", "TOLD"]
    conn: int = 0
    client_order_id: str | None = None
    original: str | None = None
    account: str | None = None
    symbol: str | None = None
    market: str | None = None
    side: str | None = None
    type: str | None = None
    quantity: str | None = None
    limit_price: str | None = None
    currency: str | None = None
    time_in_force: str | None = None
    decision: Decision | None = None
    code: str | None = None
    order_id: str | None = None
    execution_id: str | None = None
    trade_date: str | None = None
    at_ms: int | None = None
    last_quantity: str | None = None
    last_price: str | None = None
    referenced_execution_id: str | None = None
    reason: str | None = None
    decided_ns: int | None = None
    fault: str | None = None
    client_order_ids: list[str] | None = None
    found: list[str] | None = None
    unknown: list[str] | None = None
    told: list[str] | None = None


encode: Final = msgspec.json.Encoder().encode
read_orders: Final = msgspec.json.Decoder(Orders).decode
read_cancels: Final = msgspec.json.Decoder(Cancels).decode
read_replaces: Final = msgspec.json.Decoder(Replaces).decode
read_lookups: Final = msgspec.json.Decoder(Lookups).decode
read_line: Final = msgspec.json.Decoder(AuditLine).decode
# msgspec lets two more escape: broken UTF-8 inside a string, and nesting without end.
Malformed: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
