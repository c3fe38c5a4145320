"""When the course changes, and when it does not: stories of hours, on pure time."""

from typing import Any

import pytest

from app.domain.failover import Automation, Failback, FailoverKind, FailoverState, RouteLock
from app.domain.session import Phase
from app.failover.watch import Sight, Watch, observe
from tests.builders import NOW
from tests.failover.course import Course, dead_from, failing, flapping, health, well

OUT = [("north", "south")]
BACK = [*OUT, ("south", "north")]


def test_a_blip_of_three_seconds_changes_nothing_and_tells_nobody() -> None:
    course = Course()
    course.errors["north"] = dead_from(20, 23)
    course.runs(120)

    assert (course.switches, course.told) == ([], [])


def test_an_outage_is_left_once_and_only_after_it_is_confirmed() -> None:
    course = Course()
    course.errors["north"] = dead_from(20)
    course.runs(600)

    assert course.switches == OUT
    at, state = course.told[0]
    assert (state, 28.0 <= at <= 29.0) == ("fencing", True)
    assert [s for _, s in course.told] == ["fencing", "draining", "ramping", "done"]


def test_an_outage_of_ninety_seconds_is_one_out_and_one_back() -> None:
    course = Course(failback=Failback.AUTO)
    course.errors["north"] = dead_from(20, 110)
    course.runs(1_800)

    assert course.switches == BACK
    assert [f.kind for f in course.history] == [FailoverKind.FAILBACK, FailoverKind.AUTO]
    assert course.told[4][0] >= 110 + 300


def test_nobody_goes_home_by_himself_unless_the_policy_says_so_or_in_the_opening() -> None:
    for facts, phase in (({}, Phase.REGULAR), ({"failback": Failback.AUTO}, Phase.OPENING)):
        course = Course(**facts)
        course.phase = phase
        course.errors["north"] = dead_from(20, 110)
        course.runs(1_000)

        assert course.switches == OUT


def test_what_a_person_switched_stays_where_he_put_it() -> None:
    course = Course(failback=Failback.AUTO)
    course.errors["north"] = dead_from(20, 60)
    course.runs(100)
    course.history[0] = course.history[0]._replace(kind=FailoverKind.PLANNED)
    course.runs(900)

    assert course.switches == OUT


@pytest.mark.parametrize("failback", list(Failback))
def test_a_broker_that_comes_and_goes_is_left_at_most_once(failback: Failback) -> None:
    course = Course(failback=failback)
    course.errors["north"] = flapping(20, until=600)
    course.runs(900)

    assert course.switches == OUT


def test_falls_too_short_to_be_confirmed_add_up() -> None:
    course = Course()
    course.errors["north"] = flapping(5, until=600)
    course.runs(60)

    assert course.switches == OUT
    assert course.history[0].reason if course.history else course.standing


def test_two_brokers_that_fail_in_turn_are_no_ping_pong() -> None:
    course = Course(failback=Failback.AUTO)
    course.errors["north"] = flapping(40)
    course.errors["south"] = lambda at: flapping(40)(at + 40)
    course.runs(3_600)

    assert len(course.switches) <= 2


def test_both_dead_is_a_halt_with_a_page_and_no_switch() -> None:
    course = Course()
    course.errors = {"north": dead_from(20), "south": dead_from(21)}
    course.runs(900)

    assert course.switches == []
    assert [s for _, s in course.told] == ["halted"]
    assert course.state == "halted"
    assert 28.0 <= course.told[0][0] <= 29.0


def test_a_halt_ends_with_the_first_broker_that_is_well() -> None:
    course = Course()
    course.errors = {"north": dead_from(20), "south": dead_from(20, 60)}
    course.runs(120)

    assert course.switches == OUT
    assert [s for _, s in course.told] == [
        "halted",
        "held",
        "fencing",
        "draining",
        "ramping",
        "done",
    ]


def test_a_halt_ends_when_the_active_broker_is_well_again() -> None:
    course = Course()
    course.errors = {"north": dead_from(20, 60), "south": dead_from(20)}
    course.runs(120)

    assert course.switches == []
    assert [s for _, s in course.told] == ["halted", "aborted"]


def test_a_sick_standby_beats_a_dead_broker_after_a_while() -> None:
    course = Course()
    course.errors = {"north": dead_from(20), "south": failing(0.3)}
    course.runs(40)
    assert (course.state, course.held_by) == ("held", ("lesser_evil_waits",))

    course.runs(60)
    assert course.switches == OUT
    assert [at for at, s in course.told if s == "fencing"] == [44.0]
    assert course.held_by == ("target_bad",)


def test_a_standby_that_is_hardly_better_is_no_lesser_evil() -> None:
    course = Course()
    course.errors = {"north": failing(0.5), "south": failing(0.4)}
    course.runs(300)

    assert course.switches == []
    assert course.state == "halted"


def test_an_operators_lock_holds_and_its_end_lets_go() -> None:
    course = Course()
    course.policy = course.policy._replace(lock=RouteLock(course.now + 60_000, "kim", "no"))
    course.errors["north"] = dead_from(20)
    course.runs(59)
    assert (course.state, course.held_by, course.switches) == ("held", ("locked",), [])

    course.runs(3)
    assert course.switches == OUT


@pytest.mark.parametrize(
    ("automation", "held"),
    [(Automation.OFF, "automation_off"), (Automation.ADVISE, "automation_advise")],
)
def test_where_automation_may_not_act_it_says_what_it_would_do(
    automation: Automation, held: str
) -> None:
    course = Course(automation=automation)
    course.errors["north"] = dead_from(20)
    course.runs(120)

    assert (course.switches, course.held_by) == ([], (held,))
    assert course.standing is not None
    assert course.standing.to_broker == "south"
    assert len(course.told) == 1


def test_a_common_cause_inhibits() -> None:
    course = Course()
    course.common_cause = True
    course.errors["north"] = dead_from(20)
    course.runs(60)
    assert (course.switches, course.held_by) == ([], ("common_cause",))

    course.common_cause = False
    course.runs(1)
    assert course.switches == OUT


def test_nobody_is_gone_to_whom_nobody_has_named() -> None:
    course = Course(candidates=())
    course.errors["north"] = dead_from(20)
    course.runs(60)

    assert (course.switches, course.held_by) == ([], ("no_candidate",))


def test_a_target_that_may_not_be_sent_to_is_none() -> None:
    course = Course()
    course.stopped["south"] = "paused"
    course.errors["north"] = dead_from(20)
    course.runs(60)

    assert (course.switches, course.held_by) == ([], ("target_stopped",))


def test_the_next_switch_by_itself_waits_for_an_acknowledgement() -> None:
    course = Course()
    course.errors = {"north": dead_from(20, 100), "south": dead_from(300)}
    course.runs(400)
    assert (course.switches, course.held_by) == (OUT, ("unacknowledged",))

    course.acknowledge()
    course.runs(1)
    assert course.switches == BACK


def test_an_unread_switch_is_forgiven_after_half_an_hour() -> None:
    course = Course()
    course.errors = {"north": dead_from(20, 100), "south": dead_from(300)}
    course.runs(28 + 1_795)
    assert course.switches == OUT

    course.runs(10)
    assert course.switches == BACK


def test_a_session_has_two_switches_by_itself() -> None:
    course = Course()
    course.errors["north"] = lambda at: dead_from(20, 100)(at) if at < 600 else dead_from(900)(at)
    course.errors["south"] = dead_from(300, 400)
    for _ in range(12):
        course.runs(100)
        if course.history:
            course.acknowledge()
    assert course.switches == BACK
    assert course.held_by == ("session_limit",)

    course.session = "s-2"
    course.runs(1)
    assert len(course.switches) == 3


def test_the_next_switch_waits_for_the_cool_down() -> None:
    course = Course()
    course.errors = {"north": dead_from(20, 25 + 4), "south": dead_from(30)}
    course.runs(60)
    assert (course.switches, course.held_by) == (OUT, ("target_bad",))

    course.runs(31)
    assert course.switches == OUT
    assert "unacknowledged" in course.held_by


def test_an_owner_that_says_nothing_is_no_evidence_against_his_broker() -> None:
    course = Course()
    course.errors["north"] = dead_from(20)
    course.silent_owners.add("north")
    course.runs(120)

    assert (course.switches, course.told) == ([], [])


def test_whoever_was_asleep_decides_nothing() -> None:
    course = Course()
    course.errors["north"] = dead_from(20)
    course.runs(25)
    course.tilted = True
    course.runs(60)
    assert (course.switches, course.told) == ([], [])

    course.tilted = False
    course.runs(1)
    assert course.switches == OUT


def test_a_step_of_the_wall_clock_confirms_nothing() -> None:
    course = Course()
    course.errors["north"] = dead_from(20, 23)
    course.runs(21)
    course.wall_offset += 3_600_000
    course.runs(60)

    assert (course.switches, course.told) == ([], [])


def test_what_a_person_ended_is_not_begun_again_for_the_same_trouble() -> None:
    course = Course(automation=Automation.ADVISE)
    course.errors["north"] = dead_from(20, 100)
    course.runs(40)
    course.person(FailoverState.ABORTED)
    course.runs(80)
    assert [s for _, s in course.told] == ["held"]

    course.errors["north"] = dead_from(130)
    course.runs(60)
    assert [s for _, s in course.told] == ["held", "held"]


@pytest.mark.parametrize(
    "facts",
    [{"ping": False}, {"error_ratio": 0.9}, {"session_up": False}, {"silent": True}],
)
def test_one_witness_is_not_believed(facts: dict[str, Any]) -> None:
    """A ping that fails while orders pass says something of the ping."""
    seen = health("north", NOW, 0.0)._replace(**facts)
    watch = observe(Watch(), Sight(seen, leads=True), wall=NOW, now=0)
    sure = observe(Watch(), Sight(seen._replace(bad_since=NOW)), wall=NOW, now=0)

    assert (watch.bad_since, watch.good_since, len(watch.witnesses)) == (None, None, 1)
    assert sure.bad_since == 0


def test_an_open_circuit_speaks_where_orders_wait_for_it() -> None:
    """Its old failures leave the window, and nothing new gets out to be counted."""
    seen = health("north", NOW, 0.0, sent=0)
    unanswered = seen._replace(ping=False)
    leading = observe(Watch(), Sight(unanswered, "open", leads=True), wall=NOW, now=0)
    resting = observe(Watch(), Sight(seen, "half_open", leads=False), wall=NOW, now=0)

    assert leading.witnesses == ("submit", "ping")
    assert (leading.error, resting.good_since) == (1.0, 0)


def test_a_well_route_stays() -> None:
    course = Course(failback=Failback.AUTO)
    course.errors = {"north": well, "south": dead_from(0)}
    course.runs(3_600)

    assert (course.switches, course.told) == ([], [])


def test_an_acknowledged_switch_still_has_its_cool_down() -> None:
    course = Course(cooldown_s=300)
    course.errors = {"north": dead_from(20, 30), "south": dead_from(100)}
    course.runs(95)
    course.acknowledge()
    course.runs(120)
    assert (course.switches, course.held_by) == (OUT, ("cooldown",))

    course.runs(120)
    assert course.switches == BACK


def test_a_target_that_comes_and_goes_is_none() -> None:
    course = Course()
    course.errors = {"north": dead_from(80), "south": flapping(12, until=70)}
    course.runs(120)

    assert (course.switches, course.held_by) == ([], ("target_flapping",))
