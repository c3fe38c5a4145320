"""What a statement reads does not grow with the day: shown by the server's own plans.

The worst moment is the first minute of a day. Its tables were empty when the plans were made, no
statistics of them exist, and a million orders arrive before the server has looked at them again. So
autovacuum stays off here, every statement has run on the empty ledger first, and then the day is
filled. The trap is a fast answer on a small table: rows that were looked at are counted, not time.
"""

import json
from collections.abc import Callable, Coroutine, Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

import psycopg
import pytest
from sqlalchemy import event

from app.domain.messages import Accepted, NotSent, Unknown
from app.domain.query import OrderQuery
from app.domain.records import Fence, Settlement
from app.domain.values import CancelOrigin
from app.ledger.operators.control import OUTBOX_COUNTED_MAX
from tests.builders import SESSION, TODAY, a_report, a_taking
from tests.ledger.books import sendable
from tests.ledger.pg import Process, Site

SID: Final = SESSION.trading_session_id
# Below some 40,000 rows it is cheaper to read them all than to look a batch up: the server does.
FILLED: Final = 100_000
BATCH: Final = 60
# A batch may be compared with a batch, each with each; half of the day may not be looked at.
LOOKED_AT_MAX: Final = FILLED // 2
# Runs before the day is filled: from its sixth run on, a statement may keep the plan it has.
WARM: Final = 8


class Watch:
    """The plans of what one process runs, as the server tells them."""

    def __init__(self, site: Site, process: Process) -> None:
        self.plans: list[dict[str, Any]] = []
        for setting in (
            "session_preload_libraries = 'auto_explain'",
            "auto_explain.log_min_duration = 0",
            "auto_explain.log_analyze = on",
            "auto_explain.log_timing = off",
            "auto_explain.log_format = json",
            "auto_explain.log_level = notice",
        ):
            site.set(setting)

        @event.listens_for(process.database._engine, "connect")
        def _listen(raw: Any, _record: object) -> None:
            raw.add_notice_handler(self._hear)

        process.database._engine.dispose()

    def _hear(self, told: psycopg.errors.Diagnostic) -> None:
        words = told.message_primary or ""
        if "plan:" in words:
            self.plans.append(json.loads(words[words.index("{") :]))

    def worst(self) -> tuple[int, str]:
        """Return how many rows the greediest node looked at, and its statement."""
        return max(
            (_looked_at(node), f"{node.get('Node Type')} in {plan['Query Text'][:300]}")
            for plan in self.plans
            for node in _nodes(plan["Plan"])
        )

    def days(self) -> set[str]:
        """Return the parts of tables that any statement looked into."""
        return {
            name
            for plan in self.plans
            for node in _nodes(plan["Plan"])
            if (name := node.get("Relation Name", "")).rpartition("_")[2].isdigit()
            and node["Actual Loops"]
            and not name.startswith("order_keys")
        }


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for below in node.get("Plans", ()):
        yield from _nodes(below)


def _looked_at(node: dict[str, Any]) -> int:
    removed = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Join Filter", 0)
    return int((node["Actual Rows"] + removed) * node["Actual Loops"])


@pytest.fixture
def site(ledger_url: str) -> Iterator[Site]:
    with psycopg.connect(ledger_url) as connection:
        try:
            connection.execute("LOAD 'auto_explain'")
        except psycopg.errors.UndefinedFile:
            pytest.skip("this server came without auto_explain")
    site = Site(ledger_url, [TODAY + timedelta(days=n) for n in range(-3, 4)])
    for table in ("reserved_book", "dispatch_ready", "dispatch_inflight", "cancel_requests"):
        site.sql(f"ALTER TABLE {table} SET (autovacuum_enabled = off)")
    for ((name),) in site.sql(
        "SELECT relname FROM pg_class WHERE relispartition AND relkind = 'r'"
    ):
        site.sql(f"ALTER TABLE {name} SET (autovacuum_enabled = off)")
    yield site
    site.close()


class Day:
    """One process that does everything there is to do, in batches."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.ledger = process.ledger
        self.fence: Fence = process.owns()
        self.round = 0
        self.keys: list[str] = []

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.process.run(work)

    def acts(self) -> dict[str, Callable[[], object]]:
        """Return all that happens in a day, by name; each takes up what the one before left."""
        return {
            "take": lambda: self.take(reserved=False),
            "take reserved": lambda: self.take(reserved=True),
            "release": lambda: self.run(self.ledger.release(SID, BATCH, sendable)),
            "claim": self.claim,
            "settle": self.settle,
            "report": self.report,
            "never received": lambda: self.run(
                self.ledger.never_received(self.keys[: BATCH // 3], "lookup")
            ),
            "look at doubts": lambda: self.run(self.ledger.in_doubt("north")),
            "cancel queued": lambda: self.cancel(reserved=False),
            "cancel reserved": lambda: self.cancel(reserved=True),
            "wish": self.wish,
            "pending": lambda: self.run(self.ledger.pending_cancels("north", 10)),
            "what works": self.walk,
            "show": self.show,
            "expire": lambda: self.run(self.ledger.expire(SID, BATCH // 4)),
            "recover": lambda: self.run(self.ledger.recover("north", self.fence.owner_epoch)),
        }

    def take(self, *, reserved: bool) -> list[Any]:
        self.round += 1
        entries = [
            a_taking(f"c-{self.round}-{n}", account_id=f"a-{n % 20}", reserved=reserved)
            for n in range(BATCH)
        ]
        return list(self.run(self.ledger.take(entries)))

    def claim(self) -> None:
        self.keys = [c.broker_order_key for c in self.process.claims(self.fence, BATCH)]
        assert len(self.keys) == BATCH

    def settle(self) -> None:
        third = BATCH // 3
        answers = [Unknown("?")] * third + [NotSent("no")] * third + [Accepted("N")] * third
        settlements = [
            Settlement(key, answer, 5) for key, answer in zip(self.keys, answers, strict=True)
        ]
        self.run(self.ledger.settle(settlements))

    def report(self) -> None:
        reports = [
            a_report(execution_id=f"e-{key}", broker_order_key=key, last_quantity=Decimal(1))
            for key in self.keys[-BATCH // 3 :]
        ]
        assert self.run(self.ledger.apply(reports, "report")).applied == len(reports)

    def cancel(self, *, reserved: bool) -> None:
        order = self.take(reserved=reserved)[-1].order
        self.run(self.ledger.cancel(order.order_id, None, CancelOrigin.CLIENT))

    def wish(self) -> None:
        order_id = self.keys[-1][:-2]
        self.run(self.ledger.cancel(order_id, None, CancelOrigin.CLIENT))

    def walk(self) -> None:
        after: int | None = 0
        for _ in range(3):
            if after is not None:
                after = self.run(self.ledger.working("north", TODAY, after, 10)).after

    def show(self) -> None:
        order_id = self.keys[-1][:-2]
        for work in (
            self.ledger.get(order_id),
            self.ledger.events(order_id),
            self.ledger.executions(order_id),
            self.ledger.attempts(order_id),
            self.ledger.by_client_order_id("a-1", "c-1-1"),
        ):
            self.run(work)


def test_no_statement_looks_at_more_than_its_batch_on_a_day_that_nobody_analysed(
    site: Site,
) -> None:
    process = site.process(writers=1)
    watch = Watch(site, process)
    day = Day(process)
    for _ in range(WARM):
        for act in day.acts().values():
            act()
    site.fill(FILLED)
    _fill_what_was_sent(site)
    greedy: dict[str, tuple[int, str]] = {}
    days: dict[str, set[str]] = {}
    for _ in range(2):
        for name, act in day.acts().items():
            watch.plans.clear()
            act()
            looked_at, where = watch.worst()
            if looked_at > LOOKED_AT_MAX:
                greedy[name] = looked_at, where
            days[name] = watch.days()

    assert greedy == {}
    for name, looked_into in days.items():
        assert all(part.endswith(f"{TODAY:%Y%m%d}") for part in looked_into), name


def test_a_listing_reads_a_page_of_each_day_and_no_more(site: Site) -> None:
    process = site.process(writers=1)
    site.fill(FILLED)
    watch = Watch(site, process)
    found = process.run(process.ledger.page(OrderQuery("a-1", limit=10)))

    assert len(found) == 10
    assert watch.worst()[0] <= LOOKED_AT_MAX


def test_who_asks_what_waits_reads_neither_the_book_nor_other_days_nor_a_full_outbox(
    site: Site,
) -> None:
    waiting = 2 * OUTBOX_COUNTED_MAX
    process = site.process(writers=1)
    site.fill(waiting)
    site.fill(waiting, 2_000_000, day=TODAY + timedelta(days=1))
    site.sql(
        "WITH moved AS (DELETE FROM dispatch_ready RETURNING *) INSERT INTO reserved_book"
        " SELECT trading_session_id || accept_sequence % 3, accept_sequence, trade_date, route_id"
        " FROM moved"
    )
    site.sql(
        "INSERT INTO outbox (event_id, aggregatetype, aggregateid, type, payload) SELECT n,"
        f" 'orders', 'ann', 't', repeat('x', 900) FROM generate_series(1, {waiting}) AS n"
    )
    watch = Watch(site, process)

    sessions = process.run(process.ledger.waiting_sessions())
    assert sessions == [SID + end for end in "012"]
    assert watch.worst()[0] <= len(sessions) + 2
    assert process.run(process.ledger.by_status(SID, TODAY)) == {"queued": waiting}
    assert watch.days() == {f"orders_{TODAY:%Y%m%d}"}
    assert process.run(process.ledger.backlog()).outbox == waiting
    counted = [plan for plan in watch.plans if "FROM outbox" in plan["Query Text"]]
    assert max(map(_looked_at, _nodes(counted[0]["Plan"]))) <= OUTBOX_COUNTED_MAX


def test_what_has_left_the_head_of_a_queue_is_not_walked_over_for_each_newcomer(
    site: Site,
) -> None:
    """Until the next vacuum it lies there; a batch may meet it once, and not once an order."""
    process = site.process(writers=1)
    site.fill(FILLED)
    site.sql("DELETE FROM dispatch_ready WHERE accept_sequence < 1099000")
    watch = Watch(site, process)
    process.run(
        process.ledger.take([a_taking(f"c-{n}", account_id=f"b-{n}") for n in range(BATCH)])
    )

    (plan,) = (plan for plan in watch.plans if "INTO dispatch_ready" in plan["Query Text"])
    heads = [node for node in _nodes(plan["Plan"]) if _walks_the_queue(node)]
    assert heads
    assert all(node["Actual Loops"] == 1 for node in heads)


def _walks_the_queue(node: dict[str, Any]) -> bool:
    return bool(node.get("Index Name") == "dispatch_ready_pkey" and node["Actual Loops"])


def _fill_what_was_sent(site: Site) -> None:
    """Let as many orders again have been sent and filled this day."""
    sent = "FROM orders WHERE accept_sequence >= 1000000"
    site.sql(
        "INSERT INTO attempts (trade_date, broker_order_key, order_id, attempt_number, broker_id,"
        " route_id, route_epoch, owner_epoch, rank, claimed_at, send_count, outcome) SELECT"
        " trade_date, order_id || '00', order_id, 0, 'north', 'XNAS', 1, 1, 1, 0, 1, 'throttled'"
        f" {sent}"
    )
    site.sql(
        "INSERT INTO executions (trade_date, broker_id, execution_date, execution_id, order_id,"
        " report, applied_at) SELECT trade_date, 'north', trade_date::text, order_id, order_id,"
        f" '{{}}', 0 {sent} AND accept_sequence >= 1001000"  # none of those is claimed here
    )
