"""The plan: what is made ahead, what stays, what leaves in which steps, and why."""

from datetime import date, timedelta
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.session import Calendar
from app.domain.values import DAY_MS, EPOCH
from app.ledger.partitions.plan import (
    Action,
    Archive,
    Attach,
    Catalog,
    Create,
    DefaultPartition,
    Detach,
    Drop,
    Finalize,
    Policy,
    Standing,
    ahead,
    plan,
    stays,
    to_examine,
)

TODAY: Final = date(2026, 3, 2)
TABLES: Final = ("orders", "attempts")
TWO: Final = Policy(sessions_ahead=10, keep_attached=2)
HOUR_MS: Final = 3_600_000


def days_ago(count: int) -> date:
    return TODAY - timedelta(days=count)


def all_of(standing: Standing) -> dict[str, Standing]:
    return dict.fromkeys(TABLES, standing)


def a_catalog(*attached: date, **facts: Any) -> Catalog:
    """Return a catalog where today and these days are attached."""
    days = {day: all_of(Standing.ATTACHED) for day in (*attached, TODAY)}
    days |= facts.pop("days", {})
    return Catalog(days, TABLES, **facts)


def planned(catalog: Catalog, policy: Policy = TWO) -> list[tuple[type[Action], date]]:
    """Return the steps and their days; each must say why."""
    actions = plan(catalog, [TODAY], TODAY, policy)
    assert all(action.reason for action in actions)
    return [(type(action), action.trade_date) for action in actions]


FOUR_OLD: Final = [days_ago(count) for count in (4, 3, 2, 1)]
OLDEST: Final = FOUR_OLD[0]


def test_what_is_as_it_should_be_needs_nothing() -> None:
    assert planned(a_catalog(days_ago(1), days_ago(2))) == []


def test_a_session_to_come_gets_its_day() -> None:
    catalog = Catalog({}, TABLES)

    assert planned(catalog) == [(Create, TODAY)]


def test_a_day_leaves_in_steps_when_enough_later_ones_are_kept() -> None:
    steps = [(step, day) for day in FOUR_OLD[:2] for step in (Detach, Archive, Drop)]

    assert planned(a_catalog(*FOUR_OLD)) == steps


def test_where_nothing_can_be_detached_a_day_is_archived_in_its_place() -> None:
    catalog = a_catalog(*FOUR_OLD[1:], detaches=False)

    assert planned(catalog) == [(Archive, FOUR_OLD[1]), (Drop, FOUR_OLD[1])]


def test_a_busy_day_stays_and_says_why() -> None:
    catalog = a_catalog(*FOUR_OLD[1:], busy={FOUR_OLD[1]: "an order of it is held"})

    assert planned(catalog) == []
    assert stays(catalog, TODAY, TWO) == {FOUR_OLD[1]: "an order of it is held"}


def test_a_gated_day_is_archived_and_not_dropped() -> None:
    catalog = a_catalog(*FOUR_OLD[1:], gated={FOUR_OLD[1]: "the view is not verified"})

    assert planned(catalog) == [(Detach, FOUR_OLD[1]), (Archive, FOUR_OLD[1])]
    assert stays(catalog, TODAY, TWO) == {FOUR_OLD[1]: "the view is not verified"}


def test_one_child_always_stays() -> None:
    yesterday = days_ago(1)
    catalog = Catalog({yesterday: all_of(Standing.ATTACHED)}, TABLES)

    assert plan(catalog, [], TODAY, Policy(0, 0)) == []


@pytest.mark.parametrize(
    ("facts", "steps"),
    [
        ({}, [Archive, Drop]),
        ({"archived": frozenset({OLDEST})}, [Drop]),
        ({"archived": frozenset({OLDEST}), "gated": {OLDEST: "no report"}}, []),
        ({"busy": {OLDEST: "an order of it is new"}}, [Attach]),
    ],
)
def test_a_day_that_was_detached_goes_on_from_there(
    facts: dict[str, Any], steps: list[type[Action]]
) -> None:
    catalog = a_catalog(*FOUR_OLD[2:], days={OLDEST: all_of(Standing.LOOSE)}, **facts)

    assert planned(catalog) == [(step, OLDEST) for step in steps]


def test_a_detach_that_was_cut_off_is_ended_before_anything_else() -> None:
    half = {"orders": Standing.ATTACHED, "attempts": Standing.DETACHING}
    days = {day: all_of(Standing.ATTACHED) for day in FOUR_OLD[2:]}
    catalog = Catalog(days | {OLDEST: half}, TABLES)

    assert planned(catalog) == [
        (Finalize, OLDEST),
        (Create, TODAY),
        (Detach, OLDEST),
        (Archive, OLDEST),
        (Drop, OLDEST),
    ]


def test_a_kept_day_of_which_something_is_missing_comes_back_whole() -> None:
    loose = a_catalog(days={days_ago(1): all_of(Standing.LOOSE)})
    partial = a_catalog(days={days_ago(1): {"orders": Standing.ATTACHED}})
    cut_off = a_catalog(days={days_ago(1): all_of(Standing.DETACHING)})

    assert planned(loose) == [(Attach, days_ago(1))]
    assert planned(partial) == [(Attach, days_ago(1))]
    assert planned(cut_off) == [(Finalize, days_ago(1)), (Attach, days_ago(1))]


def test_a_default_partition_is_refused_by_name() -> None:
    with pytest.raises(DefaultPartition, match="orders_default"):
        planned(a_catalog(defaults=("orders_default",)))


def test_only_days_that_could_leave_are_scanned() -> None:
    done = {"archived": frozenset({OLDEST}), "gated": {OLDEST: "no report"}}
    loose = a_catalog(*FOUR_OLD[1:], days={OLDEST: all_of(Standing.LOOSE)}, **done)
    embedded = a_catalog(*FOUR_OLD, detaches=False, **done)

    assert to_examine(a_catalog(*FOUR_OLD), TODAY, TWO) == FOUR_OLD[:2]
    assert to_examine(loose, TODAY, TWO) == FOUR_OLD[1:2]
    assert to_examine(embedded, TODAY, TWO) == FOUR_OLD[1:2]


def at(day: date, hour: int) -> int:
    return (day - EPOCH).days * DAY_MS + hour * HOUR_MS


def test_the_days_ahead_are_of_every_market_and_of_what_is_open() -> None:
    days = [TODAY + timedelta(days=count) for count in range(6)]
    calendar = Calendar(
        {
            "XNYS": [(day, at(day, 14), at(day, 21)) for day in days[:3]],
            "XKRX": [(day, at(day, 0), at(day, 6)) for day in days[1:]],
        }
    )

    assert ahead(calendar, at(TODAY, 15), 2) == days[:3]
    assert ahead(calendar, at(TODAY, 15), 10) == days
    assert ahead(calendar, at(days[-1], 7), 10) == []


DAYS: Final = st.integers(-4, 4).map(lambda count: TODAY + timedelta(days=count))
STANDINGS: Final = st.dictionaries(
    st.sampled_from(TABLES), st.sampled_from(list(Standing)), min_size=1
)


def done(catalog: Catalog, action: Action) -> Catalog:
    """Return what stands after a step, as the steps promise it."""
    day = action.trade_date
    found = dict(catalog.days.get(day, {}))
    match action:
        case Create() | Attach():
            assert Standing.DETACHING not in found.values()
            found = all_of(Standing.ATTACHED)
        case Finalize():
            loose = {Standing.DETACHING: Standing.LOOSE}
            found = {name: loose.get(how, how) for name, how in found.items()}
        case Detach():
            assert not any(catalog.has(other, Standing.DETACHING) for other in catalog.days)
            found = dict.fromkeys(found, Standing.LOOSE)
        case Archive():
            assert not catalog.detaches or set(found.values()) == {Standing.LOOSE}
            return catalog._replace(archived=catalog.archived | {day})
        case Drop():
            assert day in catalog.archived
            assert day not in catalog.gated
            assert day not in catalog.busy
            found = {}
    days = {other: each for other, each in catalog.days.items() if other != day}
    return catalog._replace(days=days | ({day: found} if found else {}))


@given(
    days=st.dictionaries(DAYS, STANDINGS),
    busy=st.sets(DAYS),
    archived=st.frozensets(DAYS),
    gated=st.sets(DAYS),
    keep=st.integers(0, 3),
)
def test_after_all_that_is_planned_nothing_is_left_to_plan(
    days: dict[date, dict[str, Standing]],
    busy: set[date],
    archived: frozenset[date],
    gated: set[date],
    keep: int,
) -> None:
    catalog = Catalog(
        days, TABLES, dict.fromkeys(busy, "busy"), archived, dict.fromkeys(gated, "gated")
    )
    coming = [TODAY + timedelta(days=count) for count in range(3)]
    for action in plan(catalog, coming, TODAY, Policy(2, keep)):
        catalog = done(catalog, action)

    assert plan(catalog, coming, TODAY, Policy(2, keep)) == []
    assert all(catalog.is_whole(day) for day in coming)
    assert not any(catalog.has(day, Standing.DETACHING) for day in catalog.days)
    assert not busy.intersection(days).difference(catalog.days)
