"""The days of the ledger are told as the job of partitions sees them."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry

from app.domain.daybook import DayBook
from app.ledger import days
from app.ledger.partitions import day_book as told
from app.ledger.partitions.job import Outlook, PartitionJob
from app.ledger.partitions.plan import DefaultPartition, Policy
from app.ports.away import StoreAway
from app.web.app import create_app
from tests.web.house import CALENDAR, READER, Gateway
from tests.web.operators import ADMIN, reserve

PATH = f"{ADMIN}/partitions"
OLD, OLDER = date(2026, 2, 27), date(2026, 2, 26)


@pytest.fixture
def looks() -> list[int]:
    """Lend the count of what was read of the ledger at one go."""
    return []


@pytest.fixture
def kept(gateway: Gateway, tmp_path: Path, looks: list[int]) -> Iterator[TestClient]:
    """Let the gateway keep one past day, and find two."""
    database = gateway.ledger._database
    archive = tmp_path / "archive"
    policy = Policy(sessions_ahead=2, keep_attached=1)
    job = PartitionJob(
        database,  # type: ignore[arg-type]
        lambda: CALENDAR,
        gateway.clock,
        archive,
        policy=policy,
    )
    for day in (OLDER, OLD):
        database.write_now(partial(days.make, day=day))

    async def ask(work: Any) -> Any:
        looks.append(1)
        return await database.read(work)

    async def look() -> DayBook:
        return await told.day_book(job, ask, scan=True)

    house = replace(gateway.house, daybook=look, registry=CollectorRegistry())
    with TestClient(create_app(house)) as client:
        yield client


def test_the_days_are_listed_with_their_orders_and_what_is_done_next(
    gateway: Gateway, kept: TestClient
) -> None:
    reserve(gateway, 3)
    found = kept.get(PATH, headers=gateway.key()).json()

    by_day = {day["trade_date"]: day for day in found["days"]}
    assert by_day["2026-03-02"]["orders"] == 3
    assert {day["state"] for day in found["days"]} == {"attached"}
    assert found["days"] == sorted(found["days"], key=lambda d: d["trade_date"], reverse=True)
    steps = [(step["step"], step["trade_date"]) for step in found["next"]]
    assert ("create", "2026-03-03") in steps
    assert steps[-2:] == [("archive", str(OLDER)), ("drop", str(OLDER))]


def test_what_stops_the_job_is_told_and_a_ledger_that_is_away_is_no_answer(
    gateway: Gateway, kept: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = gateway.key()
    stops: Exception = DefaultPartition("orders_rest: a DEFAULT partition")

    async def outlook(_job: PartitionJob, **_scan: bool) -> Outlook:
        raise stops

    monkeypatch.setattr(PartitionJob, "outlook", outlook)
    found = kept.get(PATH, headers=key)
    assert (found.status_code, found.json()["days"]) == (200, [])
    assert "orders_rest" in found.json()["trouble"]
    stops = StoreAway("the ledger is away")
    assert kept.get(PATH, headers=key).status_code == 503


def test_a_large_day_is_told_roughly(
    gateway: Gateway, kept: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    reserve(gateway, 4)
    monkeypatch.setattr(told, "COUNTED_MAX", 3)
    (day,) = [
        day
        for day in kept.get(PATH, headers=gateway.key()).json()["days"]
        if day["trade_date"] == "2026-03-02"
    ]

    assert (day["orders"], day["is_rough"]) == (4, True)


def test_a_day_that_left_between_two_looks_is_no_error(gateway: Gateway) -> None:
    database = gateway.ledger._database
    database.write_now(lambda c: days.make(c, OLD))

    counts = database.write_now(lambda c: told._counts(c, [OLD, OLDER]))
    assert counts == {OLD: (0, False), OLDER: (0, False)}


def test_a_year_of_days_holds_nobody_up(
    gateway: Gateway, kept: TestClient, looks: list[int]
) -> None:
    """A file has one reader: halts and orders wait behind whoever reads all of it."""
    database = gateway.ledger._database
    for number in range(21):
        database.write_now(partial(days.make, day=date(2026, 1, 2) + timedelta(number)))
    found = kept.get(PATH, headers=gateway.key()).json()["days"]

    assert len(found) > 21
    assert len(looks) == -(-len(found) // told.DAYS_A_LOOK)


def test_where_no_days_are_kept_there_is_nothing_to_see(gateway: Gateway) -> None:
    assert gateway.client.get(PATH, headers=gateway.key()).status_code == 404
    assert gateway.client.get(PATH, headers=gateway.key("lee", READER)).status_code == 403
