"""An archive as Impala leaves it: made here, row by row, so that a test knows what is in it.

Strings are bytes without annotation, timestamps are INT96 of a wall in Seoul, decimals are
FIXED_LEN_BYTE_ARRAY, and the trade date stands in the folder's name alone.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

SEOUL: Final = "Asia/Seoul"
MONDAY: Final = date(2026, 1, 5)
TUESDAY: Final = date(2026, 1, 6)
WEDNESDAY: Final = date(2026, 1, 7)
# The bell of New York on a wall in Seoul.
BELL: Final = datetime(2026, 1, 5, 23, 30)  # noqa: DTZ001 - Impala keeps no zone
SCHEMA: Final = pa.schema(
    [
        ("accept_sequence", pa.int64()),
        ("order_id", pa.binary()),
        ("account_id", pa.binary()),
        ("symbol", pa.binary()),
        ("market", pa.binary()),
        ("side", pa.binary()),
        ("order_type", pa.binary()),
        ("quantity", pa.decimal128(18, 4)),
        ("limit_price", pa.decimal128(18, 4)),
        ("currency", pa.binary()),
        ("time_in_force", pa.binary()),
        ("accepted_at", pa.timestamp("ns")),
        ("status", pa.binary()),
        ("filled_quantity", pa.decimal128(18, 4)),
        ("average_price", pa.decimal128(18, 4)),
    ]
)
Row = dict[str, Any]


def a_row(number: int = 1, **facts: Any) -> Row:
    """Return a filled order of an account: 10 at 187.25; `number` makes it another one."""
    row = {
        "accept_sequence": number,
        "order_id": f"SRC-{number:08d}".encode(),
        "account_id": f"acc-{number % 17}".encode(),
        "symbol": b"$AAPL",
        "market": b"XNAS",
        "side": b"buy" if number % 3 else b"sell",
        "order_type": b"limit",
        "quantity": Decimal("10.0000"),
        "limit_price": Decimal("187.2500") + number % 100,
        "currency": b"USD",
        "time_in_force": b"day",
        "accepted_at": BELL + timedelta(milliseconds=number),
        "status": b"filled",
        "filled_quantity": Decimal("10.0000"),
        "average_price": Decimal("187.2000"),
    }
    return row | facts


def rows(count: int, *, first: int = 1, **facts: Any) -> list[Row]:
    return [a_row(number, **facts) for number in range(first, first + count)]


def write(
    root: Path,
    day: date,
    made: Sequence[Row],
    *,
    name: str = "a14f_data.0.parq",
    group_rows: int = 1_000_000,
    schema: pa.Schema = SCHEMA,
) -> Path:
    """Write one file of one trade date, as Impala would; return its path."""
    path = root / f"trade_date={day}" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist(list(made), schema=schema)
    pq.write_table(
        table,
        path,
        use_deprecated_int96_timestamps=True,
        store_schema=False,
        row_group_size=group_rows,
        compression="snappy",
    )
    return path


def write_days(root: Path, days: Mapping[date, Iterable[Row]]) -> None:
    for day, made in days.items():
        write(root, day, list(made))


def corrupt(path: Path, *, first: float = 0.0, last: float = 0.6) -> Path:
    """Overwrite a part of the pages; the footer stays, so the file looks whole."""
    raw = bytearray(path.read_bytes())
    start, end = max(4, int(len(raw) * first)), int(len(raw) * last)
    raw[start:end] = b"\xa5" * (end - start)
    path.write_bytes(raw)
    return path
