"""The pages of orders: each is found by what people know of it, and its page tells its life."""

import csv
import re
from html import unescape
from io import StringIO
from typing import Any

import pytest

from app.domain.messages import ExecutionType
from app.domain.records import AttemptView, OrderEvent
from app.domain.values import PendingRequest, Status
from app.web.console.life import Records, order_page, resources_of
from app.web.console.markup import join
from app.web.console.sheet import sheet
from app.web.console.sight import Viewer
from tests.builders import NOW, a_report, an_order
from tests.web.console.sights import EVIL, LOOKER, OPERATOR, a_doubt, a_row, evil
from tests.web.console.test_console import CHANGE, sign_in
from tests.web.house import Gateway, put_in_doubt, run
from tests.web.operators import ADMIN, reserve

WHY = "the desk asked"


def found(gateway: Gateway, **asked: str) -> str:
    reply = gateway.client.get("/console/orders", params=asked)
    assert reply.status_code == 200, reply.text
    return unescape(reply.text)


def ids(page: str) -> list[str]:
    return re.findall(r'href="/console/orders/([0-9A-Z]{26})"', page)


def some_records(**facts: Any) -> Records:
    """Return what four records say of an order that left, was lost, and had traded."""
    order = an_order(status=Status.IN_DOUBT, broker_id="nova", version=5)
    key = f"{order.order_id}01"
    records = Records(
        order=order,
        events=[
            OrderEvent(1, "order.reserved", NOW - 9_000, "client", "taken"),
            OrderEvent(2, "order.sending", NOW - 8_000, "openbell", key),
            OrderEvent(3, "order.in_doubt", NOW - 8_000, "openbell", "unknown: timeout"),
        ],
        attempts=[AttemptView(key, 1, "nova", NOW - 8_000, "accepted", "lookup", NOW - 5_000)],
        executions=[a_report(ExecutionType.TRADE, at=NOW - 6_000, broker_order_key=key)],
        doubts=[a_doubt(order_id=order.order_id, since=NOW - 7_000)],
        audit=[
            dict(
                a_row(
                    at=NOW - 4_000,
                    action="doubt.resolve",
                    before='{"status": "in_doubt"}',
                    after='{"status": "new"}',
                    reason="their desk",
                )
            )
        ],
    )
    return records._replace(**facts)


def drawn(records: Records, viewer: Viewer = OPERATOR) -> str:
    return str(join(*order_page(records, viewer, NOW)))


def test_one_story_of_all_records_in_the_order_of_time() -> None:
    html = drawn(some_records())

    kinds = re.findall(r'<tr class="(\w+)">', html)
    assert kinds == ["step", "step", "attempt", "step", "doubt", "fill", "attempt", "audit"]
    for says in ("on disk, may leave", "traded 10 at ", "no answer from nova", "their desk"):
        assert says in html
    assert "settled the order (in doubt → new)" in html
    assert "in doubt</span> at nova for 00:00:07" in html


def test_whoever_may_not_read_the_audit_log_is_told_that_something_is_left_out() -> None:
    html = drawn(some_records(audit=[]), LOOKER)

    assert "your key lacks audit:read" in html
    assert "data-act" not in html  # nor is he offered what he may not do
    assert "lacks audit:read" not in drawn(some_records())


def test_hostile_words_of_any_record_stay_words() -> None:
    calm = some_records()
    hostile = some_records(
        order=evil(calm.order)._replace(text=None),
        events=[evil(event) for event in calm.events],
        attempts=[evil(attempt) for attempt in calm.attempts],
        executions=[
            a_report(ExecutionType.TRADE, broker_id=EVIL, execution_id=EVIL, at=NOW, reason=EVIL)
        ],
        doubts=[evil(doubt) for doubt in calm.doubts],
        audit=[a_row(**dict.fromkeys(("actor", "action", "resource", "reason"), EVIL))],
    )

    html = drawn(hostile)

    assert "<script>alert" not in html
    assert "\u202e" not in html
    assert html.count("&lt;script&gt;alert(1)") >= 8


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ({"status": Status.RESERVED}, "no broker ever sees it"),
        ({"status": Status.IN_DOUBT, "broker_id": "nova"}, "It may be at nova"),
        ({"status": Status.CANCELED}, None),
        ({"status": Status.NEW, "pending_request": PendingRequest.CANCEL}, None),
    ],
)
def test_a_cancel_is_offered_while_it_can_still_do_something(
    facts: dict[str, Any], says: str | None
) -> None:
    html = drawn(some_records(order=an_order(**facts), doubts=[]))

    assert ("Cancel order…" in html) is (says is not None)
    assert says is None or says in html


def test_a_long_life_is_cut_and_says_so() -> None:
    events = [OrderEvent(i, "order.new", NOW + i, "openbell", f"cause {i}") for i in range(405)]

    html = drawn(some_records(events=events, attempts=[], executions=[], doubts=[], audit=[]))

    assert "The latest 400 of 405 lines." in html
    assert "cause 404" in html
    assert "cause 4<" not in html


def test_a_cancel_takes_the_page_s_version_and_stands_in_its_story(gateway: Gateway) -> None:
    order_id = reserve(gateway, 1)
    sign_in(gateway)
    path = f"{ADMIN}/orders/{order_id}/cancel"
    seen = CHANGE | {"If-Match": '"v1"', "X-Confirm": order_id}
    stale = seen | {"If-Match": '"v9"'}
    assert gateway.client.post(path, json={"reason": WHY}, headers=stale).status_code == 412

    reply = gateway.client.post(path, json={"reason": WHY}, headers=seen)

    assert (reply.status_code, reply.json()["status"]) == (200, "canceled")
    page = unescape(gateway.client.get(f"/console/orders/{order_id}").text)
    assert "canceled the order (reserved → canceled)" in page
    assert "refused: cancel order the order" in page
    assert page.count(WHY) == 2
    assert "Cancel order…" not in page


def test_a_symbols_orders_are_found_page_by_page(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = reserve(gateway, 5)
    monkeypatch.setattr("app.ledger.orders.looking.FOUND_MAX", 2)
    sign_in(gateway)
    page = found(gateway, q="aa")
    assert "Orders of AA, trade date 2026-03-02" in page
    assert 'value="2026-03-02"' in page

    seen = ids(page)
    while link := re.search(r'href="(/console/orders\?[^"]+)" rel="next"', page):
        page = unescape(gateway.client.get(link.group(1)).text)
        seen += ids(page)

    assert seen[0] == last
    assert len(seen) == len(set(seen)) == 5
    assert "No order of AA on 2026-03-03" in found(gateway, q="AA", day="2026-03-03")
    assert "No order of ZZ on 2026-03-02" in found(gateway, q="symbol:ZZ")
    assert gateway.client.get("/console/orders?q=AA&day=2026-02-30").status_code == 422
    forged = gateway.client.get("/console/orders", params={"q": "A-1", "cursor": "A" * 24})
    assert forged.status_code == 422


def test_an_accounts_orders_have_a_next_page(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    reserve(gateway, 5)
    monkeypatch.setattr("app.web.console.finding.SHOWN", 3)
    sign_in(gateway)
    page = found(gateway, q="A-1")
    link = re.search(r'href="(/console/orders\?[^"]+)" rel="next"', page)
    assert link is not None

    rest = unescape(gateway.client.get(link.group(1)).text)

    assert (len(ids(page)), len(ids(rest))) == (3, 2)
    assert 'rel="next"' not in rest


def test_a_page_of_found_orders_is_carried_away_as_a_table(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    reserve(gateway, 5)
    monkeypatch.setattr("app.ledger.orders.looking.FOUND_MAX", 2)
    sign_in(gateway)
    page = found(gateway, q="AA")
    (back,) = re.findall(r'href="(/console/orders\?[^"]+)" rel="next"', page)
    for shown in (page, unescape(gateway.client.get(back).text)):
        (link,) = re.findall(r'href="(/console/orders\.csv\?[^"]+)"', shown)
        reply = gateway.client.get(link)
        rows = list(csv.DictReader(StringIO(reply.text)))

        assert [row["order_id"] for row in rows] == ids(shown)
        assert {row["status"] for row in rows} == {"reserved"}
        assert reply.headers["content-disposition"] == 'attachment; filename="orders.csv"'
        assert reply.headers["cache-control"] == "no-store"

    assert "orders.csv" not in found(gateway, q="nobody")
    gateway.client.cookies.clear()
    assert gateway.client.get(link).status_code == 401
    sign_in(gateway, "jun", accounts=("B-2",))
    foreign = [gateway.client.get(f"/console/orders.csv?q={q}").text for q in ("AA", "A-1")]
    assert [len(text.splitlines()) for text in foreign] == [1, 1]  # the names alone


def test_no_cell_of_a_table_is_a_formula() -> None:
    hostile = an_order(client_order_id="-1+cmd", broker_order_id='=1"\n,2', reason_code="@x")
    calm = an_order(client_order_id="-1")

    one, two = csv.DictReader(StringIO(sheet([hostile, calm]).decode(), newline=""))

    assert (one["client_order_id"], one["reason_code"]) == ("'-1+cmd", "'@x")
    assert one["broker_order_id"] == "'=1\"\n,2"
    assert (two["client_order_id"], two["broker_order_id"]) == ("-1", "")


def test_a_symbol_shows_no_foreign_accounts_order(gateway: Gateway) -> None:
    reserve(gateway, 3)
    sign_in(gateway, "jun", accounts=("B-2",))

    page = found(gateway, q="AA")

    assert ids(page) == []
    assert "No order of AA on 2026-03-02 that is yours to see." in page


def test_a_search_for_nothing_says_what_can_be_found(gateway: Gateway) -> None:
    sign_in(gateway)

    assert "account/client id" in found(gateway)
    assert "No such order, or it is not yours to see." in found(gateway, q="nobody")
    missing = gateway.client.get("/console/orders/nothing")
    assert missing.status_code == 404
    assert "account/client id" in missing.text


def test_a_doubt_can_be_settled_from_the_orders_page(gateway: Gateway) -> None:
    order_id = reserve(gateway, 1)
    run(put_in_doubt(gateway.ledger))
    sign_in(gateway)

    page = gateway.client.get(f"/console/orders/{order_id}").text

    assert page.count('data-act="') == 3  # probe, resolve, cancel
    assert 'id="like-resolve"' in page
    assert "no answer from nova" in page


def test_the_audit_log_knows_an_order_by_each_of_its_doors() -> None:
    names = resources_of("../x")

    assert names[0] == "order/../x"
    assert "/admin/v1/orders/..%2Fx/cancel" in names
