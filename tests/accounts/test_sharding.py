"""How the view is spread over a cluster: the decision as values, the commands as they are sent.

No router was at hand: the double below answers with what MongoDB's manual says that one answers.
What is not a router is real, and says 59.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from pymongo.errors import OperationFailure

from app.accounts.mongo import Driver, close_client, make_client
from app.accounts.mongo_book import MongoAccountBook
from app.accounts.mongo_shape import COLLECTION, spread_out
from app.accounts.sharding import SHARD_KEY, Spread, WrongShardKey, commands, spread
from app.ports.accounts import BookUnfit
from tests.servers.server import Server, fresh_name

ROUTER = {"isWritablePrimary": True, "msg": "isdbgrid"}
REPLICA = {"isWritablePrimary": True, "setName": "rs0"}
OURS = {"_id": f"openbell.{COLLECTION}", "key": {"account_id": "hashed", "trade_date": 1}}
NAMESPACE = f"openbell.{COLLECTION}"


@pytest.mark.parametrize("is_empty", [True, False])
@pytest.mark.parametrize(
    ("hello", "entry", "wanted"),
    [
        (REPLICA, None, {Spread.NOTHING}),
        ({}, OURS, {Spread.NOTHING}),
        (ROUTER, OURS, {Spread.NOTHING}),
        (ROUTER, OURS | {"dropped": False, "unique": False}, {Spread.NOTHING}),
        (ROUTER, None, {Spread.EMPTY, Spread.FILLED}),
        (ROUTER, OURS | {"dropped": True}, {Spread.EMPTY, Spread.FILLED}),
        (ROUTER, {"key": {"_id": 1}, "unsplittable": True}, {Spread.EMPTY, Spread.FILLED}),
    ],
)
def test_what_is_there_says_what_to_do(
    hello: dict[str, Any], entry: dict[str, Any] | None, wanted: set[Spread], *, is_empty: bool
) -> None:
    step = spread(hello, entry, NAMESPACE, is_empty=is_empty)

    assert step in wanted
    assert step is Spread.NOTHING or (step is Spread.EMPTY) == is_empty


@pytest.mark.parametrize(
    "key",
    [
        {"account_id": 1},
        {"account_id": "hashed"},
        {"account_id": 1, "trade_date": 1},
        {"trade_date": 1, "account_id": "hashed"},
        {"_id": "hashed"},
        {},
    ],
)
def test_another_key_is_refused_with_both_keys_named(key: dict[str, Any]) -> None:
    with pytest.raises(WrongShardKey, match="reshard") as refused:
        spread(ROUTER, {"key": key}, NAMESPACE, is_empty=True)

    assert str(key) in str(refused.value)
    assert str(SHARD_KEY) in str(refused.value)


def test_only_an_empty_collection_is_split_from_the_start() -> None:
    plain = {"shardCollection": NAMESPACE, "key": SHARD_KEY}

    assert commands(Spread.NOTHING, "openbell", NAMESPACE, 3) == []
    assert commands(Spread.FILLED, "openbell", NAMESPACE, 3) == [
        [{"enableSharding": "openbell"}],
        [plain],
    ]
    assert commands(Spread.EMPTY, "openbell", NAMESPACE, 3) == [
        [{"enableSharding": "openbell"}],
        [plain | {"numInitialChunks": 24}, plain],
    ]


class Router:
    """Answers as a router does, and writes down what it was asked to do."""

    def __init__(self, *, entry: dict[str, Any] | None = None, orders: int = 0) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.refuses: dict[str, int] = {}
        self._entry = entry
        self._orders = orders
        self._deaf = False

    def shards_nothing(self) -> None:
        self._deaf = True

    async def run(self, database: str, command: Mapping[str, Any]) -> dict[str, Any]:
        name = next(iter(command))
        if name == "find":
            found = (
                self._entry if database == "config" else {"_id": "o-1"} if self._orders else None
            )
            return {"cursor": {"firstBatch": [found] if found else []}}
        if name == "hello":
            return ROUTER
        if name == "listShards":
            return {"shards": [{"_id": "a"}, {"_id": "b"}]}
        self.asked.append((database, dict(command)))
        for word, code in self.refuses.items():
            if word in command:
                raise OperationFailure("no", code)
        if name == "shardCollection" and not self._deaf:
            self._entry = {"_id": command["shardCollection"], "key": dict(command["key"])}
        return {"ok": 1}


ENABLE = ("admin", {"enableSharding": "openbell"})
SHARD = ("admin", {"shardCollection": NAMESPACE, "key": SHARD_KEY})
SPLIT = ("admin", SHARD[1] | {"numInitialChunks": 16})
INDEX = (
    "openbell",
    {"createIndexes": COLLECTION, "indexes": [{"key": SHARD_KEY, "name": "shard"}]},
)


def spread_over(router: Router) -> list[tuple[str, dict[str, Any]]]:
    asyncio.run(spread_out(router.run, "openbell"))
    return router.asked


def test_an_empty_collection_is_sharded_in_pieces_and_only_once() -> None:
    router = Router()

    assert spread_over(router) == [ENABLE, SPLIT]
    assert spread_over(router) == [ENABLE, SPLIT]


def test_a_filled_one_is_indexed_by_its_key_first() -> None:
    assert spread_over(Router(orders=1)) == [INDEX, ENABLE, SHARD]


@pytest.mark.parametrize("code", [2, 9, 72, 40415])
def test_a_release_that_knows_no_pieces_is_asked_without_them(code: int) -> None:
    router = Router()
    router.refuses["numInitialChunks"] = code

    assert spread_over(router) == [ENABLE, SPLIT, SHARD]


def test_what_calls_itself_a_router_and_is_none_is_left_alone() -> None:
    router = Router()
    router.refuses["enableSharding"] = 59

    assert spread_over(router) == [ENABLE]


def test_a_refusal_is_not_swallowed() -> None:
    router = Router()
    router.refuses["shardCollection"] = 13

    with pytest.raises(OperationFailure):
        spread_over(router)
    assert router.asked == [ENABLE, SPLIT]


def test_a_cluster_that_says_yes_and_does_nothing_is_not_believed() -> None:
    router = Router()
    router.shards_nothing()

    with pytest.raises(BookUnfit, match="did not shard it"):
        spread_over(router)


def test_a_wrong_key_is_found_before_anything_is_sent() -> None:
    router = Router(entry={"key": {"symbol": 1}})

    with pytest.raises(WrongShardKey):
        spread_over(router)
    assert router.asked == []


@pytest.mark.parametrize("driver", ["motor", "pymongo"])
def test_a_server_that_shards_nothing_says_59_and_gets_a_book(
    mongo: Server, driver: Driver
) -> None:
    async def scenario() -> tuple[int | None, list[str]]:
        client = make_client(mongo.url, driver)
        database = fresh_name("shards")
        try:
            with pytest.raises(OperationFailure) as refused:
                await client.admin.command({"shardCollection": f"{database}.x", "key": SHARD_KEY})
            await MongoAccountBook.open(client, database)
            await MongoAccountBook.open(client, database)  # as the next process does
            indexes = await client[database][COLLECTION].index_information()
            return refused.value.code, sorted(indexes)
        finally:
            await client.drop_database(database)
            await close_client(client)

    if "sharded" in mongo.capabilities:
        pytest.skip("this one is a router")
    assert asyncio.run(scenario()) == (59, ["_id_", "day", "newest", "open"])
