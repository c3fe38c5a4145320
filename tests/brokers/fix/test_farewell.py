"""A house that closes says goodbye to its brokers while it still owns them."""

import asyncio
from pathlib import Path
from typing import Any, cast

from app.gateway import Gateway
from app.ports.brokers import LiveBroker
from app.settings import BrokerSettings, Settings
from app.wiring import open_gateway
from tests.brokers.fix.counterpart import SENDER, TARGET, Counterpart
from tests.eventually import eventually


def is_up(gateway: Gateway) -> bool:
    status = cast("LiveBroker", gateway.brokers["north"]).session()
    return status is not None and status.state == "logged_on"


def test_the_session_logs_out_before_the_lane_gives_up_its_lease(tmp_path: Path) -> None:
    said: list[bytes | None] = []

    async def whole() -> None:
        async with Counterpart() as counterpart:
            options: dict[str, Any] = {"sender": TARGET, "target": SENDER, "heartbeat_s": 1}
            options["hosts"] = f"127.0.0.1:{counterpart.port}"
            north = BrokerSettings(adapter="fix", options=options)
            settings = Settings(data_dir=tmp_path, brokers={"north": north}, view=False)
            gateway = await open_gateway(settings)
            ownership = gateway.lanes[0].ownership
            drop = ownership.drop

            async def watched() -> None:
                last = counterpart.peers[-1].received[-1]
                said.extend((last.get(35), last.get(58)))
                await drop()

            ownership.drop = watched  # type: ignore[method-assign]
            async with asyncio.TaskGroup() as tasks:
                running = tasks.create_task(gateway.run())
                await eventually(lambda: is_up(gateway) or running.done())
                gateway.drain()
            await gateway.close()

    asyncio.run(whole())

    assert said == [b"5", b"we are closing"]
