"""When the last order of a backlog leaves, whatever changes on the way."""

from datetime import UTC, date, datetime
from typing import Any

from app.domain.capabilities import Capabilities
from app.domain.forecast import Line, last_leaves, leave_before, stretches
from app.domain.records import BrokerControl
from app.domain.session import Calendar
from app.domain.tuning import with_facts
from app.domain.windows import read_window

MINUTE = 60_000


def at(hour: int, minute: int = 0) -> int:
    return int(datetime(2026, 3, 2, hour, minute, tzinfo=UTC).timestamp() * 1000)


OPEN, CLOSE = at(14, 30), at(21)
CALENDAR = Calendar({"XNYS": [(date(2026, 3, 2), OPEN, CLOSE)]})
LUNCH = read_window(
    {"days": "mon-fri", "opens": "10:00", "closes": "10:15", "zone": "America/New_York"}
)
CONTROL = BrokerControl("north", 1, 100, "running", "auto", "mina", 0, "a test", None, None)


def line(control: BrokerControl = CONTROL, **able: Any) -> Line:
    return Line(control, Capabilities(**able), ("XNYS",), CALENDAR)


def numbers(of: Line) -> list[tuple[int, str]]:
    return [(s.tps, s.source) for s in stretches(of, OPEN) if s.at < CLOSE]


def test_one_number_all_day() -> None:
    found = stretches(line(), OPEN)

    assert numbers(line()) == [(100, "operator")]
    assert last_leaves(found, 0) == OPEN
    assert last_leaves(found, 6_000) == OPEN + MINUTE
    assert leave_before(found, OPEN + MINUTE) == 6_000


def test_a_blackout_takes_its_time_and_its_guard() -> None:
    of = line(blackouts=(LUNCH,))  # 15:00 to 15:15 UTC
    found = stretches(of, OPEN)

    assert numbers(of) == [(100, "operator"), (0, "blackout"), (100, "operator")]
    before = (30 * 60 - 2) * 100
    assert last_leaves(found, before) == at(15) - 2_000
    assert last_leaves(found, before + 100) == at(15, 15) + 3_000
    assert leave_before(found, at(15, 15)) == before


def test_the_contract_by_phase_lowers_the_operators_number_and_never_raises_it() -> None:
    of = line(rate_profile=(("open-60m", 60), ("open", 30), ("open+10m", 600)))
    found = stretches(of, OPEN)

    assert numbers(of) == [(30, "contract"), (100, "operator")]
    assert leave_before(found, OPEN + 10 * MINUTE + 2_000) == 30 * 602


def test_the_operators_schedule_and_the_contract_are_both_heard() -> None:
    tuned = with_facts(
        CONTROL, {"schedule": [{"at": "open", "tps": 50}, {"at": "open+5m", "tps": 200}]}
    )
    of = line(tuned, rate_profile=(("open", 80),))

    assert numbers(of) == [(50, "schedule"), (80, "contract")]


def test_a_batch_carries_more_orders_than_it_costs() -> None:
    dear = stretches(line(batch_max=10, batch_cost="request_plus_orders"), OPEN)
    cheap = stretches(line(batch_max=10, batch_cost="per_request"), OPEN)

    assert dear[0].orders_per_second == 91  # nine requests of ten at eleven permits, and one more
    assert cheap[0].orders_per_second == 1_000
    assert last_leaves(cheap, 1_000) == OPEN + 1_000


def test_what_never_ends_says_so() -> None:
    always = read_window({"days": "mon-sun", "opens": "00:00", "closes": "24:00", "zone": "UTC"})

    assert last_leaves(stretches(line(blackouts=(always,)), OPEN), 1) is None


def test_before_the_bell_the_number_of_that_time_counts() -> None:
    tuned = with_facts(
        CONTROL, {"schedule": [{"at": "open-60m", "tps": 6}, {"at": "open", "tps": 3}]}
    )
    found = stretches(line(tuned), OPEN - MINUTE)

    assert last_leaves(found, 58 * 6 + 30) == OPEN - 2_000 + 10_000  # two seconds early


def test_a_number_that_holds_for_a_while_ends_in_the_plan() -> None:
    brief = CONTROL._replace(tps=200, expires_at=OPEN + 1_000, reverts_to='{"tps": 10}')

    assert numbers(line(brief)) == [(200, "operator"), (10, "operator")]
    assert last_leaves(stretches(line(brief), OPEN), 300) == OPEN + 1_000 + 10_000
