"""SQLite and PostgreSQL are one ledger: by seed, every answer and every row of them is the same.

A script is drawn from its seed: takings of three trade dates with twins and conflicts among them,
releases, claims by owners and by former ones, answers, fills, busts, cancels, edits, doubts and
their ends, halts, leases that run out, and every listing in between. A seed that fails prints its
question and both answers; `OPENBELL_TEST_SEEDS=500` plays so many.
"""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final

from app.domain.errors import Code
from app.domain.messages import (
    Accepted,
    Answer,
    ExecutionReport,
    ExecutionType,
    NotSent,
    Rejected,
    Throttled,
    Unknown,
)
from app.domain.order import Order
from app.domain.query import OrderQuery
from app.domain.records import Actor, Change, Fence, SessionOverride, Settlement, Taken
from app.domain.session import TradingSession
from app.domain.values import CancelOrigin, Status
from app.ledger.dispatch.verdicts import VERDICTS
from tests.builders import SESSION, TODAY, a_report, a_taking
from tests.ledger.both import Both
from tests.servers.postgres import PostgresServer
from tests.servers.wishes import wish

SEEDS: Final = int(wish("OPENBELL_TEST_SEEDS") or 2)
STEPS: Final = 90
ROUTES: Final = {"XNAS": "north", "XNYS": "south"}
ACCOUNTS: Final = ("ann", "bob", "Ann", "zo\N{LATIN SMALL LETTER E WITH DIAERESIS}", "a b%_'\"")
WEIGHTED: Final = (*ACCOUNTS, *["ann"] * 5)  # so that twins meet
SYMBOLS: Final = ("AAPL", "MSFT", "BRK/B")
ANSWERS: Final[tuple[Answer, ...]] = (
    Accepted("N-1"),
    Accepted("N-\N{PILE OF POO}"),
    Rejected("no", "for\0ever"),
    NotSent("no"),
    Throttled(),
    *[Unknown("?")] * 4,
)
PEOPLE: Final = (Actor("kim", "because", "r-1"), Actor("lee", 'it\'s "so"', "r-2"))
TTL_MS: Final = 3_600_000
DENIED: Final = Decimal(13)

# A play in which nothing happens proves nothing: each of these, once at the least.
HAPPENS: Final = (
    *("take something", "release something", "claim something", "claim nothing"),
    *("apply something", "amend something", "amend Refused", "cancel something"),
    *("cancel Refused", "never_received something", "resolve_doubt Refused"),
    *("recover something", "recover FenceLost", "renew_lease nothing", "claim FenceLost"),
    *("executions something", "attempts something", "doubts something", "page something"),
    *("by_client_order_id something", "halts something"),
)


def session_of(day: date) -> TradingSession:
    return SESSION._replace(trading_session_id=f"XNAS-{day}-REG", trade_date=day)


SESSIONS: Final = tuple(session_of(TODAY + timedelta(days=n)) for n in (-1, 0, 1))
NAMES: Final = tuple(s.trading_session_id for s in SESSIONS)


def unlucky(order: Order) -> Code | None:
    return Code.PRICE_OUT_OF_BAND if order.quantity == DENIED else None


class Script:
    """One seeded play, and what it has seen so far."""

    def __init__(self, both: Both, seed: int) -> None:
        self.both = both
        self.ask = both.ask
        self.die = random.Random(seed)
        self.orders: list[Order] = []
        self.keys: list[str] = []
        self.broker_of: dict[str, str] = {}
        self.said: list[ExecutionReport] = []
        self.fences = {name: self._owned(name) for name in ROUTES.values()}
        self.former = dict(self.fences)

    def play(self) -> None:
        often: list[Callable[[], None]] = [self.take, self.claim, self.settle, self.report]
        some = [self.release, self.cancel, self.amend, self.absent, self.resolve]
        rare = [self.refuse_cancel, *[self.owner_changes] * 3, *[self.operate] * 2, self.expire]
        acts = [*often * 5, self.claim, self.settle, *some * 2, self.absent, self.absent, *rare]
        for _ in range(STEPS):
            self.both.passes(self.die.randint(0, 5))
            self.die.choice(acts)()
            self.both.same_rows()
            self.look()
        self.both.same_rows()
        self.both.check()
        for name in ROUTES.values():
            self.ask("pending_cancels", name, 1_000)

    # --- clients --------------------------------------------------------------------------

    def take(self) -> None:
        self.orders += [
            result.order
            for result in self.ask("take", [self._entry() for _ in range(self.die.randint(2, 5))])
            if isinstance(result, Taken) and result.created
        ]

    def _entry(self) -> Any:
        die = self.die
        return a_taking(
            f"c-{die.randint(1, 40)}",
            account_id=die.choice(WEIGHTED),
            symbol=die.choice(SYMBOLS),
            market=die.choice(list(ROUTES)),
            quantity=die.choice([Decimal(10), Decimal("0.5"), DENIED, *[Decimal("100.00")] * 5]),
            limit_price=die.choice([Decimal("187.25"), Decimal("0.0001"), None]),
            list_id=die.choice([None, "l-1", "l-2"]),
            text=die.choice([None, "", 'it\'s "q" \\ \N{PILE OF POO}\t']),
            session=die.choice(SESSIONS),
            reserved=die.random() < 0.4,
        )

    def _one(self) -> Order | None:
        """Return an order as it now stands."""
        if not self.orders:
            return None
        return self.ask("get", self.die.choice(self.orders).order_id)  # type: ignore[no-any-return]

    def _version(self, order: Order) -> int:
        return order.version if self.die.random() < 0.8 else order.version - 1

    def amend(self) -> None:
        if order := self._one():
            terms = (Decimal(self.die.randint(1, 9)), self.die.choice([None, Decimal("180.10")]))
            self.ask("amend", order.order_id, self._version(order), *terms)

    def cancel(self) -> None:
        if order := self._one():
            version = self.die.choice([None, self._version(order)])
            self.ask("cancel", order.order_id, version, self.die.choice(list(CancelOrigin)))

    # --- dispatch -------------------------------------------------------------------------

    def _owned(self, broker: str) -> Fence:
        epoch = self.ask("take_lease", broker, "me", TTL_MS)
        self.ask("recover", broker, epoch)
        return Fence(broker, "me", epoch, frozenset(NAMES))

    def owner_changes(self) -> None:
        """Give the lease back, or lose it, or take it twice; the next owner recovers."""
        broker = self.die.choice(list(ROUTES.values()))
        fence = self.fences[broker]
        self.former[broker] = fence
        how = self.die.choice(["dropped", "ran out", "taken again"])
        if how == "dropped":
            self.ask("drop_lease", broker, "me", fence.owner_epoch)
        elif how == "ran out":
            self.both.sql(f"UPDATE broker_leases SET expires_at = 1 WHERE broker_id = '{broker}'")
        self.ask("take_lease", broker, "you", TTL_MS)
        self.ask("renew_lease", broker, "me", fence.owner_epoch, TTL_MS)
        self.ask("recover", broker, fence.owner_epoch)
        self.both.sql("UPDATE broker_leases SET expires_at = 1 WHERE holder = 'you'")
        self.fences[broker] = self._owned(broker)

    def release(self) -> None:
        self.ask("release", self.die.choice(NAMES), self.die.randint(1, 6), unlucky)

    def expire(self) -> None:
        # All of them: which of many end first is nowhere promised.
        self.ask("expire", NAMES[0], 1_000)

    def claim(self) -> None:
        broker = self.die.choice(list(ROUTES.values()))
        fence = (self.former if self.die.random() < 0.2 else self.fences)[broker]
        claimed = self.ask("claim", fence, self.die.randint(1, 4), unlucky) or []
        self.keys += [c.broker_order_key for c in claimed]
        self.broker_of |= dict.fromkeys(self.keys[len(self.broker_of) :], broker)

    def settle(self) -> None:
        keys = self.die.sample(self.keys[-5:], min(len(self.keys), self.die.randint(1, 3)))
        self.ask("settle", [Settlement(key, self.die.choice(ANSWERS), 5) for key in keys])

    def report(self) -> None:
        if self.keys:
            batch = [self._report() for _ in range(self.die.randint(1, 4))]
            self.ask("apply", batch, "report")
            self.said += batch

    def _report(self) -> ExecutionReport:
        if self.said and self.die.random() < 0.3:
            return replace(self.die.choice(self.said), possible_duplicate=True)
        kind = self.die.choice(list(ExecutionType))
        trade = kind in {ExecutionType.TRADE, ExecutionType.TRADE_CORRECT}
        key = self.die.choice([*self.keys[-12:], "nobody's"])
        right = self.die.random() < 0.9
        return a_report(
            kind,
            f"e-{self.die.randint(1, 40)}",
            broker_id=self.broker_of.get(key, "north") if right else "elsewhere",
            broker_order_key=key,
            last_quantity=Decimal(self.die.randint(1, 6)) / 4 if trade else Decimal(0),
            last_price=self.die.choice([Decimal("187.25"), Decimal("1.10")]) if trade else None,
            referenced_execution_id=self.die.choice([None, f"e-{self.die.randint(1, 40)}"]),
            broker_order_id=self.die.choice(["N-1", "N\0-2"]),
        )

    def absent(self) -> None:
        for broker in ROUTES.values():
            keys = [doubt.broker_order_key for doubt in self.ask("in_doubt", broker)[:1]]
            self.ask("never_received", [*keys, *self.keys[:1]], "lookup")

    def refuse_cancel(self) -> None:
        for broker in ROUTES.values():
            found = self.ask("pending_cancels", broker, 100)
            self.ask("refuse_cancel", [pending.order_id for pending in found[:2]])

    # --- operators ------------------------------------------------------------------------

    def resolve(self) -> None:
        doubts = self.ask("doubts")
        keys = [doubt.broker_order_key for doubt in doubts] or self.keys[-1:] or ["none"]
        verdict = self.die.choice([*sorted(VERDICTS), "perhaps"])
        terms = self.die.choice(
            [{}, {"price": "187.25"}, {"price": "-1"}, {"broker_order_id": "N"}]
        )
        who = self.die.choice(PEOPLE)
        self.ask("resolve_doubt", self.die.choice(keys), verdict, terms, who)

    def operate(self) -> None:
        who = self.die.choice(PEOPLE)
        scope, target = self.die.choice(
            [("broker", "south"), ("account", "ann"), ("symbol", "MSFT")]
        )
        self.ask(self.die.choice(["halt", "resume"]), scope, target, who)
        control = self.ask("controls")["north"]
        wanted = control._replace(dispatch=self.die.choice(["running"] * 4 + ["paused"]))
        self.ask("set_control", wanted, self._stale(control.version), who)
        moved = {o.trading_session_id: o for o in self.ask("every_override")}
        name = self.die.choice(NAMES)
        bells = SessionOverride(name, 0, 1, 2, "", "")
        seen = moved[name].version if name in moved else 0
        self.ask("override_session", bells, seen, who)
        self.ask("note", Change("denied", "x\0", None, {"n": 1}), who)

    def _stale(self, version: int) -> int:
        return version if self.die.random() < 0.9 else version + 1

    # --- seen -----------------------------------------------------------------------------

    def look(self) -> None:
        """Ask for some of what can be asked for."""
        die = self.die
        self.ask("page", self._query())
        for name in die.sample(["doubts", "backlog", "waiting_sessions", "halts", "spans"], 2):
            self.ask(name)
        self.ask("by_status", *self._session())
        self.ask("in_doubt", die.choice(list(ROUTES.values())))
        self.ask("by_client_order_id", die.choice(WEIGHTED), f"c-{die.randint(1, 50)}")
        if die.random() < 0.1:
            self.ask("payloads", die.randint(1, 50))
            self.ask("audit", die.randint(0, 9), die.randint(1, 9))
        if order := self._one():
            sent = [key[:-2] for key in self.keys]  # of the others there is less to tell
            told = die.choice(["events", "executions", "attempts"])
            self.ask(told, die.choice(sent or [order.order_id]))

    def _session(self) -> tuple[str, date]:
        session = self.die.choice(SESSIONS)
        return session.trading_session_id, session.trade_date

    def _query(self) -> OrderQuery:
        def maybe(*values: Any) -> Any:
            return self.die.choice(values) if self.die.random() < 0.25 else None

        return OrderQuery(
            self.die.choice(WEIGHTED),
            maybe(*Status),
            maybe(*SYMBOLS),
            maybe("l-1", "l-2"),
            maybe(*(session.trade_date for session in SESSIONS)),
            maybe(*range(1, 80)),
            self.die.randint(1, 9),
        )

    def walk(self, **filters: Any) -> list[Order]:
        """Page through a listing to its end; each page says where the next one begins."""
        found: list[Order] = []
        limit = self.die.randint(1, 7)
        while True:
            before = found[-1].accept_sequence if found else None
            page = self.ask("page", OrderQuery(**filters, before=before, limit=limit))
            found += page
            if len(page) < limit:
                return found

    def listings(self) -> None:
        """Read every listing to its end: all of it, newest first, nothing twice."""
        stand = {order.order_id: self.ask("get", order.order_id) for order in self.orders}
        newest_first = sorted(stand.values(), key=lambda order: -order.accept_sequence)
        for account in {order.account_id for order in newest_first}:
            own = [order for order in newest_first if order.account_id == account]
            assert self.walk(account_id=account) == own
            for day in {order.trade_date for order in own}:
                of_day = [order for order in own if order.trade_date == day]
                assert self.walk(account_id=account, trade_date=day) == of_day
            for status in {order.status for order in own}:
                so = [order for order in own if order.status is status]
                assert self.walk(account_id=account, status=status) == so
        for session in SESSIONS:
            name, day = session.trading_session_id, session.trade_date
            of_session = [o.status for o in newest_first if o.trading_session_id == name]
            assert self.ask("by_status", name, day) == Counter(of_session)
        payloads = [order for batch in self.ask("payloads", 3) for order in batch]
        assert sorted(p["order_id"] for p in payloads) == sorted(stand)
        assert all(p["version"] == stand[p["order_id"]].version for p in payloads)
        unsure = {o.order_id for o in newest_first if o.status is Status.IN_DOUBT}
        assert {doubt.order_id for doubt in self.ask("doubts")} == unsure
        unsent = {Status.RESERVED, Status.QUEUED}
        waits = {o.trading_session_id for o in newest_first if o.status in unsent}
        assert self.ask("waiting_sessions") == sorted(waits)


def played(url: str, seed: int) -> Both:
    both = Both(url, seed=seed, rates=dict.fromkeys(ROUTES.values(), 100), routes=ROUTES)
    try:
        script = Script(both, seed)
        script.play()
        script.listings()
    except Exception as e:
        e.add_note(f"seed {seed}")
        raise
    finally:
        both.close()
    return both


def test_both_dialects_answer_alike_and_hold_the_same_rows(
    postgres: PostgresServer, empty_ledger: str
) -> None:
    heard: Counter[str] = Counter()
    for seed in range(SEEDS):
        with postgres.fresh_database(like=empty_ledger) as url:
            heard += played(url, seed).heard

    missed = [what for what in HAPPENS if not heard[what]]
    assert not missed, heard
