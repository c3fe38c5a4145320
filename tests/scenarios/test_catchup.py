"""What a broker has told nobody is asked for: after a death, an outage, a silence."""

from app.dispatch.catchup import SECOND_LOOK_S
from app.domain.messages import ExecutionType
from tests.scenarios.floor import Floor

BATCH = 10  # the plain broker's find_batch_max
FULL_A_TICK = 4


def working(floor: Floor, count: int = 1) -> list[str]:
    """Return the names of orders that work at north, each acknowledged."""
    names = [f"o-{n}" for n in range(1, count + 1)]
    floor.reserve_all(names)
    floor.bell()
    floor.comes_to("new", *names, timeout_s=60)
    floor.passes(1)
    floor.north.pushes_s = list  # from now on it tells nobody anything
    return names


def asked(floor: Floor) -> list[tuple[str, int]]:
    return [(r.key, r.at_ns) for r in floor.north.received if r.verb == "query"]


def gaps(floor: Floor) -> list[tuple[str, str]]:
    found = floor.query("SELECT rule_id, state FROM anomalies ORDER BY opened_at, anomaly_id")
    return [(row.rule_id, row.state) for row in found]


def test_what_was_told_to_a_dead_process_is_found_by_the_next(floor: Floor) -> None:
    filled, ended, resting = working(floor, 3)
    floor.crash()
    floor.north.fills(floor.key(filled), 4, "185.00")
    floor.north.fills(floor.key(filled), 6, "186.00")
    floor.north.ends(floor.key(ended), ExecutionType.CANCELED)
    floor.start()
    floor.comes_to("filled", filled, timeout_s=5)

    assert len(floor.executions(filled)) == 2
    assert floor.order(filled).filled_value == 4 * 185 + 6 * 186
    assert floor.state(ended) == "canceled"
    assert floor.state(resting) == "new"


def test_what_was_not_missed_changes_nothing(floor: Floor) -> None:
    (name,) = working(floor)
    order, events = floor.order(name), floor.query("SELECT * FROM order_events")
    floor.restart()
    floor.until(lambda: bool(asked(floor)), timeout_s=5)
    floor.passes(2 * SECOND_LOOK_S)

    assert floor.order(name) == order
    assert floor.query("SELECT * FROM order_events") == events
    assert gaps(floor) == []


def test_a_silent_stream_is_found_by_a_sample_and_then_all_are_asked(floor: Floor) -> None:
    names = working(floor, 30)
    for name in names:
        floor.north.fills(floor.key(name), 10)
    before = len(asked(floor))
    floor.passes(30)
    assert len(asked(floor)) == before
    floor.comes_to("filled", *names, timeout_s=60)

    assert len(asked(floor)) - before <= 20 + 30


def test_after_an_outage_all_are_asked_once_and_never_faster_than_the_budget(
    floor: Floor,
) -> None:
    names = working(floor, 100)
    floor.north.does("query", refused=True)
    floor.north.does("cancel", refused=True)
    floor.restart()
    floor.passes(20)
    for name in names:
        floor.north.fills(floor.key(name), 10)
    before = len(asked(floor))
    floor.north.answers()
    floor.comes_to("filled", *names, timeout_s=60)
    since = asked(floor)[before:]

    assert len(since) <= len(names)
    for _, at in since:
        assert sum(at <= other < at + 499_000_000 for _, other in since) <= FULL_A_TICK * BATCH


def test_an_order_that_its_broker_lacks_is_told_of_and_never_changed(floor: Floor) -> None:
    (name,) = working(floor)
    order = floor.order(name)
    placed = floor.north.orders.pop(floor.key(name))
    floor.restart()
    floor.until(lambda: bool(gaps(floor)), timeout_s=40)

    assert floor.order(name) == order
    assert gaps(floor) == [("orders.absent", "open")]
    floor.north.orders[floor.key(name)] = placed
    floor.restart()
    floor.until(lambda: gaps(floor) == [("orders.absent", "resolved")], timeout_s=40)


def test_fills_that_are_shown_without_executions_are_told_of_and_not_made_up(
    floor: Floor,
) -> None:
    (name,) = working(floor)
    floor.north.fills(floor.key(name), 10)
    placed = floor.north.orders[floor.key(name)]
    hidden, placed.executions = placed.executions, []
    floor.restart()
    floor.until(lambda: bool(gaps(floor)), timeout_s=40)

    assert floor.state(name) == "new"
    assert floor.order(name).filled_quantity == 0
    assert gaps(floor) == [("fills.missing", "open")]
    floor.restart()
    floor.passes(60)
    assert gaps(floor) == [("fills.missing", "open")]
    floor.north.pushes_s = lambda: [0.005]
    floor.north.push(hidden[0])
    floor.until(lambda: gaps(floor) == [("fills.missing", "resolved")], timeout_s=40)
    assert floor.state(name) == "filled"
