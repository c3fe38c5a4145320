"""What must hold after every run, decided from records that share nothing: theirs and ours.

Each check returns what it found wrong, in words; numbers are those of the invariants' table.
"""

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from sqlalchemy import Connection

from app.domain.order import TERMINAL
from app.domain.request import request_hash
from app.domain.values import Status, order_id_of
from app.ledger.operators import audit
from tests.scenarios.fates import Placed
from tests.scenarios.seconds import over_limit
from tests.sim.sickness import CAPABILITIES
from tests.sim.swarm import Swarm
from tests.virtual import NS_PER_MS, NS_PER_S

GRACE_NS: Final = 100 * NS_PER_MS
ORDERS: Final = (
    "SELECT order_id, account_id, client_order_id, version, status, quantity, limit_price,"
    " filled_quantity, overfilled_quantity, filled_value FROM orders"
)
ATTEMPTS: Final = "SELECT broker_order_key, order_id, broker_id, outcome, claimed_at FROM attempts"


class Records:
    """Everything that was written down, read once."""

    def __init__(self, swarm: Swarm) -> None:
        floor = swarm.floor
        self.swarm = swarm
        self.orders = {row.order_id: row for row in floor.query(ORDERS)}
        self.attempts = {row.broker_order_key: row for row in floor.query(ATTEMPTS)}
        self.received = [(b.name, r) for b in floor.brokers.values() for r in b.received]
        self.sent = [(b.name, s) for b in floor.brokers.values() for s in b.sent]
        self.placed: dict[str, list[tuple[str, Placed]]] = {}
        for broker in floor.brokers.values():
            for key, placed in broker.orders.items():
                self.placed.setdefault(str(order_id_of(key)), []).append((key, placed))


def everything_wrong(swarm: Swarm) -> list[str]:
    """Run every check."""
    records = Records(swarm)
    return [f"{check.__name__}: {wrong}" for check in CHECKS for wrong in check(records)]


def no_acked_order_is_lost(records: Records) -> Iterator[str]:
    """I1, I1b: what a client heard is there, once, under its id and its body."""
    keys = records.swarm.floor.query(
        "SELECT client_order_id, order_id, request_hash FROM order_keys"
    )
    ids = {row.client_order_id: (row.order_id, row.request_hash) for row in keys}
    for name, order_id in records.swarm.taken.items():
        if ids.get(name) != (order_id, request_hash(records.swarm.requests[name])):
            yield f"{name} was answered as {order_id}, the record has {ids.get(name)}"
    if len(records.orders) != len(keys):
        yield f"{len(records.orders)} orders for {len(keys)} keys"


def no_order_is_accepted_twice(records: Records) -> Iterator[str]:
    """I2a: over all brokers, whatever happened."""
    for order_id, placed in records.placed.items():
        if len(placed) > 1:
            yield f"{order_id} is at brokers as {[key for key, _ in placed]}"


def no_key_is_sent_twice(records: Records) -> Iterator[str]:
    """I2b: one message for each attempt, and none accepted of those that we called unsent."""
    sends = Counter(s.key for _, s in records.sent if s.verb in {"new", "replace"})
    yield from (f"{key} left {n} times" for key, n in sends.items() if n > 1)
    for key, attempt in records.attempts.items():
        accepted = any(key == k for k, _ in records.placed.get(attempt.order_id, []))
        if attempt.outcome in {"open", "unknown"}:
            yield f"{key} is still {attempt.outcome}"
        elif accepted != (attempt.outcome == "accepted"):
            yield f"{key} is {attempt.outcome} here, and there accepted is {accepted}"


def nothing_is_invented_or_altered(records: Records) -> Iterator[str]:
    """I2c: each order that arrived was claimed for that broker, in these very terms."""
    for broker, line in records.received:
        if line.submission is None:
            continue
        attempt = records.attempts.get(line.key)
        if attempt is None or attempt.broker_id != broker:
            yield f"{broker} received {line.key}, which nobody claimed for it"
            continue
        order = records.orders[attempt.order_id]
        asked = records.swarm.requests[order.client_order_id]  # it may have been replaced since
        ours = (order.account_id, asked.quantity, asked.limit_price)
        theirs = line.submission
        if ours != (theirs.account_id, theirs.quantity, theirs.limit_price):
            yield f"{line.key} left as {theirs}, the record has {ours}"


def no_second_is_above_the_limit(records: Records) -> Iterator[str]:
    """I3: orders and cancels of all lives, by the instant at which they left."""
    for name in records.swarm.floor.brokers:
        sent = [s.at_ns for broker, s in records.sent if broker == name]
        for wrong in over_limit(sent, records.swarm.floor.rates[name]):
            yield f"{name}: {wrong}"


def a_history_has_no_gap(records: Records) -> Iterator[str]:
    """I4: one event for each version of an order, in order."""
    told: dict[str, list[int]] = {}
    history = "SELECT order_id, sequence FROM order_events ORDER BY order_id, sequence"
    for row in records.swarm.floor.query(history):
        told.setdefault(row.order_id, []).append(row.sequence)
    for order_id, order in records.orders.items():
        if told.get(order_id) != list(range(1, order.version + 1)):
            yield f"{order_id}: version {order.version}, events {told.get(order_id)}"


def a_cancel_wins_or_loses_once(records: Records) -> Iterator[str]:
    """I4: a cancel that was noted ends the order; one that won unsent was never at a broker."""
    for order_id in records.swarm.cancel_requested:
        if Status(records.orders[order_id].status) not in TERMINAL:
            yield f"{order_id}: its cancel was noted, and it is {records.orders[order_id].status}"
    for order_id in records.swarm.canceled_unsent:
        if order_id in records.placed or records.orders[order_id].status != "canceled":
            yield f"{order_id} was canceled unsent, and is {records.orders[order_id].status}"


def every_fill_counts_once(records: Records) -> Iterator[str]:
    """I5: our executions are theirs, and the amounts are their sum."""
    ours: dict[str, set[str]] = {}
    for row in records.swarm.floor.query("SELECT order_id, execution_id FROM executions"):
        ours.setdefault(row.order_id, set()).add(row.execution_id)
    for order_id, order in records.orders.items():
        theirs = [e for _, p in records.placed.get(order_id, []) for e in p.executions]
        if ours.get(order_id, set()) != {e.execution_id for e in theirs}:
            yield f"{order_id}: executions {ours.get(order_id)}, theirs {theirs}"
        filled = Decimal(order.filled_quantity) + Decimal(order.overfilled_quantity)
        value = sum((e.last_quantity * (e.last_price or 0) for e in theirs), Decimal(0))
        if (filled, Decimal(order.filled_value)) != (sum(e.last_quantity for e in theirs), value):
            yield f"{order_id}: filled {filled} for {order.filled_value}, theirs {theirs}"


def doubt_was_settled_by_proof(records: Records) -> Iterator[str]:
    """I8: `not_received` stands on enough absences, the last of them after the window."""
    window_ns = round(CAPABILITIES.visibility_window_s * NS_PER_S)
    wall_ms = records.swarm.floor.clock.wall_offset
    left = {s.key: s.at_ns for _, s in records.sent if s.verb == "new"}
    for key, attempt in records.attempts.items():
        if attempt.outcome != "not_received":
            continue
        since = left.get(key, (attempt.claimed_at - wall_ms) * NS_PER_MS)
        absent = [r.at_ns for _, r in records.received if (r.key, r.decision) == (key, "absent")]
        if len(absent) < CAPABILITIES.unknown_answers_required:
            yield f"{key}: called never received after {len(absent)} absences"
        elif absent[-1] < since + window_ns:
            yield f"{key}: called never received {(absent[-1] - since) / 1e9:.3f} s after it left"


def a_halt_holds(records: Records) -> Iterator[str]:
    """I9: from 100 ms after its answer until its lifting nothing new leaves, in any life."""
    for halted, lifted in records.swarm.halts:
        for broker, s in records.sent:
            if s.verb in {"new", "replace"} and halted + GRACE_NS < s.at_ns <= lifted:
                yield f"{s.key} left for {broker} {(s.at_ns - halted) / 1e9:.3f} s into a halt"


def both_sides_agree(records: Records) -> Iterator[str]:
    """Conservation: each order is where its broker has it, and nowhere if none has."""
    for order_id, order in records.orders.items():
        there = [placed.status for _, placed in records.placed.get(order_id, [])]
        here = Status(order.status)
        unseen = here in {Status.CANCELED, Status.REJECTED, Status.DENIED}
        if there != [here] and not (unseen and not there):
            yield f"{order_id} is {here} here, and {there} there"
    if strays := records.swarm.floor.query("SELECT * FROM quarantine"):
        yield f"in quarantine: {strays}"


def a_replace_leaves_one_order(records: Records) -> Iterator[str]:
    """One parent: terms agree, and no more trades than was acknowledged at the most."""
    for order_id, order in records.orders.items():
        for key, placed in records.placed.get(order_id, []):
            if placed.filled > max(placed.acknowledged):
                yield f"{key} traded {placed.filled} of {placed.acknowledged}"
            ours = (Decimal(order.quantity), Decimal(order.limit_price))
            if ours != (placed.quantity, placed.limit_price):
                yield f"{key} is {ours} here, and {placed.quantity} at {placed.limit_price} there"
    if left := records.swarm.floor.query("SELECT * FROM replace_requests"):
        yield f"still asked for: {left}"


def one_replace_at_a_time(records: Records) -> Iterator[str]:
    """Send no second request after an unanswered one; name what the order is called by now."""
    for broker, line in records.received:
        if line.verb == "replace" and line.decision in {"already-pending", "unknown-order"}:
            yield f"{broker}: {line.key} came as {line.decision}"


def _broken_at(connection: Connection) -> int | None:
    found = audit.Checked()
    while found.broken is None and not found.ended:
        found = audit.check(connection, found)
    return found.broken


def the_audit_chain_holds(records: Records) -> Iterator[str]:
    broken = records.swarm.floor.reads(_broken_at)
    if broken is not None:
        yield f"the chain breaks at {broken}"


CHECKS: Final = (
    no_acked_order_is_lost,
    no_order_is_accepted_twice,
    no_key_is_sent_twice,
    nothing_is_invented_or_altered,
    no_second_is_above_the_limit,
    a_history_has_no_gap,
    a_cancel_wins_or_loses_once,
    every_fill_counts_once,
    doubt_was_settled_by_proof,
    a_halt_holds,
    both_sides_agree,
    a_replace_leaves_one_order,
    one_replace_at_a_time,
    the_audit_chain_holds,
)
