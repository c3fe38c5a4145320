"""The whole gateway in one virtual loop, told as a story: reserve, ring the bell, crash, restart.

Everything is the production code and its embedded twins; only the brokers and the delays are
the test's. Between two lines of a story no time passes unless the story says so. The trap is a
process that died of its own fault while the story went on: every line looks first.
"""

import asyncio
from collections.abc import Callable, Coroutine
from decimal import Decimal
from typing import Any, Final, TypeVar

from sqlalchemy import text

from app import codec
from app.domain.capabilities import Capabilities
from app.domain.messages import ExecutionReport
from app.domain.order import Order
from app.domain.records import Actor, AttemptView, BrokerControl, Taken
from app.domain.session import TradingSession
from app.domain.values import CancelOrigin, broker_order_key
from app.gateway import Gateway
from app.ledger import rows
from app.ports.brokers import Broker
from app.ports.bus import Event
from app.settings import BrokerSettings, Settings
from app.sql import Work
from app.sqlite import Database
from app.stores import embedded
from app.wiring import furnish
from tests.scenarios.brokers import BrokerWorld
from tests.scenarios.builders import MARKET, REFERENCE, SESSION, a_request
from tests.scenarios.fates import PLAIN
from tests.scenarios.lines import BrokerLine
from tests.scenarios.world import Delay, Life, Store, StoreLine, World, a_ledger, promptly
from tests.virtual import BEFORE_THE_BELL, Virtual

T = TypeVar("T")
ALICE: Final = Actor("alice", "the story says so")
BOB: Final = Actor("bob", "the story says so")
SESSION_OPENS: Final = BEFORE_THE_BELL + 60_000
# A broker waits so long for our 200, and repeats what it could not tell us.
HOOK_TIMEOUT_S: Final = 1.0
HOOK_RETRY_S: Final = 0.25
EXECUTIONS: Final = "SELECT report FROM executions WHERE order_id = :order_id"
ATTEMPTS: Final = (
    "SELECT broker_order_key, attempt_number, broker_id, claimed_at, outcome, settled_by,"
    " settled_at FROM attempts WHERE order_id = :order_id ORDER BY attempt_number"
)
LOOK_EVERY_S: Final = 0.01


class Floor:
    """One gateway, its brokers, and the clock."""

    def __init__(
        self,
        virtual: Virtual,
        *,
        seed: int = 0,
        tps: int = 50,
        capabilities: Capabilities = PLAIN,
        delay: Delay = promptly,
        watched: bool = False,
    ) -> None:
        self.virtual, self.clock = virtual, virtual.clock
        self.watched = watched  # two looks a second are most of the work of a long quiet story
        self.world = World(virtual.loop, seed)
        self.brokers = {n: BrokerWorld(n, self.world, capabilities) for n in ("north", "south")}
        self.north, self.south = self.brokers["north"], self.brokers["south"]
        for broker in self.brokers.values():
            broker.deliver = self._hook
        self._settings = Settings(
            brokers={name: BrokerSettings(orders_per_second=tps) for name in self.brokers},
            routes={MARKET: "north"},
            view=False,
        )
        databases = (a_ledger(), Database(None), Database(None))
        self._stores = [Store(self.world, database, delay) for database in databases]
        self.rates: dict[str, list[tuple[int, int]]] = {name: [] for name in self.brokers}
        self.ids: dict[str, str] = {}
        self.life = Life(self.world)
        self._process: asyncio.Task[None] | None = None
        self._frozen: dict[Life, tuple[Gateway, asyncio.Task[None]]] = {}
        self.start()

    # --- time ---------------------------------------------------------------------------

    def run(self, step: Coroutine[Any, Any, T]) -> T:
        """Let the loop run until this is done; own up to whatever broke meanwhile."""
        result = self.virtual.run(step)
        for failure in self.world.broken:
            raise failure
        if self._process is not None and self._process.done():
            self._process.result()
            raise AssertionError("the process ended by itself")
        return result

    def passes(self, seconds: float) -> None:
        self.run(asyncio.sleep(seconds))

    def until(self, condition: Callable[[], bool], timeout_s: float = 20.0) -> float:
        """Let time pass until this is so; return the seconds that it took."""
        return self.run(self._until(condition, timeout_s))

    async def _until(self, condition: Callable[[], bool], timeout_s: float) -> float:
        began = self.virtual.loop.time()
        while not condition() and not (self._process and self._process.done()):
            took = self.virtual.loop.time() - began
            assert took < timeout_s, f"not so after {timeout_s} s"
            await asyncio.sleep(LOOK_EVERY_S)
        return self.virtual.loop.time() - began

    def comes_to(self, status: str, *names: str, timeout_s: float = 20.0) -> float:
        ids = {self.ids[name] for name in names}

        def so() -> bool:
            found = self.query("SELECT order_id FROM orders WHERE status = :status", status=status)
            return ids <= {row[0] for row in found}

        return self.until(so, timeout_s)

    def bell(self) -> None:
        """Let time pass until the session opens."""
        self._passes_to(self.session.opens_at)

    def close_of_session(self) -> None:
        self._passes_to(self.session.closes_at)

    @property
    def session(self) -> TradingSession:
        found = REFERENCE.calendar.session(SESSION)
        assert found is not None
        return found

    def _passes_to(self, instant: int) -> None:
        self.passes(max(0, instant - self.clock.now()) / 1000)

    # --- lives --------------------------------------------------------------------------

    def start(self) -> None:
        """Start a process on what the disk holds, and wait until it is ready."""
        self.run(self._start())

    async def _start(self) -> None:
        self.life = life = Life(self.world)
        ledger, bus, book = (StoreLine(store, life) for store in self._stores)
        lines = embedded(ledger, bus, book, self.clock)
        brokers: dict[str, Broker] = {n: BrokerLine(b, life) for n, b in self.brokers.items()}
        self.gateway = await furnish(self._settings, self.clock, lines, brokers, REFERENCE)
        if not self.watched:
            assert self.gateway.watching is not None
            self.gateway.forever.remove(self.gateway.watching.watch.run)
        self._note_rates()
        self.gateway.board.on_refresh(self._note_rates)
        self._process = self.virtual.loop.create_task(self.gateway.run())
        ready = self.virtual.loop.create_task(self.gateway.ready.wait())
        await asyncio.wait({self._process, ready}, return_when=asyncio.FIRST_COMPLETED)

    def crash(self) -> None:
        """`kill -9`: the ports are shut, and only then the tasks end."""
        self.life.end()
        process, self._process = self._process, None
        if process is not None:
            process.cancel()
            self.run(_ended(process))

    def stop(self) -> None:
        """SIGTERM: drain, and end."""
        process, self._process = self._process, None
        assert process is not None
        self.gateway.drain()
        self.run(asyncio.wait_for(process, 45))
        self.life.end()

    def freeze(self) -> None:
        """Stop this process in its tracks; another may be started meanwhile."""
        assert self._process is not None
        self.life.freeze()
        self._frozen[self.life] = self.gateway, self._process
        self._process = None

    def goes_on(self, former: Life) -> None:
        """Return to a process that was frozen: the story's lines speak to it again."""
        self.life = former
        self.gateway, self._process = self._frozen.pop(former)
        former.thaw()

    def restart(self) -> None:
        self.crash()
        self.start()

    def _note_rates(self) -> None:
        """Write down which rate is in force from now on."""
        for lane in self.gateway.lanes:
            rate = lane.permits.limit
            assert rate is not None
            self.rates[lane.broker_id].append((self.world.now_ns, rate))

    # --- clients ------------------------------------------------------------------------

    def reserve(self, name: str, quantity: int = 10, symbol: str = "AAPL", **terms: Any) -> Order:
        """Place an order for the session that is to come (or is open)."""
        taken = self.run(self.gateway.desk.place(a_request(name, quantity, symbol, **terms)))
        self.ids[name] = taken.order.order_id
        return taken.order

    def reserve_all(self, names: list[str], **terms: Any) -> None:
        requests = [a_request(name, 10, "AAPL", **terms) for name in names]
        for taken in self.run(self.gateway.desk.place_all(requests)):
            assert isinstance(taken, Taken), taken
            self.ids[taken.order.client_order_id] = taken.order.order_id

    def cancel(self, name: str) -> Order:
        return self.run(self.gateway.ledger.cancel(self.ids[name], None, CancelOrigin.CLIENT))

    def replace(self, name: str, quantity: int, price: str | None = None) -> Order:
        """Change an order's terms as its owner last saw it."""
        order = self.order(name)
        limit = order.limit_price if price is None else Decimal(price)
        return self.run(self.gateway.desk.amend(order, order.version, Decimal(quantity), limit))

    # --- operators ----------------------------------------------------------------------

    def rate(self, broker: str, tps: int) -> BrokerControl:
        return self.run(self.sets(broker, tps=tps))

    async def sets(self, broker: str, **facts: Any) -> BrokerControl:
        """Change what operators may set of a broker; on return it is in force."""
        before = (await self.gateway.ledger.controls())[broker]
        wanted = before._replace(**facts)
        after = await self.gateway.ledger.set_control(wanted, before.version, ALICE)
        assert await self.gateway.floor.applied(broker, after.version, 1.0)
        return after

    def halt(self, scope: str = "all", target: str = "*") -> None:
        self.run(self.halts(scope, target))

    async def halts(self, scope: str, target: str) -> None:
        await self.gateway.ledger.halt(scope, target, ALICE)
        self.gateway.floor.halts_changed()

    def resume(self, scope: str = "all", target: str = "*") -> None:
        self.run(self.resumes(scope, target))

    async def resumes(self, scope: str, target: str) -> None:
        await self.gateway.ledger.resume(scope, target, BOB)
        self.gateway.floor.halts_changed()

    def leads(self, broker: str) -> None:
        """Lead the market's orders to another broker, as a failover does: under a new epoch."""
        moved = text("UPDATE routes SET active_broker = :broker, epoch = epoch + 1")
        self.reads(lambda c: c.execute(moved, {"broker": broker}))

    # --- what is so ---------------------------------------------------------------------

    def order(self, name: str) -> Order:
        (found,) = self.reads(lambda c: rows.by_ids(c, [self.ids[name]])).values()
        return found

    def state(self, name: str) -> str:
        return self.order(name).status.value

    def key(self, name: str, attempt: int = 1) -> str:
        return broker_order_key(self.ids[name], attempt)

    def attempts(self, name: str) -> list[AttemptView]:
        found = self.query(ATTEMPTS, order_id=self.ids[name])
        return [AttemptView(*row) for row in found]

    def executions(self, name: str) -> list[ExecutionReport]:
        found = self.query(EXECUTIONS, order_id=self.ids[name])
        return [codec.decode_report(row.report) for row in found]

    def query(self, sql: str, **values: object) -> list[Any]:
        """Read rows of the ledger, whoever lives."""
        return self.reads(lambda c: list(c.execute(text(sql), values)))

    def reads(self, work: Work[T]) -> T:
        """Do this to the ledger's file, past every process."""
        return self._stores[0].database.write_now(work)

    def forbids(self, table: str) -> None:
        """Let every insert into a table of the ledger fail, as a full disk would."""
        trap = f"CREATE TRIGGER no_room BEFORE INSERT ON {table}"
        raises = f"SELECT RAISE(ABORT, 'no room in {table}')"
        self.reads(lambda c: c.exec_driver_sql(f"{trap} BEGIN {raises}; END"))

    def disk_takes(self, seconds: float) -> None:
        """Let every commit take so long until it is durable, and as long again to say so."""
        for store in self._stores:
            store.delay = lambda: seconds

    # --- brokers' reports ---------------------------------------------------------------

    def _hook(self, report: ExecutionReport) -> None:
        self.world.does(self._deliver(report))

    async def _deliver(self, report: ExecutionReport) -> None:
        """Hand a report to the door until it says that it is durable, as brokers do."""
        name = f"{report.broker_id}-{report.execution_id}"
        payload = codec.encode(report)
        event = Event(
            "openbell.broker-reports.v1", report.broker_order_key, name, "report", payload
        )
        while True:
            try:
                async with asyncio.timeout(HOOK_TIMEOUT_S):
                    await self.gateway.bus.publish([event])
                    return
            except TimeoutError:
                await asyncio.sleep(HOOK_RETRY_S)


async def _ended(process: "asyncio.Task[None]") -> None:
    await asyncio.wait({process})
