"""What the history commands work with: the account store that is set, and a source to read.

Every way in which these can be wrong is told in words with its exit code. The trap is the twin:
without OPENBELL_MONGO the gateway keeps its view in SQLite, and a load would go nowhere; so the
commands say so instead of choosing a store.
"""

import asyncio
import getpass
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from app.accounts.history.ceiling import Ceilings, Change
from app.accounts.history.mapping import BadMapping, SourceMapping, read_mapping
from app.accounts.history.plan import LoadPlan, Store
from app.accounts.history.signing import BadKey
from app.accounts.history.source import MissingPackage, pyarrow
from app.accounts.mongo import Client, close_client, make_client
from app.accounts.mongo_faults import away_by_its_name
from app.cli.asking.command import reported
from app.cli.asking.output import Ends, Failure
from app.ports.accounts import BookUnfit
from app.ports.away import StoreAway
from app.settings import read_settings

T = TypeVar("T")
ADVICE_STORE: Final = """set OPENBELL_MONGO='{"url": "mongodb://…"}'"""


class SourceOptions(NamedTuple):
    """What the command line says of a source."""

    folder: Path
    zone: str
    mapping: Path | None
    name: str | None
    before: str | None


@contextmanager
def told() -> Iterator[None]:
    """End the command in words for everything that can be wrong on a good day."""
    with reported():
        try:
            yield
        except MissingPackage as e:
            raise Failure(
                Ends.FAILED_CHECK,
                "this command reads Parquet, and pyarrow is not installed",
                advice="pip install 'openbell[history]'",
            ) from e
        except BadMapping as e:
            raise Failure(
                Ends.USAGE,
                "the mapping does not fit",
                why=str(e),
                advice="openbell history mapping shows what a mapping can say",
            ) from e
        except BadKey as e:
            raise Failure(Ends.FAILED_CHECK, "the signing key cannot be used", why=str(e)) from e
        except BookUnfit as e:
            raise Failure(Ends.FAILED_CHECK, "the account store is unfit", why=str(e)) from e
        except BrokenExecutor as e:
            raise Failure(
                Ends.TRY_AGAIN,
                "a process has died",
                why="killed, or taken down by a file that it was reading",
                advice="run the same command again",
            ) from e
        except StoreAway as e:
            raise Failure(
                Ends.UNREACHABLE,
                "the account store does not answer",
                why=str(e),
                advice="what is loaded stays; run the same command again",
            ) from e


def account_store() -> Store:
    """Return the store that the settings name, or end."""
    try:
        mongo = read_settings().mongo
    except ValueError as e:
        raise Failure(Ends.USAGE, "the settings cannot be read", why=str(e)) from e
    if mongo is None:
        raise Failure(
            Ends.USAGE,
            "no account store is set",
            why="history goes into MongoDB; the embedded store is for the embedded gateway",
            advice=ADVICE_STORE,
        )
    return Store(url=mongo.url, database=mongo.database, driver=mongo.driver)


def plan_of(options: SourceOptions) -> LoadPlan:
    """Return what there is to load or verify, or end."""
    pyarrow()  # before anything else: without it no command here can do its work
    folder = options.folder
    if not folder.is_dir():
        raise Failure(Ends.USAGE, f"{folder} is no folder", why="SRC is the table's folder")
    return LoadPlan(
        root=folder,
        source=source_name(folder, options.name),
        mapping=_mapping(options.mapping, options.zone),
        store=account_store(),
        before=_day(options.before),
    )


def source_name(folder: Path, name: str | None) -> str:
    """Return the name under which a source's chunks are kept."""
    return name or folder.resolve().as_posix()


def ask(store: Store, work: Callable[[Client], Coroutine[Any, Any, T]]) -> T:
    """Do something with a client of the store; return what it returns."""

    async def life() -> T:
        try:
            client = make_client(store.url, store.driver)
        except ValueError as e:
            raise Failure(Ends.USAGE, "the account store cannot be used", why=str(e)) from e
        try:
            with away_by_its_name():
                return await work(client)
        finally:
            await close_client(client)

    try:
        return asyncio.run(life())
    except KeyboardInterrupt as e:
        raise Failure(
            Ends.TRY_AGAIN, "stopped", advice="run the same command again: it goes on from there"
        ) from e


async def set_ceiling(client: Client, store: Store, number: int, reason: str) -> None:
    """Set the ceiling of all loads, or end if somebody else has just done so."""
    ceilings = Ceilings(client, store.database)
    change = Change(number, reason, getpass.getuser())
    if not await ceilings.change(change, await ceilings.now()):
        raise Failure(
            Ends.CONFLICT,
            "somebody else has just set the ceiling",
            advice="openbell history rate shows who, and why",
        )


def _mapping(file: Path | None, zone: str) -> SourceMapping:
    if file is None:
        return SourceMapping(zone=zone)
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as e:
        raise Failure(Ends.USAGE, f"cannot read {file}", why=str(e)) from e
    return read_mapping(text, json=file.suffix == ".json", zone=zone)


def _day(text: str | None) -> date | None:
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError as e:
        raise Failure(Ends.USAGE, f"--before: expected YYYY-MM-DD, was {text}") from e
