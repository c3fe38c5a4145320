"""Keeps the rows of which no order could be made: as they were, with the reason beside them.

`rejects.parquet` is a folder laid out like the source, a file for each slice that had rejects:
`rejects.parquet/trade_date=2026-01-02/a14f-0_data.0.parq-g0-r0.parquet`. Each holds the columns
that the mapping reads and four more (`reject_reason`, `reject_file`, `reject_row_group`,
`reject_row`), with timestamps as INT96 again, so that a repaired folder can itself be loaded.

The trap is a file to which everybody appends. A worker that is killed leaves half a line, and the
next attempt writes the same rejects again; so a slice's file is written whole, at once, and the
next attempt replaces it.
"""

from pathlib import Path
from typing import Any

from app.accounts.history.source import Batch, Slice, pyarrow


class Rejects:
    """The rejects of one slice."""

    def __init__(self, folder: Path, part: Slice) -> None:
        name = f"{part.path}-g{part.row_group}-r{part.first_row}.parquet"
        self._path = folder / name
        self._part = part
        self._kept: list[Any] = []
        self.count = 0

    def add(self, batch: Batch, reasons: dict[int, str]) -> None:
        """Keep rows of a batch, by their place in it."""
        if not reasons:
            return
        arrow = pyarrow()
        rows = batch.table.take(arrow.array(list(reasons), arrow.int64()))
        told = {
            "reject_reason": list(reasons.values()),
            "reject_file": [self._part.path] * len(reasons),
            "reject_row_group": [self._part.row_group] * len(reasons),
            "reject_row": [batch.first_row + place for place in reasons],
        }
        table = arrow.Table.from_batches([rows])
        for name, values in told.items():
            table = table.append_column(name, arrow.array(values))
        self._kept.append(table)
        self.count += len(reasons)

    def write(self) -> None:
        """Put down what there is in one step; without rejects there is no file."""
        if not self._kept:
            self._path.unlink(missing_ok=True)
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self._path.with_name(f".{self._path.name}.unfinished")
        pyarrow("pyarrow.parquet").write_table(
            pyarrow().concat_tables(self._kept),
            unfinished,
            use_deprecated_int96_timestamps=True,
            store_schema=False,
        )
        unfinished.replace(self._path)
