"""Answers that come later: each fill once, whatever the stream does; each end after its fills."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from typing import Any

import pytest

from app import ending
from app.domain.messages import ExecutionReport, ExecutionType, Replacement
from app.ending import ended
from tests.brokers.alpaca.accounts import Account, Published, an_account, listening, quiet
from tests.brokers.builders import a_key, a_submission
from tests.eventually import eventually

KEY = a_key()
OTHER = a_key()


def heard(story: Callable[[Account], Awaitable[None]], **options: Any) -> Published:
    """Tell a story at the fake while the adapter listens; return what it published."""

    async def scenario() -> Published:
        async with an_account(**options) as account, listening(account):
            await eventually(lambda: account.fake.lines)
            await quiet(account.fake)
            await story(account)
            return account.published

    return asyncio.run(scenario())


def test_fills_are_published_once_by_the_lists_own_ids() -> None:
    async def story(account: Account) -> None:
        fake, _, published = account
        fake.place(KEY)
        first = await fake.fill(KEY, 4)
        await eventually(lambda: published.fills == [(KEY, 4)])
        second = await fake.fill(KEY, 6, "185.55")
        await eventually(lambda: len(published.fills) == 2)
        ids = [r.execution_id for r in published.reports if r.last_quantity]
        assert ids == [first["id"], second["id"]], "and not the stream's execution ids"

    published = heard(story, silence_s=30)

    [first, second] = [r for r in published.reports if r.execution_type is ExecutionType.TRADE]
    assert (str(first.last_price), str(second.last_price)) == ("185.50", "185.55")
    assert str(first.trade_date) == "2026-03-03"


def test_an_evening_in_new_york_is_still_that_day() -> None:
    async def story(account: Account) -> None:
        fake, _, published = account
        fake.passes(9.5 * 3600)  # 00:30 in Greenwich
        fake.place(KEY)
        await fake.fill(KEY, 10)
        await eventually(lambda: published.fills)

    trade = next(r for r in heard(story).reports if r.execution_type is ExecutionType.TRADE)

    assert str(trade.trade_date) == "2026-03-03"


def test_a_stream_that_says_everything_twice_changes_nothing() -> None:
    async def story(account: Account) -> None:
        fake, _, published = account
        fake.doubles = True
        fake.place(KEY)
        await fake.fill(KEY, 10)
        await fake.tell("new", fake.by_key(KEY))
        await eventually(lambda: published.fills)
        looks = fake.asked("GET", "/v2/account/activities")
        await eventually(lambda: fake.asked("GET", "/v2/account/activities") > looks + 1)

    assert heard(story).fills == [(KEY, 10)]


def test_fills_of_a_cut_stream_are_caught_up_on_the_next_line() -> None:
    async def story(account: Account) -> None:
        fake, _, published = account
        fake.place(KEY)
        fake.place(OTHER)
        await fake.cut()
        await fake.fill(KEY, 10)
        await fake.fill(OTHER, 3)
        await fake.end(OTHER, "canceled")
        await eventually(lambda: "canceled" in published.words(OTHER))
        assert fake.lines == 2

    published = heard(story, silence_s=30)

    assert published.fills == [(KEY, 10), (OTHER, 3)]
    assert published.words(OTHER) == ["trade", "canceled"]


def test_a_silent_stream_hides_no_fill() -> None:
    async def story(account: Account) -> None:
        fake, _, published = account
        fake.silent = True
        fake.place(KEY)
        await fake.fill(KEY, 4)
        await eventually(lambda: published.fills)
        assert fake.lines == 1

    assert heard(story).fills == [(KEY, 4)]


def test_a_silent_stream_is_asked_past_no_sooner_than_it_has_been_silent() -> None:
    async def story(account: Account) -> None:
        fake, _, _ = account
        looks = fake.asked("GET", "/v2/account/activities")
        fake.passes(1)
        await quiet(fake)
        assert fake.asked("GET", "/v2/account/activities") == looks

    heard(story, silence_s=30)


def test_an_end_that_no_stream_told_is_found_by_the_sweep() -> None:
    async def story(account: Account) -> None:
        fake, _, published = account
        fake.silent = True
        fake.place(KEY)
        await fake.end(KEY, "expired")
        await eventually(lambda: published.words(KEY) == ["expired"])

    heard(story, sweep_every_s=0.2)


def test_an_end_waits_for_the_fills_that_its_order_shows() -> None:
    async def story(account: Account) -> None:
        fake, _, published = account
        fake.place(KEY)
        late = await fake.fill(KEY, 4, lists=False)
        await fake.end(KEY, "canceled")
        looks = fake.asked("GET", "/v2/account/activities")
        await eventually(lambda: fake.asked("GET", "/v2/account/activities") > looks)
        assert published.words(KEY) == []
        fake.passes(600)  # listed so late that no overlap reaches it
        looks = fake.asked("GET", "/v2/account/activities")
        await eventually(lambda: fake.asked("GET", "/v2/account/activities") > looks + 1)
        fake.activities.append(late)
        await eventually(lambda: published.words(KEY) == ["trade", "canceled"])

    heard(story, patience_s=30)


def test_an_end_does_not_wait_for_ever() -> None:
    async def story(account: Account) -> None:
        fake, _, published = account
        fake.place(KEY)
        await fake.fill(KEY, 4, lists=False)
        await fake.end(KEY, "canceled")
        await eventually(lambda: published.words(KEY) == ["canceled"])

    heard(story, patience_s=0.05)


def test_a_start_reads_the_last_day_and_no_more() -> None:
    async def scenario() -> Published:
        async with an_account(look_back_s=3600) as account:
            fake, _, published = account
            fake.place(KEY, 20)
            await fake.fill(KEY, 1)
            fake.passes(7200)
            for _ in range(3):
                await fake.fill(KEY, 2)
            async with listening(account):
                await eventually(lambda: len(published.fills) == 3)
            return published

    assert asyncio.run(scenario()).fills == [(KEY, 2)] * 3


def test_a_list_of_several_pages_is_read_to_its_end() -> None:
    async def scenario() -> list[int]:
        async with an_account() as account:
            fake, _, published = account
            fake.place(KEY, 10_000)
            for number in range(1, 104):
                await fake.fill(KEY, number)
            async with listening(account):
                await eventually(lambda: len(published.fills) == 103)
            return [quantity for _, quantity in published.fills]

    assert asyncio.run(scenario()) == list(range(1, 104))


def test_a_page_that_cannot_be_read_is_read_again_and_nothing_is_lost() -> None:
    async def story(account: Account) -> None:
        fake, _, published = account
        fake.place(KEY)
        path = "/v2/account/activities"
        fills = json.dumps([{"id": "a::b", "order_id": "x", "qty": 4.5, "price": "1"}])
        spoils: list[dict[str, Any]] = [
            {"status": 200, "text": "[{"},
            {"status": 200, "text": fills},
            {"status": 200, "text": '[{"id": "a"}]'},
            {"status": 200, "body": b" " * (5 << 20)},
            {"status": 500, "text": ""},
            {"status": 429, "headers": {"Retry-After": "0.1"}},
            {"status": 401, "text": ""},
        ]
        for spoiled in spoils:
            fake.fault("GET", path, **spoiled)
        await fake.fill(KEY, 10)
        await eventually(lambda: published.fills)
        assert not fake.faults

    assert heard(story).fills == [(KEY, 10)]


def test_what_the_bus_did_not_take_is_published_again() -> None:
    async def story(account: Account) -> None:
        fake, _, published = account
        fake.place(KEY)
        published.away = 2
        await fake.fill(KEY, 4)
        await fake.end(KEY, "canceled")
        await eventually(lambda: "canceled" in published.words(KEY))

    published = heard(story)

    assert published.words(KEY) == ["trade", "canceled"]


def test_new_terms_are_told_once_they_are_in_force_and_a_refused_replace_as_refused() -> None:
    new, refused = f"{KEY}R001", f"{OTHER}R001"

    async def story(account: Account) -> None:
        fake, broker, published = account
        for key in (KEY, OTHER):
            order = a_submission(key)
            await broker.submit([order])
            facts = order._asdict() | {"broker_order_key": f"{key}R001", "quantity": Decimal(20)}
            await broker.replace([Replacement(**facts, original=key, broker_order_id=None)])
        await fake.tell("new", fake.by_key(new))
        await quiet(fake)
        assert published.words(new) == [], "the old order may still be filled first"
        await fake.decide(new, replaced=True)
        await fake.decide(refused, replaced=False)
        await fake.fill(new, 20)
        await eventually(lambda: "replaced" in published.words(new) and published.fills)
        await eventually(lambda: published.words(refused) == ["replace_rejected"])

    published = heard(story)

    [terms] = [r for r in published.reports if r.execution_type is ExecutionType.REPLACED]
    assert (terms.quantity, terms.limit_price) == (Decimal(20), Decimal("185.50"))
    assert published.fills == [(new, 20)]


def test_a_fill_in_the_moment_of_a_replace_shows_in_its_terms() -> None:
    async def story(account: Account) -> None:
        fake, broker, published = account
        order = a_submission(KEY)
        await broker.submit([order])
        facts = order._asdict() | {"broker_order_key": f"{KEY}R001", "limit_price": Decimal(186)}
        await broker.replace([Replacement(**facts, original=KEY, broker_order_id=None)])
        await fake.fill(KEY, 3)
        await fake.decide(f"{KEY}R001", replaced=True, tells=False)
        await eventually(lambda: "replaced" in published.words(f"{KEY}R001"))

    published = heard(story, sweep_every_s=0.1)

    [terms] = [r for r in published.reports if r.execution_type is ExecutionType.REPLACED]
    assert terms.quantity == 13, "more than anybody asked for: the ledger keeps it apart, loudly"


def test_an_order_of_another_program_is_reported_under_its_own_key() -> None:
    async def story(account: Account) -> None:
        fake, _, published = account
        fake.place("somebody-elses-order")
        await fake.fill("somebody-elses-order", 10, tells=False)
        await eventually(lambda: published.fills)

    assert heard(story).fills == [("somebody-elses-order", 10)]


def test_a_fill_of_an_order_that_alpaca_does_not_know_is_not_dropped() -> None:
    async def story(account: Account) -> None:
        fake, _, published = account
        order = fake.place(KEY)
        await fake.fill(KEY, 10, tells=False, lists=True)
        del fake.orders[order["id"]]
        await eventually(lambda: published.fills)

    [(key, quantity)] = heard(story).fills
    assert (key == KEY, quantity) == (False, 10)


def test_an_order_that_was_sent_needs_no_question_whose_it_is() -> None:
    async def story(account: Account) -> None:
        fake, broker, published = account
        order = a_submission(KEY)
        await broker.submit([order])
        await fake.fill(KEY, 10, tells=False)
        await eventually(lambda: published.fills)
        assert not fake.asked("GET", f"/v2/orders/{fake.by_key(KEY)['id']}")

    assert heard(story).fills == [(KEY, 10)]


def test_a_frame_that_cannot_be_read_rings_the_bell_and_cuts_nothing() -> None:
    async def story(account: Account) -> None:
        fake, _, published = account
        fake.place(KEY)
        await fake.fill(KEY, 10, tells=False)
        for frame in (b"\xff\xfe", b"[" * 50_000, b'{"stream": "trade_updates", "data": {}}'):
            await fake.say(frame)
        await eventually(lambda: published.fills)
        assert fake.lines == 1

    assert heard(story, silence_s=30).fills == [(KEY, 10)]


def test_a_stream_that_knows_us_not_stops_no_look() -> None:
    async def story_without_line() -> tuple[Published, str]:
        async with an_account(key_id="AKTEST") as account:
            fake, broker, published = account
            fake.place(KEY)
            await fake.fill(KEY, 10)
            broker._stream._door = broker._stream._door._replace(secret_key="old")
            async with listening(account):
                await eventually(lambda: published.fills)
                session = broker.session()
                assert session is not None
                await eventually(lambda: broker.session().state == "refused")  # type: ignore[union-attr]
                return published, session.session_id

    published, name = asyncio.run(story_without_line())

    assert published.fills == [(KEY, 10)]
    assert name == "alpaca-trade-updates"


def test_a_process_that_does_not_own_the_lane_asks_for_nothing() -> None:
    async def scenario() -> tuple[int, int]:
        async with an_account() as account:
            fake, broker, published = account
            epoch = [0]
            standing = account.standing(lambda: epoch[0])
            async with asyncio.TaskGroup() as loops:
                task = loops.create_task(broker.run(standing))
                await eventually(lambda: broker.session() is not None)
                before = len(fake.requests)
                epoch[0] = 7
                await eventually(lambda: fake.lines)
                epoch[0] = 0
                await eventually(lambda: not fake.sockets)
                task.cancel()
            return before, len(published.reports)

    assert asyncio.run(scenario()) == (0, 0)


def test_a_lane_that_is_gone_has_no_feed_though_it_lost_the_word(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ending, "AGAIN_S", 0.05)

    async def scenario() -> int:
        tries: list[int] = []
        lost: list[int] = []
        async with an_account(silence_s=0.05) as account:
            epoch = [7]

            def stands_by() -> bool:
                status = account.broker.session()
                return status is not None and status.state == "standing_by"

            async def publish(_reports: Sequence[ExecutionReport]) -> None:
                tries.append(1)
                try:
                    await asyncio.sleep(60)
                except asyncio.CancelledError:
                    if lost:
                        raise
                    lost.append(1)  # as a library may for whom a time-out came as well

            standing = account.standing(lambda: epoch[0])._replace(publish=publish)
            async with asyncio.TaskGroup() as loops:
                task = loops.create_task(account.broker.run(standing))
                await eventually(lambda: account.fake.lines)
                account.fake.place(KEY)
                await account.fake.fill(KEY, 10)
                await eventually(lambda: tries)
                epoch[0] = 0
                await eventually(stands_by)
                await ended(task)
        return len(lost)

    assert asyncio.run(scenario()) == 1
