"""The stream of an account's orders: nothing is lost, nobody is held up, everybody is let go."""

import asyncio
import json
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from app.domain.steps import Place
from app.domain.values import CancelOrigin
from app.ports.away import StoreAway
from app.web.access.keyfile import revoke_key
from app.web.clients.feed import LATE_MS, LOOK_FAR_EVERY_MS
from app.web.clients.schemas import NewOrder, request_of
from tests.virtual import VirtualLoop
from tests.web.house import READER, Gateway, a_gateway, an_order, run
from tests.web.listener import Listener

PATH: Final = "/v1/stream"


class Heard(NamedTuple):
    """One event, as a client reads it."""

    id: str
    event: str
    data: dict[str, Any]


class Reader(Listener):
    """A client of one account's stream: it may stop reading."""

    def __init__(self, gateway: Gateway, headers: Mapping[str, str], account_id: str) -> None:
        super().__init__(gateway, PATH, headers, f"account_id={account_id}")
        self.status = 0
        self.reads = asyncio.Event()
        self.reads.set()

    async def _send(self, message: MutableMapping[str, Any]) -> None:
        await self.reads.wait()
        self.status = message.get("status", self.status)
        await super()._send(message)

    @property
    def heard(self) -> list[Heard]:
        found = []
        for block in self.text.split("\n\n")[:-1]:
            lines = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line)
            if "data" in lines:
                data = json.loads(lines["data"])
                found.append(Heard(lines.get("id", ""), lines["event"], data))
        return found

    @property
    def last_id(self) -> str:
        ids = [line for line in self.text.split("\n") if line.startswith("id: ")]
        return ids[-1].removeprefix("id: ")


class Street:
    """The gateway's streams in virtual time."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.group = asyncio.TaskGroup()

    def listen(
        self, key: Mapping[str, str], account_id: str = "A-1", last_id: str | None = None
    ) -> Reader:
        resumed = {} if last_id is None else {"Last-Event-ID": last_id}
        listener = Reader(self.gateway, {**key, **resumed}, account_id)
        self.group.create_task(listener.run())
        return listener

    async def order(self, name: str, account_id: str = "A-1") -> str:
        body = an_order(client_order_id=name, account_id=account_id)
        request = request_of(NewOrder.model_validate_json(json.dumps(body)))
        taken = await self.gateway.desk.place(request)
        return taken.order.order_id

    async def cancel(self, order_id: str) -> None:
        await self.gateway.ledger.cancel(order_id, None, CancelOrigin.CLIENT)


def played(gateway: Gateway, story: Any) -> None:
    """Play a story with the feed at work; the feed ends with it."""

    async def whole() -> None:
        street = Street(gateway)
        feed = gateway.house.feed
        assert feed is not None
        async with street.group:
            street.group.create_task(feed.run())
            try:
                async with asyncio.timeout(600):
                    await story(street)
            finally:
                feed.end()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(whole())


def steps(listener: Reader) -> list[tuple[str, int]]:
    return [(h.data["order_id"], h.data["sequence"]) for h in listener.heard if h.id]


def test_each_step_is_told_with_its_order_and_an_id_that_sorts(gateway: Gateway) -> None:
    key = gateway.key(scopes=READER, accounts=("A-1",))

    async def story(street: Street) -> None:
        listener = street.listen(key)
        await asyncio.sleep(1)
        order_id = await street.order("c-1")
        await asyncio.sleep(1)
        gateway.clock.at += 5
        await street.cancel(order_id)
        await asyncio.sleep(1)

        assert listener.status == 200
        assert [h.event for h in listener.heard] == ["order.updated"] * 2
        assert [h.data["type"] for h in listener.heard] == ["order.reserved", "order.canceled"]
        assert [h.data["order"]["status"] for h in listener.heard] == ["reserved", "canceled"]
        assert [h.id for h in listener.heard] == sorted(h.id for h in listener.heard)

    played(gateway, story)


def test_whoever_comes_again_has_lost_nothing(gateway: Gateway) -> None:
    key = gateway.key(scopes=READER, accounts=("A-1",))

    async def story(street: Street) -> None:
        known: set[tuple[str, int]] = set()
        listener = street.listen(key)
        await asyncio.sleep(1)
        last_id, happened = listener.last_id, set()
        for n in range(30):
            order_id = await street.order(f"c-{n}")
            happened.add((order_id, 1))
            gateway.clock.at += 700
            if n % 3 == 0:
                await street.cancel(order_id)
                happened.add((order_id, 2))
            if n % 4 == 0:
                await asyncio.sleep(0.2 * n)
                listener.leave()
                known |= set(steps(listener))
                last_id = listener.last_id
            if n % 4 == 1:
                listener = street.listen(key, last_id=last_id)
                await asyncio.sleep(0.1)
        await asyncio.sleep(2)

        assert known | set(steps(listener)) == happened

    played(gateway, story)


def test_a_step_that_commits_late_is_told_and_is_not_lost_to_a_resume(gateway: Gateway) -> None:
    key = gateway.key(scopes=READER, accounts=("A-1",))

    async def story(street: Street) -> None:
        listener = street.listen(key)
        await asyncio.sleep(1)
        await street.order("c-1")
        await asyncio.sleep(1.1)  # between two questions, so that none sees the clock set back
        gateway.clock.at -= 60_000
        last_id = listener.last_id
        late = await street.order("c-late")
        gateway.clock.at += 60_000 + LOOK_FAR_EVERY_MS
        await asyncio.sleep(1)
        again = street.listen(key, last_id=last_id)
        await asyncio.sleep(1)

        assert (late, 1) in steps(listener)
        assert (late, 1) in steps(again)
        assert len(set(steps(again))) == len(steps(again))

    played(gateway, story)


def test_who_does_not_read_is_cut_off_and_nobody_else_notices(tmp_path: Path) -> None:
    gateway = a_gateway(tmp_path, held_max=20)
    key = gateway.key(scopes=READER, accounts=("A-1",))

    async def story(street: Street) -> None:
        slow, quick = street.listen(key), street.listen(key)
        await asyncio.sleep(1)
        slow.reads.clear()
        for n in range(30):
            await street.order(f"c-{n}")
            await asyncio.sleep(0.3)
        slow.reads.set()
        await asyncio.sleep(1)

        assert slow.heard[-1].event == "resync"
        assert slow.ended
        assert len(quick.heard) == 30
        again = street.listen(key, last_id=slow.heard[-2].id if slow.heard[1:] else slow.last_id)
        await asyncio.sleep(1)
        assert set(steps(slow)) | set(steps(again)) == set(steps(quick))

    played(gateway, story)


def test_who_never_reads_again_is_let_go(gateway: Gateway) -> None:
    key = gateway.key(scopes=READER, accounts=("A-1",))

    async def story(street: Street) -> None:
        dead = street.listen(key)
        await asyncio.sleep(1)
        dead.reads.clear()
        await asyncio.sleep(40)

        assert dead.ended
        assert gateway.house.feed is not None
        assert gateway.house.feed.followers == 0

    played(gateway, story)


def test_two_hundred_follow_and_each_hears_his_own_account_alone(gateway: Gateway) -> None:
    keys = [gateway.key(f"t-{n}", READER, (f"A-{n}",)) for n in range(8)]

    async def story(street: Street) -> None:
        listeners = [(n % 8, street.listen(keys[n % 8], f"A-{n % 8}")) for n in range(200)]
        await asyncio.sleep(1)
        for n in range(40):
            await street.order(f"c-{n}", f"A-{n % 8}")
        await asyncio.sleep(2)
        assert all(len(listener.heard) == 5 for _, listener in listeners)
        for n, listener in listeners:
            assert {h.data["account_id"] for h in listener.heard} == {f"A-{n}"}

    played(gateway, story)


def test_a_foreign_account_is_not_there(gateway: Gateway) -> None:
    key = gateway.key(scopes=READER, accounts=("A-2",))

    reply = gateway.client.get(f"{PATH}?account_id=A-1", headers=key)

    assert (reply.status_code, reply.json()["code"]) == (404, "not-found")


@pytest.mark.parametrize("last_id", ["x", "1", "2026-03-02", "1772461740000-", "9" * 30])
def test_an_id_that_is_none_of_ours_is_refused(gateway: Gateway, last_id: str) -> None:
    headers = gateway.key() | {"Last-Event-ID": last_id}

    reply = gateway.client.get(f"{PATH}?account_id=A-1", headers=headers)

    assert (reply.status_code, reply.json()["code"]) == (422, "validation-failed")


@pytest.mark.parametrize("at", [0, 9_999_999_999_999])
def test_an_id_of_another_time_is_told_to_list_anew(gateway: Gateway, at: int) -> None:
    key = gateway.key(scopes=READER, accounts=("A-1",))

    async def story(street: Street) -> None:
        listener = street.listen(key, last_id=f"{at:013d}")
        await asyncio.sleep(1)
        await street.order("c-1")
        await asyncio.sleep(1)

        assert [h.event for h in listener.heard] == ["resync", "order.updated"]

    played(gateway, story)


def test_a_drain_ends_every_stream_and_lets_no_new_one_in(gateway: Gateway) -> None:
    key = gateway.key(scopes=READER, accounts=("A-1",))

    async def story(street: Street) -> None:
        listeners = [street.listen(key) for _ in range(20)]
        await asyncio.sleep(1)
        assert gateway.house.feed is not None
        gateway.house.feed.end()
        await asyncio.sleep(0.01)
        assert all(listener.ended for listener in listeners)
        late = street.listen(key)
        await asyncio.sleep(0.01)
        assert (late.status, late.ended) == (503, True)

    played(gateway, story)


def test_a_silent_stream_beats_and_ends_with_its_key(gateway: Gateway) -> None:
    key = gateway.key(scopes=READER, accounts=("A-1",))
    key_id = key["Authorization"].split("_")[2]

    async def story(street: Street) -> None:
        listener = street.listen(key)
        await asyncio.sleep(46)
        beats = listener.text.count(":\n\n")
        revoke_key(gateway.key_file, key_id)
        gateway.clock.at += 1_000
        await asyncio.sleep(16)

        assert beats == 3
        assert listener.ended

    played(gateway, story)


def test_a_ledger_that_is_away_only_delays_what_is_told(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = gateway.key(scopes=READER, accounts=("A-1",))
    real = gateway.ledger.steps

    async def away(*_: object) -> Any:
        raise StoreAway("the server restarts")

    async def story(street: Street) -> None:
        listener = street.listen(key)
        await asyncio.sleep(1)
        monkeypatch.setattr(gateway.ledger, "steps", away)
        await street.order("c-1")
        gateway.clock.at += 2 * LATE_MS
        await asyncio.sleep(140)
        monkeypatch.setattr(gateway.ledger, "steps", real)
        await asyncio.sleep(2)

        assert len(listener.heard) == 1

    played(gateway, story)


def test_a_question_is_about_followed_accounts_alone(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    feed = gateway.house.feed
    assert feed is not None

    async def nobody(accounts: Any, after: Place, limit: int) -> list[Any]:
        asked.append((accounts, after, limit))
        return []

    monkeypatch.setattr(gateway.ledger, "steps", nobody)
    run(feed.step())

    assert asked == []
