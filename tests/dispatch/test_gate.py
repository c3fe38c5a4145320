"""The gate: each edge of pybreaker that is filed off has its test here.

The tests name one law each; pings and the machine of random traffic stand in
`test_gate_pings.py`. Time is the test's own, and nothing sleeps on a real clock.
"""

import asyncio

import pytest

from app.dispatch.gate import (
    GatedBroker,
    GateSettings,
    Lane,
    Permit,
    Refusal,
)
from app.domain.messages import (
    Answer,
    Found,
    NotSent,
    Replacement,
)
from app.domain.values import Status
from app.domain.working import NOTHING_SHOWN, ShownOrders
from app.ports.brokers import BadCallback, Broker
from tests.dispatch.rig import (
    EXPIRED,
    FAST,
    HALTED,
    LIVELY,
    NO,
    OK,
    ORDER,
    SILENT,
    Rig,
    ScriptedBroker,
    repeated,
)
from tests.virtual import Virtual


def test_it_is_a_broker_itself(virtual: Virtual) -> None:
    gate: Broker = GatedBroker(ScriptedBroker(), virtual.clock)

    assert (gate.name, gate.capabilities.batch_max) == ("scripted", 100)
    assert virtual.run(gate.ping())
    with pytest.raises(BadCallback):
        gate.read_callback({}, b"")
    virtual.run(gate.close())


def test_the_call_that_opens_the_circuit_keeps_its_own_answer(virtual: Virtual) -> None:
    rig = Rig(virtual, SILENT)

    assert rig.send(3) == [SILENT] * 3
    assert rig.state == "open"
    assert rig.send() == [NotSent("circuit open: 3 failures in a row")]
    assert rig.broker.submitted == 3


def test_what_was_never_sent_counts_as_a_failure_too(virtual: Virtual) -> None:
    rig = Rig(virtual, NotSent("dns"))
    rig.send(3)

    assert rig.state == "open"


def test_each_item_of_a_refused_batch_is_not_sent(virtual: Virtual) -> None:
    rig = Rig(virtual)
    rig.trip()
    answers = virtual.run(rig.gate.submit([ORDER] * 4))

    assert [type(answer) for answer in answers] == [NotSent] * 4
    assert not any(answer.credentials for answer in answers if isinstance(answer, NotSent))


def test_a_success_between_failures_starts_the_count_anew(virtual: Virtual) -> None:
    rig = Rig(virtual, *repeated(5, SILENT, SILENT, OK))

    rig.send(15)

    assert rig.state == "closed"


def test_failures_in_flight_after_the_trip_open_it_once(virtual: Virtual) -> None:
    rig = Rig(virtual, SILENT, delay_s=0.1)
    answers = rig.crowd(6)

    assert answers == [SILENT] * 6
    assert rig.told == ["closed->open"]
    assert rig.gate.state().stale == 3


def test_a_late_failure_does_not_keep_the_circuit_open_for_longer(virtual: Virtual) -> None:
    rig = Rig(virtual)
    late = rig.permit()
    rig.trip()
    rig.wait(4)
    rig.gate.record(late, [SILENT])

    assert rig.gate.state().next_trial_s == pytest.approx(1.0)


def test_answers_of_the_closed_era_move_nothing_in_half_open(virtual: Virtual) -> None:
    rig = Rig(virtual)
    late = [rig.permit() for _ in range(40)]
    rig.half_open()
    for permit in late[:20]:
        rig.gate.record(permit, [SILENT])
    assert rig.state == "half_open"
    for permit in late[20:]:
        rig.gate.record(permit, [OK])

    assert rig.state == "half_open"
    assert rig.gate.state().stale == 40


def test_a_trial_that_succeeds_after_the_circuit_reopened_does_not_close_it(
    virtual: Virtual,
) -> None:
    rig = Rig(virtual, config=GateSettings(failures_max=3, jitter=0.0, trials=1))
    rig.gate.configure(GateSettings(failures_max=3, jitter=0.0, trials=2))
    rig.half_open()
    slow, failing = rig.permit(), rig.permit()
    rig.gate.record(failing, [SILENT])
    assert rig.state == "open"
    rig.gate.configure(GateSettings(failures_max=3, jitter=0.0, trials=1))
    rig.gate.record(slow, [OK])

    assert rig.state == "open"
    assert rig.told[-1] == "half_open->open"


def test_of_five_hundred_in_half_open_two_are_out_and_five_are_sent(virtual: Virtual) -> None:
    rig = Rig(virtual, delay_s=0.05)
    rig.half_open()
    sent = rig.broker.submitted
    rig.broker.in_flight_max = 0
    answers = rig.crowd(500)

    assert answers.count(OK) == rig.broker.submitted - sent == 2
    assert rig.broker.in_flight_max == 2
    assert rig.state == "half_open"

    rig.broker.delay_s = 0.0
    rig.send(3)

    assert rig.state == "closed"
    assert rig.told == ["closed->open", "open->half_open", "half_open->closed"]


def test_no_more_trials_are_given_than_close_it(virtual: Virtual) -> None:
    rig = Rig(virtual, config=GateSettings(failures_max=3, trials=5, trials_in_flight_max=9))
    rig.half_open()
    given = [rig.gate.acquire(Lane.SUBMIT) for _ in range(9)]

    assert sum(isinstance(permit, Permit) for permit in given) == 5


def test_cancelling_a_call_is_neutral_and_stays_a_cancellation(virtual: Virtual) -> None:
    rig = Rig(virtual, config=GateSettings(failures_max=1), delay_s=60.0)

    async def scenario() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.0):
                await rig.gate.submit([ORDER])
        task = asyncio.get_running_loop().create_task(rig.gate.submit([ORDER]))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    virtual.run(scenario())

    assert rig.state == "closed"
    assert rig.gate.state().in_doubt == rig.gate.state().calls == 0


def test_a_halt_that_an_adapter_obeyed_opens_nothing_and_is_no_trial(virtual: Virtual) -> None:
    rig = Rig(virtual, *repeated(9, HALTED), OK)
    assert rig.send(9) == [HALTED] * 9
    assert rig.state == "closed"
    assert rig.gate.state().failures_in_row == rig.gate.state().calls == 0

    rig.half_open()
    for _ in range(9):
        rig.gate.record(rig.permit(), [HALTED])
    assert rig.state == "half_open"
    assert isinstance(rig.gate.acquire(Lane.SUBMIT), Permit)


def test_a_cancelled_trial_gives_its_place_back(virtual: Virtual) -> None:
    rig = Rig(virtual)
    rig.half_open()
    for _ in range(12):
        rig.gate.record(rig.permit(), [])
    first, second = rig.permit(), rig.permit()

    assert isinstance(rig.gate.acquire(Lane.SUBMIT), Refusal)
    assert rig.state == "half_open"

    rig.gate.record(first, [])
    rig.gate.record(first, [])  # once and for all
    rig.gate.record(second, [OK])
    assert isinstance(rig.gate.acquire(Lane.SUBMIT), Permit)
    assert isinstance(rig.gate.acquire(Lane.SUBMIT), Permit)
    assert isinstance(rig.gate.acquire(Lane.SUBMIT), Refusal)


def test_one_request_is_sent_once_also_when_it_finds_the_circuit_half_open(
    virtual: Virtual,
) -> None:
    rig = Rig(virtual)
    rig.trip()
    rig.wait(5)
    sent = rig.broker.submitted

    assert rig.send() == [OK]
    assert rig.broker.submitted == sent + 1


def test_four_failures_of_five_open_it_although_never_many_in_a_row(virtual: Virtual) -> None:
    rig = Rig(virtual, *repeated(20, OK, SILENT, SILENT, SILENT, SILENT), config=GateSettings())
    answers = rig.send(60)

    assert sum(isinstance(answer, NotSent) for answer in answers) == 10
    assert rig.gate.state().reason == "40 of 50 calls failed"


def test_what_was_counted_before_a_trip_does_not_count_after_it(virtual: Virtual) -> None:
    rig = Rig(virtual, *repeated(20, OK, SILENT, SILENT, SILENT, SILENT), config=GateSettings())
    rig.send(50)
    rig.broker.answers = [OK]
    rig.wait(rig.gate.state().next_trial_s)  # less than the window looks back
    rig.send(20)

    assert rig.told == ["closed->open", "open->half_open", "half_open->closed"]


def test_refusals_at_the_edge_do_not_hide_a_dead_core(virtual: Virtual) -> None:
    rig = Rig(virtual, *repeated(40, NO, SILENT, NO, SILENT, NO), config=GateSettings())
    answers = rig.send(140)

    assert 115 <= 140 - sum(isinstance(answer, NotSent) for answer in answers) <= 130


def test_refusals_alone_never_open_a_closed_circuit(virtual: Virtual) -> None:
    rig = Rig(virtual, NO)
    rig.send(200)

    assert rig.state == "closed"
    assert rig.told == []


def test_refusals_alone_close_a_half_open_circuit(virtual: Virtual) -> None:
    rig = Rig(virtual)
    rig.half_open()
    rig.broker.answers = [NO]
    rig.send(5)

    assert rig.state == "closed"


def test_failures_spread_over_a_day_of_refusals_do_not_open_it(virtual: Virtual) -> None:
    rig = Rig(virtual, config=GateSettings())
    for _ in range(60):
        rig.gate.record(rig.permit(), [SILENT])
        rig.gate.record(rig.permit(), [NO])
        rig.wait(1_000)

    assert rig.state == "closed"


def test_slow_answers_open_it(virtual: Virtual) -> None:
    rig = Rig(virtual, config=GateSettings(), delay_s=1.5)
    rig.crowd(50)

    assert rig.state == "open"
    assert rig.gate.state().reason == "50 of 50 calls were slow"


def test_a_slow_trial_is_a_failure_and_a_slow_refusal_is_not(virtual: Virtual) -> None:
    rig = Rig(virtual)
    rig.half_open()
    refused, accepted = rig.permit(), rig.permit()
    rig.wait(2)
    rig.gate.record(refused, [NO])
    assert rig.state == "half_open"
    rig.gate.record(accepted, [OK])

    assert rig.state == "open"


def test_slow_is_counted_from_the_send_not_from_the_permit(virtual: Virtual) -> None:
    rig = Rig(virtual)
    rig.half_open()
    permit = rig.permit()
    rig.wait(3)  # a slow commit between the permit and the write
    answers = virtual.run(rig.gate.submit([ORDER], permit=permit))

    assert answers == [OK]
    assert rig.state == "half_open"


@pytest.mark.parametrize(
    ("items", "failures"),
    [
        ([OK, SILENT, NO], 1),
        ([OK, NotSent("dns"), FAST], 1),
        ([OK, NO, FAST], 0),
        ([FAST, FAST], None),
        ([], None),
    ],
)
def test_a_batch_counts_as_its_worst_item(
    virtual: Virtual, items: list[Answer], failures: int | None
) -> None:
    rig = Rig(virtual)
    rig.gate.record(rig.permit(), items)
    state = rig.gate.state()

    assert (state.failures if state.calls else None) == failures


def test_lost_answers_and_unsent_ones_are_counted_apart(virtual: Virtual) -> None:
    rig = Rig(virtual, SILENT, NotSent("dns"), OK)
    rig.send(3)

    assert (rig.gate.state().in_doubt, rig.gate.state().not_sent) == (1, 1)


def test_throttled_moves_nothing(virtual: Virtual) -> None:
    rig = Rig(virtual, FAST)
    rig.send(100)
    assert rig.state == "closed"

    rig.half_open()
    rig.broker.answers = [FAST]
    assert rig.send(20) == [FAST] * 20
    assert rig.state == "half_open"


def test_logon_loss_opens_breaker_at_once(virtual: Virtual) -> None:
    rig = Rig(virtual, EXPIRED)

    assert rig.send(2) == [EXPIRED, NotSent("circuit open: credentials: 401")]
    rig.broker.answers = [OK]
    rig.half_open()
    rig.gate.record(rig.permit(), [OK, EXPIRED])
    assert rig.state == "open"


def test_replaces_pass_the_circuit_of_orders(virtual: Virtual) -> None:
    rig = Rig(virtual, SILENT)
    terms = Replacement("kR001", ORDER[0], None, *ORDER[1:])
    answers = [virtual.run(rig.gate.replace([terms])) for _ in range(4)]

    assert answers[:3] == [[SILENT]] * 3
    assert isinstance(answers[3][0], NotSent)
    assert rig.broker.replaced == 3
    assert isinstance(rig.send()[0], NotSent)


class ShowsAll(ScriptedBroker):
    shown = NOTHING_SHOWN

    async def find_all(self) -> ShownOrders:
        self.asked += 1
        return self.shown


def test_one_question_about_all_orders_is_one_look_up_to_the_circuit(virtual: Virtual) -> None:
    broker = ShowsAll()
    gate = GatedBroker(broker, virtual.clock, LIVELY)
    found = Found("b-1", Status.NEW)
    for shown in (ShownOrders({}, ended=True), ShownOrders({"a": found, "b": found}, ended=False)):
        broker.shown = shown
        assert virtual.run(gate.find_all()) == shown
    broker.shown = NOTHING_SHOWN
    for _ in range(LIVELY.failures_max):
        assert gate.state(Lane.FIND).state == "closed"
        virtual.run(gate.find_all())

    assert gate.state(Lane.FIND).state == "open"
    broker.shown = ShownOrders({"a": found}, ended=True)
    assert virtual.run(gate.find_all()) == NOTHING_SHOWN
    assert broker.asked == 2 + LIVELY.failures_max
