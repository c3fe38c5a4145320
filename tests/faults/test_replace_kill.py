"""`kill -9` around a replace: between claim, commit, send, answer, report and verdict.

Orders stand at a broker that fills some of them, loses answers and is slow, and their customers
ask for new terms again and again; the gateway dies wherever a request may be hurt. It is judged by
the broker's own record: no replace came twice, no parent has two live orders, nothing traded beyond
the terms that were in force, and in the end ledger and broker hold the same terms.
"""

import json
import random
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest

from app.cli.asking.problems import Problem, Unreachable
from app.cli.stage.book import reserved_book
from app.domain.values import ORDER_ID_LENGTH
from tests.faults.storm_stage import StormStage, say, until

pytestmark = pytest.mark.storm

NIGHTS: Final = 2
SEED: Final = "2026-03-03"
BROKER: Final = "north"
RATE: Final = 300
ORDERS: Final = 240
ASKED_AT_ONCE: Final = 12
STANDING: Final = ("new", "partially_filled", "filled")
KILLS_MIN: Final = 30
POINTS_MIN: Final = 8
REPLACED_MIN: Final = 40
# Requests that had been claimed and never came: the look-up proved it, and the old terms stood.
UNWRITTEN_MIN: Final = 3
WITHIN_S: Final = 1.5
# The client gives up after 0.5 s. What a broker takes late it has taken 0.7 s before the window
# ends, so that "unknown" then is the truth.
OPTIONS: Final = {
    "replaces": True,
    "timeout_s": 0.5,
    "visibility_window_s": 1.5,
    "unknown_answers_required": 1,
}
FILLS: Final = ("--fills", "partial", "--fill-ratio", "0.3", "--fill-delay-ms", "30000")
BROKERS: Final = (*FILLS, "--replace-delay-ms", "20")
REPLACES: Final = ("replaces",)
FAULTS: Final[dict[str, dict[str, Any]]] = {
    "accept_drop_reply": {"probability": 0.1, "on": REPLACES},
    "late_accept": {"probability": 0.05, "d": 0.8, "on": REPLACES},
    "timeout_before_accept": {"probability": 0.05, "d": 0.8, "on": REPLACES},
    "http_429": {"probability": 0.05, "d": 0.1, "on": REPLACES},
    "garbage": {"probability": 0.05, "on": (*REPLACES, "lookups")},
    "fill_before_replace": {"probability": 0.1, "k": 1},
    "duplicate_fill": {"probability": 0.2},
    "disorder": {"probability": 0.1, "d": 0.3},
}
# Where to die, and the most passes before it.
POINTS: Final = (
    ("replace.before_commit", 2),
    ("replace.after_commit", 2),
    ("replace.before_send", 2),
    ("replace.after_reply", 1),
    ("replace.settled_before_commit", 1),
    ("report.after_poll", 2),
    ("report.before_commit", 2),
    ("report.after_apply", 2),
    ("find.after_reply", 1),
    ("recover.after_commit", 1),
    ("lease.after_acquire", 1),
)
# The points of the request itself come up twice in each night.
DEALT: Final = (*POINTS, *POINTS[:5])


@dataclass(slots=True)
class Told:
    """What one night was."""

    killed_at: Counter[str] = field(default_factory=Counter)
    not_reached: list[str] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Parent:
    """One order as its broker's record tells it."""

    quantity: Decimal
    price: Decimal
    accepted: int = 1
    traded: Decimal = Decimal(0)


class ReplaceNight:
    """One gateway, one broker, and customers who change their minds."""

    def __init__(self, directory: Path, number: int) -> None:
        self._die = random.Random(f"{SEED}/{number}")
        arguments = (*BROKERS, "--seed", str(number))
        self._stage = StormStage(
            directory, rates={BROKER: RATE}, arguments=arguments, options=OPTIONS
        )
        self._acked = directory / "acked.jsonl"
        self._asked: dict[str, set[Decimal]] = {}
        self.told = Told()

    def play(self) -> Told:
        """Play it to the end; whatever happens, every process of it ends."""
        with closing(self._stage):
            self._play()
        return self.told

    def _play(self) -> None:
        stage, told = self._stage, self.told
        stage.open()
        book = list(reserved_book(ORDERS, stage.find_sessions()))
        for order in stage.take(book, self._acked):
            self._asked[order["order_id"]] = {Decimal(order["quantity"])}
        stage.ring(in_s=0.2)
        until(self._all_stand, "every order at its broker", 120)
        stage.faults(FAULTS)
        stage.kill()
        told.killed_at["random"] += 1
        deaths = list(DEALT)
        self._die.shuffle(deaths)
        for point, passes in deaths:
            self._die_at(point, self._die.randint(1, passes))
        stage.faults({"*": None})
        stage.open()
        self._ask()
        until(lambda: not self._count("replace_requests"), "every replace at its end", 120)
        until(lambda: not self._count("dispatch_inflight"), "every doubt at its end", 90)
        stage.ask_broker(BROKER, "/sim/flush", {"timeout_s": 30})
        until(lambda: not self._differs(), "ledger and broker in the same terms", 90)
        told.seen.update(dict(self._rows(_SOMETIMES)))
        status = stage.stop()
        if status:
            told.wrong.append(f"it stopped with {status}: {stage.last_words()}")
        if "Traceback" in stage.log.read_text():
            told.wrong.append(f"it logged a traceback: {stage.last_words()}")
        told.wrong += self._judged()
        told.wrong += self._differs()
        report = stage.checked(self._acked, {BROKER: RATE})
        told.wrong += [f"{law}: {found}" for law, found in report.shown().items()]

    def _all_stand(self) -> bool:
        """Whether the broker has every order: none of them is to be lost by the first death."""
        counts = self._stage.counts()
        return sum(counts.get(status, 0) for status in STANDING) == ORDERS

    def _die_at(self, point: str, passes: int) -> None:
        """Start armed, ask for new terms, and be dead at the end, one way or the other."""
        stage, told = self._stage, self.told
        alive = stage.open_armed(point, passes)
        if alive:
            self._ask()
        if not alive or stage.dies_within(WITHIN_S):
            told.killed_at[point] += 1
        else:
            stage.kill()
            told.killed_at["random"] += 1
            told.not_reached.append(point)

    def _ask(self) -> None:
        """Ask for new terms of some orders; the gateway may die meanwhile."""
        with self._stage.calling("client") as client:
            for order_id in self._die.sample(sorted(self._asked), ASKED_AT_ONCE):
                path = f"/v1/orders/{order_id}"
                # No order is ever asked for the same quantity twice: so each request has a name.
                wanted = max(self._asked[order_id]) + 1
                try:
                    self._asked[order_id].add(wanted)
                    client.change("PATCH", path, {"quantity": str(wanted)}, seen=path)
                    self.told.seen["asked"] += 1
                except Unreachable:
                    return
                except Problem as e:
                    # Too late, or another request is under way: both are answers.
                    if e.status not in {409, 412, 422, 503}:
                        raise
                    self.told.seen[f"refused: {e.code}"] += 1

    # --- the account ----------------------------------------------------------------------

    def _rows(self, query: str) -> list[Any]:
        with closing(sqlite3.connect(f"file:{self._stage.ledger}?mode=ro", uri=True)) as ledger:
            return ledger.execute(query).fetchall()

    def _count(self, table: str) -> int:
        return int(self._rows(f"SELECT count(*) FROM {table}")[0][0])

    def _record(self) -> Iterator[dict[str, Any]]:
        with self._stage.brokers[BROKER].process.audit.open() as lines:
            yield from map(json.loads, lines)

    def _judged(self) -> list[str]:
        """Return what the broker's record shows that must not be."""
        wrong: list[str] = []
        came: Counter[str] = Counter()
        wished: Counter[tuple[str, str]] = Counter()
        stood: Counter[str] = Counter()
        parents = self._parents(wrong)
        for line in self._record():
            if line["kind"] == "REPLACE" and line["decision"] != "throttled":
                came[line["client_order_id"]] += 1
                self.told.seen[f"replace {line['decision']}"] += 1
                if line["decision"] == "accepted":
                    # One wish under two names is two replaces as well.
                    wished[line["client_order_id"][:ORDER_ID_LENGTH], line["quantity"]] += 1
            elif line["kind"] == "CHANGE":
                stood[line["client_order_id"]] += 1
                self.told.seen[line["type"]] += 1
        wrong += [f"replace {key} came {n} times" for key, n in came.items() if n > 1]
        wrong += [
            f"{one[0]} was changed to {one[1]} {n} times" for one, n in wished.items() if n > 1
        ]
        wrong += [f"replace {key} was decided {n} times" for key, n in stood.items() if n > 1]
        wrong += [
            f"{order_id}: {parent.accepted} orders live for one parent"
            for order_id, parent in parents.items()
            if parent.accepted > 1
        ]
        return wrong

    def _parents(self, wrong: list[str] | None = None) -> dict[str, Parent]:
        """Follow each order through the record; note what goes beyond its terms."""
        found: dict[str, Parent] = {}
        names: dict[str, str] = {}  # the broker's id to our parent
        for line in self._record():
            if line["kind"] == "NEW" and line["decision"] == "accepted":
                order_id = line["client_order_id"][:ORDER_ID_LENGTH]
                names[line["order_id"]] = order_id
                if order_id in found:
                    found[order_id].accepted += 1
                else:
                    terms = Decimal(line["quantity"]), Decimal(line["limit_price"])
                    found[order_id] = Parent(*terms)
            elif line["kind"] in {"CHANGE", "FILL"}:
                order_id = names[line["order_id"]]
                beyond = self._happened(order_id, found[order_id], line)
                if beyond and wrong is not None:
                    wrong.append(beyond)
        return found

    def _happened(self, order_id: str, parent: Parent, line: dict[str, Any]) -> str | None:
        """Apply one line to its parent; return in words what it breaks."""
        if line["type"] == "trade":
            parent.traded += Decimal(line["last_quantity"])
            if parent.traded > parent.quantity:
                return f"{order_id}: {parent.traded} traded of {parent.quantity}"
        elif line["type"] == "replaced":
            parent.quantity = Decimal(line["quantity"])
            if parent.quantity not in self._asked[order_id] | {parent.traded}:
                return f"{order_id}: stands at {parent.quantity}, which nobody asked for"
        return None

    def _differs(self) -> list[str]:
        """Return where the ledger's terms or fills are not the broker's."""
        parents = self._parents()
        query = "SELECT order_id, quantity, filled_quantity FROM orders"
        return [
            f"{order_id}: ledger {quantity}, {filled}; broker {parents[order_id]}"
            for order_id, quantity, filled in self._rows(query)
            if (Decimal(quantity), Decimal(filled))
            != (parents[order_id].quantity, parents[order_id].traded)
        ]


_SOMETIMES: Final = (
    "SELECT 'took no effect', count(*) FROM order_events WHERE cause LIKE 'replace took no effect%'"
)


def nights(directories: Sequence[Path]) -> list[Told]:
    with ThreadPoolExecutor(len(directories)) as pool:
        played = [
            pool.submit(ReplaceNight(directory, number).play)
            for number, directory in enumerate(directories)
        ]
        return [night.result() for night in played]


def test_whatever_is_killed_no_replace_comes_twice_and_no_parent_has_two_orders(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    told = nights([tmp_path_factory.mktemp("replace") for _ in range(NIGHTS)])
    killed = sum((night.killed_at for night in told), Counter[str]())
    seen = sum((night.seen for night in told), Counter[str]())
    points = {point for point in killed if "." in point}
    say(f"{killed.total()} kills at {len(points)} points: {dict(killed)}")
    say(f"not reached: {[point for night in told for point in night.not_reached]}")
    say(f"{dict(seen)}")

    assert [night.wrong[:5] for night in told if night.wrong] == []
    # A storm in which nothing happened has proved nothing.
    assert killed.total() >= KILLS_MIN
    assert len(points) >= POINTS_MIN, sorted(points)
    assert seen["replaced"] >= REPLACED_MIN
    assert seen["took no effect"] >= UNWRITTEN_MIN
