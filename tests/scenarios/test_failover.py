"""When a route changes its broker in mid-drain: what was not sent goes the new way, no more."""

from tests.scenarios.floor import Floor

NAMES = [f"o-{n}" for n in range(40)]


def test_what_was_claimed_and_not_written_goes_to_the_new_broker(floor: Floor) -> None:
    """A claim is of 50 ms of the rate, so two of each three claimed orders wait for their turn."""
    floor.reserve_all(NAMES)
    floor.bell()
    floor.until(lambda: len(floor.north.sent) == 10)
    floor.leads("south")
    floor.gateway.board.changed()
    moved_ns = floor.world.now_ns
    floor.comes_to("new", *NAMES)

    sent = [s.key for s in (*floor.north.sent, *floor.south.sent)]
    assert len(sent) == len(set(sent)) == len(NAMES)
    assert floor.north.sent[-1].at_ns < moved_ns + 10_000_000
    returned = {a.outcome for n in NAMES for a in floor.attempts(n) if a.broker_id == "north"}
    assert returned == {"accepted", "not_sent"}


def test_a_doubt_stays_at_the_broker_that_may_have_it(floor: Floor) -> None:
    floor.reserve_all(NAMES)
    floor.north.goes_silent_after_receiving()
    floor.north.does("query", arrives=False)
    floor.bell()
    floor.until(lambda: len(floor.north.sent) == 10)
    floor.leads("south")
    floor.gateway.board.changed()
    floor.passes(30)

    at_north = {key[:-2] for key in floor.north.news()}
    at_south = {key[:-2] for key in floor.south.news()}
    assert not at_north & at_south
    assert {floor.state(n) for n in NAMES if floor.ids[n] in at_north} == {"in_doubt"}
    assert {floor.state(n) for n in NAMES if floor.ids[n] in at_south} == {"new"}

    floor.north.answers()
    floor.comes_to("new", *NAMES, timeout_s=60)
    assert {key[:-2] for key in floor.south.news()} == at_south
