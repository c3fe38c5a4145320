"""The books of a storm, read past the gateway: what the ledger holds, what the view shows.

A trigger of our own copies the id of every event that is ever committed to the outbox, since the
relay deletes what it has carried; so "nothing was lost on the way to Kafka" is compared with what
was there and not with what should have been.
"""

import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any, Final, cast

import psycopg
import pymongo
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from psycopg.abc import QueryNoTemplate

from app.accounts.mongo_shape import COLLECTION
from tests.faults.stack_crowd import Crowd
from tests.faults.storm_night import _ORDERS, NEVER_THERE, _wrong_with

CONNECT_S: Final = 5
# By itself it would wait for an answer for ever. The stand-in reads a whole view in a minute.
SOCKET_MS: Final = 300_000
SHOWN_MAX: Final = 5
_TRACE: Final = """
CREATE TABLE storm_outbox (event_id text NOT NULL, topic text NOT NULL);
CREATE FUNCTION storm_note() RETURNS trigger LANGUAGE plpgsql AS
'BEGIN INSERT INTO storm_outbox SELECT event_id, aggregatetype FROM fresh; RETURN NULL; END';
CREATE TRIGGER storm_note AFTER INSERT ON outbox REFERENCING NEW TABLE AS fresh
FOR EACH STATEMENT EXECUTE FUNCTION storm_note();
"""


class Books:
    """PostgreSQL and MongoDB of one storm."""

    def __init__(self, ledger_url: str, mongo_url: str, mongo_database: str) -> None:
        self._ledger_url = ledger_url
        self._mongo_url = mongo_url
        self._mongo_database = mongo_database

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(
            self._ledger_url, autocommit=True, connect_timeout=CONNECT_S
        ) as session:
            found = session.execute(cast("QueryNoTemplate", statement))
            return found.fetchall() if found.description else []

    def trace_the_outbox(self) -> None:
        """Keep the id of every event from here on."""
        self.sql(_TRACE)

    def traced(self) -> dict[str, set[str]]:
        """Return the ids of all events that were ever in the outbox, by topic."""
        found: dict[str, set[str]] = {}
        for event_id, topic in self.sql("SELECT event_id, topic FROM storm_outbox"):
            found.setdefault(f"openbell.{topic}.v1", set()).add(event_id)
        return found

    def statuses(self) -> dict[str, int]:
        return {
            row[0]: row[1] for row in self.sql("SELECT status, count(*) FROM orders GROUP BY 1")
        }

    def outbox(self) -> int:
        return int(self.sql("SELECT count(*) FROM outbox")[0][0])

    def quiet_s(self) -> float:
        """Return how long ago anything changed, by the server's clock."""
        ago = "extract(epoch FROM clock_timestamp()) - max(at) / 1000.0"
        return float(self.sql(f"SELECT {ago} FROM order_events")[0][0])

    def versions(self) -> dict[str, int]:
        return {row[0]: row[1] for row in self.sql("SELECT order_id, version FROM orders")}

    def trade_dates(self) -> list[str]:
        return [str(row[0]) for row in self.sql("SELECT DISTINCT trade_date FROM orders")]

    # --- the view -------------------------------------------------------------------------

    def view(self) -> dict[str, bytes]:
        """Return every document of the view, byte for byte."""
        raw = CodecOptions(document_class=RawBSONDocument)
        with self._mongo() as client:
            orders = client[self._mongo_database].get_collection(COLLECTION, codec_options=raw)
            return {found["_id"]: found.raw for found in orders.find()}

    def view_versions(self) -> dict[str, int]:
        with self._mongo() as client:
            orders = client[self._mongo_database][COLLECTION]
            return {found["_id"]: found["version"] for found in orders.find({}, {"version": 1})}

    def drop_view(self) -> None:
        with self._mongo() as client:
            client[self._mongo_database].drop_collection(COLLECTION)

    def drop_view_database(self) -> None:
        with self._mongo() as client:
            client.drop_database(self._mongo_database)

    def _mongo(self) -> pymongo.MongoClient[Any]:
        return pymongo.MongoClient(self._mongo_url, socketTimeoutMS=SOCKET_MS)


def compared(copy: Path, crowd: Crowd) -> list[str]:
    """Hold the crowd's memory against a copy of the ledger: each order once, as it was posted."""
    with closing(sqlite3.connect(f"file:{copy}?mode=ro", uri=True)) as ledger:
        rows = {row[0]: row for row in ledger.execute(_ORDERS)}
        keys = Counter(ledger.execute("SELECT account_id, client_order_id FROM orders"))
    wrong = [
        f"P1 {order_id} was answered and is not there" for order_id in crowd.posted.keys() - rows
    ]
    wrong += [
        f"{order_id} is there, and nobody was told" for order_id in rows.keys() - crowd.posted
    ]
    wrong += [f"P2 {key} stands {number} times" for key, number in keys.items() if number > 1]
    for order_id in rows.keys() & crowd.posted.keys():
        wrong += _wrong_with(rows[order_id], crowd.posted[order_id], crowd.quantities.get(order_id))
    for order_id in crowd.canceled_at_once & rows.keys():
        _, status, *_, attempts, _filled = rows[order_id]
        if status != "canceled" or not NEVER_THERE.issuperset(attempts.split(",")):
            wrong.append(f"P6 {order_id} was canceled unsent, and is {status}: {attempts}")
    return wrong
