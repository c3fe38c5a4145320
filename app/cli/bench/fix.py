"""Round trips of our FIX session, each with its number on disk, beside other engines' own loops.

    our session ─► acceptor      an order's number is committed before its bytes leave, and its
                                 report is on the bus before the inbound number moves
    another engine ─► acceptor   a program that is given by a command, against the same one
    simplefix alone              both ends of the conversation in one loop, no socket, no disk

A round trip is a NewOrderSingle out and its first ExecutionReport in, with so many on the wire at
once. The acceptor is a stranger's and stands somewhere; nothing of it is known here. Each begins
every other round, because an acceptor that remembers its orders grows slower by the round; and
each keeps its files in one directory, so on one disk.

The trap is to measure the acceptor instead of us: where the one beside us is no faster, it may be
the limit, so its figure stands in the same run, and so does what each used of the processor.
"""

import asyncio
import json
import shlex
import subprocess
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from secrets import token_hex
from shutil import rmtree
from time import perf_counter, process_time
from typing import Any, Final, NamedTuple

from app.brokers.fix.broker import FixBroker
from app.bus.log import LogBus
from app.cli.asking.output import Ends, Failure, say
from app.cli.bench.report import Figure, figure, ratio
from app.clock import SystemClock
from app.dispatch.reports import event_of
from app.domain.messages import Accepted, ExecutionReport, Submission
from app.domain.values import OrderType, Side, TimeInForce
from app.ledger.schema import upgrade
from app.ledger.sessions.store import SessionLedger
from app.ledger.store import Ledger
from app.ports.brokers import Standing
from app.ports.sessions import Numbers, Outgoing, SessionOwner, Unread
from app.sqlite import Database

BROKER: Final = "bench"
LEASE_MS: Final = 3_600_000
LOGON_S_MAX: Final = 5.0
ANSWER_S_MAX: Final = 30.0
POLL_S: Final = 0.005
# Above what anybody here can do: the broker's contract is no part of the figure.
UNLIMITED: Final = 1_000_000
# Two messages a round trip, each written and read: a fifth of the orders is enough to see it.
SIMPLEFIX_SHARE: Final = 5


class Peer(NamedTuple):
    """The acceptor, and what is run beside us."""

    address: str
    sender: str
    target: str
    beside: Sequence[str] = ()  # commands, of one engine each


class Load(NamedTuple):
    """What one round is."""

    rounds: int
    orders: int
    window: int


class Round(NamedTuple):
    """What one of them took; the processor's seconds and the commits where they are known."""

    wall_s: float
    cpu_s: float | None
    commits: int = 0


Others = dict[str, list[Round]]  # by what they call themselves


class Counted(SessionLedger):
    """The record of the session, and how often it went to the disk with numbers."""

    commits = 0

    async def append(
        self, session: SessionOwner, at: Numbers, messages: Sequence[Outgoing]
    ) -> Numbers:
        self.commits += 1
        return await super().append(session, at, messages)


class Post:
    """Our session with its record and its bus, each on a file of its own."""

    def __init__(self, directory: Path, peer: Peer) -> None:
        directory.mkdir(parents=True)
        clock = SystemClock()
        self._files = [Database(directory / "ledger.db"), Database(directory / "bus.db")]
        upgrade(self._files[0])
        self._ledger = Ledger(self._files[0], clock)
        self._ledger.declare({BROKER: UNLIMITED}, {})
        self.sessions = Counted(self._files[0], clock)
        self._bus = LogBus(self._files[1], clock)
        self.published = 0
        self.broker = FixBroker(
            name=BROKER,
            clock=clock,
            answer_s=ANSWER_S_MAX,
            hosts=peer.address,
            sender=peer.sender,
            target=peer.target,
            reset_on_logon=True,  # the ledger is new, and the acceptor is not
            orders_per_second_max=UNLIMITED,
        )

    async def standing(self) -> Standing:
        epoch = await self._ledger.take_lease(BROKER, BROKER, LEASE_MS)
        return Standing(self.sessions, self._publish, self._park, lambda: epoch, lambda: True)

    def is_up(self) -> bool:
        status = self.broker.session()
        return status is not None and status.state == "logged_on"

    async def _publish(self, reports: Sequence[ExecutionReport]) -> None:
        await self._bus.publish([event_of(report) for report in reports])
        self.published += len(reports)

    async def _park(self, unread: Sequence[Unread]) -> None:
        raise AssertionError(f"the acceptor says what we cannot read: {unread[0].cause}")

    def close(self) -> None:
        for file in self._files:
            file.close()


def measure(directory: Path, peer: Peer, load: Load) -> list[Figure]:
    """Measure each in turn, so many rounds; return the figures."""
    import uvloop

    from app.main import collect_rarely

    collect_rarely()  # as the gateway that serves
    ours: list[Round] = []
    others: Others = {}
    alone: list[float] = []

    def we() -> None:
        here = directory / "session"
        ours.append(uvloop.run(_session(here, peer, load)))
        rmtree(here)

    def they() -> None:
        for command in peer.beside:
            name, ran = _beside(command, load, directory)
            others.setdefault(name, []).append(ran)

    for number in range(1, load.rounds + 1):
        say(f"{load.orders:,} orders, {load.window} at once, round {number}")
        for turn in (we, they) if number % 2 else (they, we):
            turn()
        alone.append(simplefix_alone(load.orders // SIMPLEFIX_SHARE))
    return figures(load, ours, others, alone)


def figures(
    load: Load, ours: Sequence[Round], others: Others, alone: Sequence[float]
) -> list[Figure]:
    """Return what the rounds say."""
    unit = "round trips a second"
    rates = [load.orders / one.wall_s for one in ours]
    found = figure("our session, numbers durable", unit, rates)
    for name, rounds in others.items():
        theirs = [load.orders / one.wall_s for one in rounds]
        found += figure(name, unit, theirs)
        found.append(ratio(f"our session / {name}", rates, theirs, ">= 1.00"))
    found += figure("simplefix alone, both ends", unit, alone)
    found.append(ratio("our session / simplefix alone", rates, alone, ""))
    found += figure("orders in one commit", "orders", [load.orders / one.commits for one in ours])
    found += _processor("our processor", load, ours)
    for name, rounds in others.items():
        found += _processor(f"processor of {name}", load, rounds)
    return found


def _processor(name: str, load: Load, rounds: Sequence[Round]) -> list[Figure]:
    """Return what a round trip costs: on a busy machine it says more than a rate."""
    used = [one.cpu_s for one in rounds if one.cpu_s is not None]
    return figure(name, "us a round trip", [cpu_s / load.orders * 1e6 for cpu_s in used])


async def _session(directory: Path, peer: Peer, load: Load) -> Round:
    """Send one round over a new session; it ends when the last report is on the bus."""
    post = Post(directory, peer)
    try:
        standing = await post.standing()
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(post.broker.run(standing))
            ran = await _round(post, load) if await _logged_on(post) else None
            running.cancel()
        if ran is None:
            status = post.broker.session()
            why = "it never began" if status is None else f"{status.state}: {status.why}"
            raise Failure(Ends.UNREACHABLE, "no session with this acceptor", why=why)
        return ran
    finally:
        post.close()


async def _logged_on(post: Post) -> bool:
    try:
        async with asyncio.timeout(LOGON_S_MAX):
            while not post.is_up():  # noqa: ASYNC110 - as an operator, who looks
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        return False
    return True


async def _round(post: Post, load: Load) -> Round:
    run = token_hex(4).upper()
    waiting = iter([_order(run, number) for number in range(load.orders)])

    async def line() -> None:
        for order in waiting:
            (answer,) = await post.broker.submit([order])
            assert isinstance(answer, Accepted), answer

    commits, used, began = post.sessions.commits, process_time(), perf_counter()
    async with asyncio.TaskGroup() as lines:
        for _ in range(load.window):
            lines.create_task(line())
    while post.published < load.orders:  # noqa: ASYNC110 - the last of them are on their way
        await asyncio.sleep(POLL_S)
    wall_s, cpu_s = perf_counter() - began, process_time() - used
    return Round(wall_s, cpu_s, post.sessions.commits - commits)


def _order(run: str, number: int) -> Submission:
    return Submission(
        f"{run}{number:020d}",
        "A-1",
        "AAPL",
        "XNAS",
        Side.BUY,
        OrderType.LIMIT,
        Decimal(10),
        Decimal("12.5"),
        "USD",
        TimeInForce.DAY,
    )


def _beside(command: str, load: Load, directory: Path) -> tuple[str, Round]:
    """Let another engine do the same; return what it calls itself, and what it tells."""
    words = [*shlex.split(command), str(load.orders), str(load.window), str(directory)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603 - theirs
    if done.returncode:
        why = done.stderr.strip()[-500:]
        raise Failure(Ends.FAILED_CHECK, "the engine beside us failed", why=why)
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    ran = Round(told["seconds"], told.get("processor_seconds"))
    return told.get("name", "the engine beside it"), ran


def simplefix_alone(orders: int) -> float:
    """Write and read an order and its report with the codec alone; return round trips a second."""
    from simplefix import FixMessage, FixParser  # type: ignore[import-untyped]

    there, back = FixParser(), FixParser()
    began = perf_counter()
    for number in range(orders):
        report = FixMessage()
        for message, reader, fields in ((FixMessage(), there, ORDER), (report, back, REPORT)):
            message.append_pair(8, "FIX.4.4")
            for tag, value in fields:
                message.append_pair(tag, value)
            message.append_pair(34, number)
            message.append_utc_timestamp(52, header=True)
            reader.append_buffer(message.encode())
            read = reader.get_message()
            assert read is not None
    return orders / (perf_counter() - began)


_KEY: Final = "ABCDEF0100000000000000000042"
_HEADER: Final = ((49, "CLIENT1"), (56, "BROKER"))
ORDER: Final = (
    *((35, "D"), *_HEADER, (11, _KEY), (1, "A-1"), (21, "1"), (55, "AAPL"), (207, "XNAS")),
    *((54, "1"), (60, "20260302-14:30:00.000"), (38, "10"), (40, "2"), (44, "12.5")),
    *((15, "USD"), (59, "0")),
)
REPORT: Final = (
    *((35, "8"), *_HEADER, (6, "0"), (11, _KEY), (14, "0"), (17, "E1"), (37, "O1"), (38, "10")),
    *((39, "0"), (44, "12.5"), (54, "1"), (55, "AAPL"), (60, "20260302-14:30:00.000")),
    *((75, "20260302"), (150, "0"), (151, "10")),
)
