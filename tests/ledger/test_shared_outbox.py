"""Several relays on one outbox: each event is carried by one of them, whoever comes and goes.

The server is a real one, for what is tested here are its locks, its sessions and its transactions.
The trap is the late commit: ids are drawn when a row is written and seen when it is committed, so
a reader that remembers the last id would never see what commits after it under a lower one.
"""

import asyncio
import random
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Final, TypeVar

import psycopg
import pytest
from sqlalchemy.exc import ProgrammingError

from app.ledger.outbox import queue as subject
from app.ledger.outbox.queue import Outbox, SharedOutbox
from app.ledger.outbox.relay import Relay
from app.ledger.tables import SHARDS
from app.ports.away import StoreAway
from app.ports.bus import Event, Record
from app.postgres import PostgresDatabase
from tests.eventually import eventually
from tests.ledger.pg import PATIENCE_S, Site
from tests.servers.postgres import PostgresServer

T = TypeVar("T")

INSERT: Final = (
    "INSERT INTO outbox (event_id, aggregatetype, aggregateid, type, payload)"
    " VALUES (%s, 'orders', %s, 't', '{}') RETURNING id"
)
HELD: Final = (
    "SELECT DISTINCT pid, objid FROM pg_locks WHERE locktype = 'advisory' AND granted"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    " AND classid = (hashtext('openbell.relay')::bigint & 4294967295)::oid"
)
# Ends the sessions that hold a relay's locks.
CUT: Final = f"WITH held AS ({HELD}) SELECT pg_terminate_backend(pid) FROM held GROUP BY pid"
WRITERS: Final = 8
MOVES: Final = 50  # of each writer


class Bus:
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.kept: list[Event] = []

    @property
    def names(self) -> list[str]:
        return [event.event_id for event in self.kept]

    async def publish(self, events: Sequence[Event]) -> None:
        self.kept += events

    async def poll(self, topic: str, group: str, limit: int) -> list[Record]:
        raise NotImplementedError

    async def commit(self, topic: str, group: str, records: Sequence[Record]) -> None:
        raise NotImplementedError

    async def lag(self, topic: str, group: str) -> int:
        raise NotImplementedError

    async def wait(self, topic: str, group: str, timeout_s: float) -> None:
        raise NotImplementedError


class Carrier:
    """One relay of a process of its own, on a bus that others share."""

    def __init__(self, url: str, bus: Bus, shards: Sequence[int]) -> None:
        self.database = PostgresDatabase(url, writers=1)
        self.outbox = SharedOutbox(self.database, shards)
        self.relay = Relay(self.outbox, bus)
        self._closing = [self.database.close, self.outbox.close]

    def stops_carrying(self) -> None:
        """End as a relay that drains; the process lives on."""
        self._closing.pop()()

    def close(self) -> None:
        while self._closing:
            self._closing.pop()()


class Crowd:
    """A ledger, a bus, and the relays between them."""

    def __init__(self, url: str) -> None:
        self.site = Site(url)
        self.bus = Bus()
        self._carriers: list[Carrier] = []
        self._runner = asyncio.Runner()

    def carrier(self, shards: Sequence[int] = range(SHARDS)) -> Carrier:
        carrier = Carrier(self.site.url, self.bus, shards)
        self._carriers.append(carrier)
        return carrier

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    def write(self, *names: str) -> list[int]:
        """Put one event down for each name, of an account of that name; return their ids."""
        with self.site.session() as session:
            return [put(session, name) for name in names]

    def waiting(self) -> list[str]:
        return [name for (name,) in self.site.sql("SELECT event_id FROM outbox ORDER BY id")]

    def close(self) -> None:
        for carrier in self._carriers:
            carrier.close()
        self.site.close()
        self._runner.close()


def put(session: psycopg.Connection[Any], name: str, account: str | None = None) -> int:
    found = session.execute(INSERT, [name, account or name]).fetchone()
    assert found is not None
    return int(found[0])


@pytest.fixture
def crowd(ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Crowd]:
    monkeypatch.setattr(subject, "CLAIM_EVERY_S", 0.0)
    crowd = Crowd(ledger_url)
    yield crowd
    crowd.close()


NAMES: Final = [f"e-{n}" for n in range(40)]


# --- who carries ------------------------------------------------------------------------


def test_the_first_owns_every_shard_and_the_second_carries_nothing(crowd: Crowd) -> None:
    first, second = crowd.carrier(), crowd.carrier()
    crowd.write(*NAMES)
    carried = [crowd.run(relay.step()) for relay in (first.relay, second.relay, second.relay)]

    assert carried == [40, 0, 0]
    assert sorted(first.outbox.owned) == list(range(SHARDS))
    assert list(second.outbox.owned) == []
    assert crowd.bus.names == NAMES
    assert crowd.waiting() == []


def test_what_one_does_not_want_another_carries_and_nobody_twice(crowd: Crowd) -> None:
    half, rest = crowd.carrier(range(0, SHARDS, 2)), crowd.carrier()
    crowd.write(*NAMES)
    carried = [crowd.run(relay.step()) for relay in (half.relay, rest.relay)]

    assert min(carried) > 0
    assert sorted([*half.outbox.owned, *rest.outbox.owned]) == list(range(SHARDS))
    assert sorted(crowd.bus.names) == sorted(NAMES)


def test_the_events_of_one_account_have_one_carrier(crowd: Crowd) -> None:
    with crowd.site.session() as session:
        for n in range(60):
            put(session, f"e-{n}", f"account-{n % 6}")
    found = crowd.site.sql("SELECT aggregateid, count(DISTINCT shard) FROM outbox GROUP BY 1")

    assert {shards for _, shards in found} == {1}
    assert len(found) == 6


def test_who_ends_gives_its_shards_to_the_next_at_once(crowd: Crowd) -> None:
    first, second = crowd.carrier(), crowd.carrier()
    crowd.write("e-1")
    assert crowd.run(first.relay.step()) == 1
    assert crowd.run(second.relay.step()) == 0
    first.stops_carrying()
    crowd.write("e-2")
    crowd.run(eventually_carries(second.outbox))

    assert crowd.run(second.relay.step()) == 1
    assert crowd.bus.names == ["e-1", "e-2"]


async def eventually_carries(outbox: SharedOutbox) -> None:
    """Ask until every shard is ours: a server ends a session a moment after its client."""
    async with asyncio.timeout(PATIENCE_S):
        while len(outbox.owned) < SHARDS:
            await outbox.next(1)


def test_who_lost_its_session_has_lost_its_shards_and_knows_it(crowd: Crowd) -> None:
    """What it had in hand is carried again, under the same id, by the next one."""
    first, second = crowd.carrier(), crowd.carrier()
    crowd.write("e-1")
    in_hand = crowd.run(first.outbox.next(10))
    assert crowd.site.sql(CUT) == [(True,)]
    with pytest.raises(StoreAway, match="the outbox is away"):
        crowd.run(first.outbox.next(10))
    assert list(first.outbox.owned) == []
    crowd.run(eventually_carries(second.outbox))

    assert crowd.run(first.outbox.next(10)).events == []
    assert crowd.run(second.outbox.next(10)) == in_hand
    crowd.run(first.outbox.done(in_hand))  # late, and harmless: it is on the bus
    assert crowd.run(second.relay.step()) == 0


def test_a_ledger_without_an_outbox_is_no_server_that_is_away(crowd: Crowd) -> None:
    """Who retries that retries for ever, and says all the while that the server will come back."""
    carrier = crowd.carrier()
    crowd.run(carrier.outbox.next(1))
    crowd.site.sql("DROP TABLE outbox")

    with pytest.raises(ProgrammingError, match='relation "outbox" does not exist'):
        crowd.run(carrier.relay.step())


def test_one_session_holds_all_the_locks_and_none_is_left_behind(crowd: Crowd) -> None:
    first = crowd.carrier()
    for _ in range(3):
        crowd.run(first.outbox.next(1))
    held = crowd.site.sql(HELD)
    assert (len(held), len({pid for pid, _ in held})) == (SHARDS, 1)
    first.stops_carrying()

    crowd.run(eventually(lambda: crowd.site.sql(HELD) == []))


# --- a queue and not a cursor -----------------------------------------------------------


def test_what_commits_late_under_a_lower_id_is_carried_all_the_same(crowd: Crowd) -> None:
    relay = crowd.carrier().relay
    with crowd.site.session() as slow, crowd.site.session() as quick:
        with slow.transaction():
            low = put(slow, "slow")
            high = put(quick, "quick")
            assert low < high
            assert crowd.run(relay.step()) == 1
        assert crowd.run(relay.step()) == 1

    assert crowd.bus.names == ["quick", "slow"]
    assert crowd.waiting() == []


def test_only_what_was_read_is_forgotten(crowd: Crowd) -> None:
    outbox: Outbox = crowd.carrier().outbox
    with crowd.site.session() as slow, slow.transaction():
        put(slow, "lower, and not committed when we read")
        crowd.write("e-1", "e-2", "e-3")
        batch = crowd.run(outbox.next(2))
    crowd.run(outbox.done(batch))

    assert [event.event_id for event in batch.events] == ["e-1", "e-2"]
    assert crowd.waiting() == ["lower, and not committed when we read", "e-3"]


def test_what_commits_late_under_a_lower_id_is_not_passed_over_by_who_reads_ahead(
    crowd: Crowd,
) -> None:
    """What follows it may be in the next batch: there it stands before that, as always."""
    outbox = crowd.carrier().outbox
    with crowd.site.session() as slow:
        with slow.transaction():
            put(slow, "o-1", "ann")
            crowd.write("e-1", "e-2")
            in_hand = crowd.run(outbox.next(2))
        put(slow, "o-2", "ann")
    ahead = crowd.run(outbox.next(2, in_hand))

    assert [event.event_id for event in in_hand.events] == ["e-1", "e-2"]
    assert [event.event_id for event in ahead.events] == ["o-1", "o-2"]


def test_what_was_read_and_not_forgotten_is_read_again(crowd: Crowd) -> None:
    outbox = crowd.carrier().outbox
    crowd.write(*NAMES)

    assert crowd.run(outbox.next(7)) == crowd.run(outbox.next(7))
    assert crowd.run(outbox.next(100)).events[0].event_id == "e-0"


def test_an_event_says_whose_it_is_and_carries_its_words_unchanged(crowd: Crowd) -> None:
    words = 'it\'s "q" \N{PILE OF POO}'
    process = crowd.site.process()
    order = process.queued(text=words)
    (event,) = crowd.run(crowd.carrier().outbox.next(10)).events

    assert (event.topic, event.key) == ("openbell.orders.v1", "ann")
    assert event.event_id == f"{order.order_id}-1"
    assert event.type == "io.openbell.order.queued.v1"
    assert words in event.payload.decode().replace('\\"', '"')


@pytest.mark.parametrize("cuts", [0, 8], ids=["in peace", "with sessions cut"])
def test_eight_writers_at_once_and_every_version_arrives_in_its_order(
    crowd: Crowd, cuts: int
) -> None:
    """Two relays carry; where sessions are cut events come twice, and never out of order."""
    crowd.site.sql("CREATE TABLE moved (name text PRIMARY KEY, version int NOT NULL)")
    crowd.site.sql("INSERT INTO moved SELECT 'o' || n, 0 FROM generate_series(0, 15) AS n")
    relays = [crowd.carrier().relay for _ in range(2)]
    with ThreadPoolExecutor(WRITERS) as threads:
        writing = [threads.submit(move, crowd.site, seed) for seed in range(WRITERS)]
        crowd.run(carry(crowd, relays, writing, cuts))

    assert [failed for w in writing if (failed := w.exception())] == []
    versions: dict[str, list[int]] = defaultdict(list)
    for name in dict.fromkeys(crowd.bus.names):  # each where it first arrived
        order, version = name.split("-")
        versions[order].append(int(version))
    moved = dict(crowd.site.sql("SELECT name, version FROM moved"))
    assert sum(moved.values()) == WRITERS * MOVES
    assert versions == {name: list(range(1, n + 1)) for name, n in moved.items() if n}
    assert crowd.waiting() == []
    if not cuts:
        assert len(crowd.bus.names) == WRITERS * MOVES


def move(site: Site, seed: int) -> None:
    """Move orders under their locks, each move a transaction of its own length."""
    chance = random.Random(seed)
    with site.session() as session:
        for _ in range(MOVES):
            name = f"o{chance.randrange(16)}"
            with session.transaction():
                found = session.execute(
                    "UPDATE moved SET version = version + 1 WHERE name = %s RETURNING version",
                    [name],
                ).fetchone()
                assert found is not None
                put(session, f"{name}-{found[0]}", name)
                session.execute("SELECT pg_sleep(%s)", [chance.choice([0, 0, 0.002, 0.02])])


async def carry(
    crowd: Crowd, relays: Sequence[Relay], writing: Sequence["Future[None]"], cuts: int
) -> None:
    """Let the relays take turns until nothing is written and nothing waits."""
    async with asyncio.timeout(PATIENCE_S):
        while not all(w.done() for w in writing) or crowd.waiting():
            for relay in relays:
                with suppress(StoreAway):
                    await relay.step()
            if cuts and len(crowd.bus.kept) > (8 - cuts) * 40:
                cuts -= 1
                crowd.site.sql(CUT)


# --- the server -------------------------------------------------------------------------


def test_a_server_that_died_is_waited_for_and_nothing_is_lost(
    postgres: PostgresServer, crowd: Crowd
) -> None:
    postgres.needs("kill")
    carrier = crowd.carrier()
    crowd.write("e-1")
    before = crowd.run(carrier.outbox.next(10))

    def ask_on() -> None:
        for _ in range(1_000):  # its children outlive it for a moment, and answer
            crowd.run(carrier.outbox.next(10))

    postgres.kill()
    with pytest.raises(StoreAway):
        ask_on()
    with pytest.raises(StoreAway):  # nobody listens
        crowd.run(carrier.outbox.done(before))
    assert list(carrier.outbox.owned) == []
    crowd.run(outlives(carrier.relay, lambda: carrier.relay.trouble, postgres.start))

    assert crowd.bus.names == ["e-1"]
    assert crowd.waiting() == []


async def outlives(
    relay: Relay, trouble: Callable[[], str | None], mend: Callable[[], None]
) -> None:
    """Let the relay run: it says what troubles it, and goes on when that is mended."""
    async with asyncio.TaskGroup() as loops:
        running = loops.create_task(relay.run())
        said = await eventually(trouble, PATIENCE_S)
        assert said is not None
        assert "the outbox is away" in said
        mend()
        await eventually(lambda: relay.carried and not relay.trouble, PATIENCE_S)
        running.cancel()
