"""A circuit breaker that is itself a broker: when a broker is sick, orders wait instead of fail.

One circuit each for submit, cancel and find: looking an order up is how doubt ends, so an open
circuit of submit does not forbid it. What a circuit does stands in `circuit.py`; here is what it
is told: an answer keeps its own word, silence is a failure, a cancelled task is nobody's fault.
"""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from typing import TypeVar, cast

from app.clock import Clock
from app.dispatch.circuit import Circuit
from app.dispatch.permission import (
    GateState,
    Hook,
    Lane,
    Override,
    Permit,
    Refusal,
)
from app.dispatch.unwitnessed import NOBODY
from app.domain.breaking import GateSettings
from app.domain.messages import (
    Absent,
    Answer,
    Cancellation,
    ExecutionReport,
    Lookup,
    NotSent,
    Replacement,
    Submission,
    Unknown,
)
from app.domain.working import NOTHING_SHOWN, ShownOrders
from app.ports.brokers import Broker, MassBroker
from app.ports.dispatch import Witness

__all__ = [
    "GateSettings",
    "GateState",
    "GatedBroker",
    "Hook",
    "Lane",
    "Override",
    "Permit",
    "Refusal",
]

T = TypeVar("T", Answer, Lookup)


class GatedBroker:
    """A broker that stops asking when it is no use. Everything else is the broker's own."""

    def __init__(
        self,
        broker: Broker,
        clock: Clock,
        settings: GateSettings | None = None,
        on_transition: Hook | None = None,
        witness: Witness = NOBODY,
    ) -> None:
        self.name = broker.name
        self.capabilities = broker.capabilities
        self._broker = broker
        self._clock = clock
        self._witness = witness
        settings = settings or GateSettings()
        self._circuits = {lane: Circuit(lane, settings, clock, on_transition) for lane in Lane}

    async def submit(
        self, batch: Sequence[Submission], *, permit: Permit | None = None
    ) -> list[Answer]:
        """Send, under a permit acquired before or one acquired now; else each is `NotSent`."""
        admitted = await self._admit(Lane.SUBMIT, permit)
        if isinstance(admitted, Refusal):
            return [NotSent(f"circuit open: {admitted.reason}") for _ in batch]
        # What we keep back ourselves, here or in the adapter, says nothing of the broker: it is
        # not heard.
        self._witness.sending(self.name)
        answers: Sequence[Answer] = [Unknown("the adapter raised")]
        try:
            result = await self._pass(admitted, self._broker.submit(batch))
            answers = [each for each in result if not _is_ours(each)]
        except asyncio.CancelledError:
            answers = []
            raise
        finally:
            took_ns = self._clock.monotonic_ns() - admitted.since_ns
            self._witness.answered(self.name, answers, took_ns)
        return result

    async def cancel(
        self, batch: Sequence[Cancellation], *, permit: Permit | None = None
    ) -> list[Answer]:
        """As `submit`, by a circuit of its own."""
        admitted = await self._admit(Lane.CANCEL, permit)
        if isinstance(admitted, Refusal):
            return [NotSent(f"circuit open: {admitted.reason}") for _ in batch]
        return await self._pass(admitted, self._broker.cancel(batch))

    async def replace(
        self, batch: Sequence[Replacement], *, permit: Permit | None = None
    ) -> list[Answer]:
        """As `submit`, and by the same circuit: new terms are no safer than a new order."""
        admitted = await self._admit(Lane.SUBMIT, permit)
        if isinstance(admitted, Refusal):
            return [NotSent(f"circuit open: {admitted.reason}") for _ in batch]
        return await self._pass(admitted, self._broker.replace(batch))

    async def find(self, keys: Sequence[str]) -> list[Lookup]:
        """Look up, whatever submit's circuit says; refused, each is a look-up that failed."""
        admitted = await self._admit(Lane.FIND, None)
        if isinstance(admitted, Refusal):
            return [Unknown(f"circuit open: {admitted.reason}") for _ in keys]
        return await self._pass(admitted, self._broker.find(keys))

    async def find_all(self) -> ShownOrders:
        """Ask about all orders at once, as one look-up; refused, nothing is shown."""
        admitted = await self._admit(Lane.FIND, None)
        if isinstance(admitted, Refusal):
            return NOTHING_SHOWN
        shown = NOTHING_SHOWN

        async def asked() -> list[Lookup]:
            nonlocal shown
            shown = await cast("MassBroker", self._broker).find_all()
            # One question is one answer: a book of thousands must not drown what others heard.
            a_word = next(iter(shown.orders.values()), None)
            return [a_word or (Absent() if shown.ended else Unknown("nothing was shown"))]

        await self._pass(admitted, asked())
        return shown

    async def ping(self) -> bool:
        return await self._broker.ping()

    def read_callback(self, headers: Mapping[str, str], body: bytes) -> list[ExecutionReport]:
        return self._broker.read_callback(headers, body)

    async def close(self) -> None:
        await self._broker.close()

    def acquire(self, lane: Lane) -> Permit | Refusal:
        """Return the right to one request, or why not. Spend it: by `submit`, or by `record`."""
        return self._circuits[lane].acquire()

    def record(self, permit: Permit, answers: Sequence[Answer | Lookup]) -> None:
        """Spend a permit, once; later calls do nothing. No answers: not used, or cancelled."""
        self._circuits[permit.lane].record(permit, answers)

    async def probe(self, lane: Lane) -> None:
        """Ping, if an open circuit has waited long enough: no order is risked on a dead line.

        An answer opens it half; silence keeps it open, for longer.
        """
        circuit = self._circuits[lane]
        generation = circuit.ping_begins()
        if generation is None:
            return
        alive: bool | None = False
        try:
            async with asyncio.timeout(circuit.settings.ping_s_max):
                alive = await self._broker.ping()
        except TimeoutError:
            alive = False
        except asyncio.CancelledError:
            alive = None
            raise
        finally:
            circuit.ping_ended(generation, alive)

    def override(self, mode: Override, lane: Lane = Lane.SUBMIT) -> None:
        """Put an operator's word over the machine, for one lane: cancels and look-ups go on."""
        self._circuits[lane].override = mode

    def reset(self, lane: Lane = Lane.SUBMIT) -> None:
        """Close the circuit and forget what was counted towards opening it."""
        self._circuits[lane].reset()

    def begin_again(self, to: str) -> None:
        """Let every lane be asked again: `closed` at once, `half_open` behind a ping and trials."""
        for circuit in self._circuits.values():
            if to == "closed":
                circuit.reset()
            else:
                circuit.ask_now()

    def configure(self, settings: GateSettings) -> None:
        """Put other numbers in force, for all lanes, from the next request on."""
        for circuit in self._circuits.values():
            if settings != circuit.settings:
                circuit.configure(settings)

    def state(self, lane: Lane = Lane.SUBMIT) -> GateState:
        return self._circuits[lane].state()

    async def _admit(self, lane: Lane, permit: Permit | None) -> Permit | Refusal:
        if permit is not None:
            return self._circuits[lane].confirm(permit)
        admitted = self.acquire(lane)
        if isinstance(admitted, Refusal) and admitted.ping_due:
            await self.probe(lane)
            admitted = self.acquire(lane)
        return admitted

    async def _pass(self, permit: Permit, call: Awaitable[list[T]]) -> list[T]:
        # What escapes an adapter, a bug by the port's contract, counts as silence and goes on up.
        answers: Sequence[Answer | Lookup] = [Unknown("the adapter raised")]
        try:
            result = await call
            answers = result
        except asyncio.CancelledError:
            answers = []  # we stopped waiting: that says nothing about the broker
            raise
        finally:
            self.record(permit, answers)
        return result


def _is_ours(answer: Answer) -> bool:
    return isinstance(answer, NotSent) and answer.ours
