"""Who is next, who may not leave, and who claims nothing."""

from typing import Any, Final

import pytest
from sqlalchemy.exc import IntegrityError

from app.domain.errors import Code
from app.domain.messages import NotSent, Throttled, Unknown
from app.domain.order import Order
from app.domain.records import Claimed, FenceLost
from app.domain.values import Status
from tests.builders import SESSION, a_taking
from tests.ledger.books import LEE, ME, Books, sendable

OTHER_SESSION: Final = SESSION._replace(trading_session_id="XNAS-2026-03-03-REG")


def names(claims: list[Claimed]) -> list[str]:
    return [claim.order.client_order_id for claim in claims]


def take_many(books: Books, account_id: str, count: int, **facts: Any) -> None:
    books.take(
        *(a_taking(f"{account_id}-{n}", account_id=account_id, **facts) for n in range(count))
    )


# --- fairness ---------------------------------------------------------------------------


def test_five_thousand_orders_of_one_account_delay_nobody(books: Books) -> None:
    take_many(books, "whale", 5_000)
    take_many(books, "ann", 2)
    take_many(books, "bob", 1)

    assert names(books.claim(6)) == ["whale-0", "ann-0", "bob-0", "whale-1", "ann-1", "whale-2"]


def test_a_claim_is_in_fair_order_and_first_in_first_out_within_an_account(books: Books) -> None:
    take_many(books, "ann", 3)
    take_many(books, "bob", 2)
    take_many(books, "cal", 3)

    assert names(books.claim()) == [
        *("ann-0", "bob-0", "cal-0"),
        *("ann-1", "bob-1", "cal-1"),
        *("ann-2", "cal-2"),
    ]


def test_a_newcomer_stands_beside_the_head_and_not_before_or_behind_it(books: Books) -> None:
    take_many(books, "whale", 100)
    books.claim(50)
    take_many(books, "late", 2)

    assert names(books.claim(4)) == ["whale-50", "late-0", "whale-51", "late-1"]


def test_who_comes_back_stands_behind_his_own_last(books: Books) -> None:
    take_many(books, "ann", 2)
    books.queued("later", account_id="ann")

    assert [rank for rank, _ in books.waiting()] == [1, 2, 3]


@pytest.mark.parametrize("answer", [NotSent("refused"), Throttled(1.0)])
def test_a_returned_order_keeps_its_place(books: Books, answer: Any) -> None:
    take_many(books, "ann", 3)
    (first,) = books.claim(1)
    before = books.waiting()
    books.settle({first.broker_order_key: answer})

    assert books.waiting() == [(1, "ann"), *before]
    (again,) = books.claim(1)
    assert again.order.order_id == first.order.order_id
    assert again.broker_order_key == first.broker_order_key[:-2] + "02"


def test_claims_take_each_order_once(books: Books) -> None:
    take_many(books, "ann", 10)
    claimed = [*books.claim(4), *books.claim(4), *books.claim(4)]

    assert len({c.order.order_id for c in claimed}) == len(claimed) == 10
    assert books.claim() == []


# --- the fence --------------------------------------------------------------------------


def test_a_claim_is_an_attempt_on_disk(books: Books) -> None:
    claimed = books.sending()
    (attempt,) = books.run(books.ledger.attempts(claimed.order.order_id))

    assert books.order(claimed.order.order_id) == claimed.order
    assert (claimed.order.status, claimed.order.broker_id) == (Status.SENDING, "north")
    assert attempt.broker_order_key == claimed.broker_order_key
    assert (attempt.attempt_number, attempt.outcome, attempt.broker_id) == (1, "open", "north")
    assert (claimed.route_id, claimed.route_epoch, claimed.rank) == ("XNAS", 1, 1)


@pytest.mark.parametrize(
    "break_it",
    [
        lambda books: books.run(books.ledger.take_lease("north", "you", 10_000)),
        lambda books: books.run(books.ledger.take_lease("north", "me", 10_000)),
        lambda books: books.run(books.ledger.drop_lease("north", "me", books.epochs["north"])),
        lambda books: setattr(books.clock, "at", books.clock.at + 10_000),
        lambda books: books.sql("UPDATE routes SET active_broker = 'south', epoch = epoch + 1"),
        lambda books: books.sql("DELETE FROM routes"),
        lambda books: books.sql("UPDATE broker_control SET dispatch = 'paused'"),
        lambda books: books.run(books.ledger.halt("all", "", ME)),
        lambda books: books.run(books.ledger.halt("broker", "north", ME)),
    ],
    ids=[
        *("owner changed", "epoch rose", "lease dropped", "lease ran out", "route moved"),
        *("no route", "paused", "all halted", "broker halted"),
    ],
)
def test_who_may_not_send_claims_nothing(books: Books, break_it: Any) -> None:
    order = books.queued()
    fence = books.fence()
    break_it(books)
    with pytest.raises(FenceLost):
        books.run(books.ledger.claim(fence, 10, sendable))

    assert books.order(order.order_id) == order
    assert books.outcomes(order.order_id) == []


@pytest.mark.parametrize(
    ("scope", "target"), [("route", "XNAS"), ("account", "ann"), ("symbol", "AAPL")]
)
def test_what_a_halt_covers_waits_and_the_rest_goes_on(
    books: Books, scope: str, target: str
) -> None:
    books.sql("INSERT INTO routes VALUES ('XTRA', 'north', 1)")
    books.queued("halted")
    books.queued("free", account_id="bob", symbol="MSFT", route_id="XTRA")
    books.run(books.ledger.halt(scope, target, ME))
    assert names(books.claim()) == ["free"]
    books.run(books.ledger.resume(scope, target, LEE))

    assert names(books.claim()) == ["halted"]


@pytest.mark.parametrize(
    ("scope", "target"),
    [("route", "XNYS"), ("broker", "south"), ("account", "bob"), ("symbol", "MSFT")],
)
def test_a_halt_of_others_stops_nobody_else(books: Books, scope: str, target: str) -> None:
    books.queued()
    books.run(books.ledger.halt(scope, target, ME))

    assert len(books.claim()) == 1


def test_a_broker_claims_from_its_own_routes(books: Books) -> None:
    books.queued("a", market="XNAS")
    books.queued("b", market="XNYS")

    assert names(books.claim(broker_id="south")) == ["b"]
    assert names(books.claim(broker_id="north")) == ["a"]


def test_a_broker_with_two_routes_claims_from_both_in_fair_order(books: Books) -> None:
    books.sql("UPDATE routes SET active_broker = 'north'")
    take_many(books, "whale", 3, market="XNAS")
    take_many(books, "ann", 2, market="XNYS")

    claimed = books.claim(4)

    assert names(claimed) == ["whale-0", "ann-0", "whale-1", "ann-1"]
    assert [c.route_id for c in claimed] == ["XNAS", "XNYS", "XNAS", "XNYS"]


def test_only_orders_of_open_sessions_leave(books: Books) -> None:
    books.queued("today")
    books.queued("tomorrow", session=OTHER_SESSION)

    assert names(books.claim()) == ["today"]
    assert books.claim(sessions=frozenset()) == []


def test_what_breaks_a_limit_at_the_last_moment_is_denied(books: Books) -> None:
    good, bad = books.queued("good"), books.queued("bad")

    def recheck(order: Order) -> Code | None:
        return Code.PRICE_OUT_OF_BAND if order.client_order_id == "bad" else None

    claimed = books.run(books.ledger.claim(books.fence(), 10, recheck))

    assert names(claimed) == ["good"]
    denied = books.order(bad.order_id)
    assert (denied.status, denied.reason_code) == (Status.DENIED, "price-out-of-band")
    assert books.outcomes(bad.order_id) == []
    assert books.order(good.order_id).status is Status.SENDING


def test_the_hundredth_attempt_is_not_made(books: Books) -> None:
    claimed = books.sending()
    for _ in range(98):
        books.settle({claimed.broker_order_key: NotSent("refused")})
        (claimed,) = books.claim()
    assert claimed.broker_order_key.endswith("99")
    books.settle({claimed.broker_order_key: NotSent("refused")})

    order = books.order(claimed.order.order_id)
    assert (order.status, order.reason_code) == (Status.HELD, "attempts-exhausted")
    assert books.claim() == []


def test_sql_refuses_a_second_open_attempt(books: Books) -> None:
    """Even if everything above it were wrong."""
    claimed = books.sending()
    with pytest.raises(IntegrityError, match="UNIQUE"):
        books.sql(
            "INSERT INTO dispatch_inflight SELECT order_id, order_id || '02', trade_date,"
            " 'south', 'open', 7 FROM dispatch_inflight"
        )
    books.settle({claimed.broker_order_key: Unknown("timeout")})
    with pytest.raises(IntegrityError, match="UNIQUE"):
        books.sql(
            "INSERT INTO dispatch_inflight SELECT order_id, order_id || '02', trade_date,"
            " 'south', 'unknown', 7 FROM dispatch_inflight"
        )
