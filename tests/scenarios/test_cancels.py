"""A cancel wins or loses once, and only by evidence."""

from itertools import pairwise

import pytest

from app.domain.messages import Accepted, ExecutionType, NotSent, Rejected
from tests.scenarios.floor import Floor
from tests.virtual import NS_PER_S


def cancels(floor: Floor) -> list[str]:
    return [r.key for r in floor.north.received if r.verb == "cancel"]


def test_canceled_before_release_means_that_no_broker_ever_sees_it(floor: Floor) -> None:
    floor.reserve("o-1")
    floor.reserve("o-2")
    floor.cancel("o-1")
    assert floor.state("o-1") == "canceled"

    floor.bell()
    floor.comes_to("new", "o-2")
    floor.passes(5)

    assert floor.north.news() == [floor.key("o-2")]
    assert floor.attempts("o-1") == []


def test_canceled_in_the_queue_means_that_no_broker_ever_sees_it(floor: Floor) -> None:
    floor.reserve("o-1")
    floor.halt("broker", "north")
    floor.bell()
    floor.comes_to("queued", "o-1")
    floor.cancel("o-1")
    assert floor.state("o-1") == "canceled"

    floor.resume("broker", "north")
    floor.passes(10)

    assert floor.north.received == []
    assert floor.attempts("o-1") == []


def test_a_cancel_of_what_is_being_sent_wins_only_by_evidence(floor: Floor) -> None:
    floor.reserve("o-1")
    floor.north.does("new", back_s=2.0)
    floor.bell()
    floor.comes_to("sending", "o-1")
    floor.cancel("o-1")
    floor.passes(0.5)
    assert floor.state("o-1") == "sending"
    assert floor.order("o-1").pending_request == "cancel"
    assert cancels(floor) == []

    floor.comes_to("canceled", "o-1")

    assert cancels(floor) == [floor.key("o-1")]
    assert floor.order("o-1").pending_request == "none"


def test_what_was_not_sent_under_a_waiting_cancel_ends_canceled(floor: Floor) -> None:
    floor.reserve("o-1")
    floor.north.does("new", verdict=NotSent("logged out"), back_s=1.0)
    floor.bell()
    floor.comes_to("sending", "o-1")
    floor.cancel("o-1")
    floor.comes_to("canceled", "o-1")
    floor.north.answers()
    floor.passes(30)

    assert len(floor.attempts("o-1")) == 1
    assert floor.north.orders == {}


def test_what_was_never_received_under_a_waiting_cancel_ends_canceled(floor: Floor) -> None:
    floor.reserve("o-1")
    floor.north.loses_orders()
    floor.bell()
    floor.comes_to("in_doubt", "o-1")
    floor.north.answers()
    floor.cancel("o-1")
    assert floor.state("o-1") == "in_doubt"

    floor.comes_to("canceled", "o-1")
    floor.passes(30)

    assert [a.outcome for a in floor.attempts("o-1")] == ["not_received"]
    assert floor.north.orders == {}


def test_a_cancel_that_a_fill_has_passed_leaves_the_order_filled(floor: Floor) -> None:
    floor.reserve("o-1")
    floor.bell()
    floor.comes_to("new", "o-1")
    floor.north.pushes_s = list  # its reports are lost: only a look-up shows the fills
    floor.north.fills(floor.key("o-1"), 3)
    floor.north.fills(floor.key("o-1"), 7)
    floor.cancel("o-1")
    floor.comes_to("filled", "o-1")

    assert floor.order("o-1").filled_quantity == 10
    assert floor.order("o-1").pending_request == "none"
    assert [r.decision for r in floor.north.received if r.verb == "cancel"] == ["too-late"]


def test_a_cancel_that_the_broker_refuses_lets_the_order_go_on(floor: Floor) -> None:
    floor.reserve("o-1")
    floor.bell()
    floor.comes_to("new", "o-1")
    floor.north.does("cancel", verdict=Rejected("auction-freeze"))
    floor.cancel("o-1")
    floor.until(lambda: floor.order("o-1").pending_request == "none")

    assert floor.state("o-1") == "new"


def test_a_lost_cancel_is_looked_for_and_then_repeated(floor: Floor) -> None:
    floor.reserve("o-1")
    floor.bell()
    floor.comes_to("new", "o-1")
    floor.north.does("cancel", arrives=False)
    floor.cancel("o-1")
    floor.passes(4)
    assert floor.state("o-1") == "new"

    floor.north.answers()
    floor.comes_to("canceled", "o-1")

    assert cancels(floor) == [floor.key("o-1")]


def test_a_cancel_that_is_answered_slowly_holds_up_no_other(floor: Floor) -> None:
    names = [f"o-{n}" for n in range(40)]
    floor.reserve_all(names)
    floor.bell()
    floor.comes_to("new", *names)
    floor.north.does("cancel", back_s=0.9)
    for name in names:
        floor.cancel(name)
    floor.comes_to("canceled", *names)

    left = [s.at_ns for s in floor.north.sent if s.verb == "cancel"]
    # Sixteen requests may be out at once: three rounds of a second, not forty.
    assert left[-1] - left[0] < 3 * NS_PER_S


def test_the_wishes_of_another_broker_hold_up_no_cancel(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They fill the pages before ours; a page without any of ours is turned at once."""
    monkeypatch.setattr("app.dispatch.cancels.LIST_MAX", 1)
    names = [f"s-{n}" for n in range(40)]
    floor.leads("south")
    floor.reserve_all(names)
    floor.bell()
    floor.comes_to("new", *names)
    floor.south.does("cancel", verdict=Accepted("heard"))
    for name in names:
        floor.cancel(name)
    floor.leads("north")
    floor.reserve("o-1")
    floor.comes_to("new", "o-1")
    floor.cancel("o-1")

    floor.until(lambda: floor.key("o-1") in cancels(floor), timeout_s=0.2)


def test_cancels_that_a_broker_takes_and_never_carries_out_hold_up_no_other(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its market is shut: they wait there until tomorrow, and are more than one look reads."""
    monkeypatch.setattr("app.dispatch.cancels.LIST_MAX", 3)
    names = [f"o-{n}" for n in range(7)]
    floor.reserve_all(names)
    floor.bell()
    floor.comes_to("new", *names)
    floor.north.does("cancel", verdict=Accepted("heard"))
    for name in names[:6]:
        floor.cancel(name)
    floor.until(lambda: set(cancels(floor)) >= {floor.key(name) for name in names[:6]})
    floor.cancel(names[6])

    floor.until(lambda: floor.key(names[6]) in cancels(floor), timeout_s=1)

    # Each is looked for before it is repeated, and no sooner than two seconds later.
    floor.passes(9)
    left = [s.at_ns for s in floor.north.sent if s.verb == "cancel" and s.key == floor.key("o-0")]
    assert len(left) >= 3
    assert all(later - sooner >= 2 * NS_PER_S for sooner, later in pairwise(left))


def test_a_cancel_and_the_brokers_own_end_make_one_end(floor: Floor) -> None:
    floor.reserve("o-1")
    floor.bell()
    floor.comes_to("new", "o-1")
    floor.north.ends(floor.key("o-1"), ExecutionType.EXPIRED)
    floor.cancel("o-1")
    floor.comes_to("expired", "o-1")
    floor.passes(10)

    assert floor.order("o-1").pending_request == "none"
    assert floor.state("o-1") == "expired"
