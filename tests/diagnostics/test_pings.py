"""Each broker is asked each second, whatever the others do."""

import asyncio

from app.diagnostics.pings import Pings
from app.ports.brokers import Broker
from tests.builders import a_report
from tests.dispatch.rig import ScriptedBroker
from tests.virtual import Virtual


class Heard:
    """Writes down who answered a ping, and when."""

    def __init__(self, virtual: Virtual) -> None:
        self._virtual = virtual
        self.pings: dict[str, list[tuple[float, bool]]] = {}

    def sending(self, broker_id: str) -> None: ...

    def answered(self, broker_id: str, answers: object, took_ns: int) -> None: ...

    def reported(self, reports: object) -> None: ...

    def pinged(self, broker_id: str, *, alive: bool) -> None:
        self.pings.setdefault(broker_id, []).append((self._virtual.loop.time(), alive))

    def health(self, broker_id: str) -> None: ...

    def heard(self, broker_id: str) -> None: ...


class Raising(ScriptedBroker):
    async def ping(self) -> bool:
        raise RuntimeError("a bug of the adapter")


class Dead(ScriptedBroker):
    async def ping(self) -> bool:
        self.pinged += 1
        return False


def test_a_broker_that_hangs_or_raises_keeps_no_other_from_being_asked(virtual: Virtual) -> None:
    hangs, well = ScriptedBroker(delay_s=3_600), ScriptedBroker()
    brokers: dict[str, Broker] = {"a": hangs, "b": Raising(), "c": well, "d": Dead()}
    heard = Heard(virtual)

    async def story() -> None:
        async with asyncio.TaskGroup() as loops:
            pinging = loops.create_task(Pings(brokers, heard, lambda _: True).run())
            await asyncio.sleep(9.9)
            pinging.cancel()

    virtual.run(story())

    assert heard.pings["c"] == [(float(n), True) for n in range(10)]
    assert heard.pings["b"] == heard.pings["d"] == [(float(n), False) for n in range(10)]
    assert {alive for _, alive in heard.pings["a"]} == {False}
    assert [round(at, 1) for at, _ in heard.pings["a"]] == [2.0, 4.1, 6.2, 8.3]
    assert a_report().broker_id not in heard.pings


def test_only_the_owner_pings(virtual: Virtual) -> None:
    broker = ScriptedBroker()
    heard = Heard(virtual)

    async def story() -> None:
        async with asyncio.TaskGroup() as loops:
            pinging = loops.create_task(Pings({"a": broker}, heard, lambda _: False).run())
            await asyncio.sleep(5)
            pinging.cancel()

    virtual.run(story())

    assert (broker.pinged, heard.pings) == (0, {})
