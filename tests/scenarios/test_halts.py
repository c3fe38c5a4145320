"""A halt stops new sends within 100 ms, outlives a restart, and lets cancels pass."""

from dataclasses import replace

from app.domain.errors import Code, Refused
from tests.scenarios.fates import PLAIN
from tests.scenarios.floor import ALICE, Floor
from tests.virtual import NS_PER_MS, Virtual

NAMES = [f"o-{n}" for n in range(60)]


def sends(floor: Floor, verb: str, after_ns: int = 0) -> list[int]:
    return [s.at_ns for s in floor.north.sent if s.verb == verb and s.at_ns > after_ns]


def test_a_halt_stops_sends_within_100_ms_and_outlives_a_restart(floor: Floor) -> None:
    floor.reserve_all(NAMES)
    floor.bell()
    floor.until(lambda: len(floor.north.orders) == 10)
    floor.halt()
    grace_ns = floor.world.now_ns + 100 * NS_PER_MS
    floor.passes(10)
    assert sends(floor, "new", grace_ns) == []

    working = next(n for n in NAMES if floor.state(n) == "new")
    floor.cancel(working)
    floor.comes_to("canceled", working)
    floor.restart()
    floor.passes(10)
    assert sends(floor, "new", grace_ns) == []

    floor.resume()
    floor.until(lambda: len(floor.north.orders) == len(NAMES))


def test_who_halted_may_not_resume(floor: Floor) -> None:
    floor.halt()
    try:
        floor.run(floor.gateway.ledger.resume("all", "*", ALICE))
    except Refused as e:
        refused = e.code

    assert refused is Code.SECOND_PRINCIPAL_REQUIRED


def test_a_halt_of_one_account_leaves_the_others_alone(floor: Floor) -> None:
    floor.reserve_all(NAMES[:20], account_id="A-1")
    floor.reserve_all(NAMES[20:40], account_id="A-2")
    floor.halt("account", "A-1")
    floor.bell()
    floor.comes_to("new", *NAMES[20:40])
    assert {floor.state(n) for n in NAMES[:20]} == {"queued"}

    floor.resume("account", "A-1")
    floor.comes_to("new", *NAMES[:20])


def test_a_halt_between_the_claim_and_the_write_gives_the_order_back(virtual: Virtual) -> None:
    floor = Floor(virtual, tps=2, capabilities=replace(PLAIN, batch_max=20))
    floor.reserve_all(NAMES[:10])
    floor.bell()
    # A batch is claimed whole; what the rate does not let out yet waits, claimed, for its permit.
    floor.until(lambda: len(floor.north.sent) > 0 and "sending" in waiting(floor))
    floor.halt()
    grace_ns = floor.world.now_ns + 100 * NS_PER_MS
    floor.passes(3)

    assert sends(floor, "new", grace_ns) == []
    assert waiting(floor) == {"queued"}
    floor.crash()


def test_an_adapter_that_holds_an_order_back_hears_of_a_halt(floor: Floor) -> None:
    """A session may wait for a commit or a gap: what it asks right before its write is the lane."""
    floor.north.does("new", leaves_s=0.5)
    floor.reserve("o-1")
    floor.bell()
    floor.comes_to("sending", "o-1")
    lane = next(one for one in floor.gateway.lanes if one.broker_id == "north")
    key = floor.key("o-1")

    assert lane.stops(key) is None
    floor.halt()
    assert lane.stops(key) == "halted"
    floor.comes_to("new", "o-1")
    assert lane.stops(key) == "nobody sends it"


def waiting(floor: Floor) -> set[str]:
    """Return the states of the orders of which no byte has left."""
    gone = {s.key for s in floor.north.sent}
    return {floor.state(n) for n in NAMES[:10] if floor.key(n) not in gone}


def test_an_audit_row_that_cannot_be_written_undoes_the_halt(floor: Floor) -> None:
    floor.forbids("audit")
    try:
        floor.halt()
    except Exception as e:  # noqa: BLE001 - the store's own error
        said = str(e)

    assert "no room in audit" in said
    assert floor.query("SELECT * FROM halts") == []
