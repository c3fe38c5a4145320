"""A replay repeats what was said: the same ids, the newest versions, nothing else."""

import json

import pytest

from app.accounts.fold import fold
from app.ledger.outbox import replay as replay_module
from app.ledger.outbox.replay import replay
from tests.builders import TODAY, a_taking
from tests.ledger.books import Books


def replayed(books: Books, account: str | None = None) -> list[dict[str, object]]:
    books.sql("DELETE FROM outbox")
    after, total = 0, 0
    while True:
        count, reached = books.database.write_now(
            lambda c, at=after: replay(c, TODAY, account, at)  # type: ignore[misc]
        )
        if reached is None:
            break
        total, after = total + count, reached
    found = books.sql("SELECT event_id, payload FROM outbox ORDER BY id")
    assert len(found) == total
    return [{"event_id": event_id} | json.loads(payload) for event_id, payload in found]


def test_each_order_comes_once_as_it_stands_under_its_own_id(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay_module, "AT_ONCE", 2)
    claimed = books.working("c-0")
    books.take(*(a_taking(f"c-{n}", account_id=f"A-{n}") for n in range(1, 6)))
    before = {fold(payload) for page in pages(books) for payload in page}

    events = replayed(books)

    assert events[0]["event_id"] == f"{claimed.order.order_id}-3"
    assert len(events) == len(before) == 6
    payloads = [json.dumps({k: v for k, v in e.items() if k != "event_id"}) for e in events]
    assert {fold(payload.encode()) for payload in payloads} == before


def pages(books: Books) -> list[list[bytes]]:
    async def listed() -> list[list[bytes]]:
        return [page async for page in books.ledger.payloads()]

    return books.run(listed())


def test_one_account_alone(books: Books) -> None:
    books.take(*(a_taking(f"c-{n}", account_id=f"A-{n % 2}") for n in range(6)))

    assert {event["account_id"] for event in replayed(books, "A-1")} == {"A-1"}


def test_a_day_without_orders_is_no_error(books: Books) -> None:
    assert replayed(books) == []
