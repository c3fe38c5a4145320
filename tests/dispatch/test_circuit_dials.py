"""What operators do to a circuit: other numbers while it runs, and a reset, each acting once."""

from collections.abc import Iterator

import pytest

from app.dispatch.gate import Lane, Refusal
from app.domain.breaking import BOUNDS, NAMES, USUAL, GateSettings, as_facts, numbers_of
from app.domain.records import Actor, BrokerControl
from app.domain.tuning import circuit_of, fact_of, tuning_of, with_facts
from app.domain.values import Status
from tests.dispatch.rig import LIVELY, SILENT, Rig
from tests.dispatch.test_ownership import SharedFile, Site
from tests.virtual import Virtual

KIM = Actor("kim", "their desk called", "r-1")
ROW = BrokerControl("north", 3, 100, "running", "auto", "kim", 0, "first", None, None)


def test_a_reset_to_half_open_skips_the_wait_and_neither_ping_nor_trials(virtual: Virtual) -> None:
    rig = Rig(virtual)
    rig.trip()
    rig.broker.alive = False
    rig.gate.begin_again("half_open")
    assert rig.state == "open"
    rig.send()
    assert (rig.broker.pinged, rig.state) == (1, "open"), "a dead line costs no order"

    rig.broker.alive = True
    rig.gate.begin_again("half_open")
    sent = rig.broker.submitted
    rig.send(LIVELY.trials)
    assert (rig.state, rig.broker.submitted - sent) == ("closed", LIVELY.trials)


def test_a_reset_to_half_open_leaves_a_closed_circuit_alone(virtual: Virtual) -> None:
    rig = Rig(virtual)
    rig.gate.begin_again("half_open")

    assert (rig.state, rig.told) == ("closed", [])


def test_a_reset_closes_every_lane_and_late_answers_move_nothing(virtual: Virtual) -> None:
    rig = Rig(virtual)
    late = [rig.permit() for _ in range(10)]
    rig.trip()
    rig.gate.begin_again("closed")
    for permit in late:
        rig.gate.record(permit, [SILENT])

    assert (rig.state, rig.gate.state().stale) == ("closed", 10)
    assert all(rig.gate.state(lane).state == "closed" for lane in Lane)


def test_fewer_trials_while_half_open_begin_anew_and_never_stick(virtual: Virtual) -> None:
    rig = Rig(virtual)
    rig.half_open()
    rig.send(3)
    rig.gate.configure(GateSettings(failures_max=3, jitter=0.0, trials=2))
    rig.send(2)

    assert rig.state == "closed"


def test_the_same_numbers_again_move_nothing(virtual: Virtual) -> None:
    rig = Rig(virtual)
    rig.half_open()
    told = list(rig.told)
    rig.gate.configure(GateSettings(failures_max=3, jitter=0.0))

    assert (rig.told, rig.state) == (told, "half_open")


def test_an_override_stands_above_a_reset(virtual: Virtual) -> None:
    rig = Rig(virtual)
    rig.gate.override(rig.gate.state().override.FORCED_OPEN)
    rig.gate.begin_again("closed")

    assert isinstance(rig.gate.acquire(Lane.SUBMIT), Refusal)


def test_every_number_has_bounds_around_the_usual_one() -> None:
    assert set(NAMES) == set(BOUNDS)
    for name, usual in as_facts(USUAL).items():
        least, most = BOUNDS[name]
        assert least <= usual <= most, name


def test_the_row_keeps_only_what_was_turned_and_gives_it_back_by_name() -> None:
    row = with_facts(ROW, {"circuit.open_s": 9, "circuit.trials": 2, "tps": 50})
    other = with_facts(row, {"circuit.trials": None})

    assert (row.tps, circuit_of(tuning_of(row)).open_s) == (50, 9.0)
    assert tuning_of(other).circuit == (("open_s", 9),)
    assert [fact_of(other, f"circuit.{name}") for name in ("open_s", "trials")] == [9, None]
    assert with_facts(other, {"circuit.open_s": None}).tuning is None
    assert numbers_of({"of_next_year": 1.0, "open_s": 9}) == GateSettings(open_s=9.0)


@pytest.fixture
def site(virtual: Virtual) -> Iterator[Site]:
    site = Site(virtual, SharedFile(None))
    yield site
    site.close()


def test_a_lane_resets_once_for_each_version_that_asks(site: Site) -> None:
    lane = site.lane("a")

    def stored(facts: dict[str, object]) -> None:
        control = site.run(site.ledger.controls())["north"]
        site.run(site.ledger.set_control(with_facts(control, facts), control.version, KIM))
        site.run(lane._board.refresh())

    def state_after_two_failures() -> str:
        for _ in range(2):
            permit = lane.broker.acquire(Lane.SUBMIT)
            assert not isinstance(permit, Refusal)
            lane.broker.record(permit, [SILENT])
        return lane.broker.state().state

    site.run(lane.open())
    stored({"reset_version": 2, "reset_to": "closed", "circuit.failures_max": 2})
    assert state_after_two_failures() == "open", "the numbers act"
    stored({"tps": 900})
    assert lane.broker.state().state == "open", "another change resets nothing"
    stored({"reset_version": 4})
    assert lane.broker.state().state == "closed"


def test_a_pause_is_a_drain_what_is_out_is_answered_and_nothing_new_is_claimed(site: Site) -> None:
    """Why there is no mode `draining` beside `paused`: it would be this one again."""
    site.broker.delay_s = 2.0
    lane = site.lane("a")
    site.run(lane.open())
    site.goes_on(lane.run())
    (out,) = site.takes("c-out")
    site.until(lambda: site.broker.keys)
    control = site.run(site.ledger.controls())["north"]
    paused = with_facts(control, {"dispatch": "paused"})
    site.run(site.ledger.set_control(paused, control.version, KIM))
    (kept,) = site.takes("c-kept")
    site.passes(5)

    assert (site.status(out), site.status(kept)) == (Status.NEW, Status.QUEUED)
    assert (len(site.broker.keys), lane.permits.in_flight) == (1, 0)
    site.check()
