"""The conformance cases of a broker, in Alpaca's dialect: each ending, and what it proves.

The counterparty answers byte by byte, from the public documentation. The cases carry the numbers
of the suite of our own dialect; a batch of one has no cases of halves.
"""

import asyncio
import json
import socket
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest

from app.brokers.exchange import BODY_BYTES_MAX
from app.domain.messages import (
    Absent,
    Accepted,
    Answer,
    Cancellation,
    Found,
    Lookup,
    NotSent,
    Rejected,
    Replacement,
    Throttled,
    Unknown,
)
from app.domain.values import OrderType, Status, TimeInForce
from app.ports.brokers import BadCallback
from tests.brokers.alpaca.accounts import alpaca_at, an_account
from tests.brokers.builders import a_key, a_submission
from tests.brokers.counterparty import Act, Counterparty, reply
from tests.eventually import eventually

ONE = a_submission()
KEY = ONE.broker_order_key
ID = "904837e3-3b76-47ec-b432-046db621571b"
SILENCE = Act(then="silence")


def order(**facts: Any) -> dict[str, Any]:
    """Return an order as the documentation shows one."""
    shown = {
        "id": ID,
        "client_order_id": KEY,
        "created_at": "2026-03-03T15:00:00.123456789Z",
        "updated_at": "2026-03-03T15:00:00.2Z",
        "submitted_at": "2026-03-03T15:00:00.1Z",
        "filled_at": None,
        "replaced_by": None,
        "replaces": None,
        "symbol": "AAPL",
        "asset_class": "us_equity",
        "notional": None,
        "qty": "10",
        "filled_qty": "0",
        "filled_avg_price": None,
        "type": "limit",
        "side": "buy",
        "time_in_force": "day",
        "limit_price": "185.50",
        "status": "accepted",
    }
    return shown | facts


def refused(status: int, code: int, message: str, **more: object) -> Act:
    return reply(status, {"code": code, "message": message, **more})


async def _submit(*acts: Act, **options: Any) -> tuple[Answer, Counterparty]:
    async with Counterparty(list(acts)) as peer:
        broker = alpaca_at(peer.url, **options)
        try:
            [answer] = await broker.submit([ONE])
            return answer, peer
        finally:
            await broker.close()


def submitted(*acts: Act, **options: Any) -> tuple[Answer, Counterparty]:
    """Submit an order to a counterparty that acts so."""
    return asyncio.run(_submit(*acts, **options))


async def _find(acts: Sequence[Act], **options: Any) -> tuple[Lookup, Counterparty]:
    async with Counterparty(list(acts)) as peer:
        broker = alpaca_at(peer.url, **options)
        try:
            [lookup] = await broker.find([KEY])
            return lookup, peer
        finally:
            await broker.close()


def found(*acts: Act, **options: Any) -> tuple[Lookup, Counterparty]:
    """Look an order up at a counterparty that acts so."""
    return asyncio.run(_find(acts, **options))


async def _cancel(broker_order_id: str | None, *acts: Act) -> tuple[Answer, Counterparty]:
    async with Counterparty(list(acts)) as peer:
        broker = alpaca_at(peer.url, timeout_s=0.5, connect_timeout_s=0.4)
        try:
            [answer] = await broker.cancel([Cancellation(KEY, broker_order_id)])
            return answer, peer
        finally:
            await broker.close()


def canceled(*acts: Act, broker_order_id: str | None = ID) -> tuple[Answer, Counterparty]:
    """Cancel an order at a counterparty that acts so."""
    return asyncio.run(_cancel(broker_order_id, *acts))


def test_an_order_goes_out_in_alpacas_words_and_ours_alone_as_its_id() -> None:
    answer, peer = submitted(reply(body=order()))

    assert answer == Accepted(ID)
    [request] = peer.requests
    assert request.line == "POST /v2/orders HTTP/1.1"
    assert request.headers["apca-api-key-id"] == "AKTEST"
    assert json.loads(request.body) == {
        "symbol": "AAPL",
        "qty": "10",
        "side": "buy",
        "type": "limit",
        "time_in_force": "day",
        "limit_price": "185.50",
        "client_order_id": KEY,
    }


def test_decimals_go_out_plain_and_a_market_order_has_no_price() -> None:
    async def scenario() -> list[dict[str, Any]]:
        async with Counterparty([reply(body=order())]) as peer:
            broker = alpaca_at(peer.url)
            market = ONE._replace(order_type=OrderType.MARKET, quantity=Decimal("1E+3"))
            await broker.submit([market._replace(time_in_force=TimeInForce.OPG)])
            await broker.submit([ONE._replace(limit_price=Decimal("0.00000010"))])
            await broker.close()
            return [json.loads(request.body) for request in peer.requests]

    first, second = asyncio.run(scenario())

    assert (first["qty"], first["time_in_force"], "limit_price" in first) == ("1000", "opg", False)
    assert second["limit_price"] == "0.00000010"


def test_an_order_in_another_currency_is_never_sent_as_dollars() -> None:
    async def scenario() -> tuple[list[Answer], int]:
        async with Counterparty([reply(body=order())]) as peer:
            broker = alpaca_at(peer.url)
            answers = await broker.submit([ONE._replace(currency="KRW")])
            await broker.close()
            return answers, len(peer.requests)

    assert asyncio.run(scenario()) == (
        [Rejected("unsupported-currency", "KRW: it trades in USD")],
        0,
    )


def test_br_01_a_refused_connection_is_not_sent_and_no_absence() -> None:
    async def scenario(url: str) -> tuple[Answer, Lookup, Answer]:
        broker = alpaca_at(url)
        try:
            [sent], [lookup] = await broker.submit([ONE]), await broker.find([KEY])
            [cancel] = await broker.cancel([Cancellation(KEY, ID)])
            return sent, lookup, cancel
        finally:
            await broker.close()

    with socket.socket() as taken:  # bound and not listening: nobody else can take the port
        taken.bind(("127.0.0.1", 0))
        sent, lookup, cancel = asyncio.run(scenario(f"http://127.0.0.1:{taken.getsockname()[1]}"))

    assert isinstance(sent, NotSent)
    assert isinstance(lookup, Unknown)
    assert isinstance(cancel, NotSent)


@pytest.mark.parametrize(
    "act",
    [
        SILENCE,
        Act(then="reset"),
        Act(then="close"),
        Act(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{", "reset"),
        Act(b"\x16\x03 this is no HTTP\r\n\r\n", "close"),
        reply(raw=b"<html>all is well</html>"),
        reply(raw=b""),
        reply(raw=b'{"x": ' + b"[" * 200_000 + b"]" * 200_000 + b"}"),
        reply(raw=b" " * (BODY_BYTES_MAX + 1)),
        reply(body=order(), headers="Content-Encoding: gzip\r\n", raw=b"\x1f\x8b\x08nothing"),
        reply(body=order(filled_qty=0.5)),
        reply(body=order(filled_qty="-1")),
        reply(body=order(id="")),
        reply(body=order(status="swapped")),
        reply(body=order(updated_at="2026-03-03T15:00:00")),
        reply(body=order(client_order_id="somebody-else")),
        *(reply(status, {"code": 1, "message": "x"}) for status in (500, 502, 504, 408, 404, 409)),
        reply(503),
        reply(302, headers="Location: /v2/elsewhere\r\n"),
        reply(422, raw=b"<html>a proxy</html>"),
    ],
)
def test_br_02_to_05_and_15_what_is_no_word_about_the_order_is_unknown(act: Act) -> None:
    answer, peer = submitted(act, timeout_s=0.5, connect_timeout_s=0.4)

    assert isinstance(answer, Unknown)
    assert [request.line for request in peer.requests] == ["POST /v2/orders HTTP/1.1"]


def test_br_06_a_429_says_for_how_long() -> None:
    assert submitted(reply(429, headers="Retry-After: 3\r\n"))[0] == Throttled(3.0)
    assert submitted(reply(429))[0] == Throttled(None)
    reset, _ = submitted(reply(429, headers="X-RateLimit-Reset: 99999999999\r\n"))
    assert reset == Throttled(3600.0)


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (403, 40310000, "insufficient buying power"),
        (403, 40310000, "potential wash trade detected. use complex orders"),
        (422, 42210000, "qty must be > 0"),
        (422, 40010001, "symbol is required"),
        (400, 40010000, "request body format is invalid"),
    ],
)
def test_br_07_a_refusal_of_the_order_carries_its_code(
    status: int, code: int, message: str
) -> None:
    answer, _ = submitted(refused(status, code, message, symbol="AAPL"))

    assert answer == Rejected(str(code), message)


def test_br_07_an_order_that_is_shown_as_rejected_at_once_is_rejected() -> None:
    assert isinstance(submitted(reply(body=order(status="rejected")))[0], Rejected)


@pytest.mark.parametrize("status", [422, 403, 400])
def test_br_08_a_duplicate_id_proves_receipt_and_never_refuses(status: int) -> None:
    code = 40310000 if status == 403 else 40010001
    for words in ("client_order_id must be unique", "client order id must be unique"):
        assert isinstance(submitted(refused(status, code, words))[0], Unknown), words


@pytest.mark.parametrize(
    "act",
    [
        reply(401, {"message": "unauthorized."}),
        reply(401, {"code": 40110000, "message": "request is not authorized"}),
        reply(403, {"message": "forbidden."}),
        reply(403, raw=b"<html>"),
        refused(403, 40310000, "new orders are rejected by user request"),
        refused(403, 40310000, "account is not authorized to trade"),
        refused(422, 40010001, "us_equity orders not allowed for account"),
    ],
)
def test_br_09_a_refusal_of_the_key_or_the_account_rejects_no_order(act: Act) -> None:
    answer, _ = submitted(act)

    assert isinstance(answer, NotSent)
    assert answer.credentials


def test_br_11_a_cancelled_call_sends_nothing_more() -> None:
    async def scenario() -> int:
        async with Counterparty([SILENCE]) as peer:
            broker = alpaca_at(peer.url, max_in_flight=1)
            async with asyncio.TaskGroup() as group:
                first = group.create_task(broker.submit([ONE]))
                waiting = group.create_task(broker.submit([a_submission()]))
                await eventually(lambda: peer.requests)
                waiting.cancel()
                first.cancel()
            await broker.close()
            return len(peer.requests)

    assert asyncio.run(scenario()) == 1


def test_br_15_neither_an_order_nor_a_cancel_is_repeated_on_a_stale_connection() -> None:
    async def scenario() -> tuple[Answer, Answer, list[str]]:
        gone = Act(then="close")
        good = reply(body=order())
        async with Counterparty([good, gone, good, gone, reply(204, raw=b"")]) as peer:
            broker = alpaca_at(peer.url)
            await broker.submit([ONE])
            [sent] = await broker.submit([ONE])
            await broker.submit([a_submission(KEY)])
            [cancel] = await broker.cancel([Cancellation(KEY, ID)])
            await broker.close()
            return sent, cancel, [request.line.split()[0] for request in peer.requests]

    sent, cancel, lines = asyncio.run(scenario())

    assert isinstance(sent, Unknown)
    assert isinstance(cancel, Unknown)
    assert lines == ["POST", "POST", "POST", "DELETE"]


@pytest.mark.parametrize(
    ("status", "filled", "shown"),
    [
        *(
            (word, "0", Status.NEW)
            for word in (
                *("new", "accepted", "pending_new", "accepted_for_bidding", "held", "stopped"),
                *("suspended", "pending_cancel", "pending_replace"),
                *("done_for_day", "calculated", "replaced"),
            )
        ),
        ("partially_filled", "4", Status.PARTIALLY_FILLED),
        ("pending_cancel", "4", Status.PARTIALLY_FILLED),
        ("filled", "10", Status.FILLED),
        ("canceled", "0", Status.CANCELED),
        ("expired", "0", Status.EXPIRED),
        ("rejected", "0", Status.REJECTED),
    ],
)
def test_every_status_word_has_its_meaning(status: str, filled: str, shown: Status) -> None:
    fill = {"id": "20260303150000000::1", "order_id": ID, "price": "1", "qty": filled}
    fills = [fill | {"transaction_time": "2026-03-03T15:00:00Z"}] if filled != "0" else []
    page = reply(raw=json.dumps(fills).encode())
    lookup, peer = found(reply(body=order(status=status, filled_qty=filled)), page)

    assert isinstance(lookup, Found)
    assert (lookup.broker_order_id, lookup.status) == (ID, shown)
    assert peer.requests[0].line == (
        f"GET /v2/orders:by_client_order_id?client_order_id={KEY} HTTP/1.1"
    )


def test_absence_is_alpacas_own_word_and_no_failure_is_one() -> None:
    absent, _ = found(refused(404, 40410000, f"order not found for {KEY}"))

    assert absent == Absent()
    for act in (
        reply(404, raw=b"<html>Not Found</html>"),
        reply(404, {"message": "Not Found"}),
        refused(404, 40410000, "endpoint moved"),
        reply(401),
        reply(429),
        reply(503),
        Act(then="reset"),
        reply(body=order(client_order_id="somebody-else")),
        reply(raw=b"{"),
    ):
        lookup, _ = found(act)
        assert isinstance(lookup, Unknown), act


def test_a_lookup_shows_an_end_only_together_with_all_of_its_fills() -> None:
    async def scenario(*, lists: bool) -> Lookup:
        async with an_account() as (fake, broker, _):
            key = a_key()
            fake.place(key)
            fake.place("another")
            await fake.fill("another", 3)
            await fake.fill(key, 3)
            await fake.fill(key, 4, "185.55", lists=lists)
            await fake.end(key, "canceled")
            [lookup] = await broker.find([key])
            return lookup

    whole, part = asyncio.run(scenario(lists=True)), asyncio.run(scenario(lists=False))

    assert isinstance(whole, Found)
    assert whole.status is Status.CANCELED
    assert [(r.last_quantity, r.last_price) for r in whole.executions] == [
        (Decimal(3), Decimal("185.50")),
        (Decimal(4), Decimal("185.55")),
    ]
    assert isinstance(part, Found)
    assert part.status is Status.PARTIALLY_FILLED, "its end would hide a fill"


def test_a_cancel_names_alpacas_id_and_looks_it_up_where_it_is_unknown() -> None:
    known, peer = canceled(reply(204, raw=b""))
    unknown, other = canceled(reply(body=order()), reply(204, raw=b""), broker_order_id=None)

    assert known == unknown == Accepted(ID)
    assert [r.line for r in peer.requests] == [f"DELETE /v2/orders/{ID} HTTP/1.1"]
    assert other.requests[1].line == f"DELETE /v2/orders/{ID} HTTP/1.1"


def test_what_a_cancel_is_told() -> None:
    absent = refused(404, 40410000, "order not found")
    for acts, answer in (
        ((absent,), Rejected("unknown-order")),
        ((refused(422, 42210000, 'order is already in "filled" state'),), "too-late"),
        ((refused(422, 42210000, "order is pending cancel"),), "already-pending"),
        ((reply(429, headers="Retry-After: 2\r\n"),), Throttled(2.0)),
    ):
        said, _ = canceled(*acts)
        code = said.code if isinstance(said, Rejected) and isinstance(answer, str) else said
        assert code == answer
    assert canceled(absent, broker_order_id=None)[0] == Rejected("unknown-order")
    for act in (reply(500), SILENCE, refused(403, 40310000, "x"), reply(422, raw=b"")):
        assert isinstance(canceled(act)[0], Unknown), act
    assert isinstance(canceled(reply(503), broker_order_id=None)[0], Unknown)


def a_replacement(key: str, number: int = 1, **terms: Any) -> Replacement:
    facts = ONE._asdict() | {"broker_order_key": f"{key}R{number:03d}", "quantity": Decimal(20)}
    return Replacement(**{"original": key, "broker_order_id": None} | facts | terms)


def test_a_replace_is_found_by_its_key_once_it_is_in_force() -> None:
    async def scenario() -> None:
        async with an_account() as (fake, broker, _):
            key, first, second = KEY, f"{KEY}R001", f"{KEY}R002"
            await broker.submit([ONE])
            [answer] = await broker.replace([a_replacement(key)])
            assert answer == Accepted(fake.by_key(first)["id"])
            [pending, old] = [(await broker.find([k]))[0] for k in (first, key)]
            assert isinstance(pending, Unknown)
            assert isinstance(old, Found)
            assert (old.status, old.quantity) == (Status.NEW, Decimal(10))

            await fake.decide(first, replaced=True)
            await fake.fill(first, 5)
            for asked in (key, first):
                [found] = await broker.find([asked])
                assert isinstance(found, Found)
                assert found.broker_order_id == fake.by_key(first)["id"]
                assert (found.status, found.quantity) == (Status.PARTIALLY_FILLED, Decimal(20))
                assert [r.broker_order_key for r in found.executions] == [asked]

            [late] = await broker.replace([a_replacement(key, 2, original=first)])
            assert late == Rejected(
                "partially-filled", "Alpaca's quantities do not count earlier fills"
            )
            assert second not in {o["client_order_id"] for o in fake.orders.values()}

    asyncio.run(scenario())


def test_a_replace_that_comes_to_nothing_is_absent_and_the_old_order_stands() -> None:
    async def scenario() -> tuple[Lookup, Lookup]:
        async with an_account() as (fake, broker, _):
            await broker.submit([ONE])
            await broker.replace([a_replacement(KEY)])
            await fake.decide(f"{KEY}R001", replaced=False)
            [new], [old] = await broker.find([f"{KEY}R001"]), await broker.find([KEY])
            return new, old

    new, old = asyncio.run(scenario())

    assert new == Absent()
    assert isinstance(old, Found)
    assert old.status is Status.NEW


def test_what_a_replace_is_told() -> None:
    async def scenario(*acts: Act) -> Answer:
        async with Counterparty([reply(body=order()), *acts]) as peer:
            broker = alpaca_at(peer.url, timeout_s=0.5, connect_timeout_s=0.4)
            try:
                [answer] = await broker.replace([a_replacement(KEY)])
            finally:
                await broker.close()
            for request in peer.requests[1:]:
                assert request.line == f"PATCH /v2/orders/{ID} HTTP/1.1"
                assert json.loads(request.body)["client_order_id"] == f"{KEY}R001"
            assert len(peer.requests) == 2
            return answer

    unchanged = "order parameters are not changed"
    early = "unable to replace order, order isn't sent to exchange yet"
    for act, kind in (
        (refused(403, 40310000, unchanged), Rejected),
        (refused(404, 40410000, "order not found"), Rejected),
        (refused(422, 42210000, early), Unknown),
        (refused(422, 40010001, "client_order_id must be unique"), Unknown),
        (reply(body=order()), Unknown),  # of another key than the replace's
        (reply(500), Unknown),
        (SILENCE, Unknown),
        (Act(then="reset"), Unknown),
        (reply(429), Throttled),
        (reply(401), NotSent),
    ):
        assert isinstance(asyncio.run(scenario(act)), kind), act


def test_a_halt_that_comes_before_the_write_stops_new_terms_and_new_orders() -> None:
    async def scenario() -> tuple[list[Answer], Answer, int]:
        async with an_account() as account:
            fake, broker, _ = account
            await broker.submit([ONE])
            why: list[str | None] = ["halted"]
            standing = account.standing()._replace(stops=lambda _key: why[0])
            async with asyncio.TaskGroup() as loops:
                running = loops.create_task(broker.run(standing))
                await eventually(lambda: fake.lines)
                stopped = await broker.replace([a_replacement(KEY)])
                stopped += await broker.submit([a_submission()])
                left = fake.asked("PATCH", "/v2/orders") + fake.asked("POST", "/v2/orders") - 1
                why[0] = None
                [sent] = await broker.replace([a_replacement(KEY)])
                running.cancel()
            return stopped, sent, left

    stopped, sent, left = asyncio.run(scenario())

    assert stopped == [NotSent("halted", ours=True)] * 2
    assert left == 0
    assert isinstance(sent, Accepted)


def test_a_ping_asks_whether_the_account_may_trade() -> None:
    async def scenario(act: Act) -> bool:
        async with Counterparty([act]) as peer:
            broker = alpaca_at(peer.url)
            try:
                return await broker.ping()
            finally:
                await broker.close()

    assert asyncio.run(scenario(reply(body={"trading_blocked": False})))
    for act in (reply(body={"trading_blocked": True}), reply(401), reply(raw=b"<")):
        assert not asyncio.run(scenario(act))


def test_it_has_no_callbacks_and_refuses_options_that_no_clock_keeps() -> None:
    with pytest.raises(BadCallback):
        alpaca_at("http://127.0.0.1:1").read_callback({}, b"{}")
    with pytest.raises(ValueError, match="above zero"):
        alpaca_at("http://127.0.0.1:1", silence_s=0)
    with pytest.raises(ValueError, match="a week"):
        alpaca_at("http://127.0.0.1:1", look_back_s=1e6)
    with pytest.raises(TypeError):
        alpaca_at("http://127.0.0.1:1", surprise=1)


def test_an_order_whose_answer_was_lost_is_found_and_never_sent_twice() -> None:
    async def scenario(status: int | None) -> tuple[Answer, Lookup, Answer, int]:
        async with an_account(timeout_s=0.3, connect_timeout_s=0.2) as (fake, broker, _):
            fake.fault("POST", "/v2/orders", status=status)
            [sent] = await broker.submit([ONE])
            [lookup] = await broker.find([KEY])
            [again] = await broker.submit([ONE])
            return sent, lookup, again, len(fake.orders)

    for status in (None, 500, 504):
        sent, lookup, again, orders = asyncio.run(scenario(status))

        assert isinstance(sent, Unknown)
        assert isinstance(lookup, Found)
        assert again == Unknown("duplicate id: the broker has seen it")
        assert orders == 1
