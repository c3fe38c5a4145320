"""The schema of the ledger, as `migrations/` builds it, for SQLite and for PostgreSQL.

Four shapes matter. The key table is apart from orders and never shrinks, because an id is spent
for ever. What is kept by trade date (`parted`) is a table a day, so that a closed day leaves as
one. What waits stands in small queue tables (`reserved_book`, `dispatch_ready`,
`dispatch_inflight`, `cancel_requests`, `replace_requests`), so that a moving status needs no
index. One open attempt an order is the primary key of `dispatch_inflight`, and one replace that of
`replace_requests`: the promise of this house is a constraint and not a habit.
"""

from typing import Any, Final

from sqlalchemy import Column, Computed, Identity, Index, MetaData, Sequence, SmallInteger, Table

from app.ledger import control_tables
from app.ledger.columns import INTEGER, QUEUE, date, declared, integer, number, shared, text

PARTED: Final = ("orders", "order_events", "attempts", "executions")
SHARDS: Final = 16
SHARD: Final = f"(hashtext(aggregateid) & {SHARDS - 1})::smallint"


def parted(store: MetaData, part: str = "") -> list[Table]:
    """Declare what is kept by trade date: PostgreSQL's parents, or (`part`) one day of SQLite."""
    options: dict[str, Any] = {"store": store}
    if not part:
        options["postgresql_partition_by"] = "RANGE (trade_date)"
    tables = [
        _orders(part, options),
        declared(
            f"order_events{part}",
            text("order_id", key=True),
            integer("sequence", key=True),  # equals the order's version
            date("trade_date", key=not part),
            text("type"),
            integer("at"),
            text("actor"),
            text("cause"),
            **options,
        ),
        declared(
            f"attempts{part}",
            text("broker_order_key", key=True),  # order id and attempt number, so also its id
            date("trade_date", key=not part),
            text("order_id"),
            integer("attempt_number"),
            text("broker_id"),
            text("route_id"),
            integer("route_epoch"),
            integer("owner_epoch"),
            integer("rank"),  # its place in the queue, should it have to go back
            integer("claimed_at"),
            integer("sent_ns", null=True),  # monotonic, read right before the write
            integer("send_count"),
            text("outcome"),
            text("settled_by", null=True),
            integer("settled_at", null=True),
            **options,
        ),
        _executions(part, options),
    ]
    assert [table.name.removesuffix(part) for table in tables] == list(PARTED)
    return tables


def _orders(part: str, options: dict[str, Any]) -> Table:
    orders = declared(
        f"orders{part}",
        integer("accept_sequence", key=True),  # in SQLite the rowid: the fastest look-up
        date("trade_date", key=not part),
        text("order_id"),
        date("session_date"),
        text("trading_session_id"),
        text("account_id"),
        text("client_order_id"),
        text("list_id", null=True),
        text("symbol"),
        text("market"),
        text("side"),
        text("order_type"),
        number("quantity"),
        number("limit_price", null=True),
        text("currency"),
        text("time_in_force"),
        text("text", null=True),
        integer("accepted_at"),
        integer("version"),
        text("status"),
        text("pending_request"),
        number("filled_quantity"),
        number("overfilled_quantity"),
        number("filled_value"),
        number("average_price", null=True),
        text("broker_id", null=True),
        text("broker_order_id", null=True),
        text("reason_code", null=True),
        text("cancel_origin", null=True),
        integer("done_for_day"),
        integer("released_at", null=True),
        integer("updated_at"),
        rowid=True,
        **options,
    )
    # A unique index of a partitioned table must hold the partition's key: as the last column,
    # or the planner takes "the whole day" for a narrow range of the index.
    by_id = [orders.c.order_id] if part else [orders.c.order_id, orders.c.trade_date]
    Index(f"orders{part}_by_id", *by_id, unique=True)
    Index(f"orders{part}_by_account", orders.c.account_id, orders.c.accept_sequence)
    return orders


def _executions(part: str, options: dict[str, Any]) -> Table:
    executions = declared(
        f"executions{part}",
        text("execution_id", key=True),
        text("broker_id", key=True),
        text("execution_date", key=True),  # 75 of the execution itself
        date("trade_date", key=not part),  # the order's, so that they stand and leave together
        text("order_id"),
        text("referenced_execution_id", null=True),
        text("report"),
        integer("applied_at"),
        **options,
    )
    Index(f"executions{part}_by_order", executions.c.order_id)
    return executions


order_keys = declared(
    "order_keys",
    text("account_id", key=True),
    text("client_order_id", key=True),
    text("order_id"),
    text("request_hash"),
    integer("accepted_at"),
    # By account, for a key that crossed a date would be another key there.
    postgresql_partition_by="HASH (account_id)",
)

reserved_book = declared(
    "reserved_book",
    text("trading_session_id", key=True),
    integer("accept_sequence", key=True),
    date("trade_date"),
    text("route_id"),
    postgresql_with=QUEUE,
)

dispatch_ready = declared(
    "dispatch_ready",
    text("route_id", key=True),
    # An account's n-th waiting order has rank n, so the key's order is the fair order.
    integer("rank", key=True),
    integer("accept_sequence", key=True),
    date("trade_date"),
    text("account_id"),
    text("symbol"),
    text("trading_session_id"),
    postgresql_with=QUEUE,
)
Index(
    "ready_by_account",
    dispatch_ready.c.account_id,
    dispatch_ready.c.route_id,
    dispatch_ready.c.accept_sequence,
)

dispatch_inflight = declared(
    "dispatch_inflight",  # the open attempts: one an order, or none
    text("order_id", key=True),
    text("broker_order_key"),
    date("trade_date"),
    text("broker_id"),
    text("outcome"),  # open, unknown
    integer("claim"),  # which claim it was: what a lost answer to its commit is read back by
    postgresql_with=QUEUE,
)
Index("inflight_by_broker", dispatch_inflight.c.broker_id)

held_orders = declared(
    "held_orders",  # what stands in no queue until somebody lets it go, or its session is over
    integer("accept_sequence", key=True),
    date("trade_date"),
    text("order_id"),
    text("trading_session_id"),
    text("account_id"),
    text("reason_code", null=True),
    integer("held_at"),
    rowid=True,
    postgresql_with=QUEUE,
)
Index("held_by_session", held_orders.c.trading_session_id, held_orders.c.accept_sequence)

cancel_requests = declared(
    "cancel_requests",  # the work list of the cancel lane
    text("order_id", key=True),
    date("trade_date"),
    integer("accept_sequence"),
    postgresql_with=QUEUE,
)

replace_requests = declared(
    "replace_requests",  # new terms that wait or are out: of an order one request, or none
    text("order_id", key=True),
    date("trade_date"),
    integer("accept_sequence"),
    text("broker_id"),
    text("broker_order_key"),  # its own; it begins with that of the attempt that it changes
    text("original", null=True),  # under which the broker knew the order when it was claimed
    number("quantity"),
    number("limit_price", null=True),
    text("state"),  # waiting, open, unknown
    integer("owner_epoch", null=True),
    integer("claim", null=True),
    integer("asked_at"),
    integer("sent_ns", null=True),
    postgresql_with=QUEUE,
)
Index("replace_requests_by_broker", replace_requests.c.broker_id, replace_requests.c.state)

replaces = declared(
    "replaces",  # how each ended: the last accepted one is the key under which an order lives
    text("broker_order_key", key=True),
    date("trade_date"),
    text("order_id"),
    text("original", null=True),
    number("quantity"),
    number("limit_price", null=True),
    text("state"),
    text("settled_by"),
    integer("settled_at"),
)
Index("replaces_by_order", replaces.c.order_id)

quarantine = declared(
    "quarantine",  # reports that fit no order, or contradict one: kept, shown, never dropped
    text("broker_id", key=True),
    text("broker_order_key", key=True),
    text("execution_id", key=True),
    text("cause"),
    text("report"),
    integer("at"),
)

outbox = declared(
    "outbox",
    Column("id", INTEGER, Identity(always=True), primary_key=True),
    text("event_id"),
    text("aggregatetype"),
    text("aggregateid"),
    text("type"),
    text("payload"),
    rowid=True,
    postgresql_with=QUEUE,
)


assert control_tables.audit.metadata is shared, "they are one schema"


def schema(dialect: str) -> MetaData:
    """Return all that stands in a ledger of this dialect, but for SQLite's tables of a day."""
    whole = MetaData()
    for table in shared.tables.values():
        table.to_metadata(whole)
    if dialect == "postgresql":
        parted(whole)
        Sequence("accept_sequence", metadata=whole)
        whole.tables["outbox"].append_column(
            # Whose relay carries it: a crowd of relays shares the events by it.
            Column("shard", SmallInteger, Computed(SHARD, persisted=True), nullable=False)
        )
    else:
        declared("accepted", integer("id", key=True), integer("last"), store=whole, rowid=True)
    return whole
