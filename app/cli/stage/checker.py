"""Compares what the gateway wrote with what the brokers and the clients saw, after the fact.

It reads files and nothing else: the ledger, each broker's own audit file, and what the loader
was answered. It shares no code with the gateway (only the standard library), so that one
mistake cannot be made on both sides. Each finding is a violation of one invariant; the ids are
those of the README's promises and of the invariants they stand on.
"""

import sqlite3
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from app.cli.stage.checker_brokers import Seen, lines, read_audit, worst_second
from app.cli.stage.checker_trail import check_trail

# Between our write and the broker's read lies a network; arrivals may bunch by this much.
ARRIVAL_HEADROOM: Final = 0.10
SHOWN_MAX: Final = 5
UNSENT: Final = ("reserved", "held", "queued", "denied")


@dataclass(slots=True)
class Report:
    """What was found. `violations` by invariant, with a few examples each."""

    orders: int = 0
    acked: int = 0
    by_status: dict[str, int] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)
    settled_by: dict[str, int] = field(default_factory=dict)
    executions: int = 0
    visits: dict[str, int] = field(default_factory=dict)  # how often orders came into a state
    broker_accepted: dict[str, int] = field(default_factory=dict)
    worst_second_sent: dict[str, int] = field(default_factory=dict)
    worst_second_arrived: dict[str, int] = field(default_factory=dict)
    refused_as_too_fast: dict[str, int] = field(default_factory=dict)
    violations: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    @property
    def balanced(self) -> bool:
        return not self.violations

    def note(self, invariant: str, example: str) -> None:
        self.violations[invariant].append(example)

    def shown(self) -> dict[str, list[str]]:
        """Return each violated invariant with its count and first examples."""
        return {
            name: [f"{len(found)} found", *found[:SHOWN_MAX]]
            for name, found in self.violations.items()
        }


def check(
    ledger: Path, audits: dict[str, Path], history: Path | None, limits: dict[str, int]
) -> Report:
    """Check a gateway that has stopped; `limits` is the largest rate in force, by broker."""
    report = Report()
    connection = sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)
    attempts = _attempts(connection, report)
    seen: dict[str, Seen] = defaultdict(Seen)
    terms: dict[str, tuple[str | None, ...]] = {}
    for broker, path in audits.items():
        worst, refused = read_audit(broker, path, seen, terms, report.note)
        report.worst_second_arrived[broker] = worst
        if refused:
            report.refused_as_too_fast[broker] = refused
    _check_orders(connection, seen, terms, attempts, report)
    _check_executions(connection, audits, report)
    _check_history(connection, history, report)
    _check_rates(connection, limits, audits, report)
    report.visits = check_trail(connection, report.note)
    connection.close()
    return report


def _attempts(connection: sqlite3.Connection, report: Report) -> dict[str, tuple[str, str]]:
    found = {}
    open_attempts: Counter[str] = Counter()
    for key, order_id, broker, outcome, by in connection.execute(
        "SELECT broker_order_key, order_id, broker_id, outcome, settled_by FROM attempts"
    ):
        found[key] = (broker, outcome)
        report.attempts[outcome] = report.attempts.get(outcome, 0) + 1
        if by is not None:
            report.settled_by[by] = report.settled_by.get(by, 0) + 1
        open_attempts[order_id] += outcome in ("open", "unknown")
    for order_id, count in open_attempts.items():
        if count > 1:
            report.note("P3 one open attempt an order", f"{order_id} has {count}")
    return found


def _check_orders(
    connection: sqlite3.Connection,
    seen: dict[str, Seen],
    terms: dict[str, tuple[str | None, ...]],
    attempts: dict[str, tuple[str, str]],
    report: Report,
) -> None:
    known = set()
    for row in connection.execute(
        "SELECT order_id, status, account_id, symbol, market, side, quantity, limit_price,"
        " time_in_force, filled_quantity, overfilled_quantity, version, pending_request FROM orders"
    ):
        order_id, status = row[0], row[1]
        report.orders += 1
        report.by_status[status] = report.by_status.get(status, 0) + 1
        if order_id in seen:
            known.add(order_id)
            _check_sent(row, seen[order_id], terms.get(order_id), attempts, report)
        elif status not in (*UNSENT, "canceled", "expired", "sending", "in_doubt"):
            report.note("P3 nothing invented", f"{order_id} is {status}, no broker has it")
    for order_id in seen.keys() - known:
        report.note("P3 nothing invented", f"a broker has {order_id}, the ledger has not")


def _check_sent(
    row: tuple[Any, ...],
    seen: Seen,
    terms: tuple[str | None, ...] | None,
    attempts: dict[str, tuple[str, str]],
    report: Report,
) -> None:
    order_id, status = row[0], row[1]
    if len(seen.accepted) > 1:
        report.note("P3 live at one broker at most", f"{order_id} accepted as {seen.accepted}")
    _check_verdicts(seen, attempts, report)
    if seen.accepted and status in (*UNSENT, "rejected"):
        report.note("P5 silence is no verdict", f"{order_id} is {status}, and live at a broker")
    if terms is not None and terms != _terms(row):
        report.note("P3 nothing altered", f"{order_id} left as {terms}, stands as {_terms(row)}")
    filled = Decimal(row[9]) + Decimal(row[10])
    if filled != seen.filled:
        report.note("P7 every fill once", f"{order_id}: {filled} here, {seen.filled} at brokers")
    if seen.quantities and seen.filled > max(seen.quantities):
        report.note("P3 one parent cap", f"{order_id} traded {seen.filled} of {seen.quantities}")


def _check_verdicts(seen: Seen, attempts: dict[str, tuple[str, str]], report: Report) -> None:
    for key, count in seen.news.items():
        if key not in attempts:
            report.note("P3 attempt before bytes", f"{key} reached a broker without a row")
        elif attempts[key][1] == "not_sent":
            report.note("P3 not sent is never seen", f"{key} was seen {count} times")
        if count > 1:
            report.note("P3 a key leaves once", f"{key} reached a broker {count} times")
    for _, key in seen.accepted:
        if key in attempts and attempts[key][1] == "not_received":
            report.note("P5 absence is proved", f"{key} was settled as never received")


def _terms(row: tuple[Any, ...]) -> tuple[str | None, ...]:
    _, _, account, symbol, market, side, quantity, price, time_in_force = row[:9]
    return (
        account,
        symbol,
        market,
        side,
        str(Decimal(quantity).normalize()),
        None if price is None else str(Decimal(price).normalize()),
        time_in_force,
    )


def _check_executions(
    connection: sqlite3.Connection, audits: dict[str, Path], report: Report
) -> None:
    rows = connection.execute("SELECT broker_id, execution_id FROM executions").fetchall()
    report.executions = len(rows)
    applied, made = set(rows), set()
    if len(applied) != len(rows):
        report.note("P7 every fill once", f"{len(rows) - len(applied)} were applied again")
    for broker, path in audits.items():
        accepted = 0
        for line in lines(path):
            accepted += line["kind"] == "NEW" and line["decision"] == "accepted"
            if line["kind"] == "FILL" and line.get("fault") is None:
                made.add((broker, line["execution_id"]))
        report.broker_accepted[broker] = accepted
    for missing in sorted(made - applied):
        report.note("P7 every fill once", f"{missing} was never applied")
    for invented in sorted(applied - made):
        report.note("P7 every fill once", f"{invented} is no broker's")


def _check_history(connection: sqlite3.Connection, history: Path | None, report: Report) -> None:
    if history is None:
        return
    owners: dict[tuple[str, str], str] = {
        (account, client): order_id
        for account, client, order_id in connection.execute(
            "SELECT account_id, client_order_id, order_id FROM orders"
        )
    }
    if len(owners) != report.orders:
        report.note("P2 one id, one order", f"{report.orders - len(owners)} orders share an id")
    for line in lines(history):
        report.acked += 1
        if owners.get((line["account_id"], line["client_order_id"])) != line["order_id"]:
            report.note("P1 what was answered 201 is on disk", line["order_id"])


def _check_rates(
    connection: sqlite3.Connection, limits: dict[str, int], audits: dict[str, Path], report: Report
) -> None:
    sends: dict[str, list[int]] = defaultdict(list)
    silent: set[str] = set()
    noted = connection.execute("SELECT broker_id, broker_order_key, sent_ns FROM attempts")
    for broker, key, sent_ns in noted:
        if sent_ns is None:
            silent.add(key)
        else:
            sends[broker].append(sent_ns)
    for broker, limit in limits.items():
        # What a crash kept us from writing down left when the broker received it, or just before.
        sends[broker] += [
            line["ns"]
            for line in (lines(audits[broker]) if silent else ())
            if line["kind"] == "NEW" and line["client_order_id"] in silent
        ]
        sent = worst_second(sends[broker])
        report.worst_second_sent[broker] = sent
        if sent > limit:
            report.note("P4 at most N a second", f"{broker}: {sent} left in one second of {limit}")
        arrived = report.worst_second_arrived.get(broker, 0)
        if arrived > -(-limit * (1 + ARRIVAL_HEADROOM) // 1):
            report.note("P4 at most N a second", f"{broker}: {arrived} arrived in one second")
