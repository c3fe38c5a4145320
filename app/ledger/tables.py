"""The schema of the ledger, as `migrations/` builds it.

Three shapes matter. The key table is apart from orders and never shrinks, because an id is
spent for ever. What waits stands in small queue tables (`reserved_book`, `dispatch_ready`), so
that a moving status needs no index. One open attempt an order is a unique index, so that the
promise of this house is a constraint and not a habit.
"""

from typing import Final

from sqlalchemy import Column, Index, Integer, MetaData, Table, Text, text

metadata: Final = MetaData()
OPEN: Final = "outcome IN ('open', 'unknown')"


def _text(name: str, *, null: bool = False, key: bool = False) -> Column[str]:
    return Column(name, Text, nullable=null, primary_key=key)


def _integer(name: str, *, null: bool = False, key: bool = False) -> Column[int]:
    return Column(name, Integer, nullable=null, primary_key=key)


def _table(name: str, *columns: Column[str] | Column[int], rowid: bool = False) -> Table:
    return Table(name, metadata, *columns, sqlite_strict=True, sqlite_with_rowid=rowid)


orders = _table(
    "orders",
    _integer("accept_sequence", key=True),
    _text("order_id"),
    _text("trade_date"),
    _text("session_date"),
    _text("trading_session_id"),
    _text("account_id"),
    _text("client_order_id"),
    _text("list_id", null=True),
    _text("symbol"),
    _text("market"),
    _text("side"),
    _text("order_type"),
    _text("quantity"),
    _text("limit_price", null=True),
    _text("currency"),
    _text("time_in_force"),
    _text("text", null=True),
    _integer("accepted_at"),
    _integer("version"),
    _text("status"),
    _text("pending_request"),
    _text("filled_quantity"),
    _text("overfilled_quantity"),
    _text("filled_value"),
    _text("average_price", null=True),
    _text("broker_id", null=True),
    _text("broker_order_id", null=True),
    _text("reason_code", null=True),
    _text("cancel_origin", null=True),
    _integer("done_for_day"),
    _integer("released_at", null=True),
    _integer("updated_at"),
    rowid=True,
)
Index("orders_by_id", orders.c.order_id, unique=True)
Index("orders_by_account", orders.c.account_id, orders.c.accept_sequence)
# Few at any time: the work list of the cancel lane.
Index(
    "orders_cancel_pending",
    orders.c.broker_id,
    sqlite_where=text("pending_request = 'cancel'"),
)

order_keys = _table(
    "order_keys",
    _text("account_id", key=True),
    _text("client_order_id", key=True),
    _text("order_id"),
    _text("request_hash"),
    _integer("accepted_at"),
)

attempts = _table(
    "attempts",
    _text("broker_order_key", key=True),  # order id and attempt number, so also its id
    _text("order_id"),
    _integer("attempt_number"),
    _text("broker_id"),
    _text("route_id"),
    _integer("route_epoch"),
    _integer("owner_epoch"),
    _integer("rank"),  # its place in the queue, should it have to go back
    _integer("claimed_at"),
    _integer("sent_ns", null=True),  # monotonic, read right before the write
    _integer("send_count"),
    _text("outcome"),
    _text("settled_by", null=True),
    _integer("settled_at", null=True),
)
Index("one_open_attempt", attempts.c.order_id, unique=True, sqlite_where=text(OPEN))
Index("attempts_open", attempts.c.broker_id, sqlite_where=text(OPEN))

executions = _table(
    "executions",
    _text("trade_date", key=True),
    _text("broker_id", key=True),
    _text("execution_id", key=True),
    _text("order_id"),
    _text("referenced_execution_id", null=True),
    _text("report"),
    _integer("applied_at"),
)
Index("executions_by_order", executions.c.order_id)

quarantine = _table(
    "quarantine",  # reports that fit no order, or contradict one: kept, shown, never dropped
    _text("broker_id", key=True),
    _text("broker_order_key", key=True),
    _text("execution_id", key=True),
    _text("cause"),
    _text("report"),
    _integer("at"),
)

order_events = _table(
    "order_events",
    _text("order_id", key=True),
    _integer("sequence", key=True),  # equals the order's version
    _text("type"),
    _integer("at"),
    _text("actor"),
    _text("cause"),
)

reserved_book = _table(
    "reserved_book",
    _text("trading_session_id", key=True),
    _integer("accept_sequence", key=True),
    _text("route_id"),
)

dispatch_ready = _table(
    "dispatch_ready",
    _text("route_id", key=True),
    # An account's n-th waiting order has rank n, so the key's order is the fair order.
    _integer("rank", key=True),
    _integer("accept_sequence", key=True),
    _text("account_id"),
    _text("trading_session_id"),
)
Index(
    "ready_by_account",
    dispatch_ready.c.route_id,
    dispatch_ready.c.account_id,
    dispatch_ready.c.accept_sequence,
)

outbox = _table(
    "outbox",
    _integer("id", key=True),
    _text("event_id"),
    _text("aggregatetype"),
    _text("aggregateid"),
    _text("type"),
    _text("payload"),
    rowid=True,
)

broker_control = _table(
    "broker_control",
    _text("broker_id", key=True),
    _integer("version"),
    _integer("tps"),
    _text("dispatch"),
    _text("breaker"),
    _text("changed_by"),
    _integer("changed_at"),
    _text("reason"),
    _integer("expires_at", null=True),
    _text("reverts_to", null=True),
)

broker_leases = _table(
    "broker_leases",
    _text("broker_id", key=True),
    _text("holder"),
    _integer("epoch"),
    _integer("expires_at"),
)

routes = _table(
    "routes",
    _text("route_id", key=True),
    _text("active_broker"),
    _integer("epoch"),
)

halts = _table(
    "halts",
    _text("scope", key=True),
    _text("target", key=True),
    _text("halted_by"),
    _integer("halted_at"),
    _text("reason"),
)

session_overrides = _table(
    "session_overrides",
    _text("trading_session_id", key=True),
    _integer("version"),
    _integer("opens_at"),
    _integer("closes_at"),
    _text("changed_by"),
    _text("reason"),
)

audit = _table(
    "audit",
    _integer("sequence", key=True),
    _integer("at"),
    _text("actor"),
    _text("action"),
    _text("resource"),
    _text("before"),
    _text("after"),
    _text("reason"),
    _text("request_id"),
    _text("previous_hash"),
    _text("hash"),
    rowid=True,
)
