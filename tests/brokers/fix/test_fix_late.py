"""Refusals of a message that come after the time-out: whose word they are, and what is no word."""

from typing import Final

import pytest

from app.brokers.fix.broker import FixBroker
from app.domain.messages import Absent, ExecutionType, Unknown
from app.domain.values import replace_key
from tests.brokers.builders import a_replacement, a_submission
from tests.brokers.fix.counterpart import Book
from tests.brokers.fix.market import Fields
from tests.brokers.fix.stage import Stage
from tests.brokers.fix.stories import is_up, play
from tests.eventually import eventually

SESSION_REJECT: Final = ("3", [(372, "D"), (373, 5), (58, "bad value")])
UNKNOWN_SECURITY: Final = ("j", [(372, "D"), (380, 2), (58, "no such")])
NOT_AVAILABLE: Final = ("j", [(372, "D"), (380, 4)])
TOO_FAST: Final = ("j", [(372, "D"), (380, 8)])
# Nothing here is answered in time, so nobody need wait long.
SOON: Final = 0.1
NOT_OURS: Final = ("3", [(372, "D"), (373, 9), (58, "comp id")])


async def left(broker: FixBroker, stage: Stage) -> tuple[str, int]:
    """Let an order leave and its answer not come; return its key and its number."""
    order = a_submission()
    assert await broker.submit([order]) == [Unknown("no answer within 0.1 s")]
    return order.broker_order_key, stage.book.audit[-1].number


async def refuses(broker: FixBroker, stage: Stage, number: int, kind: str, more: Fields) -> None:
    """Let the broker refuse a number, and wait until that was heard."""
    theirs = stage.book.next_out
    stage.counterpart.peer.send(kind, [(45, number), *more])
    await eventually(lambda: (s := broker.session()) and s.next_in > theirs)


@pytest.mark.parametrize(("kind", "more"), [SESSION_REJECT, UNKNOWN_SECURITY])
def test_a_late_refusal_is_a_report_about_the_order_of_that_number(kind: str, more: Fields) -> None:
    async def story(broker: FixBroker, stage: Stage) -> None:
        await left(broker, stage)
        key, number = await left(broker, stage)
        await left(broker, stage)
        await refuses(broker, stage, number, kind, more)
        await eventually(lambda: stage.published)
        (report,) = stage.published
        assert (report.broker_order_key, report.execution_type) == (key, ExecutionType.REJECTED)
        assert report.reason is not None
        assert report.reason.endswith(": " + str(dict(more)[58]))

    play(story, *["swallow"] * 3, answer_s=SOON)


@pytest.mark.parametrize(("kind", "more"), [NOT_AVAILABLE, TOO_FAST, NOT_OURS])
def test_that_nobody_looked_at_it_ends_no_order_and_stands_for_its_number(
    kind: str, more: Fields
) -> None:
    async def story(broker: FixBroker, stage: Stage) -> None:
        key, number = await left(broker, stage)
        another, _ = await left(broker, stage)
        await refuses(broker, stage, number, kind, more)
        assert stage.published == []
        first, second = await broker.find([key, another])
        assert first == Absent()
        assert isinstance(second, Unknown)

    play(story, "swallow", "swallow", answer_s=SOON)


UNCLEAR: Final[dict[str, tuple[int, Fields]]] = {
    "no type": (0, [(373, 5)]),
    "another type": (0, [(372, "F"), (373, 5)]),
    "the gap fill in its place": (0, [(372, "4"), (373, 5)]),
    "another number": (1, [(372, "D"), (373, 5)]),
}


@pytest.mark.parametrize(("off", "more"), UNCLEAR.values(), ids=UNCLEAR)
def test_what_is_not_named_beyond_doubt_proves_nothing(off: int, more: Fields) -> None:
    async def story(broker: FixBroker, stage: Stage) -> None:
        key, number = await left(broker, stage)
        await refuses(broker, stage, number + off, "3", more)
        [lookup] = await broker.find([key])
        assert isinstance(lookup, Unknown)
        assert stage.published == []

    play(story, "swallow", answer_s=SOON)


def test_a_number_is_its_message_s_on_the_next_connection_too() -> None:
    async def story(broker: FixBroker, stage: Stage) -> None:
        key, number = await left(broker, stage)
        stage.counterpart.peer.close()
        await eventually(lambda: stage.book.logons == 2 and is_up(broker))
        await refuses(broker, stage, number, *SESSION_REJECT)
        await eventually(lambda: stage.published)
        assert [report.broker_order_key for report in stage.published] == [key]

    play(story, "swallow", answer_s=SOON)


def test_a_number_of_an_ended_numbering_is_nobody_s() -> None:
    async def story(broker: FixBroker, stage: Stage) -> None:
        _, number = await left(broker, stage)
        peer, stage.book.next_in, stage.book.next_out = stage.counterpart.peer, 1, 1
        peer.send("A", [(98, 0), (108, 1), (141, "Y")])
        await eventually(lambda: (s := broker.session()) and s.numbering == 2 and is_up(broker))
        await refuses(broker, stage, number, *SESSION_REJECT)
        assert stage.published == []

    play(story, "swallow", answer_s=SOON)


def test_late_new_terms_are_refused_and_the_order_stands() -> None:
    async def story(broker: FixBroker, stage: Stage) -> None:
        order = a_submission()
        await broker.submit([order])
        key = replace_key(order.broker_order_key, 1)
        await broker.replace([a_replacement(order, key)])
        number = stage.book.audit[-1].number
        await refuses(broker, stage, number, "j", [(372, "G"), (380, 3), (58, "no such step")])
        await eventually(lambda: len(stage.published) == 2)
        report = stage.published[-1]
        refused = ExecutionType.REPLACE_REJECTED
        assert (report.broker_order_key, report.execution_type) == (key, refused)

    play(story, book=Book(replaces=["swallow"]), answer_s=SOON)


def test_a_late_refusal_of_a_list_judges_none_of_its_orders() -> None:
    async def story(broker: FixBroker, stage: Stage) -> None:
        batch = [a_submission() for _ in range(3)]
        await broker.submit(batch)
        number = stage.book.audit[-1].number
        await refuses(broker, stage, number, "3", [(372, "E"), (373, 5)])
        assert stage.published == []
        keys = [order.broker_order_key for order in batch]
        assert await broker.find(keys) == [Absent()] * 3

    play(story, book=Book(lists=["swallow"]), lists=True, batch_max=10, answer_s=SOON)
