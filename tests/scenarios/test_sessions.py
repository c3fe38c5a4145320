"""Orders leave between the bells of their session, by a clock that can be believed."""

from collections.abc import Iterator

import pytest

from app.domain.session import SessionPause
from tests.scenarios.floor import ALICE, BOB, Floor
from tests.virtual import Virtual


def test_the_end_of_the_session_expires_what_never_left(floor: Floor) -> None:
    floor.reserve("o-1")
    floor.reserve("o-2")
    floor.halt("broker", "north")
    floor.bell()
    floor.comes_to("queued", "o-1", "o-2")
    floor.clock.set_now(floor.session.closes_at - 20_000)
    floor.passes(15)
    assert floor.state("o-1") == "queued"

    floor.close_of_session()
    floor.comes_to("expired", "o-1", "o-2")
    floor.resume("broker", "north")
    floor.passes(10)

    assert floor.north.received == []
    assert floor.order("o-1").reason_code == "session-over"


def test_what_comes_back_after_the_close_expires(floor: Floor) -> None:
    floor.reserve("o-1")
    floor.clock.set_now(floor.session.closes_at - 15_000)
    floor.north.loses_orders()
    floor.comes_to("in_doubt", "o-1")
    floor.close_of_session()
    floor.passes(1)
    assert floor.state("o-1") == "in_doubt"

    floor.north.answers()
    floor.comes_to("expired", "o-1")

    assert [a.outcome for a in floor.attempts("o-1")] == ["not_received"]
    assert floor.north.orders == {}


@pytest.fixture
def early() -> Iterator[Floor]:
    """Lend a gateway that is ready a minute before the bell."""
    with Virtual() as virtual:
        floor = Floor(virtual)
        yield floor
        floor.crash()


def test_a_step_of_the_wall_clock_rings_no_bell(early: Floor) -> None:
    floor = early
    floor.reserve("o-1")
    floor.passes(1)
    right = floor.clock.now()
    floor.clock.set_now(right + 3_600_000)
    floor.passes(9)
    assert floor.state("o-1") == "reserved"

    floor.clock.set_now(right + 9_000)
    floor.passes(30)
    assert floor.state("o-1") == "reserved"
    assert floor.north.received == []

    floor.bell()
    floor.comes_to("new", "o-1")
    assert floor.gateway.bell.steps_seen == 2


def test_a_clock_that_stays_after_its_step_is_believed_again(early: Floor) -> None:
    floor = early
    floor.reserve("o-1")
    floor.passes(1)
    floor.clock.set_now(floor.clock.now() + 3_600_000)

    assert 9 < floor.comes_to("new", "o-1") < 12


def test_a_paused_session_rings_and_releases_nothing_until_it_is_resumed(early: Floor) -> None:
    floor = early
    floor.reserve("o-1")
    pause = SessionPause(floor.session.trading_session_id, paused=True)
    floor.run(floor.gateway.ledger.pause_session(pause, 0, ALICE))
    floor.gateway.floor.halts_changed()
    floor.bell()
    floor.passes(5)
    assert floor.state("o-1") == "reserved"

    resumed = pause._replace(paused=False)
    floor.run(floor.gateway.ledger.pause_session(resumed, 1, ALICE))
    floor.gateway.floor.halts_changed()
    floor.comes_to("new", "o-1")


def test_what_is_held_leaves_after_it_was_let_go_and_not_before(floor: Floor) -> None:
    floor.reserve("o-1")
    floor.reserve("o-2")
    for name in ("o-1", "o-2"):
        order = floor.order(name)
        floor.run(floor.gateway.ledger.hold(order.order_id, order.version, ALICE))
    floor.bell()
    floor.passes(5)
    assert (floor.state("o-1"), floor.north.received) == ("held", [])

    order = floor.order("o-1")
    session_of = floor.gateway.reference().calendar.session
    floor.run(floor.gateway.ledger.let_go(order.order_id, order.version, session_of, BOB))
    floor.comes_to("new", "o-1")
    floor.clock.set_now(floor.session.closes_at - 15_000)
    floor.close_of_session()
    floor.comes_to("expired", "o-2")

    assert len(floor.north.received) == 1
