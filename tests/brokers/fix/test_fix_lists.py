"""Orders that leave as one NewOrderList: each is an attempt, and has an answer, of its own."""

import asyncio
from typing import Any, Final

import pytest

from app.brokers.fix.broker import FixBroker
from app.brokers.fix.lists import MESSAGE_ORDERS_MAX, Lists
from app.brokers.fix.outbox import SECOND_NS, LastSecond
from app.domain.capabilities import Capabilities
from app.domain.messages import (
    Absent,
    Accepted,
    Answer,
    ExecutionType,
    Found,
    NotSent,
    Rejected,
    Submission,
    Throttled,
    Unknown,
)
from app.ports.sessions import Outgoing, SessionOwner
from tests.brokers.builders import a_key, a_submission
from tests.brokers.fix.counterpart import Book
from tests.brokers.fix.market import Audited
from tests.brokers.fix.stage import Stage, staged
from tests.brokers.fix.stories import SESSION, a_broker, is_up, play, serving
from tests.eventually import eventually

LISTS: Final[dict[str, Any]] = {"lists": True, "batch_max": 10}
UNKNOWN: Final = Unknown("no answer within 0.5 s")


def some(count: int) -> list[Submission]:
    return [a_submission() for _ in range(count)]


def keys(batch: list[Submission]) -> list[str]:
    return [order.broker_order_key for order in batch]


def told(lists: list[str], *script: str, orders: int = 3) -> tuple[list[Answer], Stage]:
    """Submit a list to a counterpart that acts so."""
    answers: list[Answer] = []

    async def story(broker: FixBroker, _stage: Stage) -> None:
        answers.extend(await broker.submit(some(orders)))

    return answers, play(story, book=Book(script=list(script), lists=lists), **LISTS)


# --- what leaves --------------------------------------------------------------------------------


def test_a_batch_is_one_message_and_each_of_it_is_answered_by_its_own_report() -> None:
    answers, stage = told(["each"], "new", "reject", "fill", "silent", orders=4)

    assert [type(answer) for answer in answers] == [Accepted, Rejected, Accepted, Unknown]
    assert {audited.type for audited in stage.book.audit} - {"fill"} == {"E"}
    assert len({audited.number for audited in stage.book.audit if audited.type == "E"}) == 1
    assert [report.execution_type for report in stage.published] == [
        ExecutionType.NEW,
        ExecutionType.REJECTED,
        ExecutionType.TRADE,
    ]


def test_an_order_alone_is_no_list_and_without_the_record_there_are_none() -> None:
    _, alone = told([], orders=1)
    assert [audited.type for audited in alone.book.audit] == ["D"]

    async def story(broker: FixBroker, _stage: Stage) -> None:
        await broker.submit(some(3))

    assert [audited.type for audited in play(story, batch_max=10).book.audit] == ["D"] * 3


def test_no_list_is_longer_than_the_record_allows() -> None:
    async def story(broker: FixBroker, stage: Stage) -> None:
        batch = some(7)
        await broker.submit(batch)
        lists = [m for m in stage.counterpart.peer.received if m.get(35) == b"E"]
        assert [(m.get(68), m.get(73), m.get(893)) for m in lists] == [
            (b"3", b"3", None),
            (b"3", b"3", None),
        ]
        assert stage.book.keys("D") == keys(batch)[6:]

    play(story, lists=True, batch_max=3)


def test_a_list_of_several_messages_says_so_where_they_are_taken() -> None:
    async def story(broker: FixBroker, stage: Stage) -> None:
        batch = some(5)
        answers = await broker.submit(batch)
        lists = [m for m in stage.counterpart.peer.received if m.get(35) == b"E"]
        assert [(m.get(68), m.get(73), m.get(893)) for m in lists] == [
            (b"5", b"2", b"N"),
            (b"5", b"2", b"N"),
            (b"5", b"1", b"Y"),
        ]
        assert len({m.get(66) for m in lists}) == 1
        assert [m.get(67) for m in lists] == [b"1", b"3", b"5"]
        assert stage.book.keys("E") == keys(batch)
        assert [type(answer) for answer in answers] == [Accepted] * 5

    play(story, **LISTS, list_message_max=2)


def test_a_list_that_no_message_can_carry_stops_the_start() -> None:
    Lists(Capabilities(lists=True, batch_max=500, list_message_max=MESSAGE_ORDERS_MAX))
    with pytest.raises(ValueError, match="at most 200"):
        Lists(Capabilities(lists=True, batch_max=MESSAGE_ORDERS_MAX + 1))


def test_a_list_costs_what_the_record_says_when_its_bytes_leave() -> None:
    for cost, room in (("per_order", 3), ("per_request", 9), ("request_plus_orders", 2)):
        rate = LastSecond(10)
        able = Capabilities(**LISTS, batch_cost=cost)
        rate.left(able.cost(7), 0)
        assert rate.room(0) == room

    # Six have room when the seven have left, and not when the last one has.
    rate.left(1, 1_000)
    assert rate.wait_ns(2_000, 6) == SECOND_NS - 2_000
    assert rate.wait_ns(2_000, 10) == SECOND_NS - 1_000
    assert rate.wait_ns(2_000, 99) == SECOND_NS - 1_000
    assert LastSecond(10).wait_ns(0, 99) == 0


def test_lists_leave_no_faster_than_the_contract_counts_them() -> None:
    async def story(broker: FixBroker, stage: Stage) -> None:
        await asyncio.gather(*(broker.submit(some(10)) for _ in range(4)))
        at = [audited.at for audited in stage.book.audit]
        # At a broker on a busy machine a second is a little shorter than at our socket.
        assert max(sum(t <= u < t + 0.8 for u in at) for t in at) <= 20

    play(story, **LISTS, orders_per_second_max=20, answer_s=5.0)


def test_a_halt_on_one_order_holds_its_list_and_every_one_may_go_again() -> None:
    async def story(broker: FixBroker, stage: Stage) -> None:
        batch = some(3)
        stage.stopped[batch[1].broker_order_key] = "halted"
        assert await broker.submit(batch) == [NotSent("halted", ours=True)] * 3
        assert stage.book.audit == []

    play(story, **LISTS)


# --- what is said -------------------------------------------------------------------------------


def test_silence_is_the_doubt_of_every_order() -> None:
    for word in ("silent", "swallow"):
        answers, stage = told([word])
        assert answers == [UNKNOWN] * 3
        assert len(stage.book.keys("E")) == 3


def test_a_line_that_ends_leaves_every_order_in_doubt() -> None:
    lost = Unknown("the session was lost")
    answers, stage = told(["drop"])
    some_had_a_word, _ = told(["each"], "new", "drop")

    assert answers == [lost] * 3
    assert some_had_a_word == [Accepted("N-1"), lost, lost]
    assert len(stage.book.keys("E")) == 3


def test_a_refused_list_is_the_word_of_each_of_its_orders() -> None:
    named, stage = told(["refuse"])
    unnamed, _ = told(["whole"])

    assert named == [Rejected("exchange-closed", "")] * 3
    assert unnamed == [Rejected("broker-refused", "not today")] * 3
    assert [report.broker_order_key for report in stage.published] == stage.book.keys("E")


def test_a_word_on_some_settles_those_alone() -> None:
    answers, _ = told(["some"])

    assert answers == [Rejected("exchange-closed", ""), UNKNOWN, UNKNOWN]


def test_a_refusal_that_comes_late_is_a_report_of_each() -> None:
    async def story(broker: FixBroker, stage: Stage) -> None:
        batch = some(3)
        await broker.submit(batch)
        stage.counterpart.peer.market.list_status("L", keys(batch)[:2])
        await eventually(lambda: len(stage.published) == 2)
        assert [report.broker_order_key for report in stage.published] == keys(batch)[:2]
        assert {report.execution_type for report in stage.published} == {ExecutionType.REJECTED}

    play(story, book=Book(lists=["swallow"]), **LISTS)


def test_a_list_that_is_refused_late_and_whole_is_a_report_of_each_part_of_it() -> None:
    async def story(broker: FixBroker, stage: Stage) -> None:
        batch, others = some(5), some(2)
        await asyncio.gather(broker.submit(batch), broker.submit(others))
        market = stage.counterpart.peer.market
        market.list_status("another list", [])
        market.list_status(keys(batch)[0], [])
        await eventually(lambda: len(stage.published) == 5)
        assert [report.broker_order_key for report in stage.published] == keys(batch)
        assert {report.execution_type for report in stage.published} == {ExecutionType.REJECTED}
        # Said twice, it has the same name twice.
        market.list_status(keys(batch)[0], [])
        await eventually(lambda: len(stage.published) == 10)
        assert len({report.execution_id for report in stage.published}) == 5

    play(story, book=Book(lists=["swallow"] * 4), **LISTS, list_message_max=2)


def test_a_part_of_one_order_is_a_list_still() -> None:
    async def story(broker: FixBroker, stage: Stage) -> None:
        batch = some(3)
        async with asyncio.TaskGroup() as tasks:
            sending = tasks.create_task(broker.submit(batch))
            await eventually(lambda: len(stage.book.audit) == 3)
            number = stage.book.audit[2].number
            stage.counterpart.peer.send("3", [(45, number), (371, 893), (372, "E"), (373, 0)])
        assert sending.result()[:2] == [UNKNOWN, UNKNOWN]
        assert isinstance(sending.result()[2], NotSent)

    play(story, book=Book(lists=["swallow"] * 2), **LISTS, list_message_max=2)


def test_a_list_that_could_not_be_read_judges_none_and_its_orders_go_alone() -> None:
    async def story(broker: FixBroker, stage: Stage) -> None:
        batch = some(3)
        answers = await broker.submit(batch)
        assert {type(answer) for answer in answers} == {NotSent}
        assert "no such market" in str(answers[0])
        # They come again as other attempts, beside a fourth one.
        again = [o._replace(broker_order_key=f"{o.broker_order_key[:26]}02") for o in batch]
        more = some(2)
        assert [type(a) for a in await broker.submit([*again, *more])] == [Accepted] * 5
        assert stage.book.keys("D") == keys(again)
        assert stage.book.keys("E") == [*keys(batch), *keys(more)]

    play(story, book=Book(lists=["reject"]), **LISTS)


def test_a_list_that_cannot_be_said_is_not_sent_and_its_orders_go_alone() -> None:
    async def story(broker: FixBroker, stage: Stage) -> None:
        batch = [*some(2), a_submission(symbol="A\x01B")]
        answers = await broker.submit(batch)
        assert {type(answer) for answer in answers} == {NotSent}
        again = await broker.submit(batch)
        assert [type(answer) for answer in again] == [Accepted, Accepted, NotSent]
        assert stage.book.keys("E") == []

    play(story, **LISTS)


def test_too_fast_is_said_of_all_of_it() -> None:
    async def story(broker: FixBroker, stage: Stage) -> None:
        async with asyncio.TaskGroup() as tasks:
            sending = tasks.create_task(broker.submit(some(2)))
            await eventually(lambda: stage.book.audit)
            number = stage.book.audit[0].number
            stage.counterpart.peer.send("j", [(45, number), (372, "E"), (380, 8)])
        assert sending.result() == [Throttled(), Throttled()]

    play(story, book=Book(lists=["swallow"]), **LISTS)


# --- how doubt ends -----------------------------------------------------------------------------


def test_each_order_of_a_silent_list_is_found_by_its_own_key() -> None:
    async def story(broker: FixBroker, _stage: Stage) -> None:
        batch = some(3)
        assert await broker.submit(batch) == [UNKNOWN] * 3
        assert [type(found) for found in await broker.find(keys(batch))] == [Found] * 3

    play(story, book=Book(lists=["silent"]), **LISTS)


def test_unknown_order_proves_nothing_while_the_broker_may_have_the_list() -> None:
    async def story(broker: FixBroker, stage: Stage) -> None:
        batch = some(3)
        await broker.submit(batch)
        before = await broker.find(keys(batch))
        stage.counterpart.peer.close()
        await eventually(lambda: stage.book.logons == 2 and is_up(broker))
        after = await broker.find(keys(batch))
        for lookup in (*before, *after):
            assert isinstance(lookup, Unknown)
            assert "has not shown that it lacks" in lookup.cause
        assert stage.book.keys("E") == keys(batch)

    play(story, book=Book(lists=["swallow"]), **LISTS)


def test_a_list_that_the_broker_lacks_is_the_absence_of_each_and_is_never_sent_again() -> None:
    async def whole() -> None:
        async with staged() as stage:
            legs = (a_key(), a_key())
            broker = a_broker(stage, **LISTS)
            owner = SessionOwner(SESSION, "north", stage.owner.epoch)
            at = await stage.sessions.open(owner)
            # A process numbered the list and died before a byte of it had left.
            await stage.sessions.append(owner, at, [Outgoing("E", None, "[]", legs)])
            async with serving(broker, stage):
                assert await broker.find(legs) == [Absent(), Absent()]
            assert [a for a in stage.book.audit if a.type != "H"] == []

    asyncio.run(whole())


def test_what_the_broker_asks_to_have_again_is_filled_as_a_gap() -> None:
    async def story(broker: FixBroker, stage: Stage) -> None:
        batch = some(3)
        await broker.submit(batch)
        number = stage.book.audit[0].number
        stage.counterpart.peer.send("2", [(7, number), (16, 0)])
        received = stage.counterpart.peer.received
        await eventually(lambda: any(m.get(35) == b"4" for m in received))
        expected = [Audited("E", number, key, at=stage.book.audit[0].at) for key in keys(batch)]
        assert stage.book.audit == expected

    play(story, book=Book(lists=["swallow"]), **LISTS)
