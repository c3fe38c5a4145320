"""Whatever happens, in whatever order: the laws hold, and nothing that happens stops the book.

A seeded walk through everything that clients, brokers, operators and crashes can do to a few
orders, with the laws of `books` checked after every step. A seed that fails is a story: print
its steps and read it.
"""

import random
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Final

import pytest

from app.domain.errors import Refused
from app.domain.messages import (
    Accepted,
    ExecutionReport,
    ExecutionType,
    NotSent,
    Rejected,
    Throttled,
    Unknown,
)
from app.domain.order import TERMINAL
from app.domain.records import Settlement
from app.domain.sweep import SweepScope
from app.domain.values import Status, attempt_key_of, is_replace_key
from app.ledger.dialect import part
from tests.builders import SESSION, TODAY, a_report
from tests.ledger.books import ME, Books, sendable

STEPS: Final = 50
ANSWERS: Final = (Accepted("N-1"), Rejected("no"), NotSent("no"), Throttled(), Unknown("?"))


class Chance:
    """One seeded walk."""

    def __init__(self, books: Books, seed: int) -> None:
        self.books = books
        self.random = random.Random(seed)
        self.keys: list[str] = []
        self.said: list[ExecutionReport] = []
        self.count = 0

    def take(self) -> None:
        self.count += 1
        account = self.random.choice(["ann", "bob"])
        reserved = self.random.random() < 0.3
        self.books.queued(f"c-{self.count}", account_id=account, reserved=reserved)

    def release(self) -> None:
        self.books.run(self.books.ledger.release(SESSION.trading_session_id, 3, sendable))

    def claim(self) -> None:
        self.keys += [c.broker_order_key for c in self.books.claim(self.random.randint(1, 3))]

    def settle(self) -> None:
        if self.keys:
            key = attempt_key_of(self.random.choice(self.keys[-4:]))
            self.books.settle({key: self.random.choice(ANSWERS)})

    def report(self) -> None:
        if not self.keys:
            return
        batch = [self.one_report() for _ in range(self.random.randint(1, 4))]
        self.books.report(*batch)
        self.said += batch

    def one_report(self) -> ExecutionReport:
        if self.said and self.random.random() < 0.3:
            return replace(self.random.choice(self.said), possible_duplicate=True)
        kind = self.random.choice(list(ExecutionType))
        trade = kind in {ExecutionType.TRADE, ExecutionType.TRADE_CORRECT}
        quantity = Decimal(self.random.randint(1, 6)) if trade else Decimal(0)
        return a_report(
            kind,
            f"e-{self.random.randint(1, 40)}",
            broker_order_key=self.random.choice(self.keys),
            last_quantity=quantity,
            referenced_execution_id=self.random.choice([None, f"e-{self.random.randint(1, 40)}"]),
            broker_order_id=self.random.choice(["N-1", "N-2"]),
            quantity=self.random.choice([None, Decimal(self.random.randint(1, 30))]),
        )

    def ask_to_replace(self) -> None:
        """Want other terms for some order, however it stands."""
        found = self.books.sql("SELECT order_id, version, limit_price FROM orders")
        if found:
            order_id, version, price = self.random.choice(found)
            terms = (Decimal(self.random.randint(1, 30)), Decimal(str(price)))
            try:
                self.books.run(self.books.ledger.amend(order_id, version, *terms))
            except Refused:
                return

    def replace(self) -> None:
        """Let what waits leave, and perhaps hear an answer."""
        ledger = self.books.ledger
        claimed = self.books.run(ledger.claim_replaces(self.books.fence(), 2, sendable))
        self.keys += [c.replacement.broker_order_key for c in claimed]
        for key in (k for k in self.keys[-6:] if is_replace_key(k)):
            answer = self.random.choice(ANSWERS)
            self.books.run(ledger.settle_replaces([Settlement(key, answer, 5)]))

    def absent(self) -> None:
        doubts = self.books.run(self.books.ledger.in_doubt("north"))
        self.books.absent(*(d.broker_order_key for d in doubts[:2]))

    def cancel(self) -> None:
        ids = [i for (i,) in self.books.sql("SELECT order_id FROM orders")]
        if ids:
            try:
                self.books.cancel(self.random.choice(ids))
            except Refused:
                return

    def hold(self) -> None:
        """Hold some order back, or let one go, however it stands."""
        found = self.books.sql("SELECT order_id, version FROM orders")
        if found:
            order_id, version = self.random.choice(found)
            ledger = self.books.ledger
            try:
                if self.random.random() < 0.4:
                    self.books.run(ledger.hold(order_id, version, ME))
                else:
                    self.books.run(ledger.let_go(order_id, version, lambda _: SESSION, ME))
            except Refused:
                return

    def hold_many(self) -> None:
        ledger, place = self.books.ledger, (0, 1_000, self.random.randint(1, 3))
        scope = SweepScope(accounts=(self.random.choice(["ann", "bob"]),))
        if self.random.random() < 0.4:
            self.books.run(ledger.hold_some(scope, place))
        else:
            self.books.run(ledger.let_some_go(scope, place, lambda _: SESSION))

    def refuse_cancel(self) -> None:
        found = self.books.run(self.books.ledger.pending_cancels("north", 2))
        self.books.run(self.books.ledger.refuse_cancel([p.order_id for p in found.cancels]))

    def crash(self) -> None:
        """Lose the memory of a process: the next one starts by recovering."""
        ledger = self.books.ledger
        self.books.epochs["north"] = self.books.run(ledger.take_lease("north", "me", 10_000))
        self.books.run(ledger.recover("north", self.books.epochs["north"]))


@pytest.mark.parametrize("seed", range(20))
def test_the_laws_hold_whatever_happens(books: Books, seed: int) -> None:
    chance = Chance(books, seed)
    acts: list[Callable[[], None]] = [chance.take, chance.claim, chance.settle, chance.report]
    rare: list[Callable[[], None]] = [chance.release, chance.absent, chance.cancel]
    rare += [chance.refuse_cancel, chance.crash, chance.ask_to_replace, chance.replace]
    rare += [chance.hold, chance.hold_many]
    ended: dict[str, str] = {}
    for _ in range(STEPS):
        chance.random.choice(acts * 2 + rare)()
        books.check()
        for order_id, status in books.sql("SELECT order_id, status FROM orders"):
            past = ended.get(order_id)
            # What has ended stays so; a late fill completes it, a bust or a raise undoes that.
            if past in TERMINAL - {Status.FILLED}:
                assert status in {past, "filled"}
            ended[order_id] = status
    books.run(books.ledger.expire(SESSION.trading_session_id, 1_000))
    assert books.waiting() == []
    left = {held.reason_code for held in books.run(books.ledger.held(None, None, 100))}
    assert left <= {"stray-evidence"}


@pytest.mark.parametrize("seed", range(15))
def test_the_amounts_are_those_of_the_executions(books: Books, seed: int) -> None:
    """No order of arrival, no repetition and no batch changes what was traded."""
    chance = Chance(books, seed)
    for _ in range(3):
        chance.take()
    books.run(books.ledger.release(SESSION.trading_session_id, 9, sendable))
    chance.claim()
    heard = [chance.one_report() for _ in range(25)]
    for report in heard * 2:
        books.report(report)
    kept = [
        report
        for (order_id,) in books.sql("SELECT order_id FROM orders")
        for report in books.run(books.ledger.executions(order_id))
    ]
    before = books.sql("SELECT filled_quantity, overfilled_quantity, filled_value FROM orders")
    # Forget what was applied, and hear the same again, shuffled, in one batch.
    books.sql(f"DELETE FROM executions{part(TODAY)}")
    nothing = "filled_quantity = '0', overfilled_quantity = '0', filled_value = '0'"
    books.sql(f"UPDATE orders{part(TODAY)} SET {nothing}")
    chance.random.shuffle(kept)
    books.report(*kept, *kept)

    after = books.sql("SELECT filled_quantity, overfilled_quantity, filled_value FROM orders")
    assert [list(map(Decimal, row)) for row in after] == [list(map(Decimal, r)) for r in before]
