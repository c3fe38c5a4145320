"""What is due goes out, again and again until it is heard, and nobody waits for the dead."""

import asyncio
import json
from collections.abc import Coroutine
from typing import Any

from app.domain.webhooks import (
    AFTER_MS,
    ATTEMPTS_MAX,
    DAY_MS,
    Answer,
    DeliveryState,
    EndpointState,
)
from app.webhooks.courier import LEASE_MS, OF_ENDPOINT_MAX, SICK_IN_FLIGHT_MAX
from app.webhooks.guard import Target
from app.webhooks.making import test_delivery as a_test_delivery
from app.webhooks.signing import mark_of
from tests.webhooks.rig import Rig, running


def played(rig: Rig, story: Coroutine[Any, Any, None]) -> None:
    rig.virtual.run(story)


async def queued(rig: Rig, *numbers: int, host: int = 1) -> None:
    """Queue deliveries past the bus."""
    endpoint = await rig.store.endpoint(f"we_{host}")
    assert endpoint is not None
    made = [a_test_delivery(endpoint, n, rig.clock.now()) for n in numbers]
    await rig.store.enqueue(made, 100_000)


def down(_target: Target) -> Coroutine[Any, Any, Answer]:
    return said(Answer(503, "HTTP 503"))


async def said(answer: Answer, after_s: float = 0.0) -> Answer:
    await asyncio.sleep(after_s)
    return answer


async def silence(_target: Target) -> Answer:
    await asyncio.sleep(15)
    return Answer(None, "no answer in time")


def test_what_is_due_is_sent_once_signed_and_noted(rig: Rig) -> None:
    async def story() -> None:
        endpoint = await rig.has()
        await queued(rig, 1)
        async with running(rig.courier().run):
            await asyncio.sleep(2)
        (sent,) = rig.post.sent
        (delivery,) = await rig.deliveries()

        assert sent.target.url == "https://customer.com:443/hook?token=hidden"
        assert sent.headers["webhook-id"] == delivery.delivery_id
        assert int(sent.headers["webhook-timestamp"]) == sent.at // 1_000
        assert sent.headers["webhook-signature"].startswith("v1,")
        assert json.loads(sent.body)["data"] == {"endpoint_id": endpoint.endpoint_id}
        assert (delivery.state, delivery.attempts) == (DeliveryState.DELIVERED, 1)

    played(rig, story())


def test_a_failure_goes_again_by_the_schedule_under_the_same_id_until_it_is_given_up(
    rig: Rig,
) -> None:
    async def story() -> None:
        await rig.has()
        await queued(rig, 1)
        rig.post.says["customer.com"] = down
        async with running(rig.courier().run):
            for _ in range(ATTEMPTS_MAX + 1):
                await asyncio.sleep(3)
                (delivery,) = await rig.deliveries()
                rig.clock.set_now(max(rig.clock.now(), delivery.due_at - 1_000))
        waits = [b.at - a.at for a, b in zip(rig.post.sent, rig.post.sent[1:], strict=False)]
        (delivery,) = await rig.deliveries()

        assert len(set(rig.post.ids())) == 1
        assert len(waits) + 1 == ATTEMPTS_MAX
        for waited, base in zip(waits, AFTER_MS, strict=True):
            assert base <= waited <= base * 1.2 + 3_000
        assert (delivery.state, delivery.attempts) == (DeliveryState.FAILED, ATTEMPTS_MAX)
        assert (delivery.last_status, delivery.last_error) == (503, "HTTP 503")

    played(rig, story())


def test_who_dies_between_the_send_and_the_record_leaves_it_to_be_sent_again(rig: Rig) -> None:
    async def story() -> None:
        await rig.has()
        await queued(rig, 1)
        answered = asyncio.Event()

        async def heard(_target: Target) -> Answer:
            answered.set()
            return Answer(200)

        rig.post.says["customer.com"] = heard
        async with running(rig.courier().run):
            await answered.wait()  # and before anybody can write that down, we die
        (before,) = await rig.deliveries()
        async with running(rig.courier().run):
            await asyncio.sleep(LEASE_MS / 1_000 - 2)
            early = len(rig.post.sent)
            await asyncio.sleep(4)
        (after,) = await rig.deliveries()

        assert (before.state, before.attempts) == (DeliveryState.WAITING, 0)
        assert early == 1
        assert rig.post.ids() == [before.delivery_id] * 2
        assert after.state is DeliveryState.DELIVERED

    played(rig, story())


def test_dead_endpoints_delay_no_other(rig: Rig) -> None:
    async def story() -> None:
        names = list(range(2, 72))
        await rig.has(1)
        for n in names:
            await rig.has(n, url=f"https://dead{n}.com/", accounts=(f"a-{n}",))
            rig.post.says[f"dead{n}.com"] = silence
            await queued(rig, *range(5), host=n)
        async with running(rig.courier().run):
            await asyncio.sleep(120)  # by now all of them are known
            since = rig.clock.now()
            await queued(rig, *range(20))
            await asyncio.sleep(10)
            dead_out = sum(rig.post.out.values())
        good = [sent.at - since for sent in rig.post.sent if sent.target.host == "customer.com"]

        assert len(good) == 20
        assert max(good) < 3_000
        assert 0 < dead_out <= SICK_IN_FLIGHT_MAX
        assert max(n for host, n in rig.post.most_out.items() if host != "customer.com") <= 4
        assert rig.post.most_out["customer.com"] <= OF_ENDPOINT_MAX

    played(rig, story())


def test_one_that_fails_is_asked_one_by_one_and_all_at_once_when_it_is_well(rig: Rig) -> None:
    async def story() -> None:
        await rig.has()
        rig.post.says["customer.com"] = lambda _: said(Answer(500, "HTTP 500"), 1.0)
        await queued(rig, *range(8))
        async with running(rig.courier().run):
            await asyncio.sleep(1.5)
            rig.post.most_out.clear()
            await asyncio.sleep(3)
            sick = rig.post.most_out["customer.com"]
            rig.post.says["customer.com"] = lambda _: said(Answer(200), 0.1)
            await asyncio.sleep(30)
            await queued(rig, *range(8, 16))
            await asyncio.sleep(30)
        states = {delivery.state for delivery in await rig.deliveries()}

        assert sick == 1
        assert rig.post.most_out["customer.com"] == OF_ENDPOINT_MAX
        assert states == {DeliveryState.DELIVERED}

    played(rig, story())


def test_who_asks_for_a_rest_is_left_alone_with_all_that_waits(rig: Rig) -> None:
    async def story() -> None:
        await rig.has()
        rig.post.says["customer.com"] = lambda _: said(Answer(429, "HTTP 429", 100.0))
        await queued(rig, 1)
        async with running(rig.courier().run):
            await asyncio.sleep(1)
            await queued(rig, 2, 3)
            await asyncio.sleep(90)
            during = len(rig.post.sent)
            del rig.post.says["customer.com"]
            await asyncio.sleep(60)

        assert during == 1
        assert len(set(rig.post.ids())) == 3

    played(rig, story())


def test_410_disables_and_people_are_told_for_a_day(rig: Rig) -> None:
    async def story() -> None:
        await rig.has()
        rig.post.says["customer.com"] = lambda _: said(Answer(410, "HTTP 410"))
        await queued(rig, 1)
        async with running(rig.room().run):
            await asyncio.sleep(70)
            await queued(rig, 2)
            await asyncio.sleep(70)
            told = await rig.anomalies.open_anomalies()
            rig.clock.set_now(rig.clock.now() + DAY_MS)
            await asyncio.sleep(70)
            later = await rig.anomalies.open_anomalies()
        endpoint = await rig.store.endpoint("we_1")

        assert endpoint is not None
        assert endpoint.state is EndpointState.DISABLED
        assert len(rig.post.sent) == 1
        assert [(a.rule_id, str(a.subject)) for a in told] == [("webhook.disabled", "webhook/we_1")]
        assert dict(told[0].evidence) == {"disabled_by": "gone"}
        assert later == []

    played(rig, story())


def test_a_url_that_is_no_longer_allowed_is_not_sent_to(rig: Rig) -> None:
    async def story() -> None:
        await rig.has(url="https://10.0.0.1/")
        await queued(rig, 1)
        async with running(rig.courier().run):
            await asyncio.sleep(2)
        (delivery,) = await rig.deliveries()

        assert rig.post.sent == []
        assert (delivery.attempts, delivery.last_status) == (1, None)
        assert delivery.last_error == "not sent: it has no public address"

    played(rig, story())


def test_a_process_with_another_pepper_sends_nothing_and_says_so(rig: Rig) -> None:
    async def story() -> None:
        await rig.has(1)
        await rig.has(2, root=mark_of(b"another"), url="https://other.com/")
        await queued(rig, 1)
        await queued(rig, 1, host=2)
        async with running(rig.room().run):
            await asyncio.sleep(5)
            failing = dict(rig.mishaps.failing)
            rig.pepper.unlink()
            await queued(rig, 2)
            await asyncio.sleep(5)
            lost = dict(rig.mishaps.failing)
        (anomaly,) = await rig.anomalies.open_anomalies()

        assert {sent.target.host for sent in rig.post.sent} == {"customer.com"}
        assert len(rig.post.sent) == 1
        assert "another pepper" in failing["signing"]
        assert "NoRoot" in lost["signing"]
        assert anomaly.rule_id == "subscriber.failed"

    played(rig, story())


def test_a_bug_in_one_delivery_stops_no_other(rig: Rig) -> None:
    async def story() -> None:
        await rig.has(1)
        await rig.has(2, url="https://odd.com/")

        async def throws(_target: Target) -> Answer:
            raise ZeroDivisionError

        rig.post.says["odd.com"] = throws
        await queued(rig, 1, host=2)
        await queued(rig, 1)
        async with running(rig.courier().run):
            await asyncio.sleep(2)
        (odd,) = await rig.deliveries("we_2")
        (good,) = await rig.deliveries("we_1")

        assert (odd.state, odd.last_error) == (DeliveryState.WAITING, "a fault of ours")
        assert good.state is DeliveryState.DELIVERED

    played(rig, story())
