"""Holding back and letting go: only what never left, and only to where its session stands."""

import pytest

from app.domain.errors import Code
from app.domain.holding import held, let_go
from app.domain.order import MAYBE_OUT, TERMINAL, WORKING, Order
from app.domain.values import Status
from tests.builders import CLOSES_AT, NOW, OPENS_AT, SESSION, an_order

LATER = NOW + 1_000
STRAY = Code.STRAY_EVIDENCE.code


def a_held(**facts: object) -> Order:
    reason = Code.HELD_BY_OPERATOR.code
    return an_order(**{"status": Status.HELD, "reason_code": reason} | facts)


@pytest.mark.parametrize("status", [Status.RESERVED, Status.QUEUED])
def test_what_never_left_is_held_and_keeps_its_place(status: Status) -> None:
    after = held(an_order(status=status, accept_sequence=41, released_at=NOW), LATER)

    assert isinstance(after, Order)
    assert (after.status, after.reason_code) == (Status.HELD, "held-by-operator")
    assert (after.accept_sequence, after.released_at, after.version) == (41, NOW, 2)


@pytest.mark.parametrize("status", [Status.HELD, *sorted(MAYBE_OUT | WORKING | TERMINAL)])
def test_what_may_be_out_is_not_held(status: Status) -> None:
    assert held(an_order(status=status), LATER) is Code.NOT_HOLDABLE


@pytest.mark.parametrize(
    ("now", "status", "released_at"),
    [
        (OPENS_AT - 1, Status.RESERVED, None),
        (OPENS_AT, Status.QUEUED, OPENS_AT),
        (CLOSES_AT - 1, Status.QUEUED, CLOSES_AT - 1),
    ],
)
def test_it_is_let_go_to_where_its_session_stands(
    now: int, status: Status, released_at: int | None
) -> None:
    after = let_go(a_held(released_at=NOW), SESSION, now)

    assert isinstance(after, Order)
    assert (after.status, after.reason_code, after.released_at) == (status, None, released_at)


@pytest.mark.parametrize(
    ("facts", "now"),
    [
        ({"reason_code": STRAY}, NOW),
        ({"reason_code": Code.ATTEMPTS_EXHAUSTED.code}, NOW),
        ({"status": Status.QUEUED}, NOW),
        ({"status": Status.RESERVED}, NOW),
        ({"status": Status.IN_DOUBT}, NOW),
        ({}, CLOSES_AT),
    ],
)
def test_what_nobody_may_send_again_is_not_let_go(facts: dict[str, object], now: int) -> None:
    assert let_go(a_held(**facts), SESSION, now) is Code.NOT_RELEASABLE


def test_a_session_that_nobody_knows_lets_nothing_go() -> None:
    assert let_go(a_held(), None, NOW) is Code.NOT_RELEASABLE
