"""The inbox of a session: what was heard is on disk before its number, and the number follows."""

import asyncio
from collections.abc import Sequence
from datetime import date

from app.brokers.fix.register import BATCHES_MAX, Inbox, Register
from app.domain.messages import ExecutionReport, ExecutionType
from app.ports.sessions import Numbers, SessionOwner
from tests.brokers.fix.stage import Stage, staged

A_REPORT = ExecutionReport(
    broker_id="north",
    broker_order_key="k-1",
    broker_order_id="N-1",
    execution_id="E-1",
    execution_type=ExecutionType.NEW,
    trade_date=date(2026, 3, 2),
    at=0,
)


def test_the_number_follows_what_is_on_disk_while_more_keeps_coming() -> None:
    told: list[int] = []  # the number on disk at each publish

    async def stood(stage: Stage) -> Numbers:
        numbers = await stage.sessions.numbers("s")
        assert numbers is not None
        return numbers

    async def whole() -> None:
        async with staged() as stage, asyncio.TaskGroup() as tasks:

            async def publish(_reports: Sequence[ExecutionReport]) -> None:
                told.append((await stood(stage)).next_in)
                if len(told) < 2 * BATCHES_MAX + 2:
                    hear(len(told) + 2)

            def hear(next_in: int) -> None:
                inbox.put([A_REPORT])
                inbox.advance(next_in)

            owner = SessionOwner("s", "north", stage.owner.epoch)
            at = await stage.sessions.open(owner)
            inbox = Inbox(Register(stage.standing._replace(publish=publish), owner, at))
            running = tasks.create_task(inbox.run())
            hear(2)
            await inbox.flushed()
            assert (await stood(stage)).next_in == 2 * BATCHES_MAX + 3
            running.cancel()

    asyncio.run(whole())

    first, second = BATCHES_MAX + 1, 2 * BATCHES_MAX + 1
    assert told == [1] * BATCHES_MAX + [first] * BATCHES_MAX + [second] * 2
