"""A ledger in memory, driven step by step: each call is one transaction, done when it returns.

Time stands still unless a test moves it. Two brokers, north and south; the book of XNAS goes to
north, that of XNYS to south. `sql` looks behind the door, and breaks what a test wants broken.
"""

from collections.abc import Coroutine, Mapping
from typing import Any, Final, TypeVar

from sqlalchemy import text

from app.domain.errors import Code
from app.domain.messages import Accepted, Answer, ExecutionReport, ExecutionType
from app.domain.order import Order
from app.domain.records import Actor, Applied, Claimed, Conflict, Fence, Settlement, Taken, Taking
from app.domain.values import CancelOrigin
from app.ledger.schema import create
from app.ledger.store import Ledger
from app.sqlite import Database
from tests.builders import SESSION, StillClock, a_report, a_taking
from tests.virtual import Virtual

T = TypeVar("T")
ME: Final = Actor("kim", "because", "r-1")
LEE: Final = Actor("lee", "all is well", "r-2")
TTL_MS: Final = 10_000


def sendable(_order: Order) -> Code | None:
    """Break no limit."""
    return None


class Books:
    """One ledger, and this process as the owner of both brokers."""

    def __init__(self, virtual: Virtual) -> None:
        self._virtual = virtual
        self.clock = StillClock()
        self.database = Database(None)
        self.database.write_now(create)
        self.ledger = Ledger(self.database, self.clock)
        self.ledger.declare({"north": 100, "south": 100}, {"XNAS": "north", "XNYS": "south"})
        self.epochs = {
            name: self.run(self.ledger.take_lease(name, "me", TTL_MS))
            for name in ("north", "south")
        }

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._virtual.run(work)

    def sql(self, statement: str, **values: object) -> list[tuple[Any, ...]]:
        """Run any statement; return its rows."""

        def work(connection: Any) -> list[tuple[Any, ...]]:
            found = connection.execute(text(statement), values)
            return [tuple(row) for row in found] if found.returns_rows else []

        return self.database.write_now(work)

    # --- orders -------------------------------------------------------------------------

    def take(self, *entries: Taking) -> list[Taken | Conflict]:
        return self.run(self.ledger.take(entries))

    def queued(self, client_order_id: str = "c-1", **facts: Any) -> Order:
        """Take one order that waits for a permit at once."""
        (result,) = self.take(a_taking(client_order_id, **facts))
        assert isinstance(result, Taken)
        return result.order

    def reserved(self, client_order_id: str = "c-1", **facts: Any) -> Order:
        return self.queued(client_order_id, reserved=True, **facts)

    def order(self, order_id: str) -> Order:
        found = self.run(self.ledger.get(order_id))
        assert found is not None
        return found

    def cancel(self, order_id: str, version: int | None = None) -> Order:
        return self.run(self.ledger.cancel(order_id, version, CancelOrigin.CLIENT))

    # --- dispatch -----------------------------------------------------------------------

    def fence(self, broker_id: str = "north", **facts: Any) -> Fence:
        sessions = frozenset({SESSION.trading_session_id})
        return Fence(broker_id, "me", self.epochs[broker_id], sessions)._replace(**facts)

    def claim(self, limit: int = 100, broker_id: str = "north", **facts: Any) -> list[Claimed]:
        fence = self.fence(broker_id, **facts)
        return self.run(self.ledger.claim(fence, limit, sendable))

    def sending(self, client_order_id: str = "c-1", **facts: Any) -> Claimed:
        """Take one order and claim it: an attempt is on disk, bytes may be out."""
        self.queued(client_order_id, **facts)
        (claimed,) = self.claim()
        return claimed

    def settle(self, answers: Mapping[str, Answer]) -> None:
        settlements = [Settlement(key, answer, 5) for key, answer in answers.items()]
        self.run(self.ledger.settle(settlements))

    def working(self, client_order_id: str = "c-1", **facts: Any) -> Claimed:
        """Take one order, send it, and have it accepted."""
        claimed = self.sending(client_order_id, **facts)
        self.settle({claimed.broker_order_key: Accepted("N-1")})
        return claimed

    def report(self, *reports: ExecutionReport) -> Applied:
        return self.run(self.ledger.apply(reports, "report"))

    def absent(self, *keys: str) -> int:
        return self.run(self.ledger.never_received(keys, "lookup"))

    def outcomes(self, order_id: str) -> list[str]:
        """Return what became of each attempt, oldest first."""
        return [a.outcome for a in self.run(self.ledger.attempts(order_id))]

    def quarantined(self) -> list[str]:
        """Return why each report was kept apart."""
        return [cause for (cause,) in self.sql("SELECT cause FROM quarantine ORDER BY cause")]

    def waiting(self) -> list[tuple[int, str]]:
        """Return (rank, account) of what waits for a permit, in the order of claims."""
        found = self.sql(
            "SELECT rank, account_id FROM dispatch_ready ORDER BY rank, accept_sequence"
        )
        return [(rank, account) for rank, account in found]

    def check(self) -> None:
        """Assert what must hold at every moment, whatever has happened."""
        for broken in _LAWS.split(";"):
            assert self.sql(broken) == [], broken


# Each finds the rows that break a law of the house.
_LAWS: Final = """
-- An open attempt, and only that, means that the order may be out.
SELECT o.order_id, o.status FROM orders AS o WHERE (o.status IN ('sending', 'in_doubt'))
<> EXISTS (SELECT 1 FROM attempts AS a WHERE a.order_id = o.order_id
AND a.outcome IN ('open', 'unknown'));

-- What is open stands among what is in flight, as what it is, and nothing else does.
SELECT broker_order_key, order_id, trade_date, broker_id, outcome FROM dispatch_inflight EXCEPT
SELECT broker_order_key, order_id, trade_date, broker_id, outcome FROM attempts
WHERE outcome IN ('open', 'unknown');
SELECT broker_order_key, outcome FROM attempts WHERE outcome IN ('open', 'unknown')
EXCEPT SELECT broker_order_key, outcome FROM dispatch_inflight;

-- Whose owner wants an end stands in the list of wishes, and nothing else does.
SELECT o.order_id, o.status FROM orders AS o WHERE (o.pending_request = 'cancel')
<> EXISTS (SELECT 1 FROM cancel_requests AS c WHERE c.order_id = o.order_id);

-- Whose terms its owner wants changed has one request that waits or is out, and nobody else has
-- one, but where a cancel has overtaken what was out.
SELECT o.order_id, o.status FROM orders AS o WHERE (o.pending_request = 'replace')
AND NOT EXISTS (SELECT 1 FROM replace_requests AS q WHERE q.order_id = o.order_id);
SELECT q.order_id FROM replace_requests AS q JOIN orders AS o ON o.order_id = q.order_id
WHERE o.pending_request = 'none' OR (o.pending_request = 'cancel' AND q.state = 'waiting');
SELECT broker_order_key FROM replace_requests INTERSECT SELECT broker_order_key FROM replaces;

-- One exposure at most.
SELECT order_id FROM attempts WHERE outcome IN ('open', 'unknown', 'accepted')
GROUP BY order_id HAVING count(*) > 1;

-- What waits for a permit stands in the queue, and nothing else does.
SELECT o.order_id, o.status FROM orders AS o WHERE (o.status = 'queued')
<> EXISTS (SELECT 1 FROM dispatch_ready AS d WHERE d.accept_sequence = o.accept_sequence);

-- What waits for its bell stands in the book, and nothing else does.
SELECT o.order_id, o.status FROM orders AS o WHERE (o.status = 'reserved')
<> EXISTS (SELECT 1 FROM reserved_book AS b WHERE b.accept_sequence = o.accept_sequence);

-- What is held stands in the list of it, as what it is held for, and nothing else does.
SELECT accept_sequence, trade_date, order_id, trading_session_id, account_id, reason_code
FROM held_orders EXCEPT SELECT accept_sequence, trade_date, order_id, trading_session_id,
account_id, reason_code FROM orders WHERE status = 'held';
SELECT accept_sequence, reason_code FROM orders WHERE status = 'held'
EXCEPT SELECT accept_sequence, reason_code FROM held_orders;

-- The events are one sequence without a gap, and the row stands at its end.
SELECT o.order_id FROM orders AS o WHERE o.version <> (SELECT count(*) FROM order_events AS e
WHERE e.order_id = o.order_id) OR o.version <> (SELECT max(e.sequence) FROM order_events AS e
WHERE e.order_id = o.order_id);

-- Each order has its key, for ever.
SELECT o.order_id FROM orders AS o WHERE NOT EXISTS (SELECT 1 FROM order_keys AS k
WHERE k.order_id = o.order_id)
"""


def on(claimed: Claimed, execution_type: ExecutionType, *words: Any, **facts: Any) -> Any:
    """Return a report on this very attempt."""
    return a_report(execution_type, *words, broker_order_key=claimed.broker_order_key, **facts)
