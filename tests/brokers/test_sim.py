"""The simulated broker over its own HTTP: judged, recorded, told, and started again."""

import asyncio
import threading
from pathlib import Path

import aiohttp
import pytest

from app.brokers.sim.audit import read_audit
from app.brokers.sim.fills import Plan
from app.brokers.sim.options import parse
from tests.brokers.builders import an_order
from tests.brokers.sim_client import Client, eventually, play, running


@pytest.fixture
def audit(tmp_path: Path) -> Path:
    return tmp_path / "north.jsonl"


def test_each_item_is_judged_and_recorded_whole(audit: Path) -> None:
    good, bad = an_order("K1"), an_order("K2", quantity="-3")

    async def scenario(client: Client) -> None:
        results = await client.place(good, bad)
        assert results == [
            {"client_order_id": "K1", "status": "accepted", "order_id": "north-1"},
            {
                "client_order_id": "K2",
                "status": "rejected",
                "order_id": "north-2",
                "code": "bad-quantity",
            },
        ]

    first, second = play(audit, scenario)

    assert first.pop("ns") == second.pop("ns")
    assert first == {
        **good,
        "kind": "NEW",
        "conn": 1,
        "decision": "accepted",
        "order_id": "north-1",
    }
    assert (second["decision"], second["code"]) == ("rejected", "bad-quantity")


def test_an_answer_leaves_after_the_record_is_on_disk(audit: Path) -> None:
    gate = threading.Event()

    def sync(_: int) -> None:
        assert gate.wait(5)

    async def run() -> None:
        async with running(audit, sync=sync) as client, asyncio.TaskGroup() as group:
            answer = group.create_task(client.place(an_order()))
            done, _ = await asyncio.wait([answer], timeout=0.1)
            assert not done
            assert len(list(read_audit(audit))) == 1
            gate.set()

    asyncio.run(run())


def test_a_repeated_id_is_refused_as_a_duplicate(audit: Path) -> None:
    async def scenario(client: Client) -> None:
        await client.place(an_order("K1"))
        [again] = await client.place(an_order("K1"))
        assert (again["status"], again["code"]) == ("rejected", "duplicate-client-order-id")

    record = play(audit, scenario)

    assert [line["decision"] for line in record] == ["accepted", "duplicate"]


def test_without_dedupe_a_double_send_stands_in_the_record_twice(audit: Path) -> None:
    async def scenario(client: Client) -> None:
        results = await client.place(an_order("K1"), an_order("K1"))
        assert [result["order_id"] for result in results] == ["north-1", "north-2"]
        await client.flush()
        assert [report["order_id"] for report in client.heard] == ["north-1", "north-2"]
        assert (await client.stats())["copies"] == 1

    record = play(audit, scenario, dedupe=False, plan=Plan("instant"))

    assert [line["decision"] for line in record if line["kind"] == "NEW"] == ["accepted"] * 2


def test_messages_above_the_limit_are_throttled_one_by_one(audit: Path) -> None:
    async def scenario(client: Client) -> None:
        results = await client.place(*[an_order() for _ in range(5)])
        assert [result["status"] for result in results] == ["accepted"] * 3 + ["throttled"] * 2
        assert 0 < results[4]["retry_after"] <= 1.001
        [cancel] = await client.cancel(results[0]["client_order_id"])
        assert cancel["status"] == "throttled", "a cancel is a message too"
        stats = await client.stats()
        assert (stats["throttled"], stats["worst_second"]) == (2, 6)
        assert stats["worst_second_passed"] == 3

    play(audit, scenario, tps=3)


def test_faults_before_judgement_leave_no_order_and_a_trace(audit: Path) -> None:
    async def scenario(client: Client) -> None:
        for fault, status in (("http_429;d=2", 429), ("http_503", 503), ("unauthorized", 401)):
            reply = await client.post("/v1/orders", {"orders": [an_order("K1")]}, fault)
            assert reply["status"] == status
        for fault in ("close_before_read", "timeout_before_accept;d=0.05"):
            with pytest.raises(aiohttp.ServerDisconnectedError):
                await client.place(an_order("K1"), fault=fault)
        assert await client.look_up("K1") == [{"client_order_id": "K1", "found": False}]

    record = play(audit, scenario)

    assert [line.get("decision") or line.get("fault") for line in record] == [
        "throttled",
        "http_503",
        "unauthorized",
        "close_before_read",
        "timeout_before_accept",
        None,
    ]
    assert record[-1]["unknown"] == ["K1"]


def test_a_batch_can_be_cut_in_the_middle(audit: Path) -> None:
    async def scenario(client: Client) -> None:
        with pytest.raises(aiohttp.ClientError):
            await client.place(
                *[an_order(f"K{n}") for n in range(4)], fault="disconnect_mid_batch;k=2"
            )
        shown = await client.look_up("K0", "K1", "K2", "K3")
        assert [item["found"] for item in shown] == [True, True, False, False]

    play(audit, scenario)


def test_a_late_acceptance_happens_after_the_client_gave_up(audit: Path) -> None:
    async def scenario(client: Client) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await client.place(an_order("K1"), fault="late_accept;d=0.2")
        assert not (await client.look_up("K1"))[0]["found"]

        async def is_there() -> bool:
            return bool((await client.look_up("K1"))[0]["found"])

        await eventually(is_there)

    record = play(audit, scenario)

    [late] = [line for line in record if line["kind"] == "NEW"]
    assert late["decided_ns"] - late["ns"] >= 200_000_000


def test_a_stale_query_hides_what_was_just_accepted(audit: Path) -> None:
    async def scenario(client: Client) -> None:
        await client.place(an_order("K1"))
        await client.faults(query_stale={"d": 60})
        assert not (await client.look_up("K1"))[0]["found"]
        await client.faults(query_stale=None)
        assert (await client.look_up("K1"))[0]["found"]

    play(audit, scenario)


def test_random_refusals_are_seeded(audit: Path, tmp_path: Path) -> None:
    told: list[list[str]] = []

    async def scenario(client: Client) -> None:
        await client.faults(reject_random={"probability": 0.5})
        told.append([item["status"] for item in await client.place(*[an_order()] * 1)])
        results = await client.place(*[an_order() for _ in range(60)])
        told.append([result["status"] for result in results])

    play(audit, scenario, seed=5)
    play(tmp_path / "again.jsonl", scenario, seed=5)

    assert told[:2] == told[2:]
    assert 15 < told[1].count("rejected") < 45


def test_the_door_can_close_and_open_again(audit: Path) -> None:
    async def scenario(client: Client) -> None:
        async def refused() -> bool:
            try:
                await client.stats()
            except aiohttp.ClientConnectorError:
                return True
            except aiohttp.ClientError:
                return False  # an old connection, cut
            return False

        async def back() -> bool:
            return not await refused()

        await client.faults(refuse_conn={"for_s": 0.2})
        await eventually(refused)
        await eventually(back)
        assert (await client.stats())["faults_fired"] == {"refuse_conn": 1}

    play(audit, scenario)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/orders", {"orders": [an_order(quantity=10)]}),
        ("/v1/orders", {"orders": [an_order(side="short")]}),
        ("/v1/orders", []),
        ("/sim/faults", {"no_such_fault": {}}),
        ("/sim/faults", {"bust": {"chance": 1}}),
        ("/sim/fill", {"client_order_id": "K1", "type": "gift"}),
    ],
)
def test_what_cannot_be_read_is_a_400(audit: Path, path: str, body: object) -> None:
    async def scenario(client: Client) -> None:
        assert (await client.post(path, body))["status"] == 400

    assert play(audit, scenario) == []


def test_a_stranger_is_turned_away(audit: Path) -> None:
    async def scenario(client: Client) -> None:
        headers = {"Authorization": "Bearer nonsense"}
        for path in ("/v1/orders", "/sim/faults"):
            async with client.session.post(client.url + path, data=b"{}", headers=headers) as reply:
                assert reply.status == 401

    play(audit, scenario)


def test_the_command_line_is_read_and_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("from a file\n")
    words = f"--audit a.jsonl --secret-file {secret} --tps 50 --fills partial --dedupe off"
    options = parse(words.split())

    assert (options.secret, options.tps, options.dedupe) == ("from a file", 50, False)
    assert options.plan == Plan("partial", 1.0, 500)
    with pytest.raises(SystemExit):
        parse(["--audit", "a.jsonl"])
    assert "--secret or --secret-file is needed" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        parse([*words.split(), "--faults", '{"rain": {}}'])
    assert "no fault 'rain'" in capsys.readouterr().err
