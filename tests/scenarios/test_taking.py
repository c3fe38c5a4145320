"""An order that was answered is on disk; the same id is the same order, or a conflict."""

import asyncio
from contextlib import suppress

import pytest

from app.domain.errors import Busy, Code, Refused
from tests.scenarios.builders import a_request
from tests.scenarios.floor import Floor


def test_what_was_answered_is_on_disk_when_the_power_goes(floor: Floor) -> None:
    floor.reserve("o-1")
    floor.crash()

    assert floor.state("o-1") == "reserved"


def test_a_crash_during_the_commit_leaves_the_client_without_an_answer(floor: Floor) -> None:
    floor.disk_takes(0.5)
    answered: list[str] = []

    async def client() -> None:
        with suppress(Busy):  # "it may be on disk: ask again"
            await floor.gateway.desk.place(a_request("o-1", 10, "AAPL"))
            answered.append("o-1")

    floor.world.does(client())
    floor.passes(0.3)
    floor.crash()
    floor.disk_takes(0.0005)
    floor.passes(5)
    assert answered == []

    # Whether it landed or not: the same request again is the same order, and one order.
    floor.start()
    floor.reserve("o-1")
    assert floor.query("SELECT count(*) FROM orders")[0][0] == 1


def test_the_same_request_is_the_same_order_and_another_one_a_conflict(floor: Floor) -> None:
    first = floor.reserve("o-1", 10)
    floor.restart()
    assert floor.reserve("o-1", 10).order_id == first.order_id

    with pytest.raises(Refused) as refused:
        floor.reserve("o-1", 11)
    assert refused.value.code is Code.CLIENT_ORDER_ID_CONFLICT
    assert floor.query("SELECT count(*) FROM orders")[0][0] == 1


def test_twins_at_once_are_one_order(floor: Floor) -> None:
    async def both() -> set[str]:
        request = a_request("o-1", 10, "AAPL")
        taken = await asyncio.gather(*(floor.gateway.desk.place(request) for _ in range(5)))
        assert sorted(t.created for t in taken) == [False, False, False, False, True]
        return {t.order.order_id for t in taken}

    assert len(floor.run(both())) == 1


def test_an_operators_change_refuses_no_client(floor: Floor) -> None:
    async def change_and_place() -> None:
        await floor.halts("account", "A-9")
        await floor.gateway.desk.place(a_request("o-1", 10, "AAPL"))

    floor.run(change_and_place())

    assert floor.query("SELECT status FROM orders") == [("reserved",)]
