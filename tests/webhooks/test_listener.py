"""Who hears of an order: the endpoints of its account, from their beginning on, once each."""

import asyncio
import json

import pytest

from app.domain.webhooks import EndpointState
from app.letters import SUFFIX
from app.ports.bus import Event
from app.webhooks.listener import GROUP, TOPIC
from app.webhooks.making import BODY_BYTES_MAX, NotTellable, told
from tests.virtual import BEFORE_THE_BELL
from tests.webhooks.rig import KIM, Rig, running


def test_an_order_is_told_to_the_endpoints_of_its_account_and_to_nobody_else(rig: Rig) -> None:
    async def story() -> None:
        await rig.has(1, accounts=("ann",))
        await rig.has(2, accounts=("bob",))
        await rig.has(3, accounts=("*",))
        await rig.has(4, accounts=("ann", "eve"), types=("order.canceled",))
        await rig.has(5, accounts=("eve", "ann"), types=("order.new", "order.filled"))
        listener = rig.listener()
        await rig.happens(1)
        await listener.step()
        found = {n: await rig.deliveries(f"we_{n}") for n in range(1, 6)}

        assert [n for n, made in found.items() if made] == [1, 3, 5]
        assert len({made[0].delivery_id for made in found.values() if made}) == 3

    rig.virtual.run(story())


def test_the_body_is_the_specifications_and_the_order_stands_in_it_whole(rig: Rig) -> None:
    async def story() -> None:
        await rig.has()
        event = rig.event(1, text='"quoted", \u0000 and 장')
        await rig.bus.publish([event])
        await rig.listener().step()
        (delivery,) = await rig.deliveries()
        body = json.loads(delivery.body)

        assert set(body) == {"type", "timestamp", "data"}
        assert body["type"] == delivery.type == "order.filled"
        assert body["timestamp"] == body["data"]["updated_at"]
        assert body["data"] == json.loads(event.payload)

    rig.virtual.run(story())


def test_a_batch_that_comes_again_makes_nothing_new(rig: Rig) -> None:
    async def story() -> None:
        await rig.has()
        await rig.happens(1, 2)
        assert await rig.listener().step() == 2
        first = await rig.deliveries()
        await rig.happens(1, 2, 3)
        again = rig.listener()
        await again.step()

        assert again.queued == 1
        assert (await rig.deliveries())[1:] == first

    rig.virtual.run(story())


def test_what_was_before_an_endpoint_is_not_told_to_it(rig: Rig) -> None:
    async def story() -> None:
        await rig.has()
        await rig.happens(1, at=BEFORE_THE_BELL - 1)
        await rig.happens(2, at=BEFORE_THE_BELL)
        await rig.listener().step()

        assert [d.event_id for d in await rig.deliveries()] == ["o-2-3"]

    rig.virtual.run(story())


def test_whose_order_it_is_says_the_order_and_not_the_key(rig: Rig) -> None:
    async def story() -> None:
        await rig.has()
        event = rig.event(1, "bob")
        await rig.bus.publish([event._replace(key="ann")])
        await rig.listener().step()

        assert await rig.deliveries() == []

    rig.virtual.run(story())


@pytest.mark.parametrize("payload", [b"{", b"[]", b'{"account_id":"ann"}', b'{"updated_at":1}'])
def test_what_is_no_order_is_parked_where_somebody_would_hear_it(rig: Rig, payload: bytes) -> None:
    async def story() -> None:
        await rig.has()
        odd = rig.event(1)._replace(payload=payload)
        foreign = rig.event(2, "bob")._replace(payload=payload)
        await rig.bus.publish([odd, foreign, rig.event(3)])
        listener = rig.listener()
        await listener.step()
        letters = await rig.bus.poll(TOPIC + SUFFIX, "test", 10)

        assert listener.parked == len(letters) == 1
        assert [d.event_id for d in await rig.deliveries()] == ["o-3-3"]
        assert await rig.bus.lag(TOPIC, GROUP) == 0

    rig.virtual.run(story())


def test_what_is_too_large_names_the_order_and_no_more(rig: Rig) -> None:
    large = told(rig.event(1, text="x" * BODY_BYTES_MAX))
    order = json.loads(large.body)["data"]

    assert len(large.body) < 1_000
    assert (order["order_id"], order["cut"]) == ("o-1", True)
    assert "text" not in order
    with pytest.raises(NotTellable):
        told(rig.event(1, order_id="x" * BODY_BYTES_MAX))
    with pytest.raises(NotTellable):
        told(Event(TOPIC, "k", "e", "t", b'{"updated_at":"no","account_id":"ann"}'))


def test_an_endpoint_that_is_disabled_hears_later_and_the_whole_room_tells(rig: Rig) -> None:
    async def story() -> None:
        room = rig.room()
        async with running(room.run):
            await asyncio.sleep(30)
            lag_before = rig.bus._positions
            assert not lag_before
            one = await rig.has()
            await asyncio.sleep(5)
            await rig.happens(1)
            await asyncio.sleep(2)
            told_first = len(rig.post.sent)
            off = one._replace(state=EndpointState.DISABLED)
            off = await rig.store.change_endpoint(off, 1, KIM)
            await rig.happens(2)
            await asyncio.sleep(5)
            told_off = len(rig.post.sent)
            await rig.store.change_endpoint(
                off._replace(state=EndpointState.ENABLED), off.version, KIM
            )
            await asyncio.sleep(5)

        assert (told_first, told_off, len(rig.post.sent)) == (1, 1, 2)
        assert room.counts == (2, 2, 0, 0)

    rig.virtual.run(story())
