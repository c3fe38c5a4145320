"""The bells: edges, dates across midnight, and overrides, against the shipped schedule."""

from datetime import UTC, date, datetime
from functools import cache
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.session import Calendar, Phase, TradingSession, trading_session_id
from app.reference import load_calendar

SEOUL = ZoneInfo("Asia/Seoul")
MONDAY = "XNYS-2026-11-23-REG"
HOUR = 3_600_000


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@cache
def shipped() -> Calendar:
    return load_calendar()


def session_of(name: str, calendar: Calendar | None = None) -> TradingSession:
    session = (calendar or shipped()).session(name)
    assert session is not None
    return session


def in_seoul(instant: int) -> datetime:
    return datetime.fromtimestamp(instant / 1000, SEOUL)


@pytest.mark.parametrize(
    ("day", "bell"),
    [
        ("2026-03-06", "23:30"),  # the last Friday of winter time
        ("2026-03-09", "22:30"),
        ("2026-10-30", "22:30"),
        ("2026-11-02", "23:30"),
        ("2027-03-12", "23:30"),
        ("2027-03-15", "22:30"),
        ("2027-11-05", "22:30"),
        ("2027-11-08", "23:30"),
    ],
)
@pytest.mark.parametrize("market", ["XNYS", "XNAS"])
def test_the_us_bell_moves_in_seoul_with_the_us_clock(market: str, day: str, bell: str) -> None:
    session = session_of(f"{market}-{day}-REG")

    assert f"{in_seoul(session.opens_at):%Y-%m-%d %H:%M}" == f"{day} {bell}"
    assert session.closes_at - session.opens_at == 6.5 * HOUR


def test_korea_opens_at_nine_whatever_the_us_clock_does() -> None:
    for day in ("2026-03-06", "2026-03-09", "2026-10-30", "2026-11-02"):
        assert f"{in_seoul(session_of(f'XKRX-{day}-REG').opens_at):%H:%M}" == "09:00"


def test_korea_opens_an_hour_late_on_the_first_day_of_the_year() -> None:
    session = session_of("XKRX-2027-01-04-REG")

    assert f"{in_seoul(session.opens_at):%H:%M}" == "10:00"
    assert f"{in_seoul(session.closes_at):%H:%M}" == "15:30"


def test_the_day_after_thanksgiving_closes_early() -> None:
    session = session_of("XNYS-2026-11-27-REG")

    assert session.opens_at == at("2026-11-27T14:30")
    assert session.closes_at == at("2026-11-27T18:00")


@pytest.mark.parametrize(
    "name",
    [
        "XNYS-2026-11-26-REG",  # Thanksgiving
        "XNYS-2027-07-05-REG",  # Independence Day, observed
        "XNAS-2026-04-03-REG",  # Good Friday
        "XKRX-2026-09-25-REG",  # Chuseok
        "XKRX-2026-12-31-REG",  # the exchange's own last day
        "XNYS-2026-11-22-REG",  # a Sunday
    ],
)
def test_a_holiday_has_no_session(name: str) -> None:
    assert shipped().session(name) is None


def test_a_session_crosses_midnight_in_seoul_and_keeps_the_exchanges_date() -> None:
    after_midnight = at("2026-11-23T15:30")  # 00:30 on the 24th in Seoul
    session = shipped().current("XNYS", after_midnight)

    assert session is not None
    assert in_seoul(after_midnight).date() == date(2026, 11, 24)
    assert session.trade_date == date(2026, 11, 23)
    assert session.trading_session_id == MONDAY


def test_a_session_has_its_open_and_not_its_close() -> None:
    calendar, session = shipped(), session_of(MONDAY)

    assert calendar.current("XNYS", session.opens_at - 1) is None
    assert calendar.current("XNYS", session.opens_at) == session
    assert calendar.current("XNYS", session.closes_at - 1) == session
    assert calendar.current("XNYS", session.closes_at) is None
    assert calendar.next("XNYS", session.opens_at - 1) == session
    assert calendar.next("XNYS", session.opens_at) == session_of("XNYS-2026-11-24-REG")
    assert session not in calendar.ended(session.closes_at - 1, session.opens_at)
    assert session in calendar.ended(session.closes_at, session.closes_at - 1)
    assert session not in calendar.ended(session.closes_at + 1, session.closes_at)


def test_two_years_lie_ahead() -> None:
    for market in shipped().markets:
        assert shipped().last_date(market) >= date(2028, 11, 22)


def test_a_market_that_we_do_not_know_is_never_open() -> None:
    assert shipped().current("XLON", at("2026-11-23T15:00")) is None
    assert shipped().next("XLON", at("2026-11-23T15:00")) is None


def test_a_drill_opens_mondays_session_on_sunday() -> None:
    sunday = at("2026-11-22T10:00")
    calendar = shipped().with_overrides({MONDAY: (sunday, sunday + HOUR)})
    drill = calendar.current("XNYS", sunday)

    assert drill == session_of(MONDAY)._replace(opens_at=sunday, closes_at=sunday + HOUR)
    assert drill.trade_date == date(2026, 11, 23)
    assert calendar.next("XNYS", sunday - 1) == drill
    assert calendar.open_now(sunday) == [drill]
    assert calendar.ended(sunday + HOUR, sunday) == [drill]
    assert calendar.current("XNYS", session_of(MONDAY).opens_at) is None
    assert shipped().current("XNYS", sunday) is None


def test_an_override_wins_over_the_session_that_it_overlaps() -> None:
    monday = session_of(MONDAY)
    opens_at = monday.opens_at + HOUR
    calendar = shipped().with_overrides({"XNYS-2026-11-24-REG": (opens_at, opens_at + HOUR)})
    tuesday = session_of("XNYS-2026-11-24-REG", calendar)

    assert calendar.current("XNYS", opens_at - 1) == monday
    assert calendar.current("XNYS", opens_at) == tuesday
    assert calendar.current("XNYS", opens_at + HOUR) == monday
    assert set(calendar.open_now(opens_at)) == {
        tuesday,
        monday,
        session_of("XNAS-2026-11-23-REG"),
    }


def test_an_override_with_both_bells_at_once_closes_the_day() -> None:
    monday = session_of(MONDAY)
    calendar = shipped().with_overrides({MONDAY: (monday.opens_at, monday.opens_at)})

    assert calendar.current("XNYS", monday.opens_at) is None
    assert calendar.next("XNYS", monday.opens_at - 1) == session_of("XNYS-2026-11-24-REG")
    assert session_of(MONDAY, calendar).is_closed_day
    # Its reserved orders still come to an end.
    assert [s.trading_session_id for s in calendar.ended(monday.opens_at, 0)][-1] == MONDAY


def test_an_override_adds_a_session_that_the_schedule_lacks() -> None:
    opens_at = at("2026-11-22T10:00")
    added = "XKRX-2026-11-22-REG"
    calendar = shipped().with_overrides({added: (opens_at, opens_at + HOUR)})
    session = calendar.current("XKRX", opens_at)

    assert session == TradingSession(added, "XKRX", date(2026, 11, 22), opens_at, opens_at + HOUR)
    assert calendar.with_overrides({}).session(added) is None


@pytest.mark.parametrize(
    ("name", "bells"),
    [
        (MONDAY, (2, 1)),
        ("XLON-2026-11-23-REG", (1, 2)),
        ("XNYS-2026-11-31-REG", (1, 2)),
        ("XNYS-2026-11-23", (1, 2)),
        ("XNYS-20261123-REG", (1, 2)),
        ("nonsense", (1, 2)),
    ],
)
def test_an_override_that_makes_no_sense_is_refused(name: str, bells: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=name):
        shipped().with_overrides({name: bells})


@pytest.mark.parametrize(
    "days",
    [
        [],
        [(date(2026, 1, 2), 10, 10)],
        [(date(2026, 1, 2), 10, 20), (date(2026, 1, 2), 30, 40)],
        [(date(2026, 1, 2), 10, 20), (date(2026, 1, 5), 19, 40)],
    ],
)
def test_a_schedule_that_makes_no_sense_is_refused(days: list[tuple[date, int, int]]) -> None:
    with pytest.raises(ValueError, match="XNYS"):
        Calendar({"XNYS": days})


def some_days(edges: list[int]) -> list[tuple[date, int, int]]:
    """Pair sorted instants up to sessions, some back to back."""
    starts, ends = edges[:-1:2], edges[1::2]
    return [
        (date.fromordinal(739_000 + i), opens_at, closes_at)
        for i, (opens_at, closes_at) in enumerate(zip(starts, ends, strict=False))
        if opens_at < closes_at
    ]


instants = st.integers(min_value=0, max_value=60)
schedules = st.lists(instants, min_size=2, max_size=12).map(sorted).map(some_days).filter(bool)
moves = st.dictionaries(
    st.integers(min_value=0, max_value=7),
    st.tuples(instants, instants).map(lambda pair: (min(pair), max(pair))),
    max_size=4,
)


@given(schedules, schedules, moves, instants, instants)
def test_every_look_up_agrees_with_a_linear_scan(
    east: list[tuple[date, int, int]],
    west: list[tuple[date, int, int]],
    moved: dict[int, tuple[int, int]],
    now: int,
    since: int,
) -> None:
    overrides = {
        trading_session_id("EAST", date.fromordinal(739_000 + i)): bells
        for i, bells in moved.items()
    }
    calendar = Calendar({"EAST": east, "WEST": west}).with_overrides(overrides)
    names = {trading_session_id("EAST", day) for day, *_ in east} | set(overrides)
    names |= {trading_session_id("WEST", day) for day, *_ in west}
    every = [session_of(name, calendar) for name in names]
    is_open = [s for s in every if s.opens_at <= now < s.closes_at]
    coming = [s for s in every if s.opens_at > now and s.opens_at < s.closes_at]
    over = [s for s in every if since < s.closes_at <= now]

    assert sorted(calendar.open_now(now)) == sorted(is_open)
    assert sorted(calendar.ended(now, since)) == sorted(over)
    assert [s.closes_at for s in calendar.ended(now, since)] == sorted(s.closes_at for s in over)
    for market in calendar.markets:
        ours = [s for s in is_open if s.market == market]
        winners = [s for s in ours if s.trading_session_id in overrides] or ours
        current = calendar.current(market, now)
        following = calendar.next(market, now)
        opens = [s.opens_at for s in coming if s.market == market]

        assert (current in winners) if winners else (current is None)
        assert (following.opens_at if following else None) == min(opens, default=None)
        assert current is None or current.opens_at == max(s.opens_at for s in winners)


@pytest.mark.parametrize(
    ("minute", "phase"),
    [
        (-1, Phase.PRE_OPEN),
        (0, Phase.OPENING),
        (9, Phase.OPENING),
        (10, Phase.REGULAR),
        (379, Phase.REGULAR),
        (380, Phase.CLOSING),
        (389, Phase.CLOSING),
        (390, Phase.CLOSED),
    ],
)
def test_an_instant_lies_in_a_phase_of_its_session(minute: int, phase: Phase) -> None:
    session = TradingSession("XNYS-2026-11-23-REG", "XNYS", date(2026, 11, 23), 0, 390 * 60_000)

    assert session.phase(minute * 60_000) is phase


def test_a_session_of_a_quarter_of_an_hour_opens_and_closes() -> None:
    drill = TradingSession("XNYS-2026-11-22-REG", "XNYS", date(2026, 11, 22), 0, 15 * 60_000)

    assert drill.phase(9 * 60_000) is Phase.OPENING
    assert drill.phase(10 * 60_000) is Phase.CLOSING
