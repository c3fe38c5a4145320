"""The schema of the ledger, as `migrations/` builds it, for SQLite and for PostgreSQL.

Four shapes matter. The key table is apart from orders and never shrinks, because an id is spent
for ever. What is kept by trade date (`parted`) is a table a day, so that a closed day leaves as
one. What waits stands in small queue tables (`reserved_book`, `dispatch_ready`,
`dispatch_inflight`, `cancel_requests`), so that a moving status needs no index. One open attempt
an order is the primary key of `dispatch_inflight`: the promise of this house is a constraint and
not a habit.
"""

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    Computed,
    Date,
    Identity,
    Index,
    Integer,
    MetaData,
    Numeric,
    Sequence,
    SmallInteger,
    Table,
    Text,
)

shared: Final = MetaData()
PARTED: Final = ("orders", "order_events", "attempts", "executions")

_NUMBER: Final = Text().with_variant(Numeric(), "postgresql")
_DATE: Final = Text().with_variant(Date(), "postgresql")
_INTEGER: Final = BigInteger().with_variant(Integer(), "sqlite")
SHARDS: Final = 16
SHARD: Final = f"(hashtext(aggregateid) & {SHARDS - 1})::smallint"
# A queue goes from empty to a million rows and back between two runs of autovacuum.
_QUEUE: Final[dict[str, Any]] = {
    "autovacuum_vacuum_scale_factor": 0.02,
    "autovacuum_vacuum_cost_delay": 0,
}


def _text(name: str, *, null: bool = False, key: bool = False) -> Column[Any]:
    return Column(name, Text, nullable=null, primary_key=key)


def _integer(name: str, *, null: bool = False, key: bool = False) -> Column[Any]:
    return Column(name, _INTEGER, nullable=null, primary_key=key, autoincrement=False)


def _number(name: str, *, null: bool = False) -> Column[Any]:
    return Column(name, _NUMBER, nullable=null)


def _date(name: str, *, key: bool = False) -> Column[Any]:
    return Column(name, _DATE, nullable=False, primary_key=key)


def _table(
    name: str, *columns: Column[Any], rowid: bool = False, store: MetaData = shared, **more: Any
) -> Table:
    return Table(name, store, *columns, sqlite_strict=True, sqlite_with_rowid=rowid, **more)


def parted(store: MetaData, part: str = "") -> list[Table]:
    """Declare what is kept by trade date: PostgreSQL's parents, or (`part`) one day of SQLite."""
    options: dict[str, Any] = {"store": store}
    if not part:
        options["postgresql_partition_by"] = "RANGE (trade_date)"
    tables = [
        _orders(part, options),
        _table(
            f"order_events{part}",
            _text("order_id", key=True),
            _integer("sequence", key=True),  # equals the order's version
            _date("trade_date", key=not part),
            _text("type"),
            _integer("at"),
            _text("actor"),
            _text("cause"),
            **options,
        ),
        _table(
            f"attempts{part}",
            _text("broker_order_key", key=True),  # order id and attempt number, so also its id
            _date("trade_date", key=not part),
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
            **options,
        ),
        _executions(part, options),
    ]
    assert [table.name.removesuffix(part) for table in tables] == list(PARTED)
    return tables


def _orders(part: str, options: dict[str, Any]) -> Table:
    orders = _table(
        f"orders{part}",
        _integer("accept_sequence", key=True),  # in SQLite the rowid: the fastest look-up
        _date("trade_date", key=not part),
        _text("order_id"),
        _date("session_date"),
        _text("trading_session_id"),
        _text("account_id"),
        _text("client_order_id"),
        _text("list_id", null=True),
        _text("symbol"),
        _text("market"),
        _text("side"),
        _text("order_type"),
        _number("quantity"),
        _number("limit_price", null=True),
        _text("currency"),
        _text("time_in_force"),
        _text("text", null=True),
        _integer("accepted_at"),
        _integer("version"),
        _text("status"),
        _text("pending_request"),
        _number("filled_quantity"),
        _number("overfilled_quantity"),
        _number("filled_value"),
        _number("average_price", null=True),
        _text("broker_id", null=True),
        _text("broker_order_id", null=True),
        _text("reason_code", null=True),
        _text("cancel_origin", null=True),
        _integer("done_for_day"),
        _integer("released_at", null=True),
        _integer("updated_at"),
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
    executions = _table(
        f"executions{part}",
        _text("execution_id", key=True),
        _text("broker_id", key=True),
        _text("execution_date", key=True),  # 75 of the execution itself
        _date("trade_date", key=not part),  # the order's, so that they stand and leave together
        _text("order_id"),
        _text("referenced_execution_id", null=True),
        _text("report"),
        _integer("applied_at"),
        **options,
    )
    Index(f"executions{part}_by_order", executions.c.order_id)
    return executions


order_keys = _table(
    "order_keys",
    _text("account_id", key=True),
    _text("client_order_id", key=True),
    _text("order_id"),
    _text("request_hash"),
    _integer("accepted_at"),
    # By account, for a key that crossed a date would be another key there.
    postgresql_partition_by="HASH (account_id)",
)

reserved_book = _table(
    "reserved_book",
    _text("trading_session_id", key=True),
    _integer("accept_sequence", key=True),
    _date("trade_date"),
    _text("route_id"),
    postgresql_with=_QUEUE,
)

dispatch_ready = _table(
    "dispatch_ready",
    _text("route_id", key=True),
    # An account's n-th waiting order has rank n, so the key's order is the fair order.
    _integer("rank", key=True),
    _integer("accept_sequence", key=True),
    _date("trade_date"),
    _text("account_id"),
    _text("symbol"),
    _text("trading_session_id"),
    postgresql_with=_QUEUE,
)
Index(
    "ready_by_account",
    dispatch_ready.c.account_id,
    dispatch_ready.c.route_id,
    dispatch_ready.c.accept_sequence,
)

dispatch_inflight = _table(
    "dispatch_inflight",  # the open attempts: one an order, or none
    _text("order_id", key=True),
    _text("broker_order_key"),
    _date("trade_date"),
    _text("broker_id"),
    _text("outcome"),  # open, unknown
    _integer("claim"),  # which claim it was: what a lost answer to its commit is read back by
    postgresql_with=_QUEUE,
)
Index("inflight_by_broker", dispatch_inflight.c.broker_id)

cancel_requests = _table(
    "cancel_requests",  # the work list of the cancel lane
    _text("order_id", key=True),
    _date("trade_date"),
    _integer("accept_sequence"),
    postgresql_with=_QUEUE,
)

quarantine = _table(
    "quarantine",  # reports that fit no order, or contradict one: kept, shown, never dropped
    _text("broker_id", key=True),
    _text("broker_order_key", key=True),
    _text("execution_id", key=True),
    _text("cause"),
    _text("report"),
    _integer("at"),
)

outbox = _table(
    "outbox",
    Column("id", _INTEGER, Identity(always=True), primary_key=True),
    _text("event_id"),
    _text("aggregatetype"),
    _text("aggregateid"),
    _text("type"),
    _text("payload"),
    rowid=True,
    postgresql_with=_QUEUE,
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

lanes = _table(
    "lanes",  # as their dispatchers have last shown them to the doors of other processes
    _text("broker_id", key=True),
    _text("status"),
    _integer("shown_at"),
)

questions = _table(
    "questions",  # on doubts, for the dispatcher that follows them
    _text("broker_order_key", key=True),
    _text("answer", null=True),
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
        _table("accepted", _integer("id", key=True), _integer("last"), store=whole, rowid=True)
    return whole
