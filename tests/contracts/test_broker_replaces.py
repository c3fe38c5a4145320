"""The conformance cases of a replace: against a scripted counterparty, then the real sim.

The one thing that an adapter must never do is to make two orders out of one.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from decimal import Decimal
from typing import Any

import aiohttp
import pytest

from app.brokers.sim.audit import read_audit
from app.brokers.sim.process import SimProcess
from app.domain.messages import (
    Absent,
    Accepted,
    Answer,
    Found,
    Lookup,
    NotSent,
    Rejected,
    Throttled,
    Unknown,
)
from app.domain.values import Status, replace_key
from app.ports.brokers import Broker
from tests.brokers.builders import a_cancellation, a_replacement, a_submission
from tests.brokers.counterparty import SECRET, Act, Counterparty, broker_at, reply, results
from tests.brokers.sim_client import eventually

ORDER = a_submission()
X = ORDER.broker_order_key
Y, Z = replace_key(X, 1), replace_key(X, 2)
TRADE = {"order_id": "n-1", "type": "trade", "trade_date": "2026-03-03", "at_ms": 1}
TRADE |= {"last_quantity": "1", "last_price": "186"}


def answered(*acts: Act, **options: Any) -> tuple[list[Answer], bytes]:
    async def scenario() -> tuple[list[Answer], bytes]:
        async with Counterparty(list(acts)) as peer:
            broker = broker_at(peer.url, **options)
            try:
                answers = await broker.replace([a_replacement(ORDER, Y)])
                return answers, peer.requests[0].body
            finally:
                await broker.close()

    return asyncio.run(scenario())


def item(**facts: object) -> dict[str, object]:
    return {"client_order_id": Y, **facts}


@pytest.mark.parametrize(
    ("act", "answer"),
    [
        (results(item(status="accepted", order_id="n-1")), Accepted("n-1")),
        (results(item(status="rejected", code="too-late")), Rejected("too-late")),
        (results(item(status="throttled", retry_after=0.5)), Throttled(0.5)),
        (reply(429, headers="Retry-After: 3\r\n"), Throttled(3.0)),
        (reply(401), NotSent("HTTP 401", credentials=True)),
        (reply(422, {"code": "bad-price"}), Rejected("bad-price")),
    ],
)
def test_br_16_the_brokers_word_on_a_replace_is_the_answer(act: Act, answer: Answer) -> None:
    assert answered(act)[0] == [answer]


@pytest.mark.parametrize(
    "act",
    [
        results(item(status="rejected", code="duplicate-client-order-id")),
        results(item(status="pending")),
        results({"client_order_id": Z, "status": "accepted", "order_id": "n-1"}),
        reply(500),
        reply(404),
        reply(raw=b"{"),
        Act(then="reset"),
        Act(then="silence"),
    ],
)
def test_br_16_anything_else_leaves_it_unknown(act: Act) -> None:
    [answer], _ = answered(act, timeout_s=0.3)

    assert isinstance(answer, Unknown)


def test_br_16_a_replace_names_what_it_replaces_and_the_whole_quantity() -> None:
    _, body = answered(results(item(status="accepted", order_id="n-1")))

    assert f'"client_order_id":"{Y}","original_client_order_id":"{X}"'.encode() in body
    assert b'"quantity":"20","limit_price":"186"' in body


def found(*shown: dict[str, object]) -> list[Lookup]:
    async def scenario() -> list[Lookup]:
        async with Counterparty([results(*shown)]) as peer:
            broker = broker_at(peer.url)
            try:
                return await broker.find([Y])
            finally:
                await broker.close()

    return asyncio.run(scenario())


def test_br_17_a_pending_replace_is_unknown_and_a_refused_one_absent() -> None:
    standing = {"found": True, "order_id": "n-1", "status": "new"}

    assert isinstance(found(item(**standing, pending=True))[0], Unknown)
    assert found(item(found=False)) == [Absent()]
    assert found(item(**standing, quantity="20", limit_price="186")) == [
        Found("n-1", Status.NEW, quantity=Decimal(20), limit_price=Decimal(186))
    ]
    assert isinstance(found(item(**standing, quantity="-1"))[0], Unknown)


def test_br_17_executions_of_one_order_stand_under_any_key_of_its_chain() -> None:
    shown = item(found=True, order_id="n-1", status="partially_filled")
    ours = [{**TRADE, "client_order_id": key, "execution_id": key[-4:]} for key in (X, Y, Z)]
    foreign = {**TRADE, "client_order_id": a_submission().broker_order_key, "execution_id": "E"}
    [whole] = found({**shown, "executions": ours})
    [mixed] = found({**shown, "executions": [foreign]})

    assert isinstance(whole, Found)
    assert [e.broker_order_key for e in whole.executions] == [X, Y, Z]
    assert isinstance(mixed, Unknown)


# Against the real simulator, in its own process.


@pytest.fixture(scope="module")
def sim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimProcess]:
    audit = tmp_path_factory.mktemp("sim") / "north.jsonl"
    with SimProcess(audit, SECRET, more=["--trade-date", "2026-03-03"]) as process:
        yield process


def played(sim: SimProcess, scenario: Callable[[Broker], Awaitable[None]]) -> None:
    async def run() -> None:
        broker = broker_at(sim.url, timeout_s=0.5)
        try:
            await scenario(broker)
        finally:
            await broker.close()

    asyncio.run(run())


async def _fault(sim: SimProcess, **faults: object) -> None:
    headers = {"Authorization": f"Bearer {SECRET}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(f"{sim.url}/sim/faults", json=faults) as reply,
    ):
        assert reply.status == 200


async def _in_effect(broker: Broker, key: str) -> Found:
    shown: list[Found] = []

    async def so() -> bool:
        [lookup] = await broker.find([key])
        shown.extend([lookup] if isinstance(lookup, Found) else [])
        return bool(shown)

    await eventually(so)
    return shown[0]


def test_sim_a_chain_of_three_is_one_order(sim: SimProcess) -> None:
    order = a_submission()
    keys = [order.broker_order_key, *(replace_key(order.broker_order_key, n) for n in (1, 2, 3))]

    async def scenario(broker: Broker) -> None:
        assert broker.capabilities.replaces
        [placed] = await broker.submit([order])
        for number, quantity in enumerate((20, 5, 30), 1):
            terms = {"quantity": Decimal(quantity), "limit_price": Decimal(180 + number)}
            asked = a_replacement(order, keys[number], keys[number - 1], **terms)
            assert await broker.replace([asked]) == [placed]
            now = await _in_effect(broker, keys[number])
            assert now.quantity == terms["quantity"]
            assert now.limit_price == terms["limit_price"]
        stale = a_replacement(order, replace_key(keys[0], 4), keys[1])
        assert await broker.replace([stale]) == [Rejected("unknown-order")]
        assert await broker.cancel([a_cancellation(keys[0])]) == [placed]

    played(sim, scenario)
    audit = [line for line in read_audit(sim.audit) if line.client_order_id in keys]

    assert [line.kind for line in audit].count("NEW") == 1


@pytest.mark.parametrize("fault", ["accept_drop_reply", "accept_then_500", "half_reply", "garbage"])
def test_sim_a_replace_whose_answer_was_lost_is_found(sim: SimProcess, fault: str) -> None:
    order = a_submission()
    key = replace_key(order.broker_order_key, 1)

    async def scenario(broker: Broker) -> None:
        await broker.submit([order])
        await _fault(sim, **{fault: {"count": 1, "on": ["replaces"]}})
        [answer] = await broker.replace([a_replacement(order, key)])
        assert isinstance(answer, Unknown)
        assert (await _in_effect(broker, key)).quantity == 20

    played(sim, scenario)


def test_sim_a_replace_that_never_arrived_is_absent(sim: SimProcess) -> None:
    order = a_submission()
    key = replace_key(order.broker_order_key, 1)

    async def scenario(broker: Broker) -> None:
        await broker.submit([order])
        await _fault(sim, close_before_read={"count": 1, "on": ["replaces"]})
        [answer] = await broker.replace([a_replacement(order, key)])
        assert isinstance(answer, Unknown)
        assert await broker.find([key]) == [Absent()]

    played(sim, scenario)
