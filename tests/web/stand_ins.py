"""Whole ports for the tests of the doors, as small as they go."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from app import codec
from app.domain.capabilities import Capabilities
from app.domain.errors import Busy, Code, Refused
from app.domain.limits import Limits
from app.domain.messages import (
    Answer,
    Cancellation,
    ExecutionReport,
    Lookup,
    Replacement,
    Submission,
)
from app.domain.order import Order
from app.domain.records import Conflict, LaneStatus, Taken, Taking
from app.domain.request import OrderRequest, request_hash
from app.intake.checks import admit
from app.ledger.store import Ledger
from app.ports.brokers import BadCallback
from app.ports.bus import Event, Record
from app.ports.trouble import Rehearsed
from app.reference import Reference
from tests.builders import a_lane


class SteadyClock:
    """Time that stands still until it is told to move; chance that counts."""

    def __init__(self, now: int) -> None:
        self.at = now
        self.drawn = 0

    def now(self) -> int:
        return self.at

    def monotonic_ns(self) -> int:
        return self.at * 1_000_000

    def random_bits(self, bits: int) -> int:
        self.drawn += 1
        return (self.drawn * 0x9E3779B97F4A7C15F39CC0605CEDC835) % (1 << bits)


class DirectDesk:
    """Checks and takes each order at once; can be told to be busy."""

    def __init__(self, ledger: Ledger, clock: SteadyClock, reference: Reference) -> None:
        self._ledger = ledger
        self._clock = clock
        self._reference = reference
        self.busy: Busy | None = None

    async def place(self, request: OrderRequest) -> Taken:
        if self.busy:
            raise self.busy
        (result,) = await self._ledger.take([self._checked(request)])
        if isinstance(result, Conflict):
            raise Refused(
                Code.CLIENT_ORDER_ID_CONFLICT,
                "the account has used this client_order_id for another order",
                existing_order_id=result.existing_order_id,
                status=result.status,
            )
        return result

    async def place_all(
        self, requests: Sequence[OrderRequest | Refused]
    ) -> list[Taken | Refused | Busy]:
        results: list[Taken | Refused | Busy] = []
        for request in requests:
            try:
                results.append(
                    request if isinstance(request, Refused) else await self.place(request)
                )
            except (Refused, Busy) as e:
                results.append(e)
        return results

    async def amend(
        self, order: Order, version: int, quantity: Decimal, limit_price: Decimal | None
    ) -> Order:
        return await self._ledger.amend(order.order_id, version, quantity, limit_price)

    def _checked(self, request: OrderRequest) -> Taking:
        admission = admit(
            request,
            instruments=self._reference.instruments,
            calendar=self._reference.calendar,
            limits=Limits(),
            now=self._clock.now(),
        )
        return Taking(
            request, request_hash(request), admission.session, admission.reserved, request.market
        )


class StillFloor:
    """One lane, of the broker nova, that acts on whatever it is told to have seen."""

    def __init__(self) -> None:
        self.acts = True
        self.halts_seen = 0
        self.probed: list[str] = []
        self.logged_out: list[tuple[str, str]] = []
        self.others: list[LaneStatus] = []

    def lanes(self) -> list[LaneStatus]:
        lane = a_lane(
            "nova", owner_epoch=7, tps_configured=500, tps_effective=480, tps_contract=1000
        )
        return [lane, *self.others]

    async def applied(self, broker_id: str, version: int, timeout_s: float) -> bool:
        return self.acts

    async def probe(self, broker_order_key: str) -> str:
        self.probed.append(broker_order_key)
        return "still in doubt"

    async def log_out(self, broker_id: str, reason: str) -> str:
        self.logged_out.append((broker_id, reason))
        return "it logs out"

    def halts_changed(self) -> None:
        self.halts_seen += 1


class ShortBus:
    """Keeps what was published; can be down."""

    def __init__(self) -> None:
        self.published: list[Event] = []
        self.down = False

    async def publish(self, events: Sequence[Event]) -> None:
        if self.down:
            raise ConnectionError("the bus is down")
        self.published += events

    async def poll(self, topic: str, group: str, limit: int) -> list[Record]:
        return []

    async def commit(self, topic: str, group: str, records: Sequence[Record]) -> None:
        return None

    async def lag(self, topic: str, group: str) -> int:
        if self.down:
            raise ConnectionError("the bus is down")
        return 0

    async def wait(self, topic: str, group: str, timeout_s: float) -> None:
        return None


class SignedBroker:
    """A broker of which only the callbacks matter here."""

    name = "nova"
    capabilities = Capabilities(orders_per_second_max=1000)

    async def submit(self, batch: Sequence[Submission]) -> list[Answer]:
        return []

    async def cancel(self, batch: Sequence[Cancellation]) -> list[Answer]:
        return []

    async def replace(self, batch: Sequence[Replacement]) -> list[Answer]:
        return []

    async def find(self, keys: Sequence[str]) -> list[Lookup]:
        return []

    async def ping(self) -> bool:
        return True

    def read_callback(self, headers: Mapping[str, str], body: bytes) -> list[ExecutionReport]:
        if headers.get("x-signature") != "good":
            raise BadCallback("signature")
        return codec.decode_reports(body)

    async def close(self) -> None:
        return None


class SmallRulebook:
    """One rule with one number, and ten minutes in which 0.3 was seen."""

    watches = True

    def shipped(self) -> Mapping[str, Mapping[str, object]]:
        return {"broker.error_rate": {"rule_id": "broker.error_rate", "version": 3, "raise": 0.2}}

    def checked(self, document: Mapping[str, object]) -> Mapping[str, object]:
        if not isinstance(document.get("raise"), float):
            raise Refused(Code.VALIDATION_FAILED, "raise: expected a number")
        return document

    def rehearsed(self, document: Mapping[str, object]) -> Rehearsed | None:
        if not self.watches:
            return None
        raise_at = document["raise"]
        assert isinstance(raise_at, float)
        return Rehearsed(600.0, [{"subject": "broker/nova"}] if raise_at <= 0.3 else [])
