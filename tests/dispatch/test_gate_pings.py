"""The gate: pings, open times, lost trials, overrides, and a machine of random traffic."""

import asyncio
from collections.abc import Sequence

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
    Answer,
    Cancellation,
    NotSent,
    Submission,
    Unknown,
)
from tests.dispatch.rig import (
    EXPIRED,
    FAST,
    LIVELY,
    NO,
    OK,
    ORDER,
    SILENT,
    Rig,
    S,
    ScriptedBroker,
)
from tests.virtual import Virtual, VirtualClock, run_virtual


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
