"""Operators follow the house: no row of the log is lost, and no stream outlives its key."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any, Final

import pytest

from app.domain.records import Actor, Change
from app.ports.away import StoreAway
from app.web.access.keyfile import revoke_key
from app.web.operators import stream as operator_stream
from tests.virtual import VirtualLoop
from tests.web.house import READER, Gateway, run
from tests.web.listener import Listener

PATH: Final = "/admin/v1/stream"
KIM: Final = Actor("kim", "the desk asked")


class Follower(Listener):
    """A reader of the operators' stream."""

    def __init__(self, gateway: Gateway, headers: Mapping[str, str]) -> None:
        super().__init__(gateway, PATH, headers)

    def heard(self, event: str) -> list[tuple[str, dict[str, Any]]]:
        found = []
        for block in self.text.split("\n\n"):
            lines = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line)
            if lines.get("event") == event:
                found.append((lines.get("id", ""), json.loads(lines["data"])))
        return found


def played(gateway: Gateway, story: Any) -> None:
    """Play a story in virtual time; whoever still listens at its end leaves."""

    async def whole() -> None:
        listeners: list[Follower] = []

        def listen(headers: Mapping[str, str]) -> Follower:
            listeners.append(Follower(gateway, headers))
            group.create_task(listeners[-1].run())
            return listeners[-1]

        async with asyncio.timeout(600), asyncio.TaskGroup() as group:
            try:
                await story(listen)
            finally:
                for listener in listeners:
                    listener.leave()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(whole())


async def did(gateway: Gateway, *names: str) -> None:
    for name in names:
        await gateway.ledger.note(Change(name, "desk/x", None, None), KIM)


def test_a_reader_sees_how_it_stands_and_what_is_done_from_then_on(gateway: Gateway) -> None:
    run(did(gateway, "before"))
    key = gateway.key()

    async def story(listen: Any) -> None:
        listener = listen(key)
        await asyncio.sleep(3)
        ((_, overview),) = listener.heard("overview")
        assert overview["draining"] is False
        assert "id: 0000000000001\n" in listener.text
        await did(gateway, "one", "two")
        await gateway.ledger.halt("symbol", "AA", KIM)
        await asyncio.sleep(2)

        rows = listener.heard("audit.recorded")
        assert [row["action"] for _, row in rows] == ["one", "two", "halt"]
        assert [id_ for id_, _ in rows] == [f"{n:013d}" for n in (2, 3, 4)]
        assert listener.heard("overview")[-1][1]["halts"][0]["target"] == "AA"

    played(gateway, story)


def test_who_comes_again_has_lost_nothing_however_much_it_was(gateway: Gateway) -> None:
    run(did(gateway, *(f"n-{n}" for n in range(1_203))))
    key = gateway.key() | {"Last-Event-ID": "0000000000003"}

    async def story(listen: Any) -> None:
        listener = listen(key)
        await asyncio.sleep(0.5)
        assert len(listener.heard("audit.recorded")) == 1_200, "pages follow each other at once"
        await did(gateway, "later")
        await asyncio.sleep(2)
        actions = [row["action"] for _, row in listener.heard("audit.recorded")]
        assert actions == [f"n-{n}" for n in range(3, 1_203)] + ["later"]

    played(gateway, story)


@pytest.mark.parametrize(
    "last", ["0000000000099", "1772461740000-01KJRZ3VH0S3H6Q1M2N4P5R6T7-000001"]
)
def test_a_place_that_is_not_there_is_told_and_gone_on_from(gateway: Gateway, last: str) -> None:
    run(did(gateway, "one"))
    key = gateway.key() | {"Last-Event-ID": last}

    async def story(listen: Any) -> None:
        listener = listen(key)
        await asyncio.sleep(2)
        await did(gateway, "two")
        await asyncio.sleep(2)
        assert listener.heard("resync") == [("0000000000001", {"reason": "unknown-place"})]
        assert [row["action"] for _, row in listener.heard("audit.recorded")] == ["two"]

    played(gateway, story)


def test_too_much_that_was_missed_is_read_elsewhere(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operator_stream, "MISSED_MAX", 2)
    run(did(gateway, "a", "b", "c", "d"))
    key = gateway.key() | {"Last-Event-ID": "0000000000001"}

    async def story(listen: Any) -> None:
        listener = listen(key)
        await asyncio.sleep(2)
        assert [id_ for id_, _ in listener.heard("resync")] == ["0000000000004"]

    played(gateway, story)


def test_who_may_not_read_the_log_sees_only_how_it_stands(gateway: Gateway) -> None:
    key = gateway.key("lee", frozenset({"admin:read"})) | {"Last-Event-ID": "0000000000000"}

    async def story(listen: Any) -> None:
        listener = listen(key)
        await did(gateway, "one")
        await asyncio.sleep(3)
        assert listener.heard("audit.recorded") == []
        assert len(listener.heard("overview")) == 1

    played(gateway, story)


def test_who_sees_some_accounts_hears_nothing_of_the_others(gateway: Gateway) -> None:
    run(gateway.ledger.halt("account", "A-1", KIM))
    run(gateway.ledger.halt("account", "A-2", KIM))
    key = gateway.key("lee", accounts=("A-2",)) | {"Last-Event-ID": "0000000000000"}

    async def story(listen: Any) -> None:
        some, every = listen(key), listen(gateway.key())
        await asyncio.sleep(2)
        halts = [one.heard("overview")[0][1]["halts"] for one in (some, every)]
        assert [[halt["target"] for halt in found] for found in halts] == [["A-2"], ["A-1", "A-2"]]
        assert "A-1" not in some.text

    played(gateway, story)


def test_a_dead_key_a_drain_and_a_reader_who_left_end_it(gateway: Gateway) -> None:
    key, other = gateway.key("kim"), gateway.key("lee")

    async def story(listen: Any) -> None:
        dies, drains, leaves = listen(key), listen(other), listen(other)
        await asyncio.sleep(2)
        revoke_key(gateway.key_file, key["Authorization"].split("_")[2])
        gateway.clock.at += 5_000
        leaves.leave()
        await asyncio.sleep(3)
        assert (dies.ended, leaves.ended, drains.ended) == (True, True, False)
        assert "event: gone" in dies.text
        gateway.house.health.draining = True
        await asyncio.sleep(2)
        assert drains.ended

    played(gateway, story)


def test_a_ledger_that_is_away_costs_a_beat_and_no_row(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = gateway.key()
    asked = gateway.ledger.controls

    async def away() -> Any:
        raise StoreAway("away")

    async def story(listen: Any) -> None:
        listener = listen(key)
        await asyncio.sleep(2)
        monkeypatch.setattr(gateway.ledger, "controls", away)
        await did(gateway, "one")
        await asyncio.sleep(3)
        assert ":\n\n" in listener.text
        monkeypatch.setattr(gateway.ledger, "controls", asked)
        await asyncio.sleep(3)
        assert [row["action"] for _, row in listener.heard("audit.recorded")] == ["one"]

    played(gateway, story)


def test_a_ledger_that_hangs_is_waited_for_once_by_all_and_holds_no_drain_up(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = gateway.key()

    async def hangs() -> Any:
        await asyncio.Event().wait()

    async def story(listen: Any) -> None:
        monkeypatch.setattr(gateway.ledger, "controls", hangs)
        many = [listen(key) for _ in range(20)]
        await asyncio.sleep(4)
        assert all(":\n\n" in one.text for one in many)
        gateway.house.health.draining = True
        await asyncio.sleep(4)
        assert all(one.ended for one in many)

    played(gateway, story)


def test_a_stream_is_for_operators_with_an_id_of_its_own(gateway: Gateway) -> None:
    client = gateway.key("lee", READER)
    assert gateway.client.get(PATH, headers=client).status_code == 403
    for place in ("yesterday", "0", "17", "0000000000017-", "\u0660" * 13):
        key = {name.encode(): text.encode() for name, text in gateway.key().items()}
        wrong = key | {b"Last-Event-ID": place.encode()}
        reply = gateway.client.get(PATH, headers=wrong)
        assert (reply.status_code, reply.json()["code"]) == (422, "validation-failed"), place
