"""A simulated broker that dies and comes back knows what it answered, and goes on."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest

from app.brokers.sim.fills import Plan, parts
from app.brokers.sim.messages import Order
from app.brokers.sim.process import SimProcess
from app.brokers.sim.world import World
from tests.brokers.builders import a_key, an_order
from tests.brokers.sim_client import SECRET, Client, eventually, play


@pytest.fixture
def audit(tmp_path: Path) -> Path:
    return tmp_path / "north.jsonl"


def test_a_restart_after_a_kill_knows_every_answered_order(audit: Path) -> None:
    async def before(client: Client) -> None:
        await client.place(an_order("K1"), an_order("K2"), an_order("K3", quantity="0"))
        await client.post("/sim/fill", {"client_order_id": "K1", "last_quantity": "4"})
        await client.cancel("K2")

    async def after(client: Client) -> None:
        one, two, three = await client.look_up("K1", "K2", "K3")
        assert (one["status"], one["filled"]) == ("partially_filled", "4")
        assert two["status"] in {"new", "canceled"}
        assert three["status"] == "rejected"
        [again, new] = await client.place(an_order("K1"), an_order("K4"))
        assert again["code"] == "duplicate-client-order-id"
        assert new["order_id"] == "north-4"
        await client.post("/sim/fill", {"client_order_id": "K4"})
        [shown] = await client.look_up("K4")
        assert shown["executions"][0]["execution_id"] > one["executions"][0]["execution_id"]

    async def talk(process: SimProcess, scenario: Callable[[Client], Awaitable[None]]) -> None:
        headers = {"Authorization": f"Bearer {SECRET}"}
        async with aiohttp.ClientSession(headers=headers) as session:
            await scenario(Client(session, process.url))

    process = SimProcess(audit, SECRET).start()
    try:
        asyncio.run(talk(process, before))
        process.kill()
        with audit.open("ab") as file:
            file.write(b'{"ns":1,"kind":"NE')
        process.start()
        asyncio.run(talk(process, after))
    finally:
        process.stop()


def test_a_restart_goes_on_filling_and_telling_where_it_stopped(audit: Path) -> None:
    keys, plan = [a_key() for _ in range(20)], Plan("partial", delay_ms=300)

    async def before(client: Client) -> None:
        await client.place(*[an_order(key) for key in keys])

        async def has_begun() -> bool:
            return bool((await client.stats())["executions"] >= 5)

        await eventually(has_begun)

    async def after(client: Client) -> None:
        await client.flush()
        shown = await client.look_up(*keys)
        assert {item["filled"] for item in shown} == {"10"}
        told = {report["execution_id"] for report in client.heard}
        assert told == {e["execution_id"] for item in shown for e in item["executions"]}
        assert any(report["possible_duplicate"] for report in client.heard)
        for item in shown:
            planned = parts(plan, Order(item["client_order_id"], "", "", "10", None, 0), World(0))
            assert len(item["executions"]) == len(planned)

    async def nothing_new(client: Client) -> None:
        await client.flush()
        assert client.heard == []

    play(audit, before, plan=plan, refusals=10**6)
    play(audit, after, plan=plan)
    play(audit, nothing_new, plan=plan)
