"""The days that have left the ledger, as files with a manifest that says what they must hold.

    <root>/2026-03-02/manifest.json      who wrote it, the rows and checksums of each table
                      orders.copy.gz …   PostgreSQL: what COPY gave, for COPY to take
                      ledger.db          SQLite: the day's tables, to be opened as they are

A day appears whole or not at all: it is written beside its place, synced, and renamed. The trap
is an archive that is believed because it was written: a manifest is made from what was read back
from the files, and before a table is dropped both are read again.

`sha512` of a file is what `sha512sum` prints; that of a table is of its rows, in the order of
their key, and does not change when the files are packed anew.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any, Final, NamedTuple

MANIFEST: Final = "manifest.json"
BLOCK_BYTES: Final = 1 << 20


class Broken(Exception):
    """An archive whose files are not what its manifest says."""


class Contents(NamedTuple):
    """What one table held."""

    columns: tuple[str, ...]
    rows: int
    sha512: str


class File(NamedTuple):
    """One file, as `stat` and `sha512sum` show it."""

    bytes: int
    sha512: str


class Manifest(NamedTuple):
    """What an archive must hold. `totals` move with every change of the day."""

    trade_date: date
    form: str
    revision: str
    archived_at: str
    tables: Mapping[str, Contents]
    totals: tuple[int, ...] = ()
    files: Mapping[str, File] = {}


class Archive:
    """A directory of archived days."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def days(self) -> frozenset[date]:
        """Return the days that were archived whole."""
        found = self.root.glob(f"????-??-??/{MANIFEST}")
        return frozenset(date.fromisoformat(path.parent.name) for path in found)

    def place(self, day: date) -> Path:
        """Return where the files of a day are, or will be."""
        return self.root / day.isoformat()

    @contextmanager
    def writing(self, day: date) -> Iterator[Path]:
        """Lend a directory for the files of a day; `seal` makes an archive of it."""
        draft = self.root / f".{day}.draft"  # only one job writes; what a dead one left, goes
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        try:
            yield draft
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def seal(self, draft: Path, manifest: Manifest) -> Manifest:
        """Put the files of `draft` in their place, durably; one that stands there goes aside."""
        files = {path.name: measured(path) for path in sorted(draft.iterdir())}
        manifest = manifest._replace(files=files)
        (draft / MANIFEST).write_text(_written(manifest), "utf-8")
        for path in (*draft.iterdir(), draft):
            _sync(path)
        self.set_aside(manifest.trade_date)
        draft.rename(self.place(manifest.trade_date))
        _sync(self.root)
        return manifest

    def set_aside(self, day: date) -> None:
        """Keep an archive that is not of the day as it stands now, under another name."""
        place = self.place(day)
        numbers = range(1, 10_000)
        asides = (place.with_name(f"{place.name}.replaced-{number}") for number in numbers)
        if place.exists():
            place.rename(next(aside for aside in asides if not aside.exists()))

    def checked(self, day: date) -> Manifest:
        """Return the manifest of a day whose files are what it says, or raise `Broken`."""
        place = self.place(day)
        try:
            manifest = _read(json.loads((place / MANIFEST).read_text("utf-8")))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as e:
            raise Broken(f"{place / MANIFEST}: cannot be read ({e!r})") from e
        if manifest.trade_date != day:
            raise Broken(f"{place / MANIFEST}: is of {manifest.trade_date}")
        for name, expected in manifest.files.items():
            try:
                found = measured(place / name)
            except OSError as e:
                raise Broken(f"{place / name}: cannot be read ({e})") from e
            if found != expected:
                raise Broken(
                    f"{place / name}: expected {expected.bytes} bytes with SHA-512"
                    f" {expected.sha512[:16]}…, found {found.bytes} with {found.sha512[:16]}…"
                )
        return manifest


def measured(path: Path) -> File:
    """Return the size and checksum of a file, by reading all of it."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        return File(size, hashlib.file_digest(file, "sha512").hexdigest())


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _written(manifest: Manifest) -> str:
    document: dict[str, Any] = manifest._asdict()
    document["trade_date"] = manifest.trade_date.isoformat()
    for name in ("tables", "files"):
        document[name] = {key: value._asdict() for key, value in document[name].items()}
    return json.dumps(document, indent=1) + "\n"


def _read(document: dict[str, Any]) -> Manifest:
    return Manifest(
        trade_date=date.fromisoformat(document["trade_date"]),
        form=str(document["form"]),
        revision=str(document["revision"]),
        archived_at=str(document["archived_at"]),
        tables={
            name: Contents(tuple(found["columns"]), int(found["rows"]), str(found["sha512"]))
            for name, found in document["tables"].items()
        },
        totals=tuple(map(int, document["totals"])),
        files={
            name: File(int(found["bytes"]), str(found["sha512"]))
            for name, found in document["files"].items()
        },
    )
