"""One night of a storm: loaded, rung, killed again and again, healed, drained, accounted for.

    post ─► kills before the bell ─► bell ─► kills in the burst ─► heal ─► drain ─► stop ─► check

Each start is armed with the next place to die at (`app/crash.py`). A place that execution does
not come to in its time is counted, and the process is killed where it stands. What happened is
told by files: the ledger, the brokers' records, the crowd's memory.
"""

import random
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any, Final, NamedTuple

from app.cli.asking.problems import Unreachable
from app.cli.stage.book import reserved_book
from app.cli.stage.checker import Report
from tests.faults.crowd import AS_FILLED, Crowd
from tests.faults.storm_stage import StormStage

RATES: Final = {"north": 300, "south": 300}
ORDERS: Final = 12_000  # more than a night posts: the crowd stops when the storm is over
LIVED: Final = "lived too long"
# The client gives up after 0.5 s; what a broker takes late, it has taken 1.3 s before the
# window ends, its late news to questions included.
OPTIONS: Final = {
    "timeout_s": 0.5,
    "visibility_window_s": 3.0,
    # One "unknown" is enough, so that it is the window that stands between a doubt and a double.
    "unknown_answers_required": 1,
}
BROKERS: Final = ("--fills", "partial", "--fill-delay-ms", "700", "--cancel-delay-ms", "30")
SENDS: Final = ("orders", "cancels")
# These brokers refuse nothing and fill what is not canceled.
ENDS: Final = ("filled", "canceled")
# What an attempt of an order that no broker has can have come to, if there was one at all.
NEVER_THERE: Final = frozenset({"", "not_sent", "not_received", "throttled"})
FAULTS: Final[dict[str, dict[str, Any]]] = {
    "accept_drop_reply": {"probability": 0.02, "on": SENDS},
    "accept_then_500": {"probability": 0.02, "on": SENDS},
    "late_accept": {"probability": 0.02, "d": 0.8, "on": SENDS},
    "disconnect_mid_batch": {"probability": 0.02, "k": 2},
    "timeout_before_accept": {"probability": 0.01, "d": 0.8, "on": SENDS},
    "http_429": {"probability": 0.02, "d": 0.1},
    "http_503": {"probability": 0.01, "on": (*SENDS, "lookups")},
    "garbage": {"probability": 0.02, "on": (*SENDS, "lookups")},
    "slow_drip": {"probability": 0.01, "bytes_per_s": 60, "on": SENDS},
    "fill_before_ack": {"probability": 0.02},
    "query_stale": {"probability": 0.2, "d": 0.8},
    "duplicate_fill": {"probability": 0.2},
    "disorder": {"probability": 0.1, "d": 0.3},
}


class Arm(NamedTuple):
    """Where to die next: the n-th time at this point, tried for so long."""

    point: str
    passes: int
    within_s: float = 3.0


@dataclass(slots=True, kw_only=True)
class Plan:
    """One night's deaths, before the bell, at it and after it."""

    seed: str
    before: list[Arm]
    bell: list[Arm]  # one for each market at most
    after: list[Arm]


@dataclass(slots=True, kw_only=True)
class Told:
    """What a night was, for the account at the end."""

    seed: str
    killed_at: Counter[str] = field(default_factory=Counter)
    not_reached: list[str] = field(default_factory=list)
    killed_unwritten: int = 0  # kills that left an attempt which its broker never saw
    report: Report = field(default_factory=Report)
    wrong: list[str] = field(default_factory=list)
    fired: Counter[str] = field(default_factory=Counter)
    seen: Counter[str] = field(default_factory=Counter)  # the "sometimes" of this night
    recovery_s_max: float = 0.0
    seconds: float = 0.0

    @property
    def kills(self) -> int:
        return self.killed_at.total()


class StormNight:
    """One gateway, one crowd, one plan."""

    def __init__(self, directory: Path, plan: Plan) -> None:
        self._plan = plan
        self._die = random.Random(f"{plan.seed}:kills")
        self._seed_of_brokers = str(self._die.randrange(1 << 30))
        arguments = (*BROKERS, "--seed", self._seed_of_brokers)
        self._stage = StormStage(directory, rates=RATES, arguments=arguments, options=OPTIONS)
        self.told = Told(seed=plan.seed)

    def play(self) -> Told:
        """Play it to the end; whatever happens, every process of it ends."""
        began = perf_counter()
        try:
            self._play()
        finally:
            self._stage.close()
        self.told.seconds = perf_counter() - began
        return self.told

    def _play(self) -> None:
        stage, plan = self._stage, self._plan
        stage.open()
        sessions = stage.find_sessions()
        crowd = Crowd(stage, _orders(sessions, plan.seed), plan.seed)
        stage.faults(FAULTS)
        crowd.start()
        try:
            stage.kill()
            for arm in plan.before:
                self._die_at(arm)
            for market, arm in zip(sessions, plan.bell, strict=False):
                self._die_at(arm, bell=market)
            self._start()
            stage.ring()
            stage.kill()
            self.told.killed_at["after the bell was set"] += 1
            for arm in plan.after:
                self._die_at(arm)
            stage.faults({"*": None})
            self._start()
        except BaseException:
            crowd.abandon()
            raise
        finally:
            crowd.finish()
        self._account(crowd)

    # --- dying ----------------------------------------------------------------------------

    def _start(self) -> None:
        self.told.recovery_s_max = max(self.told.recovery_s_max, self._stage.open())

    def _die_at(self, arm: Arm, bell: str | None = None) -> None:
        """Start armed, ring perhaps, and be dead at the end, one way or the other."""
        stage, told = self._stage, self.told
        if arm.point == LIVED:
            self._start()
            alive = True
        else:
            alive = stage.open_armed(arm.point, arm.passes)
        if alive and bell is not None:
            # What the bell sets off may meet the armed point before the bell itself is answered.
            with suppress(Unreachable):
                stage.ring(bell, in_s=0.3)
        if not alive or stage.dies_within(arm.within_s):
            told.killed_at[arm.point] += 1
        else:
            stage.kill()
            told.killed_at["random"] += 1
            if arm.point != LIVED:
                told.not_reached.append(arm.point)

    # --- the account ----------------------------------------------------------------------

    def _account(self, crowd: Crowd) -> None:
        stage, told = self._stage, self.told
        stage.until_quiet()
        told.wrong += crowd.errors
        told.wrong += self._asked_again(crowd)
        told.wrong += [f"the view differs: {found}" for found in stage.view_differs()[:3]]
        for name in stage.brokers:
            told.fired.update(stage.ask_broker(name, "/sim/stats")["faults_fired"])
        status = stage.stop()
        if status != 0:
            told.wrong.append(f"it stopped with {status}: {stage.last_words()}")
        if "Traceback" in stage.log.read_text():
            told.wrong.append(f"it logged a traceback: {stage.last_words()}")
        told.report = stage.checked(crowd.history, crowd.rates_max)
        told.wrong += [f"{law}: {found}" for law, found in told.report.shown().items()]
        told.wrong += [
            f"{number} orders ended {status}"
            for status, number in told.report.by_status.items()
            if status not in ENDS
        ]
        self._compare(crowd)

    def _asked_again(self, crowd: Crowd) -> Iterator[str]:
        """Post some answered orders again, and again with another body."""
        some = self._die.sample(crowd.acked, min(40, len(crowd.acked)))
        with self._stage.calling("client") as client:
            for order_id in some:
                order = crowd.posted[order_id]
                reply = client.call("POST", "/v1/orders", order)
                if (reply.status, reply.document["order_id"]) != (200, order_id):
                    yield f"{order_id} posted again: {reply.status} {reply.document['order_id']}"
                try:
                    client.call("POST", "/v1/orders", order | {"quantity": "101"})
                except Exception as e:  # noqa: BLE001 - any other answer is told
                    if getattr(e, "code", "") != "client-order-id-conflict":
                        yield f"{order_id} posted with another body: {e}"
                else:
                    yield f"{order_id} posted with another body: taken"

    def _compare(self, crowd: Crowd) -> None:
        """Hold the crowd's memory against the ledger."""
        told = self.told
        with closing(sqlite3.connect(f"file:{self._stage.ledger}?mode=ro", uri=True)) as ledger:
            rows = {row[0]: row for row in ledger.execute(_ORDERS)}
            told.seen.update(dict(ledger.execute(_SOMETIMES).fetchall()))
        for order_id, order in crowd.posted.items():
            told.wrong += _wrong_with(rows[order_id], order, crowd.quantities.get(order_id))
        for order_id in crowd.canceled_at_once:
            _, status, *_, attempts, filled = rows[order_id]
            if status != "canceled" or not NEVER_THERE.issuperset(attempts.split(",")):
                told.wrong.append(f"P6 {order_id} was canceled unsent, and is {status}: {attempts}")
            if filled != "0":
                told.wrong.append(f"P6 {order_id} was canceled unsent, and filled {filled}")
        told.seen["canceled unsent"] = len(crowd.canceled_at_once)
        ends = Counter(rows[order_id][1] for order_id in crowd.cancel_noted)
        told.seen["cancel won"] = ends.pop("canceled", 0)
        told.seen["cancel lost"] = ends.pop("filled", 0)
        if ends:
            told.wrong.append(f"P6 orders whose cancel was noted ended otherwise: {ends}")
        told.seen["order amended"] = len(crowd.quantities)
        told.seen["dial turned"] = crowd.dials_turned
        told.seen["answer lost"] = crowd.unknown


_ORDERS: Final = (
    "SELECT o.order_id, o.status, o.account_id, o.client_order_id, o.symbol, o.market, o.side,"
    " o.quantity, o.limit_price, o.time_in_force,"
    " coalesce((SELECT group_concat(DISTINCT a.outcome) FROM attempts AS a"
    " WHERE a.order_id = o.order_id), ''), o.filled_quantity FROM orders AS o"
)
_SOMETIMES: Final = (
    "SELECT 'in doubt', count(*) FROM order_events WHERE type = 'order.in_doubt'"
    " UNION ALL SELECT 'not received', count(*) FROM attempts WHERE outcome = 'not_received'"
    " UNION ALL SELECT 'found', count(*) FROM attempts WHERE settled_by = 'lookup'"
    " AND outcome = 'accepted'"
    " UNION ALL SELECT 'killed unwritten', count(DISTINCT a.owner_epoch || a.broker_id)"
    " FROM attempts AS a JOIN order_events AS e ON e.order_id = a.order_id"
    " WHERE a.outcome = 'not_received' AND e.cause = 'unknown: found sending at start-up'"
)
_POSTED: Final = ("account_id", "client_order_id", "symbol", "market", "side")


def _wrong_with(row: tuple[Any, ...], order: dict[str, Any], amended: set[str] | None) -> list[str]:
    """Return what stands otherwise than it was posted."""
    told = [f"{name} was {order[name]}" for name, stands in zip(_POSTED, row[2:7], strict=True)
            if order[name] != stands]  # fmt: skip
    allowed = amended or {order["quantity"]}
    passed_by_fills = AS_FILLED in allowed and row[7] == row[11]
    if row[7] not in allowed and not passed_by_fills:
        told.append(f"quantity {row[7]} was {amended or order['quantity']}")
    if row[8] != order["limit_price"]:
        told.append(f"limit_price {row[8]} was {order['limit_price']}")
    return [f"P1 {row[0]}: {what}" for what in told]


def _orders(sessions: dict[str, str], seed: str) -> Iterator[dict[str, Any]]:
    return reserved_book(ORDERS, sessions, seed=random.Random(seed).randrange(1 << 30))
