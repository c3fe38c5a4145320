"""The client: the edges that it files off, on both libraries."""

import asyncio
from typing import Any, get_args

import pytest
from pymongo import WriteConcern

from app.accounts.mongo import Client, Driver, close_client, make_client, maybe
from tests.servers.server import Server, fresh_name

DRIVERS = get_args(Driver)
NOBODY = "mongodb://127.0.0.1:9/"


@pytest.fixture(params=DRIVERS)
def driver(request: pytest.FixtureRequest) -> Driver:
    driver: Driver = request.param
    return driver


def told(url: str, driver: Driver) -> Any:
    """Return the options of a client that never connects."""

    async def life() -> Any:
        client = make_client(url, driver)
        its_own: Any = client if driver == "pymongo" else client.delegate
        options = its_own.options
        await close_client(client)
        return options

    return asyncio.run(life())


def test_every_wait_has_an_end(driver: Driver) -> None:
    options = told(NOBODY, driver)

    assert options.server_selection_timeout == 5.0
    assert options.pool_options.connect_timeout == 5.0
    assert options.pool_options.socket_timeout == 20.0
    assert options.codec_options.tz_aware
    assert options.retry_writes


def test_a_url_may_choose_other_times_and_no_weaker_writes(driver: Driver) -> None:
    chosen = "serverselectiontimeoutms=900&w=0&journal=false&retryWrites=false"
    options = told(f"{NOBODY}?{chosen}", driver)

    assert options.server_selection_timeout == 0.9
    assert options.pool_options.socket_timeout == 20.0
    assert options.write_concern == WriteConcern("majority", j=True)
    assert options.retry_writes


@pytest.mark.parametrize("url", ["http://db/", "mongodb://", "mongodb://db:port/", ""])
def test_a_url_that_is_none_is_told_without_its_secret(url: str, driver: Driver) -> None:
    with pytest.raises(ValueError, match="MongoDB url cannot be read"):
        told(url, driver)
    with pytest.raises(ValueError, match="MongoDB url cannot be read") as refused:
        told("mongodb://me:hush@@db:27017/", driver)

    assert "hush" not in str(refused.value)


def test_what_one_library_returns_and_the_other_awaits_is_one_call(
    mongo: Server, driver: Driver
) -> None:
    async def life() -> None:
        client = make_client(mongo.url, driver)
        database = fresh_name()
        try:
            await answers(client, database)
        finally:
            await client.drop_database(database)
            await close_client(client)

    async def answers(client: Client, database: str) -> None:
        orders = client[database]["orders"]
        await orders.insert_many([{"_id": 1}, {"_id": 2}])
        counted = await maybe(orders.aggregate([{"$count": "n"}]))
        indexes = await maybe(orders.list_indexes())
        async with await maybe(client.start_session()) as session:
            assert await orders.find_one({"_id": 2}, session=session) == {"_id": 2}
        assert await counted.to_list(None) == [{"n": 2}]
        assert [index["name"] for index in await indexes.to_list(None)] == ["_id_"]

    asyncio.run(life())
