"""What the record promises a person who looks for something: orders by symbol, rows by order."""

import pytest

from app.domain.order import Order
from app.domain.records import Change
from tests.builders import TODAY
from tests.contracts.record import KIM, LEE, Shop, shop

__all__ = ["shop"]


def test_orders_of_a_symbol_are_found_by_pages_and_each_once(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.ledger.orders.looking.ROWS_A_PAGE", 4)
    monkeypatch.setattr("app.ledger.orders.looking.FOUND_MAX", 2)
    wanted = [shop.take(f"w-{i}", symbol="MSFT") for i in range(3)]
    for i in range(9):  # two pages in which there is nothing to find
        shop.take(f"c-{i}")
    last = shop.take("w-3", symbol="MSFT", account_id="bob")

    found: list[Order] = []
    pages, before = 0, None
    while True:
        page = shop.run(shop.store.of_symbol("MSFT", TODAY, before, None))
        found, before, pages = [*found, *page.orders], page.before, pages + 1
        if before is None:
            break

    assert found == [last, *reversed(wanted)]
    assert pages >= 4
    only = shop.run(shop.store.of_symbol("MSFT", TODAY, None, ["bob", "eve"]))
    assert only.orders == [last]
    assert shop.run(shop.store.of_symbol("MSFT", TODAY, None, [])).orders == []


def test_a_symbol_that_nobody_trades_is_found_nowhere(shop: Shop) -> None:
    order = shop.take()
    elsewhere = TODAY.replace(year=TODAY.year + 1)

    for symbol, day in (("MSFT", TODAY), ("\0", TODAY), ("' OR 1", TODAY), ("AAPL", elsewhere)):
        found = shop.run(shop.store.of_symbol(symbol, day, None, None))
        assert (found.orders, found.before) == ([], None), symbol
    assert shop.run(shop.store.of_symbol("AAPL", TODAY, None, None)).orders == [order]
    assert shop.run(shop.store.of_symbol("AAPL", TODAY, order.accept_sequence, None)).orders == []


def test_what_was_done_to_one_resource_is_read_back(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert shop.run(shop.store.audit_about(["order/1"], 10)) == []
    for by, resource in ((KIM, "order/1"), (KIM, "order/2"), (LEE, "order/1"), (LEE, "order/3")):
        shop.run(shop.store.note(Change("order.hold", resource, None, None), by))

    rows = shop.run(shop.store.audit_about(["order/1", "order/3"], 2))
    assert [(row["actor"], row["resource"]) for row in rows] == [
        ("lee", "order/1"),
        ("lee", "order/3"),
    ]
    monkeypatch.setattr("app.ledger.operators.audit.LOOKED_MAX", 3)
    rows = shop.run(shop.store.audit_about(["order/1"], 10))
    assert [row["actor"] for row in rows] == ["lee"]  # the first lies further back than it looks
