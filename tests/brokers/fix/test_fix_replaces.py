"""New terms over FIX: BR-16 and BR-17 on a session, where the answer to 35=G is another message.

The counterpart knows an order by its latest id only, as the strictest brokers do; the engines of
the interop tests understand every id of a chain, and call the order by the latest.
"""

import asyncio
from decimal import Decimal
from itertools import pairwise

import pytest

from app.brokers.fix.broker import FixBroker
from app.domain.messages import (
    Absent,
    Accepted,
    Answer,
    Cancellation,
    ExecutionType,
    Found,
    NotSent,
    Rejected,
    Submission,
    Throttled,
    Unknown,
)
from app.domain.values import Status, replace_key
from app.ports.sessions import Outgoing, SessionOwner
from tests.brokers.builders import a_cancellation, a_replacement, a_submission
from tests.brokers.fix.counterpart import Book
from tests.brokers.fix.stage import Stage, staged
from tests.brokers.fix.stories import SESSION, Story, a_broker, is_up, play, serving
from tests.eventually import eventually

_E = ExecutionType


def changed(*words: str, **options: object) -> tuple[Answer, Submission, Stage]:
    """Place an order, and ask for new terms at a counterpart that answers so."""
    order, answers = a_submission(), list[Answer]()

    async def story(broker: FixBroker, stage: Stage) -> None:
        await broker.submit([order])
        asked = a_replacement(order, key_of(order))
        answers.extend(await broker.replace([asked]))
        await eventually(lambda: stage.book.next_out == numbers(broker))

    stage = play_with(story, *words, **options)
    return answers[0], order, stage


def play_with(story: Story, *words: str, **options: object) -> Stage:
    return play(story, book=Book(replaces=list(words)), **options)


def numbers(broker: FixBroker) -> int:
    status = broker.session()
    return 0 if status is None else status.next_in


def key_of(order: Submission, number: int = 1) -> str:
    return replace_key(order.broker_order_key, number)


def kinds(stage: Stage) -> list[ExecutionType]:
    return [report.execution_type for report in stage.published]


# --- answers ----------------------------------------------------------------------------------


def test_br_16_a_replace_is_one_message_and_its_report_has_the_terms() -> None:
    answer, order, stage = changed("replace")

    assert answer == Accepted("N-1")
    assert [(a.type, a.key) for a in stage.book.audit] == [
        ("D", order.broker_order_key),
        ("G", key_of(order)),
    ]
    assert kinds(stage) == [_E.NEW, _E.REPLACED]
    report = stage.published[-1]
    assert report.broker_order_key == key_of(order)
    assert (report.quantity, report.limit_price) == (Decimal(20), Decimal(186))


@pytest.mark.parametrize("word", ["late", "passed", "refuse"])
def test_br_16_refused_terms_are_told_and_reported_and_the_order_stands(word: str) -> None:
    answer, order, stage = changed(word)

    assert isinstance(answer, Rejected)
    assert answer.code == ("order-exceeds-limit" if word == "refuse" else "too-late")
    traded = [_E.TRADE] if word == "passed" else []
    assert kinds(stage) == [_E.NEW, *traded, _E.REPLACE_REJECTED]
    assert stage.published[-1].broker_order_key == key_of(order)
    assert list(stage.book.orders) == [order.broker_order_key]


def test_br_16_a_pending_replace_is_an_accepted_one_and_no_more() -> None:
    answer, _, stage = changed("pending")

    assert answer == Accepted("N-1")
    assert kinds(stage) == [_E.NEW, _E.PENDING_REPLACE]


def test_br_16_too_fast_is_throttled_by_the_brokers_words() -> None:
    answer, _, stage = changed("throttle", throttle_words=["too fast"])

    assert answer == Throttled()
    assert kinds(stage) == [_E.NEW]


@pytest.mark.parametrize("word", ["silent", "swallow", "drop"])
def test_br_16_silence_is_unknown_and_the_request_is_never_sent_again(word: str) -> None:
    order = a_submission()

    async def story(broker: FixBroker, stage: Stage) -> None:
        await broker.submit([order])
        [answer] = await broker.replace([a_replacement(order, key_of(order))])
        assert isinstance(answer, Unknown)
        if word != "drop":
            stage.counterpart.peer.close()
        stage.book.next_in -= 1  # it has lost the number, and asks for it again
        await eventually(lambda: stage.book.logons == 2 and is_up(broker))
        assert stage.book.keys("G") == [key_of(order)]

    play_with(story, word)


def test_br_16_on_a_line_that_is_down_nothing_is_sent() -> None:
    async def whole() -> None:
        async with staged() as stage:
            broker = a_broker(stage)
            [answer] = await broker.replace([a_replacement(a_submission(), "k")])
            assert isinstance(answer, NotSent)

    asyncio.run(whole())


def test_br_16_a_refusal_that_comes_late_is_published() -> None:
    async def story(broker: FixBroker, stage: Stage) -> None:
        order = a_submission()
        await broker.submit([order])
        [answer] = await broker.replace([a_replacement(order, key_of(order))])
        assert isinstance(answer, Unknown)
        fields = [(37, "N-1"), (11, key_of(order)), (41, order.broker_order_key), (39, "0")]
        stage.counterpart.peer.send("9", [*fields, (434, 2), (102, 2)])
        await eventually(lambda: kinds(stage) == [_E.NEW, _E.REPLACE_REJECTED])

    play_with(story, "swallow")


# --- cancels ----------------------------------------------------------------------------------


def test_br_16_an_order_is_canceled_by_the_id_that_it_goes_by() -> None:
    """A replace that was done in silence: the old id is unknown by now, the new one is known."""

    async def story(broker: FixBroker, stage: Stage) -> None:
        order = a_submission()
        await broker.submit([order])
        await broker.replace([a_replacement(order, key_of(order))])
        asked = Cancellation(order.broker_order_key, "N-1", key_of(order))
        assert await broker.cancel([asked]) == [Accepted("N-1")]
        [again] = await broker.cancel([asked])
        assert isinstance(again, Rejected)
        own = stage.book.keys("F")
        assert len(own) == len(set(own)) == 4
        assert max(map(len, own)) <= 36
        assert kinds(stage) == [_E.NEW, _E.CANCELED]

    play_with(story, "silent")


def test_br_16_while_a_replace_is_pending_the_old_id_cancels() -> None:
    async def story(broker: FixBroker, stage: Stage) -> None:
        order = a_submission()
        await broker.submit([order])
        await broker.replace([a_replacement(order, key_of(order))])
        asked = Cancellation(order.broker_order_key, "N-1", key_of(order))
        assert await broker.cancel([asked]) == [Accepted("N-1")]
        assert len(stage.book.keys("F")) == 1

    play_with(story, "pending")


def test_br_16_a_chain_is_one_order_and_goes_by_its_last_id() -> None:
    async def story(broker: FixBroker, stage: Stage) -> None:
        order = a_submission()
        keys = [order.broker_order_key, *(key_of(order, n) for n in (1, 2, 3))]
        await broker.submit([order])
        for original, key in pairwise(keys):
            asked = a_replacement(order, key, original)
            assert await broker.replace([asked]) == [Accepted("N-1")]
        stage.counterpart.peer.market.fill(keys[-1])
        await eventually(lambda: _E.TRADE in kinds(stage))
        assert isinstance((await broker.cancel([a_cancellation(keys[-1])]))[0], Rejected)
        assert stage.book.keys() == keys[:1]

    play_with(story)


# --- look-ups ---------------------------------------------------------------------------------


def test_br_17_a_replace_done_in_silence_is_found_with_its_terms() -> None:
    async def story(broker: FixBroker, _stage: Stage) -> None:
        order = a_submission()
        await broker.submit([order])
        await broker.replace([a_replacement(order, key_of(order))])
        [found] = await broker.find([key_of(order)])
        assert isinstance(found, Found)
        assert (found.broker_order_id, found.status) == ("N-1", Status.NEW)
        assert (found.quantity, found.limit_price) == (Decimal(20), Decimal(186))

    play_with(story, "silent")


def test_br_17_a_pending_replace_is_unknown_until_it_is_decided() -> None:
    async def story(broker: FixBroker, stage: Stage) -> None:
        order = a_submission()
        await broker.submit([order])
        await broker.replace([a_replacement(order, key_of(order))])
        [pending] = await broker.find([key_of(order)])
        assert pending == Unknown("found, and still pending there")
        terms = {"38": "20", "44": "186"}
        stage.counterpart.peer.market.replaced(key_of(order), order.broker_order_key, terms)
        [found] = await broker.find([key_of(order)])
        assert isinstance(found, Found)
        await eventually(lambda: kinds(stage)[-1] is _E.REPLACED)

    play_with(story, "pending")


def test_br_17_an_order_under_its_old_id_shows_that_a_replace_took_no_effect() -> None:
    async def story(broker: FixBroker, _stage: Stage) -> None:
        order = a_submission()
        await broker.submit([order])
        await broker.replace([a_replacement(order, key_of(order))])
        [lookup] = await broker.find([key_of(order)])
        assert lookup == Absent()

    play_with(story, "swallow")


def test_br_17_an_order_that_is_unknown_by_any_id_proves_nothing_of_a_replace() -> None:
    async def story(broker: FixBroker, stage: Stage) -> None:
        order = a_submission()
        await broker.submit([order])
        await broker.replace([a_replacement(order, key_of(order))])
        stage.book.orders.clear()
        [lookup] = await broker.find([key_of(order)])
        assert isinstance(lookup, Unknown)

    play_with(story, "swallow")


def test_br_17_a_replace_that_was_never_numbered_or_never_came_is_absent() -> None:
    async def whole() -> None:
        async with staged() as stage:
            broker, order = a_broker(stage), a_submission()
            owner = SessionOwner(SESSION, "north", stage.owner.epoch)
            at = await stage.sessions.open(owner)
            body = f'[[41,"{order.broker_order_key}"],[38,"20"],[44,"186"]]'
            await stage.sessions.append(owner, at, [Outgoing("G", key_of(order), body)])
            async with serving(broker, stage):
                found = await broker.find([key_of(order), key_of(order, 2)])
                assert found == [Absent(), Absent()]
            assert stage.book.keys("G") == []

    asyncio.run(whole())
