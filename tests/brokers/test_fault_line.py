"""The line to a simulated broker: it is made ill and well, and no stranger is asked for that."""

import asyncio
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from app.brokers.fault_line import FAULTS, NoSimulator, SimulatorLine
from app.domain.drill import DrillFault
from tests.brokers.sim_client import SECRET, Client, play


@pytest.mark.parametrize("fault", [f for f in DrillFault if f is not DrillFault.REFUSES])
def test_a_simulator_is_made_ill_and_well(tmp_path: Path, fault: DrillFault) -> None:
    async def scenario(client: Client) -> None:
        line = SimulatorLine(client.url, SECRET)
        await line.infect(fault, 0.5, 60)
        assert (await client.stats())["faults_on"] == sorted(FAULTS[fault])
        await line.heal()
        assert (await client.stats())["faults_on"] == []

    play(tmp_path / "audit.jsonl", scenario)


def test_a_fault_ends_by_itself(tmp_path: Path) -> None:
    async def scenario(client: Client) -> None:
        await SimulatorLine(client.url, SECRET).infect(DrillFault.ERRS, 1.0, 0.05)
        await asyncio.sleep(0.06)
        assert (await client.stats())["faults_on"] == []

    play(tmp_path / "audit.jsonl", scenario)


def test_with_the_wrong_secret_nothing_is_done(tmp_path: Path) -> None:
    async def scenario(client: Client) -> None:
        with pytest.raises(NoSimulator):
            await SimulatorLine(client.url, "guessed").infect(DrillFault.ERRS, 1.0, 60)
        assert (await client.stats())["faults_on"] == []

    play(tmp_path / "audit.jsonl", scenario)


def test_what_is_no_simulator_is_asked_for_nothing() -> None:
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.method)
        return web.json_response({"name": "a real broker"})

    async def scenario() -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", answer)
        async with TestServer(app) as server:
            line = SimulatorLine(str(server.make_url("/")), SECRET)
            with pytest.raises(NoSimulator):
                await line.infect(DrillFault.DIES, 1.0, 60)

    asyncio.run(scenario())
    assert asked == ["GET"]
