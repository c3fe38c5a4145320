"""Silence is in doubt, and only evidence ends it."""

from app.domain.messages import Unknown
from tests.scenarios.fates import PLAIN
from tests.scenarios.floor import Floor
from tests.virtual import NS_PER_S

WINDOW_NS = round(PLAIN.visibility_window_s * NS_PER_S)


def test_a_lost_answer_is_asked_about_and_never_resent(floor: Floor) -> None:
    floor.reserve("o-1")
    floor.north.goes_silent_after_receiving()
    floor.north.does("query", refused=True)
    floor.bell()
    floor.passes(5)
    assert floor.state("o-1") == "in_doubt"
    assert floor.north.news() == [floor.key("o-1")]

    floor.north.answers()
    floor.comes_to("new", "o-1")
    floor.passes(20)

    assert floor.north.news() == [floor.key("o-1")]
    assert [a.outcome for a in floor.attempts("o-1")] == ["accepted"]


def test_an_order_that_arrives_late_is_found_and_not_resent(floor: Floor) -> None:
    floor.reserve("o-1")
    floor.north.does("new", there_s=7.0)  # the caller gives up after three
    floor.bell()
    floor.comes_to("in_doubt", "o-1")
    assert floor.north.news() == []

    floor.north.answers()
    floor.comes_to("new", "o-1")
    floor.passes(10)

    assert floor.north.news() == [floor.key("o-1")]


def test_an_order_that_look_ups_do_not_show_yet_is_not_resent(floor: Floor) -> None:
    floor.reserve("o-1")
    floor.north.hidden_s = 5.0
    floor.north.goes_silent_after_receiving()
    floor.bell()
    floor.comes_to("new", "o-1")
    floor.passes(10)

    assert "absent" in {r.decision for r in floor.north.received}
    assert floor.north.news() == [floor.key("o-1")]


def test_what_never_arrived_goes_again_under_a_new_key_once_that_is_proved(floor: Floor) -> None:
    floor.reserve("o-1")
    floor.north.loses_orders()
    floor.bell()
    floor.comes_to("in_doubt", "o-1")
    floor.north.answers()
    floor.comes_to("new", "o-1")

    assert floor.north.news() == [floor.key("o-1", 2)]
    assert [a.outcome for a in floor.attempts("o-1")] == ["not_received", "accepted"]
    first, second = (s.at_ns for s in floor.north.sent if s.verb == "new")
    assert second - first >= WINDOW_NS
    absent = [r.at_ns for r in floor.north.received if r.decision == "absent"]
    assert len(absent) >= PLAIN.unknown_answers_required
    assert absent[-1] - first >= WINDOW_NS


def test_a_look_up_that_failed_never_counts(floor: Floor) -> None:
    floor.reserve("o-1")
    floor.north.loses_orders()
    floor.north.does("query", arrives=False)
    floor.bell()
    floor.passes(20)
    assert floor.state("o-1") == "in_doubt"
    assert len(floor.attempts("o-1")) == 1

    floor.north.answers()
    floor.comes_to("new", "o-1", timeout_s=120)

    assert floor.north.news() == [floor.key("o-1", 2)]


def test_the_window_counts_from_the_last_moment_at_which_a_byte_could_leave(floor: Floor) -> None:
    floor.reserve("o-1")
    # It hangs in the connect until just before the time-out, and then for most of the window.
    floor.north.does("new", leaves_s=2.9, there_s=5.5)
    floor.bell()
    floor.comes_to("in_doubt", "o-1")
    floor.north.answers()
    floor.comes_to("new", "o-1")
    floor.passes(10)

    assert floor.north.news() == [floor.key("o-1")]


def test_among_many_doubts_none_waits_for_the_others_to_end(floor: Floor) -> None:
    floor.run(floor.sets("north", tps=200, breaker="forced_closed"))
    floor.bell()
    floor.north.does("new", verdict=Unknown("HTTP 500"))
    floor.reserve_all([f"absent-{n}" for n in range(240)])
    floor.until(lambda: len(floor.north.received) >= 240)
    floor.north.does("new", told=0)  # received, and left out of the reply
    there = [f"there-{n}" for n in range(10)]
    floor.reserve_all(there)

    assert floor.comes_to("new", *there) < PLAIN.visibility_window_s / 2


def test_doubt_stays_where_it_is_when_the_route_moves(floor: Floor) -> None:
    floor.reserve("o-1")
    floor.north.goes_silent_after_receiving()
    floor.north.does("query", refused=True)
    floor.bell()
    floor.comes_to("in_doubt", "o-1")
    floor.leads("south")
    floor.passes(20)
    assert floor.state("o-1") == "in_doubt"
    assert floor.south.received == []

    floor.north.answers()
    floor.comes_to("new", "o-1")

    assert floor.south.received == []
