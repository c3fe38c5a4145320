"""What Impala wrote is read as it was meant, slice by slice, and what is broken says so."""

import shutil
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest

from app.accounts.history import source
from app.accounts.history.making import bound_as_surveyed, made
from app.accounts.history.mapping import SourceMapping
from app.accounts.history.rejects import Rejects
from app.accounts.history.source import (
    Broken,
    Slice,
    SourceFile,
    Unreadable,
    bound_to,
    files,
    fingerprint_of,
    partition_of,
    read,
    slices,
)
from tests.accounts.history.archive import (
    MONDAY,
    SEOUL,
    TUESDAY,
    a_row,
    corrupt,
    rows,
    write,
)

MAPPING = SourceMapping(zone=SEOUL)


def test_the_archive_is_written_as_impala_does(tmp_path: Path) -> None:
    file = pq.ParquetFile(write(tmp_path, MONDAY, [a_row()]))
    kinds = {file.schema.column(n).name: file.schema.column(n) for n in range(len(file.schema))}

    assert kinds["accepted_at"].physical_type == "INT96"
    assert kinds["quantity"].physical_type == "FIXED_LEN_BYTE_ARRAY"
    assert kinds["symbol"].physical_type == "BYTE_ARRAY"
    assert kinds["symbol"].logical_type.type == "NONE"
    assert "trade_date" not in kinds


def test_rows_come_with_the_columns_of_their_folder(tmp_path: Path) -> None:
    write(tmp_path, MONDAY, rows(3))
    [file] = files(tmp_path)
    assert isinstance(file, SourceFile)
    bound = bound_to(tmp_path, file.path, MAPPING)

    [batch] = read(tmp_path, next(slices(file)), bound.columns)
    documents = made(batch, bound, None, range(3)).documents

    assert file.path == "trade_date=2026-01-05/a14f_data.0.parq"
    assert [document.order_id for _, document in documents] == [
        "SRC-00000001",
        "SRC-00000002",
        "SRC-00000003",
    ]
    assert b'"accepted_at":"2026-01-05T14:30:00.001Z"' in documents[0][1].document
    assert b'"trade_date":"2026-01-05"' in documents[0][1].document


def test_each_row_is_in_one_slice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "SLICE_ROWS", 7)
    monkeypatch.setattr(source, "BATCH_ROWS", 3)
    write(tmp_path, MONDAY, rows(50), group_rows=20)
    [file] = files(tmp_path)
    assert isinstance(file, SourceFile)

    found = [
        (row[0], part.row_group, batch.first_row + place)
        for part in slices(file)
        for batch in read(tmp_path, part, ("order_id",))
        for place, row in enumerate(batch.rows)
    ]

    assert file.row_groups == (20, 20, 10)
    assert [order for order, _, _ in found] == [row["order_id"] for row in rows(50)]
    assert [place for _, _, place in found] == [*range(20), *range(20), *range(10)]


def test_a_folder_names_its_columns() -> None:
    assert partition_of("year=2026/Market=X%20N/part.parq") == {"year": "2026", "market": "X N"}
    assert partition_of("d=__HIVE_DEFAULT_PARTITION__/part.parq") == {"d": None}
    assert partition_of("a=b.parq") == {}


def test_what_hive_hides_is_no_data(tmp_path: Path) -> None:
    kept = write(tmp_path, MONDAY, rows(1))
    for hidden in (
        "_impala_insert_staging/x.parq",
        "trade_date=2026-01-05/.tmp",
        "_SUCCESS",
    ):
        (tmp_path / hidden).parent.mkdir(exist_ok=True)
        shutil.copy(kept, tmp_path / hidden)

    assert len(list(files(tmp_path))) == 1


def test_a_file_that_is_cut_off_or_none_is_told_and_stops_nobody(tmp_path: Path) -> None:
    cut = write(tmp_path, MONDAY, rows(10))
    cut.write_bytes(cut.read_bytes()[:-100])
    (tmp_path / "readme.txt").write_text("not Parquet")
    (tmp_path / "empty.parq").touch()
    (tmp_path / "lie.parq").write_bytes(
        b"PAR1" + b"\xff" * 40 + (40).to_bytes(4, "little") + b"PAR1"
    )
    write(tmp_path, TUESDAY, rows(10))

    found = list(files(tmp_path))

    assert [type(file) for file in found] == [Broken, Broken, Broken, Broken, SourceFile]
    assert all(file.reason for file in found if isinstance(file, Broken))


def test_a_corrupted_page_is_told(tmp_path: Path) -> None:
    path = corrupt(write(tmp_path, MONDAY, rows(1_000)))
    part = Slice(path.relative_to(tmp_path).as_posix(), 0, 0, 1_000)

    with pytest.raises(Unreadable):
        list(read(tmp_path, part, ("order_id", "quantity")))


def test_a_file_that_was_replaced_is_another(tmp_path: Path) -> None:
    path = write(tmp_path, MONDAY, rows(5))
    before = fingerprint_of(path)
    inside = path.relative_to(tmp_path).as_posix()

    write(tmp_path, MONDAY, rows(5, symbol=b"MSFT"))

    assert fingerprint_of(path).footer != before.footer
    with pytest.raises(Unreadable, match="changed"):
        bound_as_surveyed(tmp_path, Slice(inside, 0, 0, 5), MAPPING, before)


def test_a_year_that_nanoseconds_cannot_hold_stays_that_year(tmp_path: Path) -> None:
    far = datetime(3000, 1, 2, 9, 30)  # noqa: DTZ001 - a wall
    table = pa.table({"at": pa.array([far], pa.timestamp("ms"))})
    pq.write_table(table, tmp_path / "x.parq", use_deprecated_int96_timestamps=True)

    [batch] = read(tmp_path, Slice("x.parq", 0, 0, 1), ("at",))

    assert batch.rows == [((far - datetime(1970, 1, 1)) // timedelta(milliseconds=1),)]  # noqa: DTZ001 - a wall


def test_columns_are_found_whatever_their_capitals(tmp_path: Path) -> None:
    path = tmp_path / "x.parq"
    pq.write_table(pa.table({"ORDER_ID": [b"a"], "Qty": [Decimal(1)]}), path)

    [batch] = read(tmp_path, Slice("x.parq", 0, 0, 1), ("order_id", "qty"))

    assert batch.rows == [(b"a", Decimal(1))]


def test_one_bad_value_spoils_its_own_row_alone(tmp_path: Path) -> None:
    texts = pa.array([b"good", b"\xff", b"good"], pa.binary()).view(pa.string())
    days = pa.array([0, 2**31 - 1, 1], pa.int32()).cast(pa.date32())
    pq.write_table(pa.table({"account_id": texts, "day": days}), tmp_path / "x.parq")

    [batch] = read(tmp_path, Slice("x.parq", 0, 0, 3), ("account_id", "day"))

    assert batch.rows == [(b"good", 0), (b"\xff", 2**31 - 1), (b"good", 1)]


def test_rejects_keep_the_row_and_the_reason_and_can_be_loaded_again(tmp_path: Path) -> None:
    write(tmp_path / "in", MONDAY, [a_row(1), a_row(2, quantity=Decimal(-1)), a_row(3)])
    [file] = files(tmp_path / "in")
    assert isinstance(file, SourceFile)
    part = next(slices(file))
    bound = bound_to(tmp_path / "in", file.path, MAPPING)
    [batch] = read(tmp_path / "in", part, bound.columns)
    rejects = Rejects(tmp_path / "rejects.parquet", part)

    rejects.add(batch, made(batch, bound, None, range(3)).reasons)
    rejects.write()

    [kept] = [file for file in files(tmp_path / "rejects.parquet") if isinstance(file, SourceFile)]
    [again] = read(tmp_path / "rejects.parquet", next(slices(kept)), bound.columns)
    told = pq.read_table(tmp_path / "rejects.parquet" / kept.path, partitioning=None).to_pylist()
    assert again.rows == [batch.rows[1]]
    assert told[0]["reject_reason"] == "quantity: expected a positive quantity, was -1"
    assert (told[0]["reject_file"], told[0]["reject_row"]) == (file.path, 1)


def test_an_attempt_without_rejects_takes_the_earlier_ones_away(tmp_path: Path) -> None:
    part = Slice("trade_date=2026-01-05/x.parq", 0, 0, 1)
    folder = tmp_path / "rejects.parquet"
    write(tmp_path / "in", MONDAY, [a_row()], name="x.parq")
    [batch] = read(tmp_path / "in", part, ("order_id",))
    first = Rejects(folder, part)
    first.add(batch, {0: "once"})
    first.write()
    assert len(list(folder.rglob("*.parquet"))) == 1

    Rejects(folder, part).write()

    assert not list(folder.rglob("*.parquet"))
