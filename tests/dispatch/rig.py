"""A gate on a scripted broker, for the suites of the gate."""

import asyncio
from collections.abc import Mapping, Sequence
from decimal import Decimal

from app.dispatch.gate import (
    GatedBroker,
    GateSettings,
    Lane,
    Permit,
)
from app.domain.capabilities import Capabilities
from app.domain.messages import (
    Absent,
    Accepted,
    Answer,
    Cancellation,
    ExecutionReport,
    Lookup,
    NotSent,
    Rejected,
    Replacement,
    Submission,
    Throttled,
    Unknown,
)
from app.domain.values import OrderType, Side, TimeInForce
from app.ports.brokers import BadCallback
from tests.virtual import Virtual

ORDER = Submission(
    "k", "a", "AAPL", "XNAS", Side.BUY, OrderType.MARKET, Decimal(1), None, "USD", TimeInForce.DAY
)
OK = Accepted("b-1")
SILENT = Unknown("timeout")
NO = Rejected("closed")
FAST = Throttled(1.0)
EXPIRED = NotSent("401", credentials=True)
HALTED = NotSent("halted", ours=True)
LIVELY = GateSettings(failures_max=3, jitter=0.0)
S = 1_000_000_000


def repeated(times: int, *answers: Answer) -> list[Answer]:
    return list(answers) * times


class ScriptedBroker:
    """Gives its answers in order, then the last one for ever, each after `delay_s`."""

    name = "scripted"
    capabilities = Capabilities(batch_max=100)

    def __init__(self, *answers: Answer, delay_s: float = 0.0) -> None:
        self.answers = list(answers) or [OK]
        self.delay_s = delay_s
        self.lookup: Lookup = Absent()
        self.alive = True
        self.submitted = self.pinged = self.canceled = self.asked = self.replaced = 0
        self.in_flight = self.in_flight_max = 0

    async def submit(self, batch: Sequence[Submission]) -> list[Answer]:
        self.submitted += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        self.in_flight += 1
        self.in_flight_max = max(self.in_flight_max, self.in_flight)
        try:
            await asyncio.sleep(self.delay_s)
        finally:
            self.in_flight -= 1
        return [answer for _ in batch]

    async def cancel(self, batch: Sequence[Cancellation]) -> list[Answer]:
        self.canceled += 1
        return [OK for _ in batch]

    async def replace(self, batch: Sequence[Replacement]) -> list[Answer]:
        self.replaced += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [answer for _ in batch]

    async def find(self, keys: Sequence[str]) -> list[Lookup]:
        self.asked += 1
        return [self.lookup for _ in keys]

    async def ping(self) -> bool:
        self.pinged += 1
        await asyncio.sleep(self.delay_s)
        return self.alive

    def read_callback(self, headers: Mapping[str, str], body: bytes) -> list[ExecutionReport]:
        raise BadCallback

    async def close(self) -> None: ...


class Rig:
    """A gate on a scripted broker, on virtual time, and the transitions that it told."""

    def __init__(
        self,
        virtual: Virtual,
        *answers: Answer,
        config: GateSettings = LIVELY,
        delay_s: float = 0.0,
    ) -> None:
        self.virtual = virtual
        self.broker = ScriptedBroker(*answers, delay_s=delay_s)
        self.told: list[str] = []
        self.gate = GatedBroker(self.broker, virtual.clock, config, self.hear)

    def hear(self, lane: Lane, old: str, new: str, reason: str) -> None:
        assert lane in Lane
        assert reason
        self.told.append(f"{old}->{new}")

    def send(self, times: int = 1) -> list[Answer]:
        """Send so many orders, one after the other."""
        return [self.virtual.run(self.gate.submit([ORDER]))[0] for _ in range(times)]

    def crowd(self, size: int) -> list[Answer]:
        """Send so many orders at once."""

        async def all_at_once() -> list[Answer]:
            batches = await asyncio.gather(*(self.gate.submit([ORDER]) for _ in range(size)))
            return [answer for batch in batches for answer in batch]

        return self.virtual.run(all_at_once())

    def wait(self, seconds: float) -> None:
        self.virtual.run(asyncio.sleep(seconds))

    def permit(self, lane: Lane = Lane.SUBMIT) -> Permit:
        permit = self.gate.acquire(lane)
        assert isinstance(permit, Permit)
        return permit

    def trip(self) -> None:
        self.broker.answers = [SILENT]
        self.send(self.gate._circuits[Lane.SUBMIT].settings.failures_max)
        assert self.state == "open"
        self.broker.answers = [OK]

    def half_open(self) -> None:
        """Trip, wait until a ping is due, and let it be answered."""
        if self.state == "closed":
            self.trip()
        self.wait(self.gate.state().next_trial_s)
        self.virtual.run(self.gate.probe(Lane.SUBMIT))
        assert self.state == "half_open"

    @property
    def state(self) -> str:
        return self.gate.state().state
