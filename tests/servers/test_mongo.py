"""MongoDB, as tests get it: one law for each capability that a server may claim."""

from collections.abc import Iterator
from typing import Any

import pymongo
import pytest
from pymongo.collection import Collection
from pymongo.errors import AutoReconnect, DuplicateKeyError, NetworkTimeout, OperationFailure

from tests.servers.server import Server, fresh_name

Books = Collection[dict[str, Any]]


@pytest.fixture
def books(mongo: Server) -> Iterator[Books]:
    name = fresh_name()
    with pymongo.MongoClient[dict[str, Any]](
        mongo.url, serverSelectionTimeoutMS=5_000, socketTimeoutMS=5_000
    ) as client:
        yield client[name]["books"]
        mongo.start()
        client.drop_database(name)


def test_it_answers(books: Books) -> None:
    books.update_one({"_id": 1}, {"$set": {"n": 1}}, upsert=True)
    books.update_one({"_id": 1}, {"$inc": {"n": 1}}, upsert=True)

    assert books.find_one() == {"_id": 1, "n": 2}


def test_update_pipeline(mongo: Server, books: Books) -> None:
    mongo.needs("update_pipeline")
    newer: dict[str, Any] = {"$lt": [{"$ifNull": ["$version", 0]}, 2]}
    update = [{"$set": {"version": {"$cond": [newer, 2, "$version"]}}}]
    for version in (0, 3):
        books.insert_one({"_id": version, "version": version})
        books.update_one({"_id": version}, update)

    assert [book["version"] for book in books.find().sort("_id")] == [2, 3]


def test_partial_index(mongo: Server, books: Books) -> None:
    mongo.needs("partial_index")
    books.create_index("key", unique=True, partialFilterExpression={"key": {"$exists": True}})
    books.insert_many([{"_id": 1}, {"_id": 2}, {"_id": 3, "key": "a"}])

    with pytest.raises(DuplicateKeyError):
        books.insert_one({"_id": 4, "key": "a"})


def test_transactions(mongo: Server, books: Books) -> None:
    mongo.needs("transactions")
    books.insert_one({"_id": 1})
    with books.database.client.start_session() as session:
        session.start_transaction()
        books.insert_one({"_id": 2}, session=session)
        outside = books.count_documents({})
        session.abort_transaction()

    assert outside == 1
    assert books.count_documents({}) == 1


def test_change_streams(mongo: Server, books: Books) -> None:
    mongo.needs("change_streams")
    books.insert_one({"_id": 1})
    with books.watch() as changes:
        books.insert_one({"_id": 2})

        assert next(changes)["documentKey"] == {"_id": 2}


def test_failpoints(mongo: Server, books: Books) -> None:
    mongo.needs("failpoints")
    books.database.client.admin.command(
        "configureFailPoint",
        "failCommand",
        mode={"times": 1},
        data={"failCommands": ["insert"], "errorCode": 50},
    )
    with pytest.raises(OperationFailure) as failed:
        books.insert_one({"_id": 1})
    books.insert_one({"_id": 2})

    assert failed.value.code == 50
    assert books.count_documents({}) == 1


def test_hashed(mongo: Server, books: Books) -> None:
    mongo.needs("hashed")
    books.create_index([("account", pymongo.HASHED)])

    assert "account_hashed" in books.index_information()


def test_sharded(mongo: Server, books: Books) -> None:
    mongo.needs("sharded")
    books.database.client.admin.command(
        "shardCollection", books.full_name, key={"account": "hashed"}
    )
    told = books.database.command("collStats", books.name)

    assert told["sharded"]


def test_survives_kill(mongo: Server, books: Books) -> None:
    mongo.needs("kill", "survives_kill")
    safe = books.with_options(write_concern=pymongo.WriteConcern(w="majority", j=True))
    safe.insert_one({"_id": 1})
    with pymongo.MongoClient[dict[str, Any]](mongo.url, serverSelectionTimeoutMS=300) as hasty:
        hasty.admin.command("ping")
        mongo.kill()
        with pytest.raises(AutoReconnect):
            hasty.admin.command("ping")
    mongo.start()

    assert books.find_one() == {"_id": 1}


def test_frozen_it_does_not_answer_and_then_it_does(mongo: Server, books: Books) -> None:
    mongo.needs("freeze")
    books.insert_one({"_id": 1})
    with pymongo.MongoClient[dict[str, Any]](mongo.url, socketTimeoutMS=300) as hasty:
        hasty.admin.command("ping")
        with mongo.freeze(), pytest.raises(NetworkTimeout):
            hasty.admin.command("ping")

    assert books.count_documents({}) == 1
