"""Thirty failovers in mid-burst, sick brokers, and a gateway that is killed over and over.

Whoever leads the routes here is in a hurry: each failover is forced while the one before is still
under way, from a broker that swallows answers to one that does. What counts at the end are the
brokers' own records: no order is live at two of them. The trap is a storm without doubts, in which
nothing could have gone wrong: so it says how many orders were in doubt when their route moved.
"""

import json
import sqlite3
from contextlib import closing
from itertools import cycle
from pathlib import Path
from time import perf_counter, sleep
from typing import Any, Final

import pytest

from app.cli.drill.rehearsal import LIVE_TWICE
from app.cli.stage.book import reserved_book
from tests.faults.storm_night import BROKERS, FAULTS, OPTIONS
from tests.faults.storm_stage import AWAY, MARKETS, StormStage, say, until

pytestmark = pytest.mark.storm

RATES: Final = {"north": 120, "south": 120}
ORDERS: Final = 5_000
FAILOVERS: Final = 32
# A death before the fence is committed, one right after it, and one wherever it stands.
DEATHS: Final = ("failover.before_commit", "failover.after_epoch", None)
BETWEEN_DEATHS: Final = 8
PAUSE_S: Final = 0.3
STORM_S_MAX: Final = 240.0  # it takes some 40 on two quiet cores
REASON: Final = "a storm leads the route elsewhere"
SWALLOWED: Final = FAULTS | {"accept_drop_reply": {"probability": 0.1, "on": ("orders",)}}


def moved(stage: StormStage) -> int:
    """Return how often routes have moved so far."""
    with closing(sqlite3.connect(f"file:{stage.ledger}?mode=ro", uri=True)) as ledger:
        ((epochs,),) = ledger.execute("SELECT sum(epoch - 1) FROM routes")
    return int(epochs)


def moves(stage: StormStage, route_id: str) -> None:
    """Force a route to its other broker, as an operator would who has seen its epoch."""
    path = f"/admin/v1/routes/{route_id}"
    with stage.calling("operator") as operator:
        seen = operator.get(path)
        to = "south" if seen["active_broker"] == "north" else "north"
        body = {"to": to, "kind": "forced", "expected_epoch": seen["epoch"], "reason": REASON}
        operator.call("POST", f"{path}/failover", body, {"X-Confirm": body["to"]})


def led(stage: StormStage) -> dict[tuple[str, int], str]:
    """Return who led each route at each epoch, as the failovers' own documents tell."""
    leaders = {("XNYS", 1): "north", ("XNAS", 1): "south"}
    with closing(sqlite3.connect(f"file:{stage.ledger}?mode=ro", uri=True)) as ledger:
        for (document,) in ledger.execute("SELECT document FROM failovers"):
            told = json.loads(document)
            if any(state == "fencing" for state, _ in told["steps"]):
                leaders[told["route_id"], told["epoch"]] = told["to_broker"]
    return leaders


def claims(stage: StormStage) -> list[tuple[str, int, str, str]]:
    with closing(sqlite3.connect(f"file:{stage.ledger}?mode=ro", uri=True)) as ledger:
        found = ledger.execute("SELECT route_id, route_epoch, broker_id, outcome FROM attempts")
        return [tuple(row) for row in found]


def doubts(stage: StormStage) -> int:
    with stage.calling("operator") as operator:
        return len(operator.get("/admin/v1/in-doubt")["data"])


def revived(stage: StormStage) -> None:
    """Start it again if it has come to its planned death."""
    if stage.dies_within(0.1):
        stage.open()


def storm(stage: StormStage) -> tuple[int, int]:
    """Move routes and kill until it is enough; return (kills, doubts that stood meanwhile)."""
    deaths, kills, seen, at_last_death = cycle(DEATHS), 0, 0, 0
    routes, refused = cycle(MARKETS), ""
    give_up_at = perf_counter() + STORM_S_MAX
    while moved(stage) < FAILOVERS:
        assert perf_counter() < give_up_at, f"{moved(stage)} moved; the last refusal: {refused}"
        try:
            seen += doubts(stage)
            moves(stage, next(routes))
        except AWAY as e:
            refused = str(e)
        revived(stage)
        sleep(PAUSE_S)
        if moved(stage) - at_last_death < BETWEEN_DEATHS:
            continue
        at_last_death, point = moved(stage), next(deaths)
        kills += 1
        stage.kill()
        if point is None:
            stage.open()
        else:
            assert stage.open_armed(point, 1), "it dies at a failover, not before"
    return kills, seen


def test_no_order_is_live_at_two_brokers_after_thirty_failovers(tmp_path: Path) -> None:
    history = tmp_path / "acked.jsonl"
    stage = StormStage(tmp_path, rates=RATES, arguments=BROKERS, options=OPTIONS)
    with closing(stage):
        stage.open()
        sessions = stage.find_sessions()
        stage.take(list(reserved_book(ORDERS, sessions)), history)
        stage.faults(SWALLOWED)
        stage.ring()
        until(lambda: stage.left() > ORDERS // 60, "the burst is on", 120)
        kills, seen = storm(stage)
        revived(stage)
        stage.faults({"*": None})
        stage.until_quiet(120)
        assert stage.stop() == 0
    report: Any = stage.checked(history, RATES)

    leaders, claimed = led(stage), claims(stage)
    epochs = {(route, epoch) for route, epoch, *_ in claimed}
    say(
        f"failovers {moved(stage)}, kills {kills}, epochs under which something was sent"
        f" {len(epochs)}, doubts that stood at a failover {seen}, attempts {report.attempts}"
    )
    assert report.violations.get(LIVE_TWICE, []) == []
    assert report.balanced, report.shown()
    assert [c for c in claimed if leaders[c[0], c[1]] != c[2]] == []
    assert (moved(stage) >= FAILOVERS, kills >= 3, seen > 0) == (True, True, True)
