"""Decides how the view is spread over a cluster, before a single order is in it.

Only a router (`hello` says `isdbgrid`) spreads anything; a replica set keeps all of it. The key
is a hash of the account, so that accounts share the shards evenly and one account's orders are
found at one place, and then the trade date, because the chunk of a single key value could never
be split and a giant account would fill one.

A collection that somebody has sharded by another key is refused. Its key cannot be seen in any
answer, everything would seem to work, and each write and each page would ask every shard.

No router was at hand when this was written: the decision is tested as values, the commands
against a recorded double, and against a server that answers 59, as everything but a router does.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Any, Final

from app.ports.accounts import BookUnfit

SHARD_KEY: Final[dict[str, Any]] = {"account_id": "hashed", "trade_date": 1}
# An empty collection starts with this many pieces a shard, so that a later, larger cluster finds
# something to move and no shard has to split under the first open's load.
CHUNKS_PER_SHARD: Final = 8


class WrongShardKey(BookUnfit):
    """The collection is spread by another key than ours."""


class Spread(Enum):
    """What has to be done before the first write."""

    NOTHING = "no router, or it is spread as we want it"
    EMPTY = "shard it, in pieces from the start"
    FILLED = "index it by the key, and shard it: the balancer moves what is there"


def spread(
    hello: Mapping[str, Any], entry: Mapping[str, Any] | None, namespace: str, *, is_empty: bool
) -> Spread:
    """Return what to do, from the server's `hello` and the collection's entry in its catalog.

    The entry is the document of `config.collections`: absent, or marked as `dropped` or (from
    MongoDB 8 on) as `unsplittable`, where the collection is not sharded.
    """
    if hello.get("msg") != "isdbgrid":
        return Spread.NOTHING
    if entry is None or entry.get("dropped") or entry.get("unsplittable"):
        return Spread.EMPTY if is_empty else Spread.FILLED
    found = dict(entry.get("key") or {})
    # The order of the fields is part of a key.
    if list(found.items()) != list(SHARD_KEY.items()):
        raise WrongShardKey(
            f"{namespace} is sharded by {found}, and this gateway needs {SHARD_KEY}:"
            " reshard it (reshardCollection), or name another database"
        )
    return Spread.NOTHING


def commands(
    step: Spread, database: str, namespace: str, shards: int
) -> list[list[dict[str, Any]]]:
    """Return the admin commands to send, in order; of each list, the first that is understood.

    Servers differ: `enableSharding` does nothing since MongoDB 6, and the number of pieces may
    only be named for an empty collection, and by some releases not at all.
    """
    if step is Spread.NOTHING:
        return []
    shard = {"shardCollection": namespace, "key": SHARD_KEY}
    split = shard | {"numInitialChunks": CHUNKS_PER_SHARD * max(shards, 1)}
    return [[{"enableSharding": database}], [split, shard] if step is Spread.EMPTY else [shard]]
