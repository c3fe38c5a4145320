"""The conformance cases of an HTTP broker: against a scripted counterparty, then the real sim.

Each case is a way in which a request can end, and the one answer that it proves. The scripted
counterparty counts what arrives, so that a hidden retry shows.
"""

import asyncio
import gzip
import json
import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from app.brokers.exchange import BODY_BYTES_MAX
from app.brokers.sim.process import SimProcess
from app.domain.messages import (
    Absent,
    Accepted,
    Answer,
    ExecutionReport,
    ExecutionType,
    Found,
    Lookup,
    NotSent,
    Rejected,
    Submission,
    Throttled,
    Unknown,
)
from app.domain.values import OrderType, Status
from app.ports.brokers import Broker
from tests.brokers.builders import a_cancellation, a_key, a_submission
from tests.brokers.counterparty import (
    SECRET,
    Act,
    Counterparty,
    accepted,
    broker_at,
    reply,
    results,
)
from tests.brokers.sim_client import eventually, receiving

ONE = a_submission()
TWO = a_submission()
KEY, OTHER = ONE.broker_order_key, TWO.broker_order_key
# We asked for no compression: a few bytes that unpack to gigabytes are not for us.
PACKED = gzip.compress(json.dumps({"results": [accepted(KEY), accepted(OTHER)]}).encode())
SILENCE = Act(then="silence")


async def _submit(*acts: Act, **options: Any) -> tuple[list[Answer], Counterparty]:
    async with Counterparty(list(acts)) as peer:
        broker = broker_at(peer.url, **options)
        try:
            return await broker.submit([ONE, TWO]), peer
        finally:
            await broker.close()


def submitted(*acts: Act, **options: Any) -> tuple[list[Answer], Counterparty]:
    """Submit two orders to a counterparty that acts so."""
    return asyncio.run(_submit(*acts, **options))


async def _ask(url: str, **options: Any) -> tuple[list[Answer], list[Lookup]]:
    broker = broker_at(url, **options)
    try:
        return await broker.submit([ONE]), await broker.find([KEY])
    finally:
        await broker.close()


def all_in_doubt(lookups: list[Lookup]) -> bool:
    return all(isinstance(lookup, Unknown) for lookup in lookups)


def kinds(answers: Sequence[Answer]) -> set[type]:
    return {type(answer) for answer in answers}


def test_br_01_a_refused_connection_is_not_sent() -> None:
    with socket.socket() as taken:  # bound and not listening: nobody else can take the port
        taken.bind(("127.0.0.1", 0))
        answers, lookups = asyncio.run(_ask(f"http://127.0.0.1:{taken.getsockname()[1]}"))

    assert kinds(answers) == {NotSent}
    assert all_in_doubt(lookups)


def test_br_01_a_name_that_does_not_resolve_is_not_sent_and_no_evidence_of_absence() -> None:
    answers, lookups = asyncio.run(_ask("http://no-such-broker.invalid:1"))

    assert kinds(answers) == {NotSent}
    assert all_in_doubt(lookups)


def test_br_01_a_connection_that_is_never_made_is_not_sent() -> None:
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for filler in (first, second):  # a full queue drops what comes next
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        url = f"http://127.0.0.1:{full.getsockname()[1]}"
        answers, _ = asyncio.run(_ask(url, connect_timeout_s=0.2, timeout_s=0.5))

    assert kinds(answers) == {NotSent}


def test_br_01_a_tls_failure_is_not_sent() -> None:
    async def no_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"220 no tls here\r\n")
        writer.close()

    async def scenario() -> list[Answer]:
        server = await asyncio.start_server(no_tls, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            answers, _ = await _ask(f"https://127.0.0.1:{port}")
            return answers

    [answer] = asyncio.run(scenario())

    assert isinstance(answer, NotSent)
    assert "SSL" in answer.cause


def test_br_01_an_order_that_got_no_connection_from_the_pool_is_not_sent() -> None:
    async def scenario() -> tuple[list[Answer], int]:
        async with Counterparty([SILENCE]) as peer:
            broker = broker_at(peer.url, max_in_flight=1, connect_timeout_s=0.2, timeout_s=1)
            first, second = await asyncio.gather(broker.submit([ONE]), broker.submit([TWO]))
            await broker.close()
            return [*first, *second], len(peer.requests)

    answers, arrived = asyncio.run(scenario())

    assert [type(answer) for answer in answers] == [Unknown, NotSent]
    assert arrived == 1


def test_br_02_a_time_out_after_the_bytes_left_is_unknown() -> None:
    answers, peer = submitted(SILENCE, timeout_s=0.3)

    assert kinds(answers) == {Unknown}
    assert len(peer.requests) == 1


@pytest.mark.parametrize(
    "act",
    [
        Act(then="reset"),
        Act(then="close"),
        Act(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{", "reset"),
        Act(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{", "close"),
    ],
    ids=["reset", "close", "reset in the reply", "close in the reply"],
)
def test_br_03_a_connection_that_ends_without_a_whole_reply_is_unknown(act: Act) -> None:
    answers, peer = submitted(act)

    assert kinds(answers) == {Unknown}
    assert len(peer.requests) == 1


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408, 404, 405, 409, 418, 302])
def test_br_04_a_status_that_proves_nothing_is_unknown(status: int) -> None:
    answers, peer = submitted(reply(status, {"code": "x"}))

    assert kinds(answers) == {Unknown}
    assert len(peer.requests) == 1


@pytest.mark.parametrize(
    "act",
    [
        Act(b"\x16\x03 this is no HTTP\r\n\r\n", "close"),
        reply(raw=b"<html>all is well</html>"),
        reply(raw=b""),
        reply(raw=b'{"results": null}'),
        reply(raw=b'{"results": [{"client_order_id": "\xff\xfe", "status": "accepted"}]}'),
        reply(raw=b'{"x": ' + b"[" * 200_000 + b"]" * 200_000 + b', "results": []}'),
        reply(raw=b" " * (BODY_BYTES_MAX + 1)),
        reply(raw=PACKED, headers="Content-Encoding: gzip\r\n"),
        reply(body={"results": [{"client_order_id": KEY, "status": "accepted", "order_id": 7}]}),
    ],
)
def test_br_05_an_unreadable_or_oversized_reply_is_unknown(act: Act) -> None:
    answers, peer = submitted(act)

    assert kinds(answers) == {Unknown}
    assert len(peer.requests) == 1


def test_br_06_a_429_throttles_the_batch_for_as_long_as_it_says() -> None:
    answers, _ = submitted(reply(429, headers="Retry-After: 3\r\n"))

    assert answers == [Throttled(3.0), Throttled(3.0)]


def test_br_06_a_batch_may_be_throttled_in_part() -> None:
    late = {"client_order_id": OTHER, "status": "throttled", "retry_after": 0.25}
    answers, _ = submitted(results(accepted(KEY), late))

    assert answers == [Accepted(f"n-{KEY}"), Throttled(0.25)]


def test_br_06_a_503_throttles_only_where_the_broker_documents_it() -> None:
    silent, _ = submitted(reply(503))
    documented, _ = submitted(reply(503), busy_means_not_accepted=True)

    assert kinds(silent) == {Unknown}
    assert documented == [Throttled(None), Throttled(None)]


def test_br_07_a_refusal_carries_the_brokers_own_code() -> None:
    refused = {"client_order_id": OTHER, "status": "rejected", "code": "IGW-40070000"}
    answers, _ = submitted(results(accepted(KEY), refused))

    assert answers == [Accepted(f"n-{KEY}"), Rejected("IGW-40070000")]


@pytest.mark.parametrize("status", [400, 422])
def test_br_07_a_refused_request_refuses_its_only_order_but_never_a_batch(status: int) -> None:
    async def scenario() -> tuple[list[Answer], list[Answer], list[Answer]]:
        refusal = reply(status, {"code": "bad-quantity", "detail": "was -3"})
        async with Counterparty([refusal, refusal, reply(status, raw=b"<html>")]) as peer:
            broker = broker_at(peer.url)
            try:
                single = await broker.submit([ONE])
                return single, await broker.submit([ONE, TWO]), await broker.submit([ONE])
            finally:
                await broker.close()

    single, batch, proxy = asyncio.run(scenario())

    assert single == [Rejected("bad-quantity", "was -3")]
    assert kinds(batch) == {Unknown}
    assert kinds(proxy) == {Unknown}


def test_br_08_a_duplicate_id_proves_receipt_so_it_is_unknown() -> None:
    seen = {"client_order_id": KEY, "status": "rejected", "code": "duplicate-client-order-id"}
    answers, _ = submitted(results(seen, accepted(OTHER)))

    assert answers == [
        Unknown("duplicate id: the broker has seen it"),
        Accepted(f"n-{OTHER}"),
    ]


@pytest.mark.parametrize("status", [401, 403])
def test_br_09_an_expired_token_is_not_sent_and_never_rejected(status: int) -> None:
    answers, _ = submitted(reply(status, {"code": "token-expired"}))

    assert answers == [NotSent(f"HTTP {status}", credentials=True)] * 2


def test_br_10_the_silent_half_of_a_batch_is_unknown() -> None:
    answers, _ = submitted(results(accepted(OTHER)))

    assert kinds(answers[:1]) == {Unknown}
    assert answers[1] == Accepted(f"n-{OTHER}")


def test_br_10_an_order_that_is_answered_twice_is_unknown() -> None:
    refused = {"client_order_id": KEY, "status": "rejected", "code": "no"}
    answers, _ = submitted(results(accepted(KEY), refused, accepted(OTHER)))

    assert kinds(answers[:1]) == {Unknown}
    assert answers[1] == Accepted(f"n-{OTHER}")


@pytest.mark.parametrize(
    "item",
    [
        {"status": "accepted"},
        {"status": "accepted", "order_id": ""},
        {"status": "rejected"},
        {"status": "pending", "order_id": "n-1"},
    ],
)
def test_br_10_half_a_word_is_unknown(item: dict[str, object]) -> None:
    answers, _ = submitted(results({"client_order_id": KEY, **item}, accepted(OTHER)))

    assert kinds(answers[:1]) == {Unknown}


def test_br_11_a_cancelled_call_sends_nothing_more() -> None:
    async def scenario() -> int:
        async with Counterparty([SILENCE]) as peer:
            broker = broker_at(peer.url, max_in_flight=1)
            async with asyncio.TaskGroup() as group:
                first = group.create_task(broker.submit([ONE]))
                waiting = group.create_task(broker.submit([TWO]))
                await eventually(peer.has_heard)
                waiting.cancel()
                first.cancel()
            assert first.cancelled()
            assert waiting.cancelled()
            await broker.close()
            return len(peer.requests)

    assert asyncio.run(scenario()) == 1


def test_br_13_a_reply_about_another_order_changes_nothing_for_ours() -> None:
    answers, _ = submitted(results(accepted("SOMEBODY-ELSE"), accepted(OTHER)))

    assert kinds(answers[:1]) == {Unknown}
    assert answers[1] == Accepted(f"n-{OTHER}")


def test_br_13_a_lookup_with_another_orders_executions_is_unknown() -> None:
    foreign: dict[str, object] = {"client_order_id": OTHER, "order_id": "n-1", "execution_id": "E1"}
    foreign |= {"type": "trade", "trade_date": "2026-03-03", "at_ms": 1}
    foreign |= {"last_quantity": "1", "last_price": "1"}
    shown: dict[str, object] = {
        "client_order_id": KEY,
        "found": True,
        "order_id": "n-1",
        "status": "new",
    }

    async def scenario() -> list[Lookup]:
        async with Counterparty([results({**shown, "executions": [foreign]})]) as peer:
            broker = broker_at(peer.url)
            try:
                return await broker.find([KEY])
            finally:
                await broker.close()

    assert all_in_doubt(asyncio.run(scenario()))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_br_15_redirects_are_not_followed(status: int) -> None:
    answers, peer = submitted(reply(status, headers="Location: /v1/elsewhere\r\n"))

    assert kinds(answers) == {Unknown}
    assert [request.line for request in peer.requests] == ["POST /v1/orders HTTP/1.1"]


def test_br_15_an_order_is_not_repeated_when_a_kept_connection_has_gone_stale() -> None:
    async def scenario() -> tuple[list[Answer], list[int], int]:
        good, gone = results(accepted(KEY)), Act(then="close")
        async with Counterparty([good, gone, results(accepted(KEY))]) as peer:
            broker = broker_at(peer.url)
            await broker.submit([ONE])
            answers = await broker.submit([ONE])
            await broker.close()
            return answers, [request.connection for request in peer.requests], peer.connections

    answers, connections, opened = asyncio.run(scenario())

    assert kinds(answers) == {Unknown}
    assert connections == [1, 1], "the second went out on the kept connection, and only there"
    assert opened == 1


def test_a_lookup_opens_a_connection_of_its_own_each_time() -> None:
    async def scenario() -> list[int]:
        absent = results({"client_order_id": KEY, "found": False})
        async with Counterparty([absent]) as peer:
            broker = broker_at(peer.url)
            assert await broker.find([KEY]) == [Absent()]
            assert await broker.find([KEY]) == [Absent()]
            await broker.close()
            return [request.connection for request in peer.requests]

    assert asyncio.run(scenario()) == [1, 2]


def test_no_failure_of_a_lookup_is_an_absence() -> None:
    async def scenario(act: Act) -> list[Lookup]:
        async with Counterparty([act]) as peer:
            broker = broker_at(peer.url, timeout_s=0.3)
            try:
                return await broker.find([KEY])
            finally:
                await broker.close()

    for act in (SILENCE, Act(then="reset"), reply(404), reply(401), reply(503), reply(raw=b"{")):
        assert all_in_doubt(asyncio.run(scenario(act))), act
    assert all_in_doubt(asyncio.run(scenario(results({"client_order_id": OTHER, "found": False}))))


def test_the_clients_own_words_go_out_as_decimal_strings() -> None:
    order = a_submission(quantity=Decimal("1E+3"), limit_price=Decimal("0.00000010"))

    async def scenario() -> bytes:
        async with Counterparty([results(accepted(order.broker_order_key))]) as peer:
            broker = broker_at(peer.url)
            await broker.submit([order])
            await broker.close()
            return peer.requests[0].body

    body = asyncio.run(scenario())

    assert b'"quantity":"1000"' in body
    assert b'"limit_price":"0.00000010"' in body


# Against the real simulator, in its own process.


@pytest.fixture(scope="session")
def sim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimProcess]:
    audit = tmp_path_factory.mktemp("sim") / "north.jsonl"
    with SimProcess(audit, SECRET, more=["--trade-date", "2026-03-03"]) as process:
        yield process


async def _faults(sim: SimProcess, **faults: object) -> None:
    headers = {"Authorization": f"Bearer {SECRET}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        async with session.post(f"{sim.url}/sim/faults", json={"*": None, **faults}) as answer:
            assert answer.status == 200, await answer.text()


async def _fill(sim: SimProcess, **body: object) -> None:
    headers = {"Authorization": f"Bearer {SECRET}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        async with session.post(f"{sim.url}/sim/fill", json=body) as answer:
            assert answer.status == 200, await answer.text()


async def _traded_in_two(
    sim: SimProcess, order: Submission, all_told: Callable[[], Awaitable[bool]]
) -> list[Lookup]:
    """Fill an order in two, the first told twice; return what a look-up then shows."""
    broker = broker_at(sim.url)
    await broker.submit([order])
    await _faults(sim, duplicate_fill={"count": 1})
    await _fill(sim, client_order_id=order.broker_order_key, last_quantity="4")
    await _fill(sim, client_order_id=order.broker_order_key)
    await eventually(all_told)
    try:
        return await broker.find([order.broker_order_key])
    finally:
        await broker.close()


def test_sim_our_adapter_is_a_broker() -> None:
    broker: Broker = broker_at("http://127.0.0.1:1")

    assert broker.capabilities.batch_max == 100


def test_sim_takes_shows_and_cancels_an_order(sim: SimProcess) -> None:
    key, unheard_of = a_key(), a_key()

    async def scenario() -> None:
        broker = broker_at(sim.url)
        assert await broker.ping()
        [answer] = await broker.submit([a_submission(key)])
        assert isinstance(answer, Accepted)
        shown = Found(answer.broker_order_id, Status.NEW, (), None, Decimal(10), Decimal("185.5"))
        assert await broker.find([key, unheard_of]) == [shown, Absent()]
        [again] = await broker.submit([a_submission(key)])
        assert again == Unknown("duplicate id: the broker has seen it")

        cancels = await broker.cancel([a_cancellation(key), a_cancellation(unheard_of)])
        assert cancels == [Accepted(answer.broker_order_id), Rejected("unknown-order")]

        async def is_canceled() -> bool:
            [found] = await broker.find([key])
            return isinstance(found, Found) and found.status is Status.CANCELED

        await eventually(is_canceled)
        assert await broker.cancel([a_cancellation(key)]) == [Rejected("too-late")]
        await broker.close()

    asyncio.run(scenario())


def test_sim_refuses_a_bad_order_and_shows_the_refusal(sim: SimProcess) -> None:
    bad = a_submission(order_type=OrderType.LIMIT, limit_price=None)

    async def scenario() -> None:
        broker = broker_at(sim.url)
        assert await broker.submit([bad]) == [Rejected("bad-price")]
        [found] = await broker.find([bad.broker_order_key])
        assert isinstance(found, Found)
        assert found.status is Status.REJECTED
        await broker.close()

    asyncio.run(scenario())


def test_sim_a_wrong_token_is_not_sent(sim: SimProcess) -> None:
    async def scenario() -> list[Answer]:
        broker = broker_at(sim.url, secret="expired")
        try:
            assert not await broker.ping()
            return await broker.submit([a_submission()])
        finally:
            await broker.close()

    assert asyncio.run(scenario()) == [NotSent("HTTP 401", credentials=True)]


@pytest.mark.parametrize(
    ("fault", "settings", "there"),
    [
        ("accept_drop_reply", {}, True),
        ("accept_then_500", {}, True),
        ("half_reply", {}, True),
        ("garbage", {}, True),
        ("huge_reply", {}, True),
        ("slow_drip", {"bytes_per_s": 10}, True),
        ("disconnect_mid_batch", {"k": 1}, True),
        ("close_before_read", {}, False),
        ("timeout_before_accept", {"d": 0.6}, False),
        ("http_503", {}, False),
        ("late_accept", {"d": 0.6}, True),
    ],
)
def test_sim_every_silence_is_unknown_and_a_lookup_ends_it(
    sim: SimProcess, fault: str, settings: dict[str, object], *, there: bool
) -> None:
    key = a_key()

    async def scenario() -> tuple[list[Answer], list[Lookup]]:
        broker = broker_at(sim.url, timeout_s=0.4)
        await _faults(sim, **{fault: {"count": 1, **settings}})
        answers = await broker.submit([a_submission(key)])

        async def is_settled() -> bool:
            return not there or await broker.find([key]) != [Absent()]

        await eventually(is_settled)
        lookups = await broker.find([key])
        await broker.close()
        return answers, lookups

    answers, lookups = asyncio.run(scenario())

    assert kinds(answers) == {Unknown}
    assert isinstance(lookups[0], Found if there else Absent)


def test_sim_a_throttled_item_is_proof_that_it_is_not_there(sim: SimProcess) -> None:
    key = a_key()

    async def scenario() -> tuple[list[Answer], list[Lookup]]:
        broker = broker_at(sim.url)
        await _faults(sim, http_429={"count": 1, "d": 2})
        try:
            return await broker.submit([a_submission(key)]), await broker.find([key])
        finally:
            await broker.close()

    assert asyncio.run(scenario()) == ([Throttled(2.0)], [Absent()])


def test_br_12_reports_keep_their_execution_id_through_duplicates(tmp_path: Path) -> None:
    got: list[ExecutionReport] = []
    order = a_submission(order_type=OrderType.MARKET, limit_price=None)
    reader = broker_at("http://127.0.0.1:1")  # any instance can read what the broker pushed

    async def callback(request: web.Request) -> web.Response:
        got.extend(reader.read_callback(request.headers, await request.read()))
        return web.Response(status=204)

    async def three_have_come() -> bool:
        return len(got) >= 3

    async def scenario() -> list[Lookup]:
        async with receiving(callback) as url:
            process = SimProcess(tmp_path / "north.jsonl", SECRET, more=["--callback", url])
            await asyncio.to_thread(process.start)
            try:
                return await _traded_in_two(process, order, three_have_come)
            finally:
                await asyncio.to_thread(process.stop)

    [found] = asyncio.run(scenario())

    assert [report.execution_id for report in got] == ["north-E1", "north-E1", "north-E2"]
    assert [report.last_quantity for report in got] == [Decimal(4), Decimal(4), Decimal(6)]
    assert {report.execution_type for report in got} == {ExecutionType.TRADE}
    assert isinstance(found, Found)
    assert found.status is Status.FILLED
    assert found.executions == (got[0], got[2])
