"""The words in which the ledger's tables are declared: one type each for both dialects."""

from typing import Any, Final

from sqlalchemy import BigInteger, Column, Date, Integer, MetaData, Numeric, Table, Text

shared: Final = MetaData()

_NUMBER: Final = Text().with_variant(Numeric(), "postgresql")
_DATE: Final = Text().with_variant(Date(), "postgresql")
INTEGER: Final = BigInteger().with_variant(Integer(), "sqlite")
# A queue goes from empty to a million rows and back between two runs of autovacuum.
QUEUE: Final[dict[str, Any]] = {
    "autovacuum_vacuum_scale_factor": 0.02,
    "autovacuum_vacuum_cost_delay": 0,
}


def text(name: str, *, null: bool = False, key: bool = False) -> Column[Any]:
    return Column(name, Text, nullable=null, primary_key=key)


def integer(name: str, *, null: bool = False, key: bool = False) -> Column[Any]:
    return Column(name, INTEGER, nullable=null, primary_key=key, autoincrement=False)


def number(name: str, *, null: bool = False) -> Column[Any]:
    return Column(name, _NUMBER, nullable=null)


def date(name: str, *, key: bool = False) -> Column[Any]:
    return Column(name, _DATE, nullable=False, primary_key=key)


def declared(
    name: str, *columns: Column[Any], rowid: bool = False, store: MetaData = shared, **more: Any
) -> Table:
    return Table(name, store, *columns, sqlite_strict=True, sqlite_with_rowid=rowid, **more)
