"""What a session could not read is among the dead letters, byte for byte, with its cause."""

import asyncio
from contextlib import suppress
from typing import cast

from app import letters
from app.bus.log import LogBus
from app.dispatch.live import Held, park
from app.dispatch.reports import TOPIC
from app.domain.broker_session import SessionStatus
from app.ports.brokers import Standing
from app.ports.sessions import Unread
from app.sqlite import Database
from tests.dispatch.rig import ScriptedBroker
from tests.virtual import Virtual

RAW = b"8=FIX.4.4\x0135=8\x01150=F\x0131=.5\x0158=\xe9\x01"


def test_what_a_session_could_not_read_is_a_dead_letter(virtual: Virtual) -> None:
    database = Database(None)
    bus = LogBus(database, virtual.clock)
    unread = Unread("s-1-7", "01JD3Z0K8V6W2Q4T000000000101", "tag 31: no decimal", RAW)
    virtual.run(park(bus, [unread, unread._replace(name="s-1-8", about="")]))

    found = virtual.run(bus.poll(letters.topic_of_letters(TOPIC), "people", 10))
    first, second = sorted((letters.read(r.event) for r in found), key=lambda x: x.event.event_id)
    assert (first.event.topic, first.event.key) == (TOPIC, "01JD3Z0K8V6W2Q4T0000000001")
    assert (first.event.event_id, first.event.payload, first.cause) == (
        "s-1-7",
        RAW,
        "tag 31: no decimal",
    )
    assert first.whole
    assert second.event.key == "s-1-8"
    database.close()


class Sleeper(ScriptedBroker):
    """A session that takes a second to say goodbye."""

    said = ""

    async def run(self, _standing: Standing) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(1)
            self.said = "goodbye"

    def session(self) -> SessionStatus | None:
        return None

    async def log_out(self, _reason: str) -> None: ...


class Deaf(Sleeper):
    """A session whose library loses the first word that it is to end."""

    async def run(self, standing: Standing) -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await super().run(standing)


def test_a_session_that_lost_the_word_is_told_again(virtual: Virtual) -> None:
    broker = Deaf()

    async def whole(*, asked: bool) -> None:
        held = Held(broker, cast("Standing", None))
        async with asyncio.TaskGroup() as tasks:
            holding = tasks.create_task(held.run())
            await asyncio.sleep(1)
            if asked:
                await held.end()
            else:
                holding.cancel()  # as its group does when another loop fails

    for asked in (True, False):
        virtual.run(whole(asked=asked))
        assert broker.said == "goodbye"
        broker.said = ""


def test_a_session_ends_when_its_lane_leaves_and_one_that_never_began_holds_nobody(
    virtual: Virtual,
) -> None:
    broker = Sleeper()
    held = Held(broker, cast("Standing", None))
    virtual.run(asyncio.wait_for(held.end(), 1))

    async def whole() -> None:
        async with asyncio.TaskGroup() as tasks:
            another = Held(broker, cast("Standing", None))
            tasks.create_task(another.run())
            await asyncio.sleep(1)
            await another.end()
            assert broker.said == "goodbye"

    virtual.run(whole())
