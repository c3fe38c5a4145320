"""Verification finds what is altered, missing, too much or never exported, and names it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from bson.decimal128 import Decimal128

from app.accounts.fold import fold
from app.accounts.history.comparison import is_sampled
from app.accounts.history.plan import LoadPlan
from app.accounts.history.report import Subject, allows_drop, report_of, signed
from app.accounts.history.totals import DayTotals, totals_of
from app.accounts.history.verify import Verified, verify_ledger, verify_source
from app.accounts.history.view import AccountView
from app.accounts.mongo import Client
from app.accounts.mongo_book import MongoAccountBook
from app.accounts.mongo_shape import COLLECTION
from app.domain.order import Order
from app.domain.values import Status
from tests.accounts.history.archive import MONDAY, TUESDAY, WEDNESDAY, corrupt, rows, write
from tests.accounts.history.loads import control_totals, load, with_client
from tests.accounts.orders import an_order, payload

KEY = b"k" * 32
NOW = 1_772_461_800_000


def verified(plan: LoadPlan) -> Verified:
    """Verify in this process: threads stand in for the processes of the command."""

    async def look(client: Client) -> Verified:
        with ThreadPoolExecutor(2) as pool:
            return await verify_source(plan, pool, client, lambda *_: None)

    return with_client(plan, look)


def report(found: Verified) -> dict[str, Any]:
    subject = Subject(record="parquet", source="orders", store="openbell")
    return report_of(subject, found.days, found.findings, NOW)


def days(found: Verified) -> dict[str, str]:
    return {day["trade_date"]: day["state"] for day in report(found)["days"]}


def change(plan: LoadPlan, work: Callable[[Any], Awaitable[object]]) -> None:
    """Do something to the account documents that nobody should."""

    async def life(client: Client) -> None:
        await work(client[plan.store.database][COLLECTION])

    with_client(plan, life)


@pytest.fixture
def loaded(plan: LoadPlan) -> LoadPlan:
    write(plan.root, MONDAY, rows(120))
    write(plan.root, TUESDAY, rows(80, first=121))
    load(plan)
    return plan


def test_a_whole_load_is_equal_on_every_day(loaded: LoadPlan) -> None:
    found = verified(loaded)

    assert days(found) == {"2026-01-05": "equal", "2026-01-06": "equal"}
    assert report(found)["verdict"] == "equal"
    # The first of each part is compared, whatever the sample says.
    assert all(day.seen.compared >= 1 for day in found.days)
    assert {day.seen.totals.trade_date: day.seen.totals for day in found.days} == control_totals(
        loaded
    )


def test_one_altered_and_one_missing_order_are_named(loaded: LoadPlan) -> None:
    async def harm(orders: Any) -> None:
        price = {"$set": {"limit_price": Decimal128("1.00")}}
        await orders.update_one({"_id": "SRC-00000007"}, price)
        await orders.delete_one({"_id": "SRC-00000130"})

    change(loaded, harm)
    found = verified(loaded)
    monday, tuesday = report(found)["days"]

    assert (monday["state"], monday["altered"], monday["missing"], monday["extra"]) == (
        "different",
        1,
        0,
        0,
    )
    assert (tuesday["state"], tuesday["altered"], tuesday["missing"]) == ("different", 0, 1)
    assert [tuple(difference) for difference in found.findings.differences] == [
        ("SRC-00000007", "2026-01-05", "limit_price", "194.25", "1.00"),
        ("SRC-00000130", "2026-01-06", "_id", "is there", "is not there"),
    ]


@pytest.mark.parametrize(
    "change_of",
    [
        {"$set": {"text": "x"}},  # no sum contains it
        {"$set": {"strange": 1}},
        {"$unset": {"currency": ""}},
        {"$unset": {"quantity": ""}},  # not even an order any more
        {"$set": {"account_id": "acc-9"}},
        {"$set": {"more": "not JSON"}},
    ],
)
def test_no_change_is_too_small_to_be_found(loaded: LoadPlan, change_of: dict[str, Any]) -> None:
    # Neither the first of its part nor in the sample: only the totals can tell.
    order_id = next(f"SRC-{n:08d}" for n in range(2, 121) if not is_sampled(f"SRC-{n:08d}"))
    change(loaded, lambda orders: orders.update_one({"_id": order_id}, change_of))

    found = verified(loaded)

    assert days(found) == {"2026-01-05": "different", "2026-01-06": "equal"}
    assert {difference.order_id for difference in found.findings.differences} == {order_id}


def test_two_errors_that_cancel_out_in_the_sums_are_found(loaded: LoadPlan) -> None:
    async def swap(orders: Any) -> None:
        one, other = [await orders.find_one({"_id": f"SRC-0000000{n}"}) for n in (2, 5)]
        for order, price in ((one, other["limit_price"]), (other, one["limit_price"])):
            await orders.update_one({"_id": order["_id"]}, {"$set": {"limit_price": price}})

    change(loaded, swap)
    found = verified(loaded)
    monday = found.days[0]

    assert not monday.is_equal
    assert monday.seen.totals.whole.notional == monday.view.whole.notional
    assert monday.seen.altered == 2


def test_an_order_that_history_never_had_is_too_much(loaded: LoadPlan) -> None:
    async def add(orders: Any) -> None:
        order = await orders.find_one({"_id": "SRC-00000001"})
        await orders.insert_one(order | {"_id": "SRC-99999999"})

    change(loaded, add)
    monday, _ = report(verified(loaded))["days"]

    assert (monday["state"], monday["extra"], monday["missing"]) == ("different", 1, 0)


def test_an_order_that_stands_twice_in_the_archive_is_told(plan: LoadPlan) -> None:
    write(plan.root, MONDAY, [*rows(10), *rows(1, first=3, status=b"canceled")])
    load(plan)

    [monday] = report(verified(plan))["days"]

    assert (monday["state"], monday["repeated"], monday["altered"]) == ("different", 1, 1)


def upsert(plan: LoadPlan, *orders: Order) -> None:
    async def life(client: Client) -> None:
        book = await MongoAccountBook.open(client, plan.store.database)
        await book.upsert([fold(payload(order)) for order in orders])

    with_client(plan, life)


def live(number: int, day: date) -> Order:
    """Return an order of the archive as the live stream knows it, in its third version."""
    return an_order(number)._replace(
        order_id=f"SRC-{number:08d}",
        account_id=f"acc-{number % 17}",
        trade_date=day,
        version=3,
        status=Status.CANCELED,
    )


def test_an_overlap_with_the_live_stream_is_no_difference(loaded: LoadPlan) -> None:
    """The live stream has all of Tuesday, an order of Monday, and one that is its own."""
    own = live(5_000, TUESDAY)._replace(order_id="01KK8WF0000000000000009999")
    upsert(loaded, live(7, MONDAY), own, *(live(n, TUESDAY) for n in range(121, 201)))

    found = verified(loaded)

    assert days(found) == {"2026-01-05": "equal", "2026-01-06": "equal"}
    assert [day.seen.superseded for day in found.days] == [1, 80]


def test_an_overlap_hides_no_difference(loaded: LoadPlan) -> None:
    upsert(loaded, live(7, MONDAY))
    change(loaded, lambda orders: orders.delete_one({"_id": "SRC-00000008"}))

    found = verified(loaded)

    assert days(found)["2026-01-05"] == "different"
    assert (found.days[0].seen.superseded, found.days[0].seen.missing) == (1, 1)


def test_a_gap_before_the_live_stream_is_found(plan: LoadPlan) -> None:
    """Loaded up to Monday, live from Wednesday on: who has Tuesday?"""
    write(plan.root, MONDAY, rows(20))
    write(plan.root, TUESDAY, rows(10, first=21))
    write(plan.root, WEDNESDAY, rows(10, first=31))
    load(replace(plan, before=TUESDAY))
    upsert(plan, *(live(n, WEDNESDAY) for n in range(31, 41)))

    found = verified(replace(plan, before=WEDNESDAY))

    assert days(found) == {"2026-01-05": "equal", "2026-01-06": "different"}
    assert found.days[1].seen.missing == 10

    load(replace(plan, before=WEDNESDAY))  # the gap is closed by the same command, one day on
    assert set(days(verified(replace(plan, before=WEDNESDAY))).values()) == {"equal"}
    # And all of the archive against all of the view: the overlap is the live stream's.
    assert set(days(verified(plan)).values()) == {"equal"}


def test_what_cannot_be_read_is_no_verdict(loaded: LoadPlan) -> None:
    corrupt(loaded.root / "trade_date=2026-01-06" / "a14f_data.0.parq")
    write(loaded.root, WEDNESDAY, rows(1, first=900, quantity=Decimal(-1)))
    (loaded.root / "readme.txt").write_text("no Parquet")

    found = report(verified(loaded))

    assert found["verdict"] == "different"
    assert found["rejected"] == 1
    assert len(found["unreadable"]) == 2


ORDERS = [an_order(number, version=2, trade_date=MONDAY) for number in range(1, 41)]
LEDGER = Subject(record="ledger", source="ledger", store="openbell")


def ledger_verified(plan: LoadPlan, orders: list[Order]) -> Verified:
    async def payloads() -> AsyncIterator[list[bytes]]:
        for start in range(0, len(orders), 7):
            yield [payload(order) for order in orders[start : start + 7]]

    async def look(client: Client) -> Verified:
        view = AccountView(client, plan.store.database)
        return await verify_ledger(payloads, [MONDAY], view)

    return with_client(plan, look)


def standing(orders: list[Order]) -> DayTotals:
    return totals_of(fold(payload(order)).document for order in orders)[MONDAY]


def verdict(found: Verified, orders: list[Order]) -> str | None:
    raw = signed(report_of(LEDGER, found.days, found.findings, NOW), KEY)
    return allows_drop(raw, key=KEY, standing=standing(orders))


def test_a_day_of_the_ledger_that_the_view_holds_may_be_dropped(plan: LoadPlan) -> None:
    upsert(plan, *ORDERS)

    found = ledger_verified(plan, [*ORDERS, an_order(99, trade_date=TUESDAY)])

    assert verdict(found, ORDERS) is None


@pytest.mark.parametrize(
    ("in_the_view", "missing", "altered", "extra"),
    [
        (ORDERS[1:], 1, 0, 0),
        ([*ORDERS[:-1], ORDERS[-1]._replace(version=1)], 0, 1, 0),
        ([*ORDERS, an_order(77, trade_date=MONDAY)], 0, 0, 1),
    ],
)
def test_a_day_that_the_view_does_not_hold_is_not_dropped(
    plan: LoadPlan, in_the_view: list[Order], missing: int, altered: int, extra: int
) -> None:
    upsert(plan, *in_the_view)

    found = ledger_verified(plan, ORDERS)
    [day] = found.days

    assert (day.seen.missing, day.seen.altered, day.extra) == (missing, altered, extra)
    assert "verification failed" in str(verdict(found, ORDERS))


def test_a_day_that_moved_after_its_verification_is_not_dropped(plan: LoadPlan) -> None:
    upsert(plan, *ORDERS)
    found = ledger_verified(plan, ORDERS)

    moved = [ORDERS[0]._replace(version=3), *ORDERS[1:]]

    assert "verify it again" in str(verdict(found, moved))
    assert "verify it again" in str(verdict(found, ORDERS[1:]))
