"""Our FIX session against engines that we did not write: QuickFIX and QuickFIX/J, each in turn.

Every story ends with the broker's own record: what is not in it never happened, and what is in it
twice is the bug that this house exists to prevent.
"""

import asyncio
from collections import Counter
from collections.abc import Coroutine, Sequence
from typing import Any

import pytest

from app.domain.messages import (
    Accepted,
    Answer,
    Cancellation,
    ExecutionType,
    NotSent,
    Rejected,
    Submission,
    Unknown,
)
from app.domain.order import Order
from app.domain.records import Settlement
from app.domain.values import PendingRequest, Status
from tests.brokers.fix.outpost import KIM, Outpost, manned
from tests.eventually import eventually
from tests.servers.fix import Acceptor, Client


@pytest.fixture
def client(acceptor: Acceptor) -> Client:
    return acceptor.client()


def run(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(story)


def received(client: Client) -> Counter[str]:
    """How often each order came, by its key."""
    return Counter(line["name"] for line in client.audit("received"))


def once(*batches: list[Submission]) -> dict[str, int]:
    return {one.broker_order_key: 1 for batch in batches for one in batch}


def a_cancel(sent: Submission) -> Cancellation:
    return Cancellation(sent.broker_order_key, None)


async def agree(outpost: Outpost) -> None:
    """Wait until both sides expect of each other what the other one will send."""

    def settled() -> bool:
        ours, theirs = outpost.status, outpost.client.state()
        return (ours.next_out, ours.next_in) == (theirs["next_in"], theirs["next_out"])

    await eventually(settled)


def test_orders_are_taken_and_filled_and_each_execution_is_told_once(client: Client) -> None:
    async def story() -> None:
        client.set(fills="full")
        async with manned(client) as outpost:
            batch = await outpost.placed(20)
            await eventually(lambda: len(outpost.reports) >= 40)
            await outpost.applied()

            assert {(await outpost.order(one)).status for one in batch} == {Status.FILLED}
            assert received(client) == once(batch)
            done = [line["exec_id"] for line in client.audit("executed")]
            assert [report.execution_id for report in outpost.reports] == done
            await agree(outpost)

    run(story())


def test_a_cancel_wins_or_comes_too_late(client: Client) -> None:
    async def story() -> None:
        async with manned(client) as outpost:
            (live,) = await outpost.placed()
            client.set(fills="full")
            (gone,) = await outpost.placed()
            await eventually(lambda: len(outpost.reports) >= 3)
            won = await outpost.broker.cancel([a_cancel(live)])
            late = await outpost.broker.cancel([a_cancel(gone)])
            await eventually(lambda: len(outpost.reports) >= 4)
            await outpost.applied()

            assert isinstance(won[0], Accepted)
            assert isinstance(late[0], Rejected)
            assert late[0].code == "too-late"
            assert (await outpost.order(live)).status is Status.CANCELED
            assert (await outpost.order(gone)).status is Status.FILLED

    run(story())


def terms(order: Order) -> str:
    """Return quantity and price, and what of them is still asked for."""
    return f"{order.quantity} at {order.limit_price}, {order.pending_request}"


def test_new_terms_are_taken_refused_and_canceled_and_it_is_one_order(client: Client) -> None:
    async def story() -> None:
        async with manned(client) as outpost:
            (one,) = await outpost.placed()
            key, taken = await outpost.changed(one, "20", "186")
            await eventually(lambda: len(outpost.reports) >= 2)
            await outpost.applied()
            assert isinstance(taken, Accepted)
            assert terms(await outpost.order(one)) == "20 at 186, none"

            # It trades while we do not know yet, and passes what we ask for.
            client.does("fill", name=key, quantity="8", price="186")
            _, passed = await outpost.changed(one, "5", "186")
            await eventually(lambda: len(outpost.reports) >= 4)
            await outpost.applied()
            order = await outpost.order(one)
            assert isinstance(passed, Rejected)
            assert terms(order) == "20 at 186, none"
            assert order.status is Status.PARTIALLY_FILLED
            assert order.filled_quantity == 8

            won = await outpost.broker.cancel([Cancellation(key, None)])
            await eventually(lambda: len(outpost.reports) >= 5)
            await outpost.applied()
            assert isinstance(won[0], Accepted)
            assert (await outpost.order(one)).status is Status.CANCELED
            assert received(client) == once([one])
            assert {line["order_id"] for line in client.audit("executed")} == {"O1"}
            await agree(outpost)

    run(story())


def test_new_terms_whose_answer_is_lost_are_found(client: Client) -> None:
    async def story() -> None:
        async with manned(client, answer_s=1.0) as outpost:
            (one,) = await outpost.placed()
            await outpost.applied()
            client.set(drop=1)
            _, lost = await outpost.changed(one, "20", "186")
            assert isinstance(lost, Unknown)
            pending = (await outpost.order(one)).pending_request
            assert pending is PendingRequest.REPLACE
            await outpost.asks(until=1)

            after = await outpost.order(one)
            assert terms(after) == "20 at 186, none"
            assert received(client) == once([one])

    run(story())


def test_what_nobody_asked_for_reaches_the_ledger(client: Client) -> None:
    async def story() -> None:
        async with manned(client) as outpost:
            one, other = await outpost.placed(2)
            key = one.broker_order_key
            client.does("fill", name=key, quantity="4", price="12")
            await eventually(lambda: len(outpost.reports) >= 3)
            fill = outpost.reports[-1].execution_id
            client.does("correct", exec_id=fill, quantity="3", price="11")
            await eventually(lambda: len(outpost.reports) >= 4)
            await outpost.applied()
            assert (await outpost.order(one)).filled_quantity == 3
            client.does("bust", exec_id=outpost.reports[-1].execution_id)
            client.does("cancel_all")
            await eventually(lambda: len(outpost.reports) >= 7)
            await outpost.applied()
            kinds = [report.execution_type for report in outpost.reports[2:]]

            assert kinds[:3] == [
                ExecutionType.TRADE,
                ExecutionType.TRADE_CORRECT,
                ExecutionType.TRADE_CANCEL,
            ]
            assert kinds[3:] == [ExecutionType.CANCELED] * 2
            assert (await outpost.order(one)).filled_quantity == 0
            assert (await outpost.order(other)).status is Status.CANCELED

    run(story())


def test_an_answer_that_is_lost_is_asked_for_and_the_order_found(client: Client) -> None:
    async def story() -> None:
        async with manned(client, answer_s=0.2) as outpost:
            client.set(drop=1)
            (doubt,) = await outpost.claimed()
            (answer,) = await outpost.sent([doubt])
            assert isinstance(answer, Unknown)
            assert (await outpost.order(doubt)).status is Status.IN_DOUBT
            await outpost.asks(until=1)

            assert (await outpost.order(doubt)).status is Status.NEW
            assert received(client) == once([doubt])

    run(story())


def test_a_broker_that_has_the_number_and_denies_the_order_proves_nothing(client: Client) -> None:
    async def story() -> None:
        async with manned(client, answer_s=0.2) as outpost:
            client.set(lose=1)
            (doubt,) = await outpost.claimed()
            (answer,) = await outpost.sent([doubt])
            (first,) = await outpost.broker.find([doubt.broker_order_key])
            since = outpost.status.since
            client.disconnect()
            await outpost.back(since)
            (second,) = await outpost.broker.find([doubt.broker_order_key])

            assert [type(each) for each in (answer, first, second)] == [Unknown] * 3
            assert (await outpost.order(doubt)).status is Status.IN_DOUBT
            assert received(client) == once([doubt])

    run(story())


@pytest.mark.parametrize("booked", [True, False])
def test_a_broker_killed_inside_an_order_asks_for_it_again_and_does_not_get_it(
    acceptor: Acceptor, client: Client, *, booked: bool
) -> None:
    """The resend hazard: the broker that asks for the order again may have it in hand."""
    acceptor.needs("kill")

    async def story() -> None:
        async with manned(client) as outpost:
            before = await outpost.placed()
            client.die(booked=booked)
            since = outpost.status.since
            (doubt,) = await outpost.claimed()
            (answer,) = await outpost.sent([doubt])
            assert isinstance(answer, Unknown)
            acceptor.revive()
            await outpost.back(since)
            after = await outpost.placed()
            assert (await outpost.order(doubt)).status is Status.IN_DOUBT
            await outpost.asks(until=1)

            order = await outpost.order(doubt)
            # Known, it is found. Unknown, and shown to be lacking, it may go again, by a new name.
            assert order.status is (Status.NEW if booked else Status.QUEUED)
            assert received(client) == once(before, [doubt], after)
            assert {line["poss_dup"] for line in client.audit("received")} == {"N"}
            await agree(outpost)

    run(story())


def test_a_burst_that_is_cut_ends_with_each_order_known_and_none_twice(client: Client) -> None:
    async def story() -> None:
        async with manned(client, max_in_flight=1_000) as outpost:
            batch = await outpost.claimed(300)
            async with asyncio.TaskGroup() as tasks:
                sending = tasks.create_task(outpost.sent(batch))
                await eventually(lambda: client.state()["received"] >= 30)
                since = outpost.status.since
                client.disconnect()
            answers = dict(zip(batch, sending.result(), strict=True))
            await outpost.back(since)
            doubts = [one for one, answer in answers.items() if isinstance(answer, Unknown)]
            await outpost.asks(until=len(doubts))
            await outpost.applied()
            came = received(client)

            assert set(came.values()) == {1}
            for one, answer in answers.items():
                order, has = await outpost.order(one), one.broker_order_key in came
                assert not (isinstance(answer, NotSent) and has)
                assert has or not isinstance(answer, Accepted)
                assert order.status is (Status.NEW if has else Status.QUEUED)
            await agree(outpost)

    run(story())


def test_a_broker_that_asks_for_old_orders_again_gets_a_gap(client: Client) -> None:
    async def story() -> None:
        async with manned(client) as outpost:
            batch = await outpost.placed(10)
            await agree(outpost)
            since = outpost.status.since
            client.disconnect()
            client.numbers(next_in=5)  # it has lost what it knew of the last ones' numbers
            await outpost.back(since)
            after = await outpost.placed()

            assert received(client) == once(batch, after)
            await agree(outpost)

    run(story())


@pytest.mark.parametrize("lacks", [False, True])
def test_two_that_say_in_their_logons_what_they_expect_need_not_ask(
    acceptor: Acceptor, *, lacks: bool
) -> None:
    if lacks:
        acceptor.needs("honest_789")
    client = acceptor.client(says_expected=True)

    async def story() -> None:
        async with manned(client, next_expected=True) as outpost:
            batch = await outpost.placed(5)
            await agree(outpost)
            since = outpost.status.since
            client.disconnect()
            if lacks:
                client.numbers(next_in=4)
            client.does("fill", name=batch[0].broker_order_key, quantity="3")
            await outpost.back(since)
            after = await outpost.placed()
            await agree(outpost)
            await outpost.applied()

            assert received(client) == once(batch, after)
            assert (await outpost.order(batch[0])).filled_quantity == 3

    run(story())


def test_reports_that_were_on_the_wire_when_it_broke_come_again_and_count_once(
    acceptor: Acceptor, client: Client
) -> None:
    acceptor.needs("proxied")

    async def story() -> None:
        with acceptor.proxied() as proxy:
            async with manned(client, hosts=proxy.address) as outpost:
                (one,) = await outpost.placed()
                proxy.hold()
                for quantity in ("1", "2", "3"):
                    client.does("fill", name=one.broker_order_key, quantity=quantity)
                proxy.cut()
                proxy.resume()
                await eventually(lambda: len(outpost.reports) >= 4)
                await outpost.applied()

                assert (await outpost.order(one)).filled_quantity == 6
                told = Counter(report.execution_id for report in outpost.reports)
                assert set(told.values()) == {1}
                await agree(outpost)

    run(story())


def test_a_number_too_low_is_refused_and_a_person_begins_anew(client: Client) -> None:
    async def story() -> None:
        client.numbers(next_in=500)
        async with manned(client, up=False) as outpost:
            await eventually(lambda: outpost.says("expecting 500"))
            (answer,) = await outpost.sent(await outpost.claimed())
            assert isinstance(answer, NotSent)
            seen = await outpost.sessions.numbers(outpost.status.session_id)
            assert seen is not None
            client.numbers(next_in=1, next_out=1)
            await outpost.sessions.reset_by(outpost.status.session_id, seen.numbering, KIM)
            await eventually(outpost.is_up)
            placed = await outpost.placed()

            assert outpost.status.numbering == seen.numbering + 1
            assert received(client) == once(placed)

    run(story())


def test_a_broker_whose_numbers_fell_back_is_not_believed(client: Client) -> None:
    async def story() -> None:
        async with manned(client) as outpost:
            batch = await outpost.placed(5)
            await agree(outpost)
            client.disconnect()
            client.numbers(next_out=2)
            await eventually(lambda: outpost.says("too low"))
            (answer,) = await outpost.sent(await outpost.claimed())

            assert isinstance(answer, NotSent)
            assert received(client) == once(batch)

    run(story())


def test_a_silent_broker_is_left_and_found_again(acceptor: Acceptor, client: Client) -> None:
    acceptor.needs("freeze")

    async def story() -> None:
        async with manned(client, heartbeat_s=1) as outpost:
            before = await outpost.placed()
            with acceptor.freeze():
                doubt = await outpost.claimed()
                (answer,) = await outpost.sent(doubt)
                assert isinstance(answer, Unknown)
                await eventually(lambda: not outpost.is_up())
            await eventually(outpost.is_up)
            await outpost.asks(until=1)
            await agree(outpost)

            # An engine that wakes up may read what waited in its socket, or drop the line unread.
            came = received(client)
            has = doubt[0].broker_order_key in came
            assert came == (once(before, doubt) if has else once(before))
            status = (await outpost.order(doubt[0])).status
            assert status is (Status.NEW if has else Status.QUEUED)

    run(story())


def test_either_side_logs_out_and_the_session_goes_on_from_its_numbers(client: Client) -> None:
    async def story() -> None:
        async with manned(client) as outpost:
            first = await outpost.placed()
            since = outpost.status.since
            await outpost.broker.log_out("a new certificate")
            await outpost.back(since)
            second = await outpost.placed()
            client.logout("end of day")
            await eventually(lambda: not outpost.is_up())
            (answer,) = await outpost.sent(await outpost.claimed())
            assert isinstance(answer, NotSent)
            client.logon()
            await eventually(outpost.is_up)
            third = await outpost.placed()

            assert received(client) == once(first, second, third)
            assert outpost.status.numbering == 1
            await agree(outpost)

    run(story())


def test_a_contract_that_begins_anew_at_each_logon_is_kept(client: Client) -> None:
    async def story() -> None:
        async with manned(client, reset_on_logon=True) as outpost:
            first = await outpost.placed()
            numbering = outpost.status.numbering
            client.disconnect()
            await eventually(lambda: outpost.is_up() and outpost.status.numbering > numbering)
            second = await outpost.placed()

            assert received(client) == once(first, second)
            await agree(outpost)

    run(story())


def test_a_broker_with_a_memory_answers_for_all_its_orders(client: Client) -> None:
    async def story() -> None:
        async with manned(client) as outpost:
            one, other = await outpost.placed(2)
            await outpost.broker.cancel([a_cancel(other)])
            found = await outpost.broker.find([one.broker_order_key, other.broker_order_key])

            assert [getattr(each, "status", each) for each in found] == [
                Status.NEW,
                Status.CANCELED,
            ]
            assert await outpost.broker.ping()

    run(story())


def test_orders_leave_as_a_list_and_each_is_answered_by_itself(
    acceptor: Acceptor, client: Client
) -> None:
    acceptor.needs("lists")

    async def story() -> None:
        client.set(fills="partial")
        async with manned(client, lists=True, batch_max=50) as outpost:
            batch = await outpost.claimed(20)
            answers = await outpost.broker.submit(batch)
            await eventually(lambda: len(outpost.reports) >= 40)

            assert [type(answer) for answer in answers] == [Accepted] * 20
            assert received(client) == once(batch)
            assert len({line["number"] for line in client.audit("received")}) == 1
            done = [line["exec_id"] for line in client.audit("executed")]
            assert [report.execution_id for report in outpost.reports] == done
            await agree(outpost)

    run(story())


def test_a_list_that_an_engine_cannot_read_goes_again_order_by_order(
    acceptor: Acceptor, client: Client
) -> None:
    if "lists" in acceptor.capabilities:
        pytest.skip("this engine reads lists")

    async def story() -> None:
        async with manned(client, lists=True, batch_max=50) as outpost:
            batch = await outpost.claimed(5)
            answers = await outpost.broker.submit(batch)
            await settle(outpost, batch, answers)
            assert {type(answer) for answer in answers} == {NotSent}
            assert received(client) == {}
            again = await outpost.claimed_again(5)
            taken = await outpost.broker.submit(again)

            assert [type(answer) for answer in taken] == [Accepted] * 5
            assert received(client) == once(again)
            assert {one.broker_order_key[:26] for one in again} == {
                one.broker_order_key[:26] for one in batch
            }

    run(story())


async def settle(outpost: Outpost, batch: list[Submission], answers: Sequence[Answer]) -> None:
    now = outpost.clock.monotonic_ns()
    pairs = zip(batch, answers, strict=True)
    await outpost.ledger.settle([Settlement(one.broker_order_key, a, now) for one, a in pairs])


def test_a_list_without_an_answer_is_found_order_by_order_and_never_sent_again(
    acceptor: Acceptor, client: Client
) -> None:
    acceptor.needs("lists")

    async def story() -> None:
        async with manned(client, lists=True, batch_max=50, answer_s=0.3) as outpost:
            client.set(drop=4)  # two orders have no word at all
            batch = await outpost.claimed(6)
            answers = await outpost.broker.submit(batch)
            await settle(outpost, batch, answers)
            assert [type(answer) for answer in answers] == [Unknown] * 4 + [Accepted] * 2
            client.disconnect()
            await outpost.asks(until=4)

            assert {(await outpost.order(one)).status for one in batch} == {Status.NEW}
            assert received(client) == once(batch)

    run(story())


def test_all_orders_are_shown_by_one_question(client: Client) -> None:
    async def story() -> None:
        async with manned(client, mass_status=True) as outpost:
            nothing = await outpost.broker.find_all()
            batch = await outpost.placed(30)
            await outpost.broker.cancel([a_cancel(batch[7])])
            shown = await outpost.broker.find_all()

            assert nothing == ({}, True)
            assert shown.ended
            expected = dict.fromkeys((one.broker_order_key for one in batch), Status.NEW)
            expected[batch[7].broker_order_key] = Status.CANCELED
            assert {key: found.status for key, found in shown.orders.items()} == expected

    run(story())
