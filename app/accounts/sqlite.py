"""The account book of the embedded gateway: one row an order, the newest version only.

A document is stored if it is newer than the one that is there; the guard stands in the
statement itself, so a stale event that was decided upon a moment ago still changes nothing.
Pages go by `accept_sequence`, which never moves, so an order that changes between two pages is
neither shown twice nor missed. Every query names its account: a cursor only says where to go
on, never whose orders (`cursors.py`).

A batch travels as in `bus/log`: facts as JSON, documents end to end in one blob, so that they
come back byte for byte, and every statement is a single step beside a busy loop.
"""

from collections.abc import Sequence
from decimal import Decimal
from functools import partial
from typing import Any, Final

import sqlalchemy as sa

from app import codec
from app.accounts.cursors import cursor_at, page_size, place_of
from app.accounts.storable import that_fit, total
from app.ports.accounts import EVERYTHING, AccountDocument, AccountSummary, Page, Span, Unstorable
from app.sqlite import Database

_TABLES: Final = (
    """CREATE TABLE IF NOT EXISTS account_orders (
        order_id TEXT NOT NULL PRIMARY KEY, account_id TEXT NOT NULL,
        accept_sequence INTEGER NOT NULL, version INTEGER NOT NULL, status TEXT NOT NULL,
        symbol TEXT NOT NULL, filled_quantity TEXT NOT NULL, filled_value TEXT NOT NULL,
        currency TEXT NOT NULL, document TEXT NOT NULL) STRICT""",
    """CREATE INDEX IF NOT EXISTS account_orders_newest
        ON account_orders (account_id, accept_sequence DESC)""",
)

_UPSERT: Final = sa.text(
    """INSERT INTO account_orders (order_id, account_id, accept_sequence, version, status, symbol,
                                   filled_quantity, filled_value, currency, document)
    SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5,
           value ->> 6, value ->> 7, value ->> 8,
           CAST(substr(:documents, value ->> 9, value ->> 10) AS TEXT)
    FROM json_each(:rows) WHERE true
    ON CONFLICT (order_id) DO UPDATE SET version = excluded.version, status = excluded.status,
        filled_quantity = excluded.filled_quantity, filled_value = excluded.filled_value,
        document = excluded.document
    WHERE excluded.version > account_orders.version"""
)
# One more than asked for tells whether there is a next page.
_PAGE: Final = sa.text(
    """SELECT json_group_array(json_array(accept_sequence, length(CAST(document AS BLOB)))),
              CAST(group_concat(document, '') AS BLOB)
    FROM (SELECT accept_sequence, document FROM account_orders
          WHERE account_id = :account_id AND accept_sequence < :before
          AND (:status IS NULL OR status = :status)
          ORDER BY accept_sequence DESC LIMIT :limit + 1)"""
)
_COUNTS: Final = sa.text(
    """SELECT json_group_object(status, orders) FROM (
        SELECT status, count(*) AS orders FROM account_orders
        WHERE account_id = :account_id GROUP BY status)"""
)
_VALUES: Final = sa.text(
    """SELECT json_group_object(currency, json(filled_values)) FROM (
        SELECT currency, json_group_array(filled_value) AS filled_values FROM account_orders
        WHERE account_id = :account_id AND filled_value <> '0' GROUP BY currency)"""
)


_CLEAR: Final = sa.text(
    "DELETE FROM account_orders WHERE version > 0 AND order_id >= :first AND order_id < :end"
)


class SqliteAccountBook:
    """An `AccountBook` in one SQLite file."""

    def __init__(self, database: Database) -> None:
        self._database = database
        database.write_now(_create)

    async def upsert(self, documents: Sequence[AccountDocument]) -> int:
        """Store each document unless the same or a newer version is there; return how many."""
        fitting, causes = that_fit(documents)
        stored = await self._store(fitting) if fitting else 0
        if causes:
            raise Unstorable(causes, stored)
        return stored

    async def _store(self, documents: Sequence[AccountDocument]) -> int:
        rows = []
        start = 1  # SQL counts from one
        for document in documents:
            length = len(document.document)
            rows.append((*document[:-1], start, length))
            start += length
        batch = {
            "rows": codec.text(rows),
            "documents": b"".join([document.document for document in documents]),
        }
        return await self._database.write(partial(_upsert, batch))

    async def page(
        self, account_id: str, *, status: str | None, cursor: str | None, limit: int
    ) -> Page:
        """Return an account's orders, newest first; at most `PAGE_MAX` of them."""
        before = place_of(cursor, account_id)
        limit = page_size(limit)
        found = await self._database.read(
            partial(
                _page,
                {"account_id": account_id, "status": status, "before": before, "limit": limit},
            )
        )
        shown = found[:limit]
        more = len(found) > limit
        return Page(
            documents=[document for _, document in shown],
            next_cursor=cursor_at(shown[-1][0], account_id) if more else None,
        )

    async def summary(self, account_id: str) -> AccountSummary:
        """Return an account's orders counted by status, and the exact value that traded."""
        return await self._database.read(partial(_summary, account_id))

    async def clear(self, span: Span = EVERYTHING) -> None:
        """Forget what the ledger can tell again, for a rebuild; history (version 0) stays."""
        await self._database.write(lambda c: c.execute(_CLEAR, span._asdict()))


def _create(connection: sa.Connection) -> None:
    for statement in _TABLES:
        connection.exec_driver_sql(statement)


def _upsert(batch: dict[str, Any], connection: sa.Connection) -> int:
    return connection.execute(_UPSERT, batch).rowcount


def _page(query: dict[str, Any], connection: sa.Connection) -> list[tuple[int, bytes]]:
    rows, documents = connection.execute(_PAGE, query).one()
    found = []
    start = 0
    for accept_sequence, length in codec.decode(rows):
        found.append((accept_sequence, documents[start : start + length]))
        start += length
    return found


def _summary(account_id: str, connection: sa.Connection) -> AccountSummary:
    who = {"account_id": account_id}
    counts = codec.decode(connection.execute(_COUNTS, who).scalar_one())
    values = codec.decode(connection.execute(_VALUES, who).scalar_one())
    return AccountSummary(
        account_id=account_id,
        by_status=dict(sorted(counts.items())),
        filled_value={
            currency: total(map(Decimal, values[currency])) for currency in sorted(values)
        },
    )
