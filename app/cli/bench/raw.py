"""What the servers' own clients do alone, without a line of the gateway: the measure of it.

Each loop does the work that a room of ours does, in the fewest and largest steps that we know,
from values that are finished before the clock starts. The trap is a measure that is easy to
beat: so the statement here is one for all tables, and may be better than the gateway's own.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import Any, Final, NamedTuple

from app.domain.records import Taking
from app.domain.values import new_order_id

# As the gateway's own: what one commit takes in, what one turn of a relay carries, and what one
# bulk stores.
GROUP: Final = 256
CARRIED: Final = 2_000
BULK: Final = 1_000
DURABLE_MS: Final = 10_000
# What a write must name, so that a cluster finds its one shard.
OF_A_WRITE: Final = ("_id", "account_id", "trade_date")
_STAGED: Final[Mapping[str, str]] = {
    **dict.fromkeys(("order_id", "request_hash", "route_id", "trading_session_id"), "text"),
    **dict.fromkeys(("account_id", "client_order_id", "symbol", "market", "side"), "text"),
    **dict.fromkeys(("order_type", "currency", "time_in_force"), "text"),
    **dict.fromkeys(("quantity", "limit_price"), "numeric"),
    "trade_date": "date",
    "accepted_at": "bigint",
}
_CELLS: Final = ", ".join(
    f"CAST(value ->> {place} AS {type_}) AS {name}"
    for place, (name, type_) in enumerate(_STAGED.items())
)
_AT: Final = """to_char(to_timestamp(accepted_at / 1000.0), 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')"""
_TERMS: Final = (
    "trading_session_id, account_id, client_order_id, symbol, market, side, order_type, currency,"
    " time_in_force"
)
# Keys, orders, the book, events and the outbox, of a group of reserved orders.
TAKE: Final = f"""
WITH r AS MATERIALIZED (
  SELECT {_CELLS}, place
  FROM jsonb_array_elements(%s::jsonb) WITH ORDINALITY AS t (value, place)
), k AS (
  INSERT INTO order_keys (account_id, client_order_id, order_id, request_hash, accepted_at)
  SELECT account_id, client_order_id, order_id, request_hash, accepted_at FROM r
  ORDER BY account_id, client_order_id, place ON CONFLICT DO NOTHING RETURNING order_id
), n AS MATERIALIZED (
  SELECT nextval('accept_sequence') AS accept_sequence, s.*
  FROM (SELECT r.* FROM r JOIN k USING (order_id) ORDER BY place) AS s
), o AS (
  INSERT INTO orders (accept_sequence, order_id, trade_date, session_date, {_TERMS}, quantity,
    limit_price, accepted_at, version, status, pending_request, filled_quantity,
    overfilled_quantity, filled_value, done_for_day, updated_at)
  SELECT accept_sequence, order_id, trade_date, trade_date, {_TERMS}, quantity, limit_price,
    accepted_at, 1, 'reserved', 'none', 0, 0, 0, 0, accepted_at FROM n
), b AS (
  INSERT INTO reserved_book (trading_session_id, accept_sequence, trade_date, route_id)
  SELECT trading_session_id, accept_sequence, trade_date, route_id FROM n
), e AS (
  INSERT INTO order_events (trade_date, order_id, sequence, type, at, actor, cause)
  SELECT trade_date, order_id, 1, 'order.reserved', accepted_at, 'client', 'taken' FROM n
), x AS (
  INSERT INTO outbox (event_id, aggregatetype, aggregateid, type, payload)
  SELECT order_id || '-1', 'orders', account_id, 'io.openbell.order.reserved.v1', (
    SELECT row_to_json(p) FROM (SELECT accept_sequence, order_id, trade_date,
      trade_date AS session_date, {_TERMS}, NULL AS list_id, CAST(quantity AS text) AS quantity,
      CAST(limit_price AS text) AS limit_price, NULL AS text, {_AT} AS accepted_at, 1 AS version,
      'reserved' AS status, 'none' AS pending_request, '0' AS filled_quantity,
      '0' AS overfilled_quantity, '0' AS filled_value, NULL AS average_price, NULL AS broker_id,
      NULL AS broker_order_id, NULL AS reason_code, NULL AS cancel_origin,
      false AS done_for_day, NULL AS released_at, {_AT} AS updated_at) AS p)
  FROM n ORDER BY accept_sequence
)
SELECT count(*) FROM n
"""  # noqa: S608 - our own column names; the values are bound


class Sent(NamedTuple):
    """One record for a topic."""

    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]


def staged(entries: Sequence[Taking], now: int, chance: int) -> str:
    """Return a group as the statement takes it; `chance` makes its ids."""
    rows = []
    for number, entry in enumerate(entries):
        request, day = entry.request, entry.session.trade_date
        values = {
            "order_id": new_order_id(day, now, chance + number),
            "request_hash": entry.request_hash,
            "route_id": entry.route_id,
            "trading_session_id": entry.session.trading_session_id,
            "trade_date": day,
            "accepted_at": now,
        }
        cells = [values.get(name) or getattr(request, name) for name in _STAGED]
        rows.append([cell if cell is None else str(cell) for cell in cells])
    return json.dumps(rows)


def take(url: str, groups: Sequence[str], orders: int) -> float:
    """Run the statement for each group, each durable; return orders a second."""
    import psycopg

    taken = 0
    with psycopg.connect(url) as session:
        session.prepare_threshold = 0
        began = perf_counter()
        for group in groups:
            ((count,),) = session.execute(TAKE.encode(), [group]).fetchall()
            session.commit()
            taken += count
        needed_s = perf_counter() - began
    assert taken == orders, f"expected to take {orders} orders, took {taken}"
    return orders / needed_s


def drain(url: str, events: int) -> float:
    """Read the outbox and delete what was read, with nothing between; return the seconds."""
    import psycopg

    gone = 0
    with psycopg.connect(url, autocommit=True) as session:
        session.prepare_threshold = 0
        began = perf_counter()
        while gone < events:
            rows = session.execute("SELECT * FROM outbox ORDER BY id LIMIT %s", [CARRIED])
            ids = [row[0] for row in rows]
            assert ids, f"expected {events} events, found {gone}"
            session.execute("DELETE FROM outbox WHERE id = ANY(%s)", [ids])
            gone += len(ids)
        return perf_counter() - began


async def produce(address: Mapping[str, Any], topic: str, records: Sequence[Sent]) -> float:
    """Send each record as aiokafka's manual says, and wait for all; return the seconds."""
    from aiokafka import AIOKafkaProducer  # type: ignore[import-untyped]

    producer = AIOKafkaProducer(
        **address,
        enable_idempotence=True,
        acks="all",
        compression_type="lz4",
        linger_ms=2,
        max_batch_size=256 << 10,
    )
    await producer.start()
    try:
        began = perf_counter()
        for start in range(0, len(records), CARRIED):
            sent = [
                await producer.send(topic, key=one.key, value=one.value, headers=one.headers)
                for one in records[start : start + CARRIED]
            ]
            await asyncio.gather(*sent)
        return perf_counter() - began
    finally:
        await producer.stop()


async def remove_topics(address: Mapping[str, Any], prefix: str) -> None:
    """Delete every topic whose name begins so."""
    from aiokafka.admin import AIOKafkaAdminClient  # type: ignore[import-untyped]

    admin = AIOKafkaAdminClient(**address)
    await admin.start()
    try:
        ours = [name for name in await admin.list_topics() if name.startswith(prefix)]
        await admin.delete_topics(ours)
    finally:
        await admin.close()


def store(url: str, place: tuple[str, str], documents: Sequence[dict[str, Any]]) -> float:
    """Replace or insert each document in bulks, durable at a majority; return the seconds."""
    from pymongo import MongoClient, ReplaceOne, WriteConcern

    database, collection = place
    durable = WriteConcern("majority", j=True, wtimeout=DURABLE_MS)
    writes = [
        ReplaceOne({name: one[name] for name in OF_A_WRITE}, one, upsert=True) for one in documents
    ]
    with MongoClient[dict[str, Any]](url) as client:
        orders = client[database].get_collection(collection, write_concern=durable)
        began = perf_counter()
        for start in range(0, len(writes), BULK):
            orders.bulk_write(writes[start : start + BULK], ordered=False)
        return perf_counter() - began


def remove_database(url: str, database: str) -> None:
    from pymongo import MongoClient

    with MongoClient[dict[str, Any]](url) as client:
        client.drop_database(database)


def mongo_version(url: str) -> str:
    from pymongo import MongoClient

    with MongoClient[dict[str, Any]](url) as client:
        return f"MongoDB {client.server_info()['version']}"
