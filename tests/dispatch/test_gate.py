"""The gate: each edge of pybreaker that is filed off has its test here.

The hypothesis machine at the end plays concurrent requests against a model of the rules; the
tests before it name one law each. Time is the test's own, and nothing sleeps on a real clock.
"""

import asyncio
from collections.abc import Mapping, Sequence
from decimal import Decimal

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from app.dispatch.gate import (
    GatedBroker,
    GateSettings,
    Lane,
    Override,
    Permit,
    Refusal,
)
from app.domain.messages import (
    Absent,
    Accepted,
    Answer,
    Cancellation,
    Capabilities,
    ExecutionReport,
    Lookup,
    NotSent,
    Rejected,
    Submission,
    Throttled,
    Unknown,
)
from app.domain.values import OrderType, Side, TimeInForce
from app.ports import BadCallback, Broker
from tests.virtual import Virtual, VirtualClock, run_virtual

ORDER = Submission(
    "k", "a", "AAPL", "XNAS", Side.BUY, OrderType.MARKET, Decimal(1), None, "USD", TimeInForce.DAY
)
OK = Accepted("b-1")
SILENT = Unknown("timeout")
NO = Rejected("closed")
FAST = Throttled(1.0)
EXPIRED = NotSent("401", credentials=True)
LIVELY = GateSettings(failures_max=3, jitter=0.0)
S = 1_000_000_000


def repeated(times: int, *answers: Answer) -> list[Answer]:
    return list(answers) * times


class ScriptedBroker:
    """Gives its answers in order, then the last one for ever, each after `delay_s`."""

    name = "scripted"
    capabilities = Capabilities(batch_max=100)

    def __init__(self, *answers: Answer, delay_s: float = 0.0) -> None:
        self.answers = list(answers) or [OK]
        self.delay_s = delay_s
        self.lookup: Lookup = Absent()
        self.alive = True
        self.submitted = self.pinged = self.canceled = self.asked = 0
        self.in_flight = self.in_flight_max = 0

    async def submit(self, batch: Sequence[Submission]) -> list[Answer]:
        self.submitted += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        self.in_flight += 1
        self.in_flight_max = max(self.in_flight_max, self.in_flight)
        try:
            await asyncio.sleep(self.delay_s)
        finally:
            self.in_flight -= 1
        return [answer for _ in batch]

    async def cancel(self, batch: Sequence[Cancellation]) -> list[Answer]:
        self.canceled += 1
        return [OK for _ in batch]

    async def find(self, keys: Sequence[str]) -> list[Lookup]:
        self.asked += 1
        return [self.lookup for _ in keys]

    async def ping(self) -> bool:
        self.pinged += 1
        await asyncio.sleep(self.delay_s)
        return self.alive

    def read_callback(self, headers: Mapping[str, str], body: bytes) -> list[ExecutionReport]:
        raise BadCallback

    async def close(self) -> None: ...


class Rig:
    """A gate on a scripted broker, on virtual time, and the transitions that it told."""

    def __init__(
        self,
        virtual: Virtual,
        *answers: Answer,
        config: GateSettings = LIVELY,
        delay_s: float = 0.0,
    ) -> None:
        self.virtual = virtual
        self.broker = ScriptedBroker(*answers, delay_s=delay_s)
        self.told: list[str] = []
        self.gate = GatedBroker(self.broker, virtual.clock, config, self.hear)

    def hear(self, lane: Lane, old: str, new: str, reason: str) -> None:
        assert lane in Lane
        assert reason
        self.told.append(f"{old}->{new}")

    def send(self, times: int = 1) -> list[Answer]:
        """Send so many orders, one after the other."""
        return [self.virtual.run(self.gate.submit([ORDER]))[0] for _ in range(times)]

    def crowd(self, size: int) -> list[Answer]:
        """Send so many orders at once."""

        async def all_at_once() -> list[Answer]:
            batches = await asyncio.gather(*(self.gate.submit([ORDER]) for _ in range(size)))
            return [answer for batch in batches for answer in batch]

        return self.virtual.run(all_at_once())

    def wait(self, seconds: float) -> None:
        self.virtual.run(asyncio.sleep(seconds))

    def permit(self, lane: Lane = Lane.SUBMIT) -> Permit:
        permit = self.gate.acquire(lane)
        assert isinstance(permit, Permit)
        return permit

    def trip(self) -> None:
        self.broker.answers = [SILENT]
        self.send(self.gate._circuits[Lane.SUBMIT].settings.failures_max)
        assert self.state == "open"
        self.broker.answers = [OK]

    def half_open(self) -> None:
        """Trip, wait until a ping is due, and let it be answered."""
        if self.state == "closed":
            self.trip()
        self.wait(self.gate.state().next_trial_s)
        self.virtual.run(self.gate.probe(Lane.SUBMIT))
        assert self.state == "half_open"

    @property
    def state(self) -> str:
        return self.gate.state().state


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


def test_a_ping_goes_first_and_everybody_else_is_refused_meanwhile(virtual: Virtual) -> None:
    rig = Rig(virtual, delay_s=0.2)
    rig.trip()
    rig.wait(5)
    sent = rig.broker.submitted
    answers = rig.crowd(10)

    assert rig.broker.pinged == 1
    assert rig.broker.submitted - sent == 1
    assert answers.count(NotSent("circuit open: a ping is out")) == 9


def test_acquire_says_that_a_ping_is_due_and_never_pings_itself(virtual: Virtual) -> None:
    rig = Rig(virtual)
    rig.trip()
    assert rig.gate.acquire(Lane.SUBMIT) == Refusal("3 failures in a row", 5.0)
    virtual.run(rig.gate.probe(Lane.SUBMIT))  # too early: nothing happens
    rig.wait(5)

    assert rig.gate.acquire(Lane.SUBMIT) == Refusal("a ping is due", 0.0, ping_due=True)
    assert rig.broker.pinged == 0


def test_a_failed_ping_risks_no_order_and_an_answered_one_closes_nothing(virtual: Virtual) -> None:
    rig = Rig(virtual)
    rig.trip()
    rig.broker.alive = False
    rig.wait(5)
    sent = rig.broker.submitted

    assert rig.send() == [NotSent("circuit open: the ping failed")]
    assert rig.broker.submitted == sent
    assert rig.gate.state().next_trial_s == pytest.approx(10.0)
    assert rig.told == ["closed->open"]

    rig.broker.alive = True
    rig.wait(10)
    virtual.run(rig.gate.probe(Lane.SUBMIT))
    assert rig.state == "half_open"


def test_two_who_probe_at_once_ping_once(virtual: Virtual) -> None:
    rig = Rig(virtual, delay_s=0.2)
    rig.trip()
    rig.wait(5)

    async def scenario() -> None:
        await asyncio.gather(*(rig.gate.probe(Lane.SUBMIT) for _ in range(2)))

    virtual.run(scenario())

    assert rig.broker.pinged == 1
    assert rig.state == "half_open"


def test_a_ping_answered_after_a_reset_moves_nothing(virtual: Virtual) -> None:
    rig = Rig(virtual, delay_s=0.2)
    rig.trip()
    rig.wait(5)

    async def scenario() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(rig.gate.probe(Lane.SUBMIT))
            await asyncio.sleep(0.1)
            rig.gate.reset()

    virtual.run(scenario())

    assert rig.state == "closed"


def test_a_ping_that_hangs_has_failed(virtual: Virtual) -> None:
    rig = Rig(virtual)
    rig.trip()
    rig.broker.delay_s = 10_000.0
    rig.wait(5)
    virtual.run(rig.gate.probe(Lane.SUBMIT))

    assert rig.state == "open"
    assert rig.gate.state().next_trial_s == pytest.approx(10.0)


def test_a_cancelled_ping_says_nothing(virtual: Virtual) -> None:
    rig = Rig(virtual)
    rig.trip()
    rig.broker.delay_s = 3.0
    rig.wait(5)

    async def scenario() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.0):
                await rig.gate.probe(Lane.SUBMIT)

    virtual.run(scenario())

    assert rig.gate.acquire(Lane.SUBMIT) == Refusal("a ping is due", 0.0, ping_due=True)


def test_open_times_double_to_a_cap_and_a_calm_circuit_begins_anew(virtual: Virtual) -> None:
    rig = Rig(virtual)
    times = []
    rig.trip()
    for _ in range(6):
        times.append(round(rig.gate.state().next_trial_s))
        rig.half_open()
        rig.gate.record(rig.permit(), [SILENT])
    assert times == [5, 10, 20, 40, 60, 60]

    rig.half_open()
    rig.send(5)
    rig.wait(299)
    rig.trip()
    assert round(rig.gate.state().next_trial_s) == 60

    rig.half_open()
    rig.send(5)
    rig.wait(300)
    rig.trip()
    assert round(rig.gate.state().next_trial_s) == 5


def test_the_jitter_is_a_tenth_either_way() -> None:
    times = set()
    for seed in range(30):
        with Virtual(seed=seed) as virtual:
            rig = Rig(virtual, config=GateSettings(failures_max=1))
            rig.trip()
            times.add(round(rig.gate.state().next_trial_s, 2))

    assert all(4.5 <= time <= 5.5 for time in times)
    assert min(times) < 4.8
    assert max(times) > 5.2


def test_a_lost_trial_is_healed_and_a_quiet_half_open_circuit_just_waits(virtual: Virtual) -> None:
    rig = Rig(virtual)
    rig.half_open()
    rig.wait(3_600)
    assert rig.send() == [OK]

    lost = rig.permit()
    rig.wait(14)
    assert isinstance(rig.gate.acquire(Lane.SUBMIT), Permit)
    rig.wait(1)
    assert isinstance(rig.gate.acquire(Lane.SUBMIT), Refusal)
    assert rig.gate.state().reason == "a trial never came back"
    assert rig.told[-1] == "half_open->open"
    rig.gate.record(lost, [OK])
    assert rig.state == "open"


def test_a_permit_acquired_before_the_trip_sends_nothing_after_it(virtual: Virtual) -> None:
    rig = Rig(virtual)
    early = rig.permit()
    rig.trip()
    sent = rig.broker.submitted

    assert virtual.run(rig.gate.submit([ORDER], permit=early)) == [
        NotSent("circuit open: 3 failures in a row")
    ]
    assert rig.broker.submitted == sent


def test_looking_up_and_cancelling_go_on_while_submit_is_open(virtual: Virtual) -> None:
    rig = Rig(virtual)
    rig.trip()
    rig.gate.override(Override.FORCED_OPEN)

    assert virtual.run(rig.gate.find(["k"])) == [Absent()]
    assert virtual.run(rig.gate.cancel([Cancellation("k", None)])) == [OK]


def test_a_dead_query_channel_opens_its_own_circuit_and_a_refused_look_up_is_unknown(
    virtual: Virtual,
) -> None:
    rig = Rig(virtual)
    rig.broker.lookup = Unknown("timeout")
    for _ in range(3):
        virtual.run(rig.gate.find(["k"]))

    assert (
        virtual.run(rig.gate.find(["k", "l"])) == [Unknown("circuit open: 3 failures in a row")] * 2
    )
    assert rig.broker.asked == 3
    assert rig.gate.state(Lane.FIND).state == "open"
    assert rig.send() == [OK]


def test_forced_open_refuses_everything_and_auto_ends_it(virtual: Virtual) -> None:
    rig = Rig(virtual)
    early = rig.permit()
    rig.gate.override(Override.FORCED_OPEN)

    refused = NotSent("circuit open: forced open by an operator")
    assert rig.send() == [refused]
    assert virtual.run(rig.gate.submit([ORDER], permit=early)) == [refused]
    assert rig.broker.submitted == 0

    rig.gate.override(Override.AUTO)
    assert rig.send() == [OK]


def test_forced_closed_refuses_nothing_and_judges_nothing(virtual: Virtual) -> None:
    rig = Rig(virtual)
    rig.trip()
    rig.gate.override(Override.FORCED_CLOSED)
    rig.broker.answers = [SILENT]

    assert rig.send(100) == [SILENT] * 100
    assert rig.told == ["closed->open"]

    rig.gate.override(Override.AUTO)
    assert isinstance(rig.gate.acquire(Lane.SUBMIT), Refusal)


def test_metrics_only_judges_and_refuses_nothing(virtual: Virtual) -> None:
    rig = Rig(virtual, SILENT)
    rig.gate.override(Override.METRICS_ONLY)

    assert rig.send(10) == [SILENT] * 10
    assert rig.told == ["closed->open"]
    assert rig.gate.state().would_refuse == 7
    assert rig.gate.state().refused == 0

    rig.wait(5)
    rig.broker.answers = [OK]
    rig.send(5)
    assert rig.state == "closed"


def test_reset_closes_it_and_forgets_what_was_counted(virtual: Virtual) -> None:
    rig = Rig(virtual)
    rig.trip()
    rig.gate.reset()
    assert rig.state == "closed"

    rig.gate.record(rig.permit(), [SILENT])
    rig.gate.record(rig.permit(), [SILENT])
    rig.gate.reset()
    assert (rig.gate.state().failures_in_row, rig.gate.state().calls) == (0, 0)
    rig.trip()
    assert rig.gate.state().next_trial_s == pytest.approx(5.0)
    assert rig.told == ["closed->open", "open->closed", "closed->open"]


def test_a_listener_that_raises_costs_no_answer(virtual: Virtual) -> None:
    def full(*_: object) -> None:
        raise asyncio.QueueFull

    broker = ScriptedBroker(SILENT)
    gate = GatedBroker(broker, virtual.clock, LIVELY, full)
    answers = [virtual.run(gate.submit([ORDER]))[0] for _ in range(3)]

    assert answers == [SILENT] * 3
    assert (gate.state().state, gate.state().hook_failures) == ("open", 1)


def test_a_step_of_the_wall_clock_changes_nothing(virtual: Virtual) -> None:
    rig = Rig(virtual)
    rig.trip()
    virtual.clock.wall_offset += 3_600_000
    assert rig.gate.state().next_trial_s == pytest.approx(5.0)
    assert isinstance(rig.gate.acquire(Lane.SUBMIT), Refusal)

    virtual.clock.wall_offset -= 7_200_000
    rig.half_open()


def test_an_adapter_that_raises_has_failed_and_is_heard() -> None:
    class Broken(ScriptedBroker):
        async def submit(self, batch: Sequence[Submission]) -> list[Answer]:
            raise ZeroDivisionError

    async def scenario(clock: VirtualClock) -> None:
        gate = GatedBroker(Broken(), clock, LIVELY)
        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                await gate.submit([ORDER])

        assert gate.state().state == "open"

    run_virtual(scenario)


class Traffic(RuleBasedStateMachine):
    """Requests overlap in every way, answers come late or never, and a model keeps the rules."""

    def __init__(self) -> None:
        super().__init__()
        self.virtual = Virtual().__enter__()
        config = GateSettings(failures_max=4, calls_min=8, window_s=3, trials=3)
        self.rig = Rig(self.virtual, config=config)
        self.out: list[tuple[Permit, int]] = []  # with the number of the era
        self.era, self.trials, self.seen = 0, 0, 0

    def teardown(self) -> None:
        self.virtual.__exit__()

    @property
    def state(self) -> str:
        return self.rig.state

    def notice(self) -> None:
        """Count eras by what was told; each was a real change."""
        for told in self.rig.told[self.seen :]:
            old, new = told.split("->")
            assert old != new
            self.era, self.trials = self.era + 1, 0
        assert len(self.rig.told) - self.seen <= 1, "one event a transition"
        self.seen = len(self.rig.told)

    @rule(size=st.sampled_from([1, 1, 3, 7]))
    def acquire(self, size: int) -> None:
        for _ in range(size):
            lost = self.state == "half_open" and self.oldest_trial_s() >= 15.0
            permit = self.rig.gate.acquire(Lane.SUBMIT)
            self.notice()
            assert not lost or self.state == "open", "a lost trial is healed"
            if isinstance(permit, Permit):
                assert self.state != "open"
                self.trials += permit.trial
                self.out.append((permit, self.era))

    @precondition(lambda self: self.state == "open")
    @rule()
    def knock(self) -> None:
        self.rig.wait(self.rig.gate.state().next_trial_s)
        self.probe(alive=True)

    def oldest_trial_s(self) -> float:
        now = self.virtual.clock.monotonic_ns()
        ages = [now - it.since_ns for it, era in self.out if it.trial and era == self.era]
        return max(ages, default=0) / S

    @precondition(lambda self: self.out)
    @rule(
        data=st.data(),
        answer=st.sampled_from(
            [OK, OK, OK, NO, SILENT, SILENT, NotSent("dns"), FAST, None, EXPIRED]
        ),
    )
    def answer(self, data: st.DataObject, answer: Answer | None) -> None:
        permit, era = self.out.pop(data.draw(st.integers(0, len(self.out) - 1)))
        before = self.state, self.rig.gate.state().stale
        self.rig.gate.record(permit, [] if answer is None else [answer])
        told = len(self.rig.told) - self.seen
        self.notice()
        healed = self.rig.gate.state().reason == "a trial never came back"
        if era != self.era - told:
            assert told == 0 or healed, "a stale answer moves nothing"
        elif answer in (None, FAST):
            assert told == 0 or healed, "neutral moves nothing"
            self.trials -= permit.trial and not told
        elif answer == NO and before[0] == "closed":
            assert told == 0, "a refusal never opens"
        elif answer == EXPIRED:
            assert self.state == "open"

    @rule(seconds=st.sampled_from([0.01, 0.3, 2.0, 5.0, 16.0, 70.0]))
    def wait(self, seconds: float) -> None:
        self.rig.wait(seconds)

    @rule(alive=st.booleans())
    def probe(self, alive: bool) -> None:  # noqa: FBT001 - drawn
        self.rig.broker.alive = alive
        before = self.state
        self.virtual.run(self.rig.gate.probe(Lane.SUBMIT))
        self.notice()

        assert self.state != "closed" or before == "closed", "a ping alone never closes"

    @invariant()
    def trials_are_few(self) -> None:
        if self.state == "half_open":
            out = [permit for permit, era in self.out if permit.trial and era == self.era]
            assert len(out) <= 2
            assert self.trials <= 3


Traffic.TestCase.settings = hypothesis_settings(
    max_examples=60, stateful_step_count=40, deadline=None
)
test_traffic = Traffic.TestCase
