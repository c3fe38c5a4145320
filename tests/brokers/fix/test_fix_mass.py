"""All orders in one question (35=AF): what its answers show, how it ends, what it never proves."""

from decimal import Decimal
from typing import Final

import pytest

from app.brokers.fix.broker import FixBroker
from app.brokers.fix.mass import SHOWN_MAX, Mass
from app.brokers.fix.said import Said
from app.domain.messages import Absent, ExecutionType, Found, Unknown
from app.domain.values import Status, replace_key
from app.domain.working import NOTHING_SHOWN, ShownOrders
from tests.brokers.builders import a_key, a_replacement, a_submission
from tests.brokers.fix.counterpart import Book
from tests.brokers.fix.stage import Stage
from tests.brokers.fix.stories import Story, play
from tests.eventually import eventually

WORKS: Final = Found("N-1", Status.NEW)


async def placed(broker: FixBroker, count: int = 3) -> list[str]:
    batch = [a_submission() for _ in range(count)]
    await broker.submit(batch)
    return [order.broker_order_key for order in batch]


def play_with(story: Story, *masses: str, script: tuple[str, ...] = ()) -> Stage:
    return play(story, book=Book(masses=list(masses), script=list(script)), mass_status=True)


def ended(shown: ShownOrders, keys: list[str]) -> bool:
    return shown.ended and set(shown.orders) == set(keys)


# --- the law ------------------------------------------------------------------------------------


def heard(*reports: tuple[str, bool, str | None]) -> Mass:
    mass = Mass()
    for key, is_last, total in reports:
        mass.hear(Said(key=key, shown=WORKS, is_last=is_last), total)
    return mass


def test_a_mass_status_ends_by_its_last_report_or_by_their_number() -> None:
    a, b = a_key(), a_key()

    assert heard((a, False, None), (b, False, None)).shown == ({a: WORKS, b: WORKS}, False)
    assert heard((a, False, None), (b, True, None)).shown.ended
    assert [heard((a, False, total)).ended for total in ("1", "2", "0", "x", "\xb2", "")] == [
        True,
        False,
        True,
        False,
        False,
        False,
    ]


def test_what_is_shown_twice_or_not_found_or_not_ours_is_not_shown() -> None:
    a, b = a_key(), a_key()
    mass = heard((a, False, None), (a, False, None), ("stranger", False, None))
    for lookup in (Absent(), Unknown("unreadable"), None):
        mass.hear(Said(key=b, shown=lookup), None)

    assert mass.shown == NOTHING_SHOWN
    assert heard((f"{a}R001", True, None)).shown == ({a: WORKS}, True)


def test_a_refused_replace_that_is_listed_is_no_end_of_its_order() -> None:
    a, b = a_key(), a_key()
    refused = Found("N-2", Status.REJECTED)
    mass = heard((a, False, None))
    for key in (f"{a}R001", f"{b}R001"):
        mass.hear(Said(key=key, request=key, shown=refused), None)
    mass.hear(Said(key=b, request=b, shown=refused), None)

    assert mass.shown.orders == {a: WORKS, b: refused}


def test_more_than_can_be_kept_is_never_all() -> None:
    mass = Mass()
    mass._orders = dict.fromkeys(map(str, range(SHOWN_MAX - 1)))
    mass.hear(Said(key=a_key(), shown=WORKS, is_last=True), None)

    assert mass.ended
    assert len(mass.shown.orders) == 1
    assert not mass.shown.ended


# --- on a session -------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["last", "count"])
def test_all_orders_are_shown_by_one_message(word: str) -> None:
    async def story(broker: FixBroker, stage: Stage) -> None:
        keys = await placed(broker)
        shown = await broker.find_all()
        assert ended(shown, keys)
        assert [shown.orders[key].status for key in keys] == [
            Status.NEW,
            Status.FILLED,
            Status.NEW,
        ]
        assert shown.orders[keys[1]].filled_quantity == Decimal(10)
        # Who asked applies it: it is no news on the bus.
        await eventually(lambda: (s := broker.session()) and s.next_in == stage.book.next_out)
        assert len(stage.published) == 3
        assert [a.type for a in stage.book.audit if a.type in {"H", "AF"}] == ["AF"]

    play_with(story, word, script=("new", "fill", "new"))


def test_a_replaced_order_is_shown_by_its_attempt() -> None:
    async def story(broker: FixBroker, _stage: Stage) -> None:
        order = a_submission()
        key = order.broker_order_key
        await broker.submit([order])
        await broker.replace([a_replacement(order, replace_key(key, 1))])
        assert ended(await broker.find_all(), [key])

    play_with(story)


def test_one_that_never_ends_shows_what_it_has_shown() -> None:
    async def story(broker: FixBroker, _stage: Stage) -> None:
        keys = await placed(broker)
        shown = await broker.find_all()
        assert (set(shown.orders), shown.ended) == (set(keys), False)

    play_with(story, "endless")


def test_a_line_that_is_lost_in_the_middle_shows_what_it_has_shown() -> None:
    async def story(broker: FixBroker, _stage: Stage) -> None:
        keys = await placed(broker)
        shown = await broker.find_all()
        assert (set(shown.orders), shown.ended) == (set(keys[:1]), False)

    play_with(story, "drop")


@pytest.mark.parametrize("word", ["refuse", "silent"])
def test_a_broker_that_shows_nothing_proves_nothing(word: str) -> None:
    async def story(broker: FixBroker, _stage: Stage) -> None:
        keys = await placed(broker)
        assert await broker.find_all() == NOTHING_SHOWN
        assert [type(found) for found in await broker.find(keys)] == [Found] * 3

    play_with(story, word)


def test_what_an_ended_one_leaves_out_is_in_no_state_at_all() -> None:
    async def story(broker: FixBroker, _stage: Stage) -> None:
        keys = await placed(broker)
        assert ended(await broker.find_all(), keys[1:])
        assert ended(await broker.find_all(), [])

    play_with(story, "short", "twice")


def test_a_broker_without_orders_says_so_at_once() -> None:
    async def story(broker: FixBroker, stage: Stage) -> None:
        assert ended(await broker.find_all(), [])
        assert [r.broker_order_id for r in stage.published] == []

    play_with(story)


def test_an_order_that_is_not_ours_is_told_under_one_name_for_ever() -> None:
    async def story(broker: FixBroker, stage: Stage) -> None:
        keys = await placed(broker, 1)
        stage.book.orders["BY-PHONE-7"] = stage.book.orders[keys[0]] | {"37": "N-99"}
        for _ in range(2):
            assert ended(await broker.find_all(), keys)
        await eventually(lambda: len(stage.published) == 3)
        strangers = stage.published[1:]
        assert {(r.broker_order_key, r.execution_id) for r in strangers} == {
            ("BY-PHONE-7", "shown-N-99")
        }
        assert {r.execution_type for r in strangers} == {ExecutionType.ORDER_STATUS}

    play_with(story)


def test_without_a_logon_nothing_is_asked() -> None:
    async def story(broker: FixBroker, stage: Stage) -> None:
        await stage.counterpart.hang_up()
        await eventually(lambda: not broker._line.is_up)
        assert await broker.find_all() == NOTHING_SHOWN
        assert stage.book.audit == []

    play_with(story)
