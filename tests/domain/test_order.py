"""Every move that an order may make, and that it makes no other."""

from collections.abc import Callable
from decimal import Decimal
from typing import Final

import pytest

from app.domain import order as law
from app.domain.errors import Code, InvalidTransition
from app.domain.order import MAYBE_OUT, MOVES, TERMINAL, UNSENT, WORKING, Order, moved, order_status
from app.domain.values import CancelOrigin, PendingRequest, Status
from tests.builders import NOW, an_order

S = Status
LATER: Final = NOW + 1_000
WAITS: Final = {"pending_request": PendingRequest.CANCEL, "cancel_origin": CancelOrigin.CLIENT}

# Each move of the order model: its number, what is asked, from where it may come, where it leads.
Rule = tuple[str, Callable[[Order], Order], frozenset[Status] | set[Status], Status | None]
RULES: Final[list[Rule]] = [
    ("T2/T6 released", lambda o: law.released(o, LATER), {S.RESERVED, S.HELD}, S.QUEUED),
    ("T3 edited", lambda o: law.edited(o, Decimal(5), None, LATER), UNSENT, None),
    (
        "T4 canceled unsent",
        lambda o: law.canceled_unsent(o, CancelOrigin.CLIENT, LATER),
        UNSENT,
        S.CANCELED,
    ),
    ("T5 held", lambda o: law.held(o, LATER), {S.RESERVED, S.QUEUED}, S.HELD),
    ("T7 denied", lambda o: law.denied(o, Code.SESSION_OVER, LATER), UNSENT, S.DENIED),
    (
        "T8 expired",
        lambda o: law.expired_unsent(o, Code.SESSION_OVER, LATER),
        UNSENT,
        S.EXPIRED,
    ),
    ("T9 claimed", lambda o: law.claimed(o, "north", LATER), {S.QUEUED}, S.SENDING),
    ("T10/T15 returned", lambda o: law.returned(o, LATER), MAYBE_OUT, S.QUEUED),
    (
        "T15 exhausted",
        lambda o: law.returned(o, LATER, exhausted=True),
        MAYBE_OUT,
        S.HELD,
    ),
    ("T13 doubted", lambda o: law.doubted(o, LATER), {S.SENDING}, S.IN_DOUBT),
    (
        "T12/T14/T18 rejected",
        lambda o: law.rejected(o, None, LATER),
        MAYBE_OUT | {S.NEW},
        S.REJECTED,
    ),
    (
        "T14/T18/T19 canceled at broker",
        lambda o: law.ended_at_broker(o, S.CANCELED, LATER),
        WORKING | {S.IN_DOUBT},
        S.CANCELED,
    ),
    (
        "T14/T18/T19 expired at broker",
        lambda o: law.ended_at_broker(o, S.EXPIRED, LATER),
        WORKING | {S.IN_DOUBT},
        S.EXPIRED,
    ),
    (
        "cancel requested",
        lambda o: law.cancel_requested(o, CancelOrigin.CLIENT, LATER),
        MAYBE_OUT | WORKING,
        None,
    ),
]
CASES: Final = [
    pytest.param(act, allowed, to, status, id=f"{name}: {status}")
    for name, act, allowed, to in RULES
    for status in Status
]


def standing(status: Status, **facts: object) -> Order:
    return an_order(status=status, version=7, **facts)


@pytest.mark.parametrize(("act", "allowed", "to", "status"), CASES)
def test_each_move_is_made_from_where_the_model_says_and_from_nowhere_else(
    act: Callable[[Order], Order], allowed: frozenset[Status], to: Status | None, status: Status
) -> None:
    before = standing(status)
    if status not in allowed:
        with pytest.raises(InvalidTransition, match=before.order_id):
            act(before)
        return
    after = act(before)

    assert after.status is (to or status)
    assert after.version == before.version + 1
    assert after.updated_at == LATER


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("to", Status)
def test_a_move_that_the_table_does_not_list_is_refused(status: Status, to: Status) -> None:
    before = standing(status)
    if to in MOVES[status]:
        assert moved(before, to, LATER) == before._replace(status=to, version=8, updated_at=LATER)
    else:
        with pytest.raises(InvalidTransition, match=f"{status} -> {to}"):
            moved(before, to, LATER)


def test_the_table_is_the_order_model() -> None:
    """Written out by hand once more, so that neither can drift alone."""
    table = {
        "reserved": "reserved queued held canceled denied expired",
        "held": "held reserved queued canceled denied expired",
        "queued": "queued held sending canceled denied expired",
        "sending": "sending queued held in_doubt new partially_filled filled rejected canceled",
        "in_doubt": "in_doubt queued held new partially_filled filled rejected canceled expired",
        "new": "new partially_filled filled canceled expired rejected",
        "partially_filled": "partially_filled new filled canceled expired",
        "filled": "filled partially_filled new canceled expired",
        "canceled": "canceled filled",
        "expired": "expired filled",
        "rejected": "rejected",
        "denied": "denied",
    }

    assert {k.value: {to.value for to in v} for k, v in MOVES.items()} == {
        k: set(v.split()) for k, v in table.items()
    }


@pytest.mark.parametrize("status", sorted(TERMINAL))
def test_what_has_ended_never_waits_or_works_again(status: Status) -> None:
    """But for `filled`, from which a bust leads back (T22)."""
    reachable = MOVES[status] & (UNSENT | MAYBE_OUT)

    assert not reachable
    assert status is S.FILLED or not MOVES[status] & WORKING


def test_a_release_says_when() -> None:
    assert law.released(standing(S.RESERVED), LATER).released_at == LATER


def test_a_held_order_keeps_its_place() -> None:
    before = standing(S.QUEUED, accept_sequence=41, released_at=NOW)
    after = law.held(before, LATER)

    assert (after.accept_sequence, after.released_at) == (41, NOW)


def test_a_claim_names_the_broker_and_a_return_forgets_it() -> None:
    claimed = law.claimed(standing(S.QUEUED), "north", LATER)

    assert claimed.broker_id == "north"
    assert law.returned(claimed, LATER).broker_id is None


def test_an_exhausted_order_says_so() -> None:
    after = law.returned(standing(S.SENDING), LATER, exhausted=True)

    assert after.reason_code == Code.ATTEMPTS_EXHAUSTED.code


@pytest.mark.parametrize("status", sorted(MAYBE_OUT))
def test_an_acknowledgement_makes_it_new(status: Status) -> None:
    after = law.acknowledged(standing(status), "N-1", LATER)

    assert (after.status, after.broker_order_id, after.version) == (S.NEW, "N-1", 8)


@pytest.mark.parametrize("status", sorted(set(Status) - MAYBE_OUT - UNSENT))
def test_an_acknowledgement_that_comes_late_changes_no_status(status: Status) -> None:
    before = standing(status)
    after = law.acknowledged(before, "N-1", LATER)

    assert after.status is status
    assert law.acknowledged(after, "N-1", LATER) is after


@pytest.mark.parametrize("status", sorted(UNSENT))
def test_what_never_left_is_not_acknowledged(status: Status) -> None:
    with pytest.raises(InvalidTransition):
        law.acknowledged(standing(status), "N-1", LATER)


@pytest.mark.parametrize(
    ("status", "facts", "seen"),
    [
        (S.RESERVED, {}, "pending_new"),
        (S.HELD, {}, "suspended"),
        (S.QUEUED, {}, "pending_new"),
        (S.SENDING, {}, "pending_new"),
        (S.IN_DOUBT, {}, "pending_new"),
        (S.NEW, {}, "new"),
        (S.PARTIALLY_FILLED, {}, "partially_filled"),
        (S.FILLED, {}, "filled"),
        (S.CANCELED, {}, "canceled"),
        (S.EXPIRED, {}, "expired"),
        (S.REJECTED, {}, "rejected"),
        (S.DENIED, {}, "rejected"),
        (S.NEW, {"done_for_day": True}, "done_for_day"),
        (S.NEW, {"done_for_day": True, **WAITS}, "pending_cancel"),
        (S.PARTIALLY_FILLED, WAITS, "pending_cancel"),
        (S.IN_DOUBT, WAITS, "pending_cancel"),
        (S.FILLED, WAITS, "filled"),
        (S.EXPIRED, {"done_for_day": True}, "expired"),
    ],
)
def test_tag_39_is_derived_by_the_precedence_of_fix(
    status: Status, facts: dict[str, object], seen: str
) -> None:
    assert order_status(standing(status, **facts)) == seen


@pytest.mark.parametrize("status", Status)
def test_nothing_remains_of_what_has_ended(status: Status) -> None:
    order = standing(status, filled_quantity=Decimal(4))

    assert order.remaining_quantity == (0 if status in TERMINAL else 6)
    assert order.is_terminal is (status in TERMINAL)
