"""The conformance cases of a FIX broker: ways in which a request can end, and what each proves.

The counterpart shares no code with the adapter, and keeps an audit of whatever came.
"""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any, Final

import pytest

from app.brokers.fix.broker import FixBroker
from app.brokers.fix.exchange import Exchange
from app.brokers.fix.words import cancel_id
from app.domain.messages import (
    Absent,
    Accepted,
    Answer,
    ExecutionType,
    Found,
    NotSent,
    Rejected,
    Throttled,
    Unknown,
)
from app.domain.values import Status
from app.ports.brokers import BadCallback
from app.ports.sessions import Outgoing, Placed, SessionOwner
from tests.brokers.builders import a_cancellation, a_key, a_submission
from tests.brokers.fix.counterpart import Book
from tests.brokers.fix.market import Fields
from tests.brokers.fix.stage import Stage, staged
from tests.brokers.fix.stories import SESSION, a_broker, is_up, play, serving
from tests.eventually import eventually


def submitted(*script: str, **options: Any) -> tuple[Answer, Stage]:
    """Submit one order to a counterpart that acts so."""
    answers: list[Answer] = []

    async def story(broker: FixBroker, _stage: Stage) -> None:
        answers.extend(await broker.submit([a_submission()]))

    stage = play(story, *script, **options)
    return answers[0], stage


# --- answers ----------------------------------------------------------------------------


def test_br_01_a_broker_that_is_away_was_sent_nothing() -> None:
    async def whole() -> None:
        async with staged() as stage:
            await stage.counterpart.hang_up()
            broker = a_broker(stage)
            assert not await broker.ping()
            async with serving(broker, stage, up=False):
                [answer] = await broker.submit([a_submission()])
                [lookup] = await broker.find([a_key()])
                assert isinstance(answer, NotSent)
                assert not answer.credentials
                assert isinstance(lookup, Unknown)
                assert not await broker.ping()

    asyncio.run(whole())


def test_br_01_a_refused_logon_says_that_we_are_refused_and_not_the_order() -> None:
    async def whole() -> None:
        async with staged(Book(logon_words="password expired")) as stage:
            broker = a_broker(stage)
            async with serving(broker, stage, up=False):
                await eventually(lambda: (s := broker.session()) and s.state == "refused")
                [answer] = await broker.submit([a_submission()])
                assert answer == NotSent("logon refused: password expired", credentials=True)
            assert stage.book.audit == []

    asyncio.run(whole())


def test_br_02_silence_is_unknown_and_its_number_is_spent_once() -> None:
    answer, stage = submitted("silent")

    assert answer == Unknown("no answer within 0.5 s")
    assert len(stage.book.keys()) == 1


def test_br_02_a_pending_order_is_not_accepted_yet() -> None:
    answer, stage = submitted("pending")

    assert answer == Unknown("no answer within 0.5 s")
    assert stage.published == []


@pytest.mark.parametrize("word", ["drop", "swallow"])
def test_br_03_a_line_that_ends_without_an_answer_is_unknown(word: str) -> None:
    answer, stage = submitted(word)

    assert isinstance(answer, Unknown)
    assert len(stage.book.keys()) == 1


def test_br_04_new_and_filled_are_accepted_and_reported() -> None:
    answer, stage = submitted("new")
    filled, traded = submitted("fill")

    assert answer == filled == Accepted("N-1")
    assert [r.execution_type for r in stage.published] == [ExecutionType.NEW]
    assert [r.execution_type for r in traded.published] == [ExecutionType.TRADE]


def test_an_order_that_was_answered_leaves_nothing_for_a_collection() -> None:
    async def story(broker: FixBroker, _stage: Stage) -> None:
        gc.collect()  # what another test left is not this order's
        gc.disable()
        try:
            assert await broker.submit([a_submission()]) == [Accepted("N-1")]
            # `type`, since isinstance asks a weak proxy for its class, and a dead one raises.
            assert [it for it in gc.get_objects() if type(it) is Exchange] == []
        finally:
            gc.enable()

    play(story, "new")


def test_br_05_a_refused_order_is_rejected_and_reported() -> None:
    answer, stage = submitted("reject")

    assert answer == Rejected("order-exceeds-limit", "too large")
    assert [r.execution_type for r in stage.published] == [ExecutionType.REJECTED]


def test_br_05_a_message_that_nobody_looked_at_is_settled_by_its_number() -> None:
    business, _ = submitted("business")
    refused, _ = submitted("refuse")

    assert isinstance(business, NotSent)
    assert isinstance(refused, Rejected)


@asynccontextmanager
async def unanswered(broker: FixBroker, stage: Stage) -> AsyncIterator[int]:
    """Let an order leave, give its number, and hold its silence against the broker."""
    async with asyncio.TaskGroup() as tasks:
        answering = tasks.create_task(broker.submit([a_submission()]))
        await eventually(lambda: stage.book.audit)
        yield stage.book.audit[0].number
        assert await answering == [Unknown("no answer within 0.5 s")]


@pytest.mark.parametrize("named", [[(372, "4")], []], ids=["by type", "by number alone"])
def test_br_05_a_refused_gap_fill_is_no_word_about_the_order_in_its_place(named: Fields) -> None:
    async def story(broker: FixBroker, stage: Stage) -> None:
        async with unanswered(broker, stage) as number:
            peer = stage.counterpart.peer
            # It has the order, asks for it again all the same, and does not like what it gets.
            peer.send("2", [(7, number), (16, number)])
            await eventually(lambda: any(m.get(35) == b"4" for m in peer.received))
            peer.send("3", [(45, number), *named, (373, 10), (58, "SendingTime accuracy")])

    play(story, "silent")


def test_br_05_a_number_of_an_ended_numbering_names_no_order_any_more() -> None:
    async def story(broker: FixBroker, stage: Stage) -> None:
        async with unanswered(broker, stage) as number:
            peer, stage.book.next_in, stage.book.next_out = stage.counterpart.peer, 1, 1
            peer.send("A", [(98, 0), (108, 1), (141, "Y")])
            await eventually(lambda: sum(m.get(35) == b"A" for m in peer.received) == 2)
            peer.send("3", [(45, number), (373, 10), (58, "SendingTime accuracy")])

    play(story, "silent")


def test_br_06_too_fast_is_throttled_by_code_or_by_the_broker_s_words() -> None:
    by_code, _ = submitted("throttle")
    by_words, stage = submitted("reject", throttle_words=["Too LARGE"])

    assert by_code == by_words == Throttled()
    assert stage.published == []


def refuses(stage: Stage, key: str, kind: str = "8", *more: tuple[int, object]) -> None:
    """Let the broker say that it refused this order for being too fast."""
    order = {"37": "N-1", "39": "8", "14": "0", "38": "10", "54": "1", "55": "AAPL"}
    stage.counterpart.peer.market.report(key, order, kind, [(103, 99), (58, "Too Fast"), *more])


async def refused_late(broker: FixBroker, stage: Stage) -> str:
    """Submit an order that is refused as too fast when nobody waits any more."""
    order = a_submission()
    key = order.broker_order_key
    assert await broker.submit([order]) == [Unknown("no answer within 0.5 s")]
    number = stage.book.next_out
    refuses(stage, key)
    await eventually(lambda: (s := broker.session()) and s.next_in > number)
    assert stage.published == []
    return key


def test_br_06_too_fast_after_the_time_out_is_as_not_received_once_it_is_looked_up() -> None:
    async def story(broker: FixBroker, stage: Stage) -> None:
        key = await refused_late(broker, stage)
        another = a_submission()
        await broker.submit([another])
        unknown, doubtful = await broker.find([key, another.broker_order_key])
        assert unknown == Absent()
        assert isinstance(doubtful, Unknown)

    play(story, "swallow", "swallow", throttle_words=["too fast"])


def test_br_06_an_order_that_works_was_not_too_fast_whatever_was_said_before() -> None:
    async def story(broker: FixBroker, stage: Stage) -> None:
        [found] = await broker.find([await refused_late(broker, stage)])
        assert isinstance(found, Found)
        assert found.status is Status.NEW

    play(story, "silent", throttle_words=["too fast"])


def test_br_06_a_status_that_shows_it_refused_as_too_fast_is_as_not_received() -> None:
    async def story(broker: FixBroker, stage: Stage) -> None:
        order = a_submission()
        await broker.submit([order])
        stage.book.answers_questions = False
        async with asyncio.TaskGroup() as tasks:
            finding = tasks.create_task(broker.find([order.broker_order_key]))
            await eventually(lambda: stage.book.keys("H"))
            asked = stage.counterpart.peer.received[-1].get(790).decode()
            refuses(stage, order.broker_order_key, "I", (790, asked))
        assert finding.result() == [Absent()]
        assert stage.published == []

    play(story, "swallow", throttle_words=["too fast"])


def test_br_07_each_of_a_batch_has_its_own_answer_in_order() -> None:
    async def story(broker: FixBroker, stage: Stage) -> None:
        batch = [a_submission() for _ in range(4)]
        answers = await broker.submit(batch)
        assert [type(a) for a in answers] == [Accepted, Rejected, Unknown, Accepted]
        assert stage.book.keys() == [s.broker_order_key for s in batch]

    play(story, "new", "reject", "silent", "fill")


def test_br_08_a_late_report_is_published_though_nobody_waits() -> None:
    async def story(broker: FixBroker, stage: Stage) -> None:
        order = a_submission()
        assert isinstance((await broker.submit([order]))[0], Unknown)
        stage.counterpart.peer.market.fill(order.broker_order_key)
        await eventually(lambda: stage.published)
        assert stage.published[0].broker_order_key == order.broker_order_key

    play(story, "silent")


def test_br_09_a_callback_is_refused() -> None:
    async def story(broker: FixBroker, _stage: Stage) -> None:
        with pytest.raises(BadCallback):
            broker.read_callback({}, b"{}")

    play(story)


# --- cancels ----------------------------------------------------------------------------


def test_br_10_a_cancel_wins_or_loses_once() -> None:
    async def story(broker: FixBroker, stage: Stage) -> None:
        order, gone = a_submission(), a_key()
        await broker.submit([order])
        first = await broker.cancel([a_cancellation(order.broker_order_key)])
        again = await broker.cancel([a_cancellation(order.broker_order_key)])
        unknown = await broker.cancel([a_cancellation(gone)])
        assert first == [Accepted("N-1")]
        assert isinstance(again[0], Rejected)
        assert isinstance(unknown[0], Rejected)
        assert (again[0].code, unknown[0].code) == ("too-late", "unknown-order")
        assert [r.execution_type for r in stage.published] == [
            ExecutionType.NEW,
            ExecutionType.CANCELED,
        ]
        assert {r.broker_order_key for r in stage.published} == {order.broker_order_key}
        assert len(set(stage.book.keys("F"))) == 3

    play(story)


# --- look-ups ---------------------------------------------------------------------------


def test_br_11_an_order_that_is_there_is_found() -> None:
    async def story(broker: FixBroker, _stage: Stage) -> None:
        working, traded = a_submission(), a_submission()
        await broker.submit([working, traded])
        found = await broker.find([working.broker_order_key, traded.broker_order_key])
        assert [type(f) for f in found] == [Found, Found]
        assert [f.status for f in found if isinstance(f, Found)] == [Status.NEW, Status.FILLED]

    play(story, "new", "fill")


def test_br_12_unknown_order_proves_nothing_while_the_broker_may_have_its_number() -> None:
    async def story(broker: FixBroker, stage: Stage) -> None:
        order = a_submission()
        key = order.broker_order_key
        await broker.submit([order])
        [before] = await broker.find([key])
        stage.counterpart.peer.close()
        await eventually(lambda: stage.book.logons == 2 and is_up(broker))
        [after] = await broker.find([key])
        assert isinstance(before, Unknown)
        assert isinstance(after, Unknown)
        assert "has not shown that it lacks" in after.cause
        assert stage.book.keys() == [key]

    play(story, "swallow")


def test_br_12_a_broker_that_asks_for_a_number_again_may_still_have_the_order() -> None:
    async def story(broker: FixBroker, stage: Stage) -> None:
        order = a_submission()
        key = order.broker_order_key
        await broker.submit([order])
        # It fell over with the order in hand: the number is not noted, the order is.
        stage.book.next_in -= 1
        stage.book.orders[key] = {"37": "N-1", "39": "0", "14": "0", "38": "10", "54": "1"}
        stage.book.orders[key] |= {"55": "AAPL", "44": "1"}
        await eventually(lambda: stage.book.logons == 2 and is_up(broker))
        [found] = await broker.find([key])
        assert isinstance(found, Found)
        # It asked for the number, and got a gap fill: the order came once.
        assert stage.book.keys() == [key]

    play(story, "drop")


def test_br_12_a_number_that_is_lacking_and_an_unknown_order_are_absence() -> None:
    async def whole() -> None:
        async with staged() as stage:
            broker, key = a_broker(stage), a_key()
            owner = SessionOwner(SESSION, "north", stage.owner.epoch)
            at = await stage.sessions.open(owner)
            await stage.sessions.append(owner, at, [Outgoing("D", key, "[]")])
            async with serving(broker, stage):
                found = await broker.find([key, a_key()])
                # The second was never numbered at all: no byte of it can have left.
                assert found == [Absent(), Absent()]
            assert stage.book.keys() == []

    asyncio.run(whole())


def test_br_12_what_another_adapter_may_have_sent_is_not_absent() -> None:
    async def story(broker: FixBroker, stage: Stage) -> None:
        async def placed(_session_id: str, keys: Any) -> dict[str, Placed]:
            return dict.fromkeys(keys, Placed(0, 0, lacked=False))

        stage.sessions.placed = placed  # type: ignore[assignment, method-assign]
        [lookup] = await broker.find([a_key()])
        assert isinstance(lookup, Unknown)
        assert "another adapter" in lookup.cause

    play(story)


@pytest.mark.parametrize("about", [None, a_key(), "U"], ids=["nobody", "another", "a cancel"])
@pytest.mark.parametrize("status", ["0", "8"])
def test_br_12_an_answer_about_another_order_proves_nothing(about: str | None, status: str) -> None:
    async def story(broker: FixBroker, stage: Stage) -> None:
        stage.book.answers_questions = False
        key, peer = a_key(), stage.counterpart.peer
        async with asyncio.TaskGroup() as tasks:
            finding = tasks.create_task(broker.find([key]))
            await eventually(lambda: stage.book.keys("H"))
            asked = peer.received[-1].get(790).decode()
            fields: list[tuple[int, object]] = [(37, "N-9"), (17, "E9"), (150, "I"), (39, status)]
            fields += [(790, asked), (14, 0), *([(103, 5)] if status == "8" else [])]
            if about is not None:
                fields.append((11, cancel_id(key, 1) if about == "U" else about))
            peer.send("8", [*fields, (60, "20260303-14:30:00.000")])
        [lookup] = finding.result()
        if about == "U":  # it names what it would cancel: the order itself
            shown = Found("N-9", Status.NEW, filled_quantity=Decimal(0))
            assert lookup == (Absent() if status == "8" else shown)
        else:
            assert lookup == Unknown("the answer is about another order")

    play(story)


def test_br_12_a_question_without_an_answer_proves_nothing() -> None:
    async def story(broker: FixBroker, stage: Stage) -> None:
        stage.book.answers_questions = False
        [lookup] = await broker.find([a_key()])
        assert lookup == Unknown("no answer within 0.5 s")

    play(story)


# --- reports ----------------------------------------------------------------------------


def test_br_13_what_came_while_we_were_away_is_asked_for_and_heard_once_each() -> None:
    async def story(broker: FixBroker, stage: Stage) -> None:
        order = a_submission()
        await broker.submit([order])
        stage.counterpart.peer.close()
        # It traded while nobody listened.
        stage.counterpart.peers[0].market.fill(order.broker_order_key)
        await eventually(lambda: len(stage.published) == 2)
        assert [r.execution_id for r in stage.published] == ["E1", "E2"]
        assert [r.possible_duplicate for r in stage.published] == [False, True]

    play(story, "new")


def test_br_13_a_report_is_published_before_its_number_moves() -> None:
    async def whole() -> None:
        async with staged() as stage:
            broker, seen = a_broker(stage), list[int]()
            publish = stage.publish

            async def watched(reports: Any) -> None:
                numbers = await stage.sessions.numbers(SESSION)
                assert numbers is not None
                seen.append(numbers.next_in)
                await publish(reports)

            stage.publish = watched  # type: ignore[method-assign]
            async with serving(broker, stage):
                await broker.submit([a_submission()])
                await eventually(lambda: stage.published)
                report = stage.book.next_out - 1
                assert seen[0] <= report

    asyncio.run(whole())


UNREADABLE: Final = {
    "a price without its nought": {31: ".5"},
    "thirteen decimals": {31: "1.0000000000001"},
    "no id": {17: None},
    "an unknown kind": {150: "Z"},
    "a blank that is meant": {32: ""},
}


@pytest.mark.parametrize("facts", UNREADABLE.values(), ids=UNREADABLE)
def test_br_13_what_cannot_be_read_is_kept_for_a_person_before_its_number_moves(
    facts: dict[int, str | None],
) -> None:
    fields = {37: "N-1", 11: a_key(), 17: "E1", 150: "F", 39: "1", 32: "4", 31: "185.5"}
    fields |= {60: "20260303-14:30:00.000", 554: "secret"}
    said = [(tag, value) for tag, value in (fields | facts).items() if value is not None]

    async def story(broker: FixBroker, stage: Stage) -> None:
        keep, before = stage.sessions.keep_apart, list[int]()

        async def watched(owner: SessionOwner, unread: Any) -> None:
            assert len(stage.parked) == 1
            await keep(owner, unread)
            numbers = await stage.sessions.numbers(SESSION)
            assert numbers is not None
            before.append(numbers.next_in)

        stage.sessions.keep_apart = watched  # type: ignore[assignment, method-assign]
        number = stage.book.next_out
        stage.counterpart.peer.send("8", said)
        await eventually(lambda: (s := broker.session()) and s.next_in == number + 1)
        assert len(before) == 1
        assert before[0] <= number
        (unread,) = stage.parked
        assert unread.name == f"{SESSION}-1-{number}"
        assert unread.about == fields[11]
        assert b"\x0137=N-1\x01" in unread.raw
        assert b"secret" not in unread.raw
        assert (await stage.ledger.vitals()).quarantined == 1
        assert stage.published == []

    play(story)


def test_br_13_a_status_that_cannot_be_read_is_told_to_whoever_asks_and_not_kept() -> None:
    async def story(broker: FixBroker, stage: Stage) -> None:
        order = a_submission()
        await broker.submit([order])
        stage.book.orders[order.broker_order_key]["37"] = "N 1"
        [lookup] = await broker.find([order.broker_order_key])
        assert isinstance(lookup, Unknown)
        assert "unreadable" in lookup.cause
        assert stage.parked == []

    play(story, "new")


def test_br_14_a_ping_is_a_round_trip() -> None:
    async def story(broker: FixBroker, _stage: Stage) -> None:
        assert await broker.ping()

    play(story)


def test_br_14_a_ping_that_nobody_answers_is_no_in_time() -> None:
    async def story(broker: FixBroker, stage: Stage) -> None:
        stage.counterpart.peer.silent = True
        async with asyncio.timeout(20):  # long before the heartbeats give the broker up
            assert not await broker.ping()
        assert is_up(broker)

    play(story, heartbeat_s=30)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"colour": "red"}, "colour"),
        ({"heartbeat": 30}, "heartbeat"),
        ({"orders_per_second": 3}, "orders_per_second"),
    ],
)
def test_br_15_an_option_that_nobody_knows_stops_the_start(
    options: dict[str, Any], words: str
) -> None:
    async def whole() -> None:
        async with staged() as stage:
            with pytest.raises(TypeError, match=words):
                a_broker(stage, **options)

    asyncio.run(whole())
