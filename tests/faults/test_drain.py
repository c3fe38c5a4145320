"""SIGTERM under load is not a fault: nobody is left in doubt by a stop that was asked for.

Three stops in one burst, while clients post. Each ends with status 0 and leaves on disk what
was answered: every order that a broker accepted has its answer, no attempt is open, the leases
are given back. The next start finds nothing to doubt.
"""

import json
import signal
import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from app.cli.asking.problems import Problem
from app.cli.stage.book import reserved_book
from tests.faults.crowd import Crowd
from tests.faults.storm_stage import StormStage, say, until

pytestmark = pytest.mark.storm

RATES: Final = {"north": 300, "south": 300}
STOPS: Final = 3
ORDERS: Final = 12_000  # more than the crowd posts
# Answers take no time here and nothing is shut down slowly: far below the 45 s that it may take.
STOP_S_MAX: Final = 10.0


class Left(NamedTuple):
    """What a stopped gateway left on disk."""

    open_attempts: int
    leases: int
    unanswered: int  # accepted by a broker, and not so in the ledger


class Stop(NamedTuple):
    """How one stop went."""

    status: int
    seconds: float
    left: Left


def left_by(stage: StormStage) -> Left:
    accepted = set()
    for broker in stage.brokers.values():
        with broker.process.audit.open() as lines:
            for line in map(json.loads, lines):
                if line["kind"] == "NEW" and line["decision"] == "accepted":
                    accepted.add(line["client_order_id"])
    with closing(sqlite3.connect(f"file:{stage.ledger}?mode=ro", uri=True)) as ledger:
        outcomes = dict(ledger.execute("SELECT broker_order_key, outcome FROM attempts"))
        (leases,) = ledger.execute(
            "SELECT count(*) FROM broker_leases WHERE expires_at > 0"
        ).fetchone()
    return Left(
        sum(outcome in {"open", "unknown"} for outcome in outcomes.values()),
        leases,
        sum(outcomes.get(key) != "accepted" for key in accepted),
    )


def stopped_again_and_again(stage: StormStage, crowd: Crowd) -> list[Stop]:
    """Stop and start while people post and the burst goes on."""
    stops = []
    crowd.start()
    try:
        stage.ring()
        for number in range(1, STOPS + 1):
            until(partial(_has_left, stage, 150 * number), "the burst is on", 120)
            asked = stage.clock.monotonic_ns()
            status = stage.stop()
            seconds = (stage.clock.monotonic_ns() - asked) / 1e9
            stops.append(Stop(status, seconds, left_by(stage)))
            stage.open()
    except BaseException:
        crowd.abandon()
        raise
    finally:
        crowd.finish()
    return stops


def test_a_stop_under_load_loses_nothing_and_leaves_nothing_in_doubt(tmp_path: Path) -> None:
    with closing(StormStage(tmp_path, rates=RATES, arguments=("--fills", "instant"))) as stage:
        stage.open()
        assert not _refuses(stage)
        crowd = Crowd(stage, reserved_book(ORDERS, stage.find_sessions()), "drain")
        stops = stopped_again_and_again(stage, crowd)
        stage.until_quiet()
        assert stage.stop() == 0
    report = stage.checked(crowd.history, crowd.rates_max)

    say(f"{report.orders} orders, {crowd.unknown} answers lost; {stops}")
    assert crowd.errors == []
    assert report.shown() == {}
    assert {stop.status for stop in stops} == {0}
    assert {stop.left for stop in stops} == {Left(0, 0, 0)}
    assert max(stop.seconds for stop in stops) < STOP_S_MAX
    assert report.visits.get("in_doubt", 0) == 0


def test_a_second_sigterm_ends_it_at_once_and_is_as_safe_as_a_kill(tmp_path: Path) -> None:
    options = {"timeout_s": 30.0, "visibility_window_s": 1.0}
    history = tmp_path / "acked.jsonl"
    with closing(StormStage(tmp_path, rates=RATES, options=options)) as stage:
        stage.open()
        stage.take(list(reserved_book(400, stage.find_sessions())), history)
        stage.faults({"timeout_before_accept": {"d": 20.0}})
        stage.ring(in_s=0.3)
        until(lambda: stage.counts().get("sending"), "some are on the wire", 60)
        assert stage.gateway is not None
        stage.gateway.send_signal(signal.SIGTERM)
        until(lambda: _refuses(stage), "it drains", 60)
        asked = stage.clock.monotonic_ns()
        status = stage.stop()
        seconds = (stage.clock.monotonic_ns() - asked) / 1e9
        stage.faults({"*": None})
        stage.open()
        until(lambda: stage.counts() == {"new": 400}, "each is at its broker", 60)
        assert stage.stop() == 0
    report = stage.checked(history, RATES)

    assert (status, seconds < 2.0) == (1, True)
    assert report.visits["in_doubt"] > 0, "what was on the wire is in doubt, not failed"
    assert report.shown() == {}


def _has_left(stage: StormStage, least: int) -> bool:
    return stage.left() > least


def _refuses(stage: StormStage) -> bool:
    """Whether it has stopped taking orders and says so."""
    with stage.calling("client") as client:
        try:
            client.call("GET", "/readyz")
        except Problem as e:
            return e.status == 503
    return False
