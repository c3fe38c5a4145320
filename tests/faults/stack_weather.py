"""What a storm over real stores does: three fronts at once, each with a plan of its own.

    relay      killed again and again, most often between publishing and deleting
    projector  two of them killed in turn, the second while the group still rebalances
    stores     PostgreSQL killed and its answers to COMMIT cut; Kafka, MongoDB, Redis stopped

Each front goes on when what it hurt has come back, so a slow machine has a longer storm and not
another one. The trap is a fault that hits nobody: during each outage of what orders do not need,
orders must be taken, and after each death of what they need.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from functools import partial
from threading import Event
from time import perf_counter
from typing import Final, NamedTuple
from urllib.request import urlopen

from tests.faults.stack_crowd import Crowd
from tests.faults.stack_stage import Kept, StackStage
from tests.faults.stack_topics import VIEW, Topics
from tests.faults.storm_night import LIVED, Arm
from tests.faults.storm_stage import ASK_EVERY_S, until
from tests.servers.postgres import PostgresServer
from tests.servers.proxy import Proxy
from tests.servers.server import Server

# The projector's group waits ten seconds for a dead member; a store may be away meanwhile.
BACK_S_MAX: Final = 240.0
RELAY_POINTS: Final = ("relay.after_publish", "relay.after_publish", "relay.before_publish", LIVED)
# A relay that is to die anywhere publishes for a third of its time.
ANYWHERE_S: Final = 1.0
# An armed relay that carries nothing for so long, beyond an outage, waits for nothing.
HURRY_S: Final = 30.0
# Each question is a connection, and a core that the storm wants.
ASK_KAFKA_EVERY_S: Final = 0.25
# Longer than the doors wait for PostgreSQL before they say that they do not know.
DEAD_S: Final = 7.0
# After so long without MongoDB a projector has polled what it cannot store.
HELD_S: Final = 2.0
# Most commits of the doors are intake's; these are enough that some of its answers are lost.
CUTS: Final = 3
COMMIT: Final = b"COMMIT\0"  # and not BEGIN ISOLATION LEVEL READ COMMITTED
RECOVERED: Final = 30  # orders taken after a death: the house works again
ASK_S: Final = 5.0
REDIS_NOTICED: Final = "openbell_quota_degraded 1.0"


class Servers(NamedTuple):
    """The stores that fall, and the proxy between the doors and PostgreSQL."""

    postgres: PostgresServer
    kafka: Server
    mongo: Server
    redis: Server
    proxy: Proxy


class Plan(NamedTuple):
    """How much of everything."""

    relay_kills: int
    relay_passes: int  # batches that a life of the relay carries at most
    projector_kills: int
    postgres_kills: int
    outage_s: float
    seed: str


class Weather:
    """One storm."""

    def __init__(
        self, stage: StackStage, servers: Servers, topics: Topics, crowd: Crowd, plan: Plan
    ) -> None:
        self._stage = stage
        self._servers = servers
        self._topics = topics
        self._crowd = crowd
        self._plan = plan
        self._over = Event()
        self.seen: Counter[str] = Counter()
        self.taken_during: dict[str, int] = {}
        self.took: dict[str, float] = {}  # by front, in seconds

    def blow(self) -> None:
        """Let all fronts pass; the first failure ends them all."""
        fronts = (self._relay, self._projector, self._stores)
        with ThreadPoolExecutor(len(fronts)) as pool:
            try:
                for front in as_completed([pool.submit(self._timed, front) for front in fronts]):
                    front.result()
            finally:
                self._over.set()

    def _timed(self, front: Callable[[], None]) -> None:
        began = perf_counter()
        front()
        self.took[front.__name__.strip("_")] = perf_counter() - began

    def _until(
        self, condition: Callable[[], object], what: str, every_s: float = ASK_EVERY_S
    ) -> None:
        def reached() -> bool:
            assert not self._over.is_set(), f"another front has failed, before: {what}"
            assert not self._crowd.errors, self._crowd.errors[0]
            return bool(condition())

        try:
            until(reached, what, BACK_S_MAX, every_s)
        except AssertionError as e:
            said = "; ".join(f"{name}: {text[-600:]}" for name, text in self._stage.logs().items())
            raise AssertionError(f"{e}; {said}") from None

    # --- processes ------------------------------------------------------------------------

    def _relay(self) -> None:
        """Kill it most often between publishing and deleting, else anywhere."""
        kept, die = self._stage.kept["relay"], random.Random(f"{self._plan.seed}:relay")
        within_s = self._plan.outage_s + HURRY_S
        for _ in range(self._plan.relay_kills):
            point, passes = die.choice(RELAY_POINTS), die.randint(1, self._plan.relay_passes)
            patience_s = die.uniform(0.0, ANYWHERE_S) if point == LIVED else within_s
            kept.arms.append(Arm(point, passes, patience_s))
        kept.kill()
        # Each life takes as long as it takes; what is bounded is that there is a next one.
        for number in range(1, self._plan.relay_kills + 2):
            self._until(partial(self._has_died, kept, number), "the relay dies again")
        self._until(kept.ready.is_set, "the relay is back")

    def _has_died(self, kept: Kept, times: int) -> bool:
        """Tell whether it was killed so often; kill one that has lived as long as it was to."""
        arm = kept.arm
        if kept.ready.is_set() and arm and perf_counter() - kept.ready_since > arm.within_s:
            if arm.point != LIVED:
                self.seen[f"{kept.name} waited in vain"] += 1
            kept.kill()
        return kept.killed >= times

    def _projector(self) -> None:
        """Kill two members of a group in turn: one at rest, one while it rebalances for that."""
        first = self._stage.kept["projector"]
        second = self._stage.keep("projector", "projector-2")
        self._until(second.ready.is_set, "a second projector is ready")
        for _ in range(self._plan.projector_kills // 2):
            self._until_both_read()
            self._kill(first)
            self._kill(second)
            first, second = second, first
        self._until_both_read()

    def _kill(self, kept: Kept) -> None:
        """Kill it, and return when it is back, or has something else to wait for."""
        died = kept.killed
        kept.kill()
        self._until(lambda: kept.killed > died and kept.ready.is_set(), f"{kept.name} is back")
        self.seen[f"{kept.role} killed"] += 1

    def _until_both_read(self) -> None:
        self._until(lambda: self._topics.members(VIEW) == 2, "both are members", ASK_KAFKA_EVERY_S)
        self.seen["group stands again"] += 1

    # --- stores ---------------------------------------------------------------------------

    def _stores(self) -> None:
        servers = self._servers
        outages = [servers.kafka, servers.mongo, servers.redis]
        # One of the kills falls into the outage of Kafka: both at once.
        for number in range(self._plan.postgres_kills - 1):
            for _ in range(CUTS):
                self._cut_a_commit()
            if number >= len(outages):
                self._kill_postgres(dead_s=DEAD_S)
                continue
            self._kill_postgres()
            with self._without(outages[number]):
                self._worse(outages[number])

    def _cut_a_commit(self) -> None:
        proxy = self._servers.proxy
        lost = proxy.lost
        proxy.hold(after=COMMIT)
        self._until(lambda: proxy.lost > lost, "an answer to COMMIT is lost")
        proxy.resume()
        self.seen["answer to COMMIT lost"] += 1
        self._until_taking()

    def _kill_postgres(self, dead_s: float = 0.0) -> None:
        self._servers.postgres.kill()
        self._passes(dead_s)
        self._servers.postgres.start()
        self.seen["postmaster killed"] += 1
        self._until_taking()

    def _until_taking(self) -> None:
        taken = self._crowd.taken
        self._until(lambda: self._crowd.taken >= taken + RECOVERED, "orders are taken again")

    @contextmanager
    def _without(self, server: Server) -> Iterator[None]:
        """Stop a store for a while; orders go on."""
        taken = self._crowd.taken
        server.stop()
        try:
            yield
            if server is self._servers.redis:
                self._until(self._quotas_are_local, "the doors count by themselves")
            self._passes(self._plan.outage_s)
            self._until_taking()
        finally:
            self.taken_during[server.service] = self._crowd.taken - taken
            server.start()
        self.seen[f"{server.service} stopped"] += 1

    def _passes(self, seconds: float) -> None:
        assert not self._over.wait(seconds), "another front has failed"

    def _worse(self, away: Server) -> None:
        """Let something else fall while a store is away, for what holds its work in hand."""
        if away is self._servers.kafka:
            self._kill_postgres()
        elif away is self._servers.mongo:
            self._passes(HELD_S)
            for kept in list(self._stage.kept.values()):
                if kept.role == "projector":
                    kept.kill()

    def _quotas_are_local(self) -> bool:
        try:
            with urlopen(f"{self._stage.url}/metrics", timeout=ASK_S) as answer:  # noqa: S310
                return REDIS_NOTICED in answer.read().decode()
        except OSError:
            return False
