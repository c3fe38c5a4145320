"""When a broker is sick, orders wait: none fails, none is sent twice, and none is forgotten."""

from app.domain.messages import NotSent, Rejected
from tests.scenarios.floor import Floor

NAMES = [f"o-{n}" for n in range(80)]


def circuit(floor: Floor) -> str:
    return next(s.circuit for s in floor.gateway.floor.lanes() if s.broker_id == "north")


def states(floor: Floor) -> set[str]:
    return {row[0] for row in floor.query("SELECT DISTINCT status FROM orders")}


def test_a_silent_broker_opens_the_circuit_and_a_trial_closes_it(floor: Floor) -> None:
    floor.reserve_all(NAMES)
    floor.north.goes_silent_after_receiving()
    floor.north.does("query", arrives=False)
    floor.bell()
    floor.until(lambda: circuit(floor) == "open")
    floor.passes(4)
    assert states(floor) == {"queued", "in_doubt"}
    sent = len(floor.north.news())
    assert sent < 60

    floor.north.answers()
    floor.until(lambda: circuit(floor) == "half_open")
    floor.comes_to("new", *NAMES, timeout_s=120)

    assert circuit(floor) == "closed"
    assert len(floor.north.news()) == len(set(floor.north.news())) == len(NAMES)


def test_while_the_circuit_is_open_only_a_ping_leaves(floor: Floor) -> None:
    floor.reserve_all(NAMES)
    floor.north.does("new", refused=True)
    floor.north.pings = False
    floor.bell()
    floor.until(lambda: circuit(floor) == "open")
    floor.north.answers()
    floor.passes(8)
    assert floor.north.received == []
    assert states(floor) == {"queued"}

    floor.north.pings = True
    floor.comes_to("new", *NAMES, timeout_s=180)


def test_expired_credentials_reject_nobody(floor: Floor) -> None:
    floor.reserve_all(NAMES)
    floor.north.does("new", verdict=NotSent("HTTP 401", credentials=True))
    floor.bell()
    floor.until(lambda: circuit(floor) == "open")
    floor.passes(2)
    assert states(floor) == {"queued"}

    floor.north.answers()
    floor.comes_to("new", *NAMES, timeout_s=120)


def test_a_brokers_refusals_never_open_the_circuit(floor: Floor) -> None:
    floor.reserve_all(NAMES)
    floor.north.does("new", verdict=Rejected("no-margin"))
    floor.bell()
    floor.comes_to("rejected", *NAMES, timeout_s=5)

    assert circuit(floor) == "closed"
    assert len(floor.north.news()) == len(NAMES)


def test_an_adapter_that_raises_is_silence_and_takes_nothing_down(floor: Floor) -> None:
    floor.reserve_all(["o-1", "o-2"])
    floor.north.does("query", broken=True)
    floor.north.does("cancel", broken=True)
    floor.bell()
    floor.comes_to("new", "o-1", "o-2")
    floor.cancel("o-1")
    floor.north.does("new", broken=True)
    floor.reserve("o-3")
    floor.comes_to("in_doubt", "o-3")
    floor.passes(10)
    assert (floor.state("o-1"), floor.state("o-3")) == ("new", "in_doubt")

    floor.north.answers()
    floor.comes_to("canceled", "o-1")
    floor.comes_to("new", "o-3")
