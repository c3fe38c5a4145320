"""The simulator's pure parts: the sliding second, the fill plan, the switchboard, the record."""

import asyncio
import threading
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.brokers.sim.audit import Audit, read_audit
from app.brokers.sim.callbacks import Teller
from app.brokers.sim.desk import Desk
from app.brokers.sim.enforcer import Enforcer
from app.brokers.sim.faults import BadFault, Faults, Switch
from app.brokers.sim.fills import Plan, parts
from app.brokers.sim.messages import AuditLine, Order
from app.brokers.sim.timeline import Timeline
from app.brokers.sim.world import SECOND_NS, World


def an_order(key: str = "K1", quantity: str = "10") -> Order:
    return Order(key, "north-1", "XNAS", quantity, "185.50", accepted_ns=0)


def test_the_second_slides_to_the_nanosecond() -> None:
    enforcer = Enforcer(tps=3)

    assert enforcer.admit(0, 2) == 2
    assert enforcer.admit(10, 5) == 1
    assert enforcer.admit(SECOND_NS - 1, 1) == 0
    assert enforcer.retry_after_s(SECOND_NS - 1) == 0.001
    assert enforcer.admit(SECOND_NS, 5) == 2
    assert enforcer.admit(SECOND_NS + 9, 1) == 0
    assert enforcer.admit(SECOND_NS + 10, 1) == 1
    assert enforcer.passed.worst == 3


@given(
    st.integers(1, 20),
    st.lists(st.tuples(st.integers(0, SECOND_NS // 2), st.integers(1, 15)), max_size=60),
)
def test_no_second_lets_more_than_the_limit_pass(tps: int, arrivals: list[tuple[int, int]]) -> None:
    enforcer, now, passed = Enforcer(tps), 0, list[int]()
    for gap, messages in arrivals:
        now += gap
        passed += [now] * enforcer.admit(now, messages)

    seconds = [sum(at - SECOND_NS < other <= at for other in passed) for at in passed]
    assert max(seconds, default=0) <= tps
    assert enforcer.passed.worst == max(seconds, default=0)


@given(st.decimals("0.01", 100_000, places=2), st.integers(0, 1000), st.text(max_size=28))
def test_the_parts_of_a_fill_sum_to_the_order(quantity: Decimal, seed: int, key: str) -> None:
    planned = parts(Plan("partial"), an_order(key, f"{quantity:f}"), World(seed))

    assert sum(part.quantity for part in planned) == quantity
    assert 1 <= len(planned) <= 3
    assert all(part.quantity > 0 for part in planned)


def test_whole_shares_fill_in_whole_shares_and_the_same_way_each_time() -> None:
    plans = [parts(Plan("partial"), an_order(f"K{n}"), World(7)) for n in range(50)]

    assert all(part.quantity % 1 == 0 for plan in plans for part in plan)
    assert plans == [parts(Plan("partial"), an_order(f"K{n}"), World(7)) for n in range(50)]
    assert {len(plan) for plan in plans} == {1, 2, 3}


def test_the_ratio_is_the_share_of_orders_that_fill() -> None:
    plan = Plan("instant", ratio=0.25)
    filled = sum(bool(parts(plan, an_order(f"K{n}"), World(7))) for n in range(2000))

    assert 420 < filled < 580


def test_a_fault_with_a_count_fires_so_often_and_no_more() -> None:
    faults = Faults(World(1))
    faults.set({"http_503": Switch(count=2)})

    met = [faults.for_request("orders", None) for _ in range(4)]

    assert [item is not None for item in met] == [True, True, False, False]
    assert faults.fired == {"http_503": 2}


def test_a_fault_ends_with_its_time() -> None:
    faults = Faults(World(1))
    faults.set({"bust": Switch(for_s=0)})

    assert faults.draw("bust") is None
    assert faults.names() == []


def test_a_fault_meets_only_the_calls_it_is_on_for() -> None:
    faults = Faults(World(1))
    faults.set({"http_503": Switch(on=("lookups",))})

    assert faults.for_request("orders", None) is None
    assert faults.for_request("lookups", None) is not None


def test_one_faults_dice_do_not_move_anothers() -> None:
    def draws(*names: str) -> list[bool]:
        faults = Faults(World(3))
        faults.set({name: Switch(probability=0.5) for name in names})
        rounds = [[faults.draw(name) is not None for name in names] for _ in range(64)]
        return [first for first, *_ in rounds]

    assert draws("bust") == draws("bust", "disorder")
    assert 10 < sum(draws("bust")) < 54


@pytest.mark.parametrize("header", ["nonsense", "http_503;d=soon", "bust"])
def test_a_header_that_names_no_request_fault_is_refused(header: str) -> None:
    with pytest.raises(BadFault):
        Faults(World(1)).for_request("orders", header)


def test_a_commit_returns_after_the_fsync_and_never_before(tmp_path: Path) -> None:
    gate, synced = threading.Event(), list[int]()

    def sync(file: int) -> None:
        assert gate.wait(5)
        synced.append(file)

    async def scenario() -> None:
        audit = Audit(tmp_path / "a.jsonl", sync)
        async with asyncio.TaskGroup() as group:
            loop = group.create_task(audit.run())
            line = AuditLine(ns=1, kind="FAULT")
            first = group.create_task(audit.commit([line]))
            done, _ = await asyncio.wait([first], timeout=0.05)
            assert not done, "the answer would have left before the disk had it"
            others = [group.create_task(audit.commit([line])) for _ in range(10)]
            gate.set()
            await asyncio.gather(first, *others)
            loop.cancel()
        audit.close()

    asyncio.run(scenario())

    assert len(synced) == 2, "those who waited shared one fsync"
    assert len(list(read_audit(tmp_path / "a.jsonl"))) == 11


def test_a_disk_error_ends_the_loop_without_an_answer(tmp_path: Path) -> None:
    def sync(_: int) -> None:
        raise OSError(5, "Input/output error")

    async def scenario() -> asyncio.Task[None]:
        audit = Audit(tmp_path / "a.jsonl", sync)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(audit.run())
                commit = group.create_task(audit.commit([AuditLine(ns=1, kind="FAULT")]))
        except* OSError:
            audit.close()
        return commit

    assert asyncio.run(scenario()).cancelled()


def test_a_hurry_may_take_everything_from_under_the_sleeping_loop(tmp_path: Path) -> None:
    async def scenario() -> Order:
        world = World(0)
        desk = Desk("north", world, Faults(world), None, dedupe=True)
        audit = Audit(tmp_path / "a.jsonl")
        teller = Teller("north", None, "s", world, audit)
        timeline, order = Timeline(desk, audit, teller, Plan()), an_order()
        async with asyncio.TaskGroup() as group:
            loops = [group.create_task(loop) for loop in (audit.run(), timeline.run())]
            await asyncio.sleep(0)  # the loop falls asleep: nothing is planned
            timeline.at(0, "end", order)
            await timeline.hurry()
            await asyncio.sleep(0)
            assert not any(loop.done() for loop in loops)
            for loop in loops:
                loop.cancel()
        audit.close()
        return order

    assert asyncio.run(scenario()).status == "canceled"


def test_a_torn_last_line_is_cut_off_and_the_rest_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"ns":1,"kind":"FAULT"}\n{"ns":2,"kind":"FA')

    Audit(path).close()

    assert [line.ns for line in read_audit(path)] == [1]
    assert path.read_bytes().endswith(b"}\n")
