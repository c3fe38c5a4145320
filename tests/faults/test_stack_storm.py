"""A night on real stores, everything of which falls: PostgreSQL, Kafka, MongoDB, Redis, the roles.

    eight writers ─► api ─► PostgreSQL ─► dispatcher ─► two brokers ─► api ─► Kafka ─► dispatcher
                                └─► relay ─► Kafka ─► projector ─► MongoDB

Two sizes from one code: the small one is the suite's, the other has 100,000 orders and stops of
half a minute, takes an hour or more (the stand-in for MongoDB sets the pace) and is run by hand:

    OPENBELL_TEST_STORM=full timeout -s INT 7200 pytest tests/faults/test_stack_storm.py -s

(Interrupted, not terminated: pytest ends what it has started.)

The night is judged by what lies in the stores and in the brokers' own files, once it is quiet:
nothing lost, nothing invented, nothing twice, nothing out of order, and the view can be made anew
from nothing. Then by the weather itself, since a storm in which nothing fell has proved nothing.
"""

import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from time import perf_counter
from typing import Final, NamedTuple

import pytest

from app.cli.stage.checker import check
from app.cli.stage.roles import SHARED
from tests.faults.stack_books import Books, compared
from tests.faults.stack_crowd import Crowd
from tests.faults.stack_stage import Kept, StackStage
from tests.faults.stack_topics import ORDERS, VIEW, Told, Topics
from tests.faults.stack_weather import Plan, Servers, Weather
from tests.faults.storm_night import ENDS, FAULTS, OPTIONS
from tests.faults.storm_stage import say, until
from tests.ledger.pg import proxied
from tests.servers.postgres import PostgresServer
from tests.servers.server import Server, fresh_name
from tests.servers.wishes import wish

pytestmark = pytest.mark.storm


class Size(NamedTuple):
    """How large a storm is."""

    orders: int
    sizes: tuple[int, ...]  # of the writers' batches
    pause_s: float
    rate: int  # of each broker
    plan: Plan
    end_s_max: float  # until every order is at its end
    view_s_max: float  # until the view has caught up, or is made anew


# What stands in for MongoDB takes some 300 to 1,500 upserts a second, and each order is three or
# so: with 2,500 orders over a minute or two it keeps pace on two cores beside all the rest.
SMALL: Final = Size(
    orders=2_500,
    sizes=(1, 1, 4, 8),
    pause_s=0.6,
    rate=200,
    plan=Plan(
        relay_kills=10,
        relay_passes=8,
        projector_kills=6,
        postgres_kills=5,  # one with each outage, and one that lasts
        outage_s=5.0,
        seed="2026-01-02",
    ),
    end_s_max=120.0,
    view_s_max=600.0,
)
FULL: Final = SMALL._replace(
    orders=100_000,
    sizes=(1, 4, 12, 40),
    pause_s=0.3,
    rate=300,
    plan=Plan(
        relay_kills=20,
        relay_passes=60,
        projector_kills=10,
        postgres_kills=5,
        outage_s=30.0,
        seed=SMALL.plan.seed,
    ),
    end_s_max=600.0,
    view_s_max=3_600.0,
)
SIZE: Final = FULL if wish("OPENBELL_TEST_STORM") == "full" else SMALL
CONTRACT: Final = 1_000
BROKERS: Final = ("--fills", "partial", "--fill-delay-ms", "700", "--cancel-delay-ms", "30")
PARTITIONS: Final = 4
VIEW_S_MAX: Final = 10.0
NIGHT_S_MAX: Final = 3_600.0
# Where a question is a connection or a scan, twenty a second are no help.
EVERY_S: Final = 0.2
BACK_S_MAX: Final = 240.0
LAST: Final = 100  # orders placed when all is calm: how long after them is the view complete?
AFTERWARDS: Final = 50  # and when the topic and the view are new
SHOWN_MAX: Final = 5
READERS: Final = ("relay", "projector", "projector-2")  # of what the topics and the view hold
# A role may end because a store is away, never because it broke a law of its own.
BUGS: Final = ("AssertionError", "InvalidTransition")


class Site(NamedTuple):
    """Everything that a storm stands on."""

    stage: StackStage
    servers: Servers
    topics: Topics
    books: Books


@pytest.fixture
def site(  # noqa: PLR0913, PLR0917 - one for each store
    postgres: PostgresServer,
    kafka: Server,
    mongo: Server,
    redis: Server,
    database: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Site]:
    postgres.needs("kill", "durable", "proxied")
    kafka.needs("kill", "survives_kill", "groups")
    mongo.needs("kill", "survives_kill")
    redis.needs("kill")
    view = fresh_name("storm")
    stores = {
        "OPENBELL_LEDGER_URL": database,
        "OPENBELL_KAFKA__BOOTSTRAP": kafka.bootstrap,
        "OPENBELL_KAFKA__PARTITIONS": str(PARTITIONS),
        # One broker: more copies than that cannot be had.
        "OPENBELL_KAFKA__REPLICATION": "1",
        "OPENBELL_KAFKA__MIN_INSYNC": "1",
        "OPENBELL_MONGO__URL": mongo.url,
        "OPENBELL_MONGO__DATABASE": view,
        "OPENBELL_REDIS_URL": redis.url,
    }
    assert all(name.startswith(SHARED) for name in stores)
    for name, value in stores.items():
        monkeypatch.setenv(name, value)
    topics, books = Topics(kafka.bootstrap, PARTITIONS), Books(database, mongo.url, view)
    # A server with `kill` is the tests' own, so what has our topics' names is a former storm's.
    topics.drop(topics.names())
    rates = {"north": SIZE.rate, "south": SIZE.rate}
    arguments = (*BROKERS, "--seed", "20260102")
    with proxied(database) as (through, proxy):
        stage = StackStage(
            tmp_path, rates=rates, contract=CONTRACT, arguments=arguments, options=OPTIONS
        )
        stage.doors_ledger_url = through
        with closing(stage):
            yield Site(stage, Servers(postgres, kafka, mongo, redis, proxy), topics, books)
    for server in (kafka, mongo):
        server.start()
    topics.drop(topics.names())
    books.drop_view_database()


class Played(NamedTuple):
    """What a night was, for the account at its end."""

    crowd: Crowd
    weather: Weather
    wrong: list[str]
    view: dict[str, bytes]
    rebuilt: dict[str, bytes]  # the same, made anew through a new topic
    repeated: int
    statuses: dict[str, int]
    took: dict[str, float]


def test_whatever_store_falls_nothing_is_lost_doubled_or_out_of_order(site: Site) -> None:
    night = play(site)
    _tell(site, night)
    kept, seen, plan = site.stage.kept, night.weather.seen, SIZE.plan

    assert night.crowd.errors == []
    assert night.wrong == []
    assert night.took["the view after quiet"] <= VIEW_S_MAX
    assert night.rebuilt == night.view
    assert set(night.statuses.values()) == {0}
    assert len(night.view) >= SIZE.orders
    # No store's absence ends the doors, nor those who send.
    assert [len(kept[name].ends) for name in ("api", "dispatcher")] == [1, 1]
    # A storm in which nothing fell has proved nothing.
    points = killed_at(kept["relay"])
    assert points.total() == plan.relay_kills
    assert points["relay.after_publish"] >= plan.relay_kills // 4
    assert seen["relay waited in vain"] <= plan.relay_kills // 2
    assert seen["projector killed"] == plan.projector_kills
    assert seen["postmaster killed"] == plan.postgres_kills
    assert night.weather.taken_during.keys() == {"kafka", "mongo", "redis"}
    assert night.repeated > 0, "a relay that was killed repeats itself"
    assert night.crowd.unknown > 0, "PostgreSQL was dead for longer than the doors wait"
    assert night.crowd.canceled_at_once
    assert night.crowd.quantities


def play(site: Site) -> Played:
    """Play the night to its end, then make the view anew; judge by what lies in the stores."""
    site.books.trace_the_outbox()
    site.stage.raise_curtain()
    crowd, weather = _night(site)
    took = weather.took | {"the view after quiet": _placed(site, crowd, "last", LAST)}
    told = {topic: site.topics.read(topic) for topic in site.books.traced()}
    wrong = _wrong_in_the_topics(site, told) + _differences(site)
    view = site.books.view()
    took["rebuild"], rebuilt = _rebuilt(site)
    _placed(site, crowd, "afterwards", AFTERWARDS)
    wrong += _differences(site)
    statuses = site.stage.stop_all()
    wrong += _wrong_in_the_ledger(site, crowd)
    repeated = told[ORDERS].repeated
    return Played(crowd, weather, wrong, view, rebuilt, repeated, statuses, took)


# --- the night ----------------------------------------------------------------------------


def _night(site: Site) -> tuple[Crowd, Weather]:
    """Let the writers write through the storm, and return when every order is at its end."""
    stage, size = site.stage, SIZE
    sessions = stage.find_sessions()
    crowd = Crowd(stage, sessions, sizes=size.sizes, pause_s=size.pause_s, seed=size.plan.seed)
    weather = Weather(stage, site.servers, site.topics, crowd, size.plan)
    stage.faults(FAULTS)
    crowd.start()
    try:
        until(lambda: crowd.taken >= 10, "orders are taken before the bell", BACK_S_MAX)
        stage.ring(sessions)
        weather.blow()
        until(lambda: crowd.taken >= size.orders or crowd.errors, "enough is taken", NIGHT_S_MAX)
    except BaseException:
        crowd.abandon()
        raise
    finally:
        crowd.finish()
    stage.faults({"*": None})
    _until_the_end(site)
    # What the outages have left undone is no part of the quiet: where the machine is slow, so is
    # what stands in for MongoDB.
    weather.took["catching up"] = _until_the_view_follows(site)
    return crowd, weather


def _until_the_end(site: Site) -> None:
    """Wait until every order has come to an end and every report is told and applied."""
    seen: dict[str, int] = {}

    def over() -> bool:
        seen.clear()
        seen.update(site.books.statuses())
        return seen.keys() <= set(ENDS)

    try:
        until(over, "every order at its end", SIZE.end_s_max, EVERY_S)
    except AssertionError as e:
        raise AssertionError(f"{e}: {seen}; {site.stage.said('dispatcher')}") from None
    for name in site.stage.brokers:
        site.stage.ask_broker(name, "/sim/flush", {"timeout_s": 30})


def _placed(site: Site, crowd: Crowd, name: str, number: int) -> float:
    """Place some more; return how long after the last change of them the view was complete."""
    with site.stage.calling("client") as client:
        crowd.place(client, name, number)
    _until_the_end(site)
    return _until_the_view_follows(site)


def _until_the_view_follows(site: Site) -> float:
    """Return how long after the ledger's last change the projector had nothing left to do."""
    until(lambda: not _behind(site), "the view has seen every event", SIZE.view_s_max, EVERY_S)
    return site.books.quiet_s()


def _behind(site: Site) -> int:
    """Return how many events the projector has not stored."""
    return site.books.outbox() + site.topics.lag(ORDERS, VIEW)


# --- anew ---------------------------------------------------------------------------------


def _rebuilt(site: Site) -> tuple[float, dict[str, bytes]]:
    """Drop the topic and the view, make both anew; return how long it took, and the new view."""
    stage = site.stage
    for name in READERS:
        assert stage.kept[name].stop() == 0, stage.said(name)
    site.topics.drop([ORDERS])
    site.books.drop_view()
    assert not site.books.view()
    began = perf_counter()
    for role in ("relay", "projector"):
        anew = stage.keep(role, f"{role}-anew")
        until(anew.ready.is_set, f"{anew.name} is ready", BACK_S_MAX)
    for trade_date in site.books.trade_dates():
        stage.replay(trade_date)
    _until_the_view_follows(site)
    return perf_counter() - began, site.books.view()


def _differences(site: Site) -> list[str]:
    """Ask the gateway where the view is not the ledger, and look for ourselves."""
    with site.stage.calling("operator", SIZE.view_s_max) as operator:
        found: list[str] = operator.get("/admin/v1/view/verify")["differences"]
    ledger, view = site.books.versions(), site.books.view_versions()
    names = ledger.keys() | view.keys()
    found += [name for name in sorted(names) if ledger.get(name) != view.get(name)]
    return [f"the view differs: {name}" for name in found[:SHOWN_MAX]]


# --- the account --------------------------------------------------------------------------


def _wrong_in_the_topics(site: Site, told: dict[str, Told]) -> list[str]:
    """Compare what was published with what was committed: all of it, in order per order."""
    wrong: list[str] = []
    for topic, ids in site.books.traced().items():
        published = told[topic].ids
        wrong += [f"{topic}: {name} was never published" for name in sorted(ids - published)]
        wrong += [f"{topic}: {name} came from nowhere" for name in sorted(published - ids)]
        wrong += told[topic].wrong
    versions = site.books.versions()
    wrong += [
        f"{order_id}: the topic ends at {told[ORDERS].versions.get(order_id)} of {version}"
        for order_id, version in versions.items()
        if told[ORDERS].versions.get(order_id) != version
    ]
    return wrong[:SHOWN_MAX]


def _wrong_in_the_ledger(site: Site, crowd: Crowd) -> list[str]:
    """Compare the ledger with the brokers' files, and with what the writers were told."""
    stage = site.stage
    copy = stage.ledger_file()
    audits = {name: broker.process.audit for name, broker in stage.brokers.items()}
    history = stage.directory / "acked.jsonl"
    history.write_text("".join(f.read_text() for f in stage.directory.glob("*.acked.jsonl")))
    report = check(copy, audits, history, dict.fromkeys(stage.brokers, SIZE.rate))
    wrong = [f"{law}: {found}" for law, found in report.shown().items()]
    wrong += [
        f"{name} said {word}"
        for name, text in stage.logs().items()
        for word in BUGS
        if word in text
    ]
    return wrong + compared(copy, crowd)[:SHOWN_MAX]


def killed_at(kept: Kept) -> Counter[str]:
    """Count where the lives ended that were killed at a place meant for them."""
    return Counter(end.arm.point for end in kept.ends if end.status == -signal.SIGKILL and end.arm)


def _tell(site: Site, night: Played) -> None:
    crowd, weather, kept = night.crowd, night.weather, site.stage.kept
    ends = {name: (len(k.ends), k.killed, len(k.by_itself)) for name, k in kept.items()}
    say(f"{crowd.taken} orders by eight writers; posted again: {dict(crowd.refused)}")
    say(f"{crowd.unknown} of unknown outcome, {crowd.found} of them were there")
    say(f"weather: {dict(weather.seen)}; taken while away: {weather.taken_during}")
    say(f"relay killed at {dict(killed_at(kept['relay']))}")
    say(f"lives ended, killed, by themselves: {ends}; {night.repeated} events told twice")
    peaks = ", ".join(f"{name} {k.peak_mb:.0f}" for name, k in kept.items() if k.peak_mb)
    say(f"most memory of each last life, MB: {peaks}")
    took = ", ".join(f"{name} {seconds:.1f}" for name, seconds in night.took.items())
    say(f"seconds: {took}\n")
