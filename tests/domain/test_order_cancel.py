"""A cancel wins or loses once; and nobody says of a copy that was seen that it never left."""

from collections.abc import Callable
from decimal import Decimal
from typing import Final

import pytest

from app.domain import order as law
from app.domain.errors import Code, InvalidTransition
from app.domain.order import MAYBE_OUT, WORKING, Order
from app.domain.values import CancelOrigin, PendingRequest, Status
from tests.builders import NOW, an_order

S = Status
LATER: Final = NOW + 1_000
STRAY: Final = Code.STRAY_EVIDENCE.code
WAITS: Final = {"pending_request": PendingRequest.CANCEL, "cancel_origin": CancelOrigin.CLIENT}


def standing(status: Status, **facts: object) -> Order:
    return an_order(status=status, version=7, **facts)


@pytest.mark.parametrize("exhausted", [False, True])
@pytest.mark.parametrize("status", sorted(MAYBE_OUT))
def test_a_waiting_cancel_wins_when_no_broker_has_the_order(
    status: Status, *, exhausted: bool
) -> None:
    after = law.returned(standing(status, **WAITS), LATER, exhausted=exhausted)

    assert after.status is S.CANCELED
    assert after.cancel_origin is CancelOrigin.CLIENT
    assert after.pending_request is PendingRequest.NONE


def test_a_cancel_is_asked_for_once() -> None:
    once = law.cancel_requested(standing(S.NEW), CancelOrigin.CLIENT, LATER)
    twice = law.cancel_requested(once, CancelOrigin.OPERATOR, LATER)

    assert twice is once
    assert once.cancel_origin is CancelOrigin.CLIENT


def test_a_refused_cancel_leaves_the_order_as_it_was() -> None:
    before = standing(S.PARTIALLY_FILLED)
    asked = law.cancel_requested(before, CancelOrigin.CLIENT, LATER)
    after = law.cancel_refused(asked, LATER)

    assert after == before._replace(version=9, updated_at=LATER)
    assert law.cancel_refused(after, LATER) is after


@pytest.mark.parametrize("status", sorted(set(Status) - WORKING - {S.HELD}))
def test_a_cancel_is_refused_only_for_what_works(status: Status) -> None:
    with pytest.raises(InvalidTransition):
        law.cancel_refused(standing(status), LATER)


@pytest.mark.parametrize(
    ("waits", "to", "origin"),
    [
        ({}, S.CANCELED, CancelOrigin.BROKER),
        (WAITS, S.CANCELED, CancelOrigin.CLIENT),
        (WAITS, S.EXPIRED, None),
    ],
)
def test_who_ended_an_order_at_its_broker(
    waits: dict[str, object], to: Status, origin: CancelOrigin | None
) -> None:
    after = law.ended_at_broker(standing(S.NEW, **waits), to, LATER)

    assert after.cancel_origin is origin
    assert after.pending_request is PendingRequest.NONE


def test_a_rejected_order_was_canceled_by_nobody() -> None:
    after = law.rejected(standing(S.SENDING, **WAITS), "bad-symbol", LATER)

    assert (after.reason_code, after.cancel_origin) == ("bad-symbol", None)
    assert after.pending_request is PendingRequest.NONE


@pytest.mark.parametrize(
    "act",
    [
        lambda o: law.released(o, LATER),
        lambda o: law.edited(o, Decimal(5), None, LATER),
        lambda o: law.canceled_unsent(o, CancelOrigin.CLIENT, LATER),
        lambda o: law.denied(o, Code.SESSION_OVER, LATER),
        lambda o: law.expired_unsent(o, Code.SESSION_OVER, LATER),
    ],
)
def test_of_what_a_broker_has_shown_a_copy_nobody_says_that_it_never_left(
    act: Callable[[Order], Order],
) -> None:
    with pytest.raises(InvalidTransition, match="shown a copy"):
        act(standing(S.HELD, reason_code=STRAY))


def test_a_stray_copy_can_be_canceled_and_then_ends_as_the_broker_says() -> None:
    asked = law.cancel_requested(standing(S.HELD, reason_code=STRAY), CancelOrigin.CLIENT, LATER)
    after = law.ended_at_broker(asked, S.CANCELED, LATER)

    assert (asked.status, asked.pending_request) == (S.HELD, PendingRequest.CANCEL)
    assert (after.status, after.cancel_origin) == (S.CANCELED, CancelOrigin.CLIENT)


def test_an_order_of_which_a_copy_may_be_live_is_not_sent_again() -> None:
    after = law.returned(standing(S.SENDING, reason_code=STRAY, **WAITS), LATER)

    assert (after.status, after.reason_code) == (S.HELD, STRAY)
    assert after.pending_request is PendingRequest.CANCEL  # it is not canceled: a copy lives
