"""Gives the collection its shape when a process starts: spread over the shards, then indexed.

Both are idempotent, so every process of the gateway may do it, at the same time too. It is done
again when a view is rebuilt, because whoever drops a view drops its shape with it.

`newest` carries the listings. `day` is for people and loaders who ask for an account's day.
`open` holds only orders that may still move, a few thousand of millions, so that a listing by an
open status does not walk over all that ended; it needs MongoDB 6 (`$in` in a partial index).
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from pymongo import ASCENDING, DESCENDING, IndexModel
from pymongo.errors import OperationFailure

from app.accounts.mongo import Client
from app.accounts.sharding import SHARD_KEY, Spread, commands, spread
from app.domain.order import TERMINAL
from app.domain.values import Status
from app.ports.accounts import BookUnfit

COLLECTION: Final = "account_orders"
# What a server says that knows no shards, or not this way of asking for them.
COMMAND_NOT_FOUND: Final = 59
# Not this option, or not here: BadValue, FailedToParse, InvalidOptions, an unknown field.
NOT_UNDERSTOOD: Final = frozenset({2, 9, 72, 40415})

OPEN: Final = sorted(status.value for status in set(Status) - TERMINAL)
INDEXES: Final = [
    IndexModel([("account_id", ASCENDING), ("accept_sequence", DESCENDING)], name="newest"),
    IndexModel(
        [("account_id", ASCENDING), ("trade_date", DESCENDING), ("accept_sequence", DESCENDING)],
        name="day",
    ),
    IndexModel(
        [("account_id", ASCENDING), ("status", ASCENDING), ("accept_sequence", DESCENDING)],
        name="open",
        partialFilterExpression={"status": {"$in": OPEN}},
    ),
]

# Runs one command on one database and returns the server's answer.
Run = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]


async def shape(client: Client, database: str) -> None:
    """Spread and index the collection, or raise `BookUnfit`."""

    async def run(on: str, command: dict[str, Any]) -> dict[str, Any]:
        return await client[on].command(command)

    await spread_out(run, database)
    await client[database][COLLECTION].create_indexes(INDEXES)


async def spread_out(run: Run, database: str) -> None:
    """Shard the collection if a router answers and it is not sharded yet."""
    namespace = f"{database}.{COLLECTION}"
    hello = await run("admin", {"hello": 1})
    step = await _step(run, hello, database)
    if step is Spread.NOTHING:
        return
    if step is Spread.FILLED:
        index = {"key": SHARD_KEY, "name": "shard"}
        await run(database, {"createIndexes": COLLECTION, "indexes": [index]})
    for ways in commands(step, database, namespace, await _shards(run)):
        if not await _one_of(run, ways):
            return
    if await _step(run, hello, database) is not Spread.NOTHING:
        raise BookUnfit(f"{namespace}: the cluster took the command and did not shard it")


async def _step(run: Run, hello: dict[str, Any], database: str) -> Spread:
    if hello.get("msg") != "isdbgrid":  # asked first: a lone server need not have a catalog
        return Spread.NOTHING
    namespace = f"{database}.{COLLECTION}"
    entries = await _found(run, "config", {"find": "collections", "filter": {"_id": namespace}})
    orders = await _found(run, database, {"find": COLLECTION, "projection": {"_id": 1}})
    return spread(hello, entries[0] if entries else None, namespace, is_empty=not orders)


async def _found(run: Run, database: str, command: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the first document that a `find` finds, if there is one."""
    answer = await run(database, {**command, "limit": 1, "singleBatch": True})
    found: list[dict[str, Any]] = answer["cursor"]["firstBatch"]
    return found


async def _shards(run: Run) -> int:
    return len((await run("admin", {"listShards": 1}))["shards"])


async def _one_of(run: Run, ways: list[dict[str, Any]]) -> bool:
    """Send the first command that is understood; return whether the server shards at all."""
    for number, command in enumerate(ways, 1):
        try:
            await run("admin", command)
        except OperationFailure as e:
            if e.code == COMMAND_NOT_FOUND:
                return False
            if e.code not in NOT_UNDERSTOOD or number == len(ways):
                raise
        else:
            break
    return True
