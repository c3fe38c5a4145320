"""Asks each broker each second whether it is there: the witness that risks no order.

Each broker has a loop of its own. The trap is one round over all of them: the broker that hangs
would keep the others from being asked, and they would look as silent as it is.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from app.ports.brokers import Broker
from app.ports.dispatch import Witness

PING_EVERY_S: Final = 1.0
# A broker that is only slow, at the open, answers within two seconds.
PING_S_MAX: Final = 2.0
# Even to a broker that is always late.
REST_S_MIN: Final = 0.1


class Pings:
    """The pings of the brokers that this process owns."""

    def __init__(
        self, brokers: Mapping[str, Broker], witness: Witness, owns: Callable[[str], bool]
    ) -> None:
        self._brokers = brokers
        self._witness = witness
        self._owns = owns

    async def run(self) -> None:
        """Ping for ever."""
        async with asyncio.TaskGroup() as loops:
            for name, broker in self._brokers.items():
                loops.create_task(self._follow(name, broker))

    async def _follow(self, name: str, broker: Broker) -> None:
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            if self._owns(name):
                self._witness.pinged(name, alive=await _answers(broker))
            await asyncio.sleep(max(REST_S_MIN, began + PING_EVERY_S - loop.time()))


async def _answers(broker: Broker) -> bool:
    try:
        async with asyncio.timeout(PING_S_MAX):
            return await broker.ping()
    except Exception:  # noqa: BLE001 - an adapter's bug is no answer, and no other broker's fault
        return False
