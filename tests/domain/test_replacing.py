"""Cancels and replaces against the matrices of FIX 4.4, volume 4, appendix D, message by message.

Each vector is data: what is sent (`->`) or received, and how the order stands after it: tag 39,
38, 14 and 151. X is the key of the order, Y, Z and W are those of its replaces. Letters such as
C.3.b name the matrix that a vector follows; where a matrix sends a second request before the
first is answered, ours is refused, and the vector says so.
"""

from dataclasses import replace
from decimal import Decimal
from itertools import permutations
from typing import Any, Final

import pytest

from app.domain.errors import InvalidTransition
from app.domain.messages import ExecutionType
from app.domain.order import Order, cancel_refused, cancel_requested, order_status
from app.domain.replacing import Asked, Chain, replace_requested
from app.domain.values import (
    CancelOrigin,
    PendingRequest,
    ReplaceState,
    Status,
    attempt_key_of,
    is_replace_key,
    order_id_of,
    replace_key,
)
from tests.builders import a_report, an_order
from tests.domain.folded import LATER, Folded

D = Decimal
E = ExecutionType
R = ReplaceState
X: Final = a_report().broker_order_key
KEYS: Final = {"X": X, **{name: replace_key(X, n) for n, name in enumerate("YZW", 1)}}
REFUSED: Final = "refused"
ZERO: Final = ("new", 10_000, 0, 10_000)
PART: Final = ("partially_filled", 10_000, 1_000, 9_000)
Row = tuple[str, tuple[str, int, int, int] | str]

VECTORS: Final[dict[str, list[Row]]] = {
    "A.1.a filled": [
        ("X new", ZERO),
        ("X trade 2000", ("partially_filled", 10_000, 2_000, 8_000)),
        ("X trade 1000", ("partially_filled", 10_000, 3_000, 7_000)),
        ("X trade 7000", ("filled", 10_000, 10_000, 0)),
    ],
    "B.1.a cancel of a zero-filled order, refused, then accepted": [
        ("X new", ZERO),
        ("-> cancel", ("pending_cancel", 10_000, 0, 10_000)),
        ("X cancel_rejected", ZERO),
        ("-> cancel", ("pending_cancel", 10_000, 0, 10_000)),
        ("X pending_cancel", ("pending_cancel", 10_000, 0, 10_000)),
        ("X canceled", ("canceled", 10_000, 0, 0)),
    ],
    "B.1.b cancel of a part-filled order, fills meanwhile": [
        ("X trade 2000", ("partially_filled", 10_000, 2_000, 8_000)),
        ("-> cancel", ("pending_cancel", 10_000, 2_000, 8_000)),
        ("X trade 3000", ("pending_cancel", 10_000, 5_000, 5_000)),
        ("X pending_cancel", ("pending_cancel", 10_000, 5_000, 5_000)),
        ("X trade 1000", ("pending_cancel", 10_000, 6_000, 4_000)),
        ("X canceled", ("canceled", 10_000, 6_000, 0)),
    ],
    "B.1.c cancel passed by the fills that complete the order": [
        ("X trade 2000", ("partially_filled", 10_000, 2_000, 8_000)),
        ("-> cancel", ("pending_cancel", 10_000, 2_000, 8_000)),
        ("X trade 3000", ("pending_cancel", 10_000, 5_000, 5_000)),
        ("X pending_cancel", ("pending_cancel", 10_000, 5_000, 5_000)),
        ("X trade 5000", ("filled", 10_000, 10_000, 0)),
        ("X cancel_rejected", ("filled", 10_000, 10_000, 0)),
    ],
    "C.1.a raised before anything traded": [
        ("X new", ZERO),
        ("-> replace Y 11000", ("pending_replace", 10_000, 0, 10_000)),
        ("Y pending_replace", ("pending_replace", 10_000, 0, 10_000)),
        ("Y replaced 11000", ("new", 11_000, 0, 11_000)),
        ("Y trade 1000", ("partially_filled", 11_000, 1_000, 10_000)),
        ("Y trade 2000", ("partially_filled", 11_000, 3_000, 8_000)),
    ],
    "C.1.b raised, a fill while it is pending": [
        ("X trade 1000", PART),
        ("-> replace Y 12000", ("pending_replace", 10_000, 1_000, 9_000)),
        ("Y pending_replace", ("pending_replace", 10_000, 1_000, 9_000)),
        ("X trade 100", ("pending_replace", 10_000, 1_100, 8_900)),
        ("Y replaced 12000", ("partially_filled", 12_000, 1_100, 10_900)),
        ("Y trade 10900", ("filled", 12_000, 12_000, 0)),
    ],
    "C.1.b refused": [
        ("X trade 1000", PART),
        ("-> replace Y 12000", ("pending_replace", 10_000, 1_000, 9_000)),
        ("Y replace_rejected", PART),
        ("X trade 9000", ("filled", 10_000, 10_000, 0)),
    ],
    "C.1.c filled while the raise was on its way, and raised after all": [
        ("X new", ZERO),
        ("-> replace Y 12000", ("pending_replace", 10_000, 0, 10_000)),
        ("X trade 10000", ("filled", 10_000, 10_000, 0)),
        ("Y pending_replace", ("filled", 10_000, 10_000, 0)),
        ("Y replaced 12000", ("partially_filled", 12_000, 10_000, 2_000)),
        ("Y trade 2000", ("filled", 12_000, 12_000, 0)),
    ],
    "C.1.c filled: no replace is asked for any more": [
        ("X trade 10000", ("filled", 10_000, 10_000, 0)),
        ("-> replace Y 12000", REFUSED),
    ],
    "C.2.a refused as too late, for a fill has completed it": [
        ("X trade 1000", PART),
        ("-> replace Y 10000", ("pending_replace", 10_000, 1_000, 9_000)),
        ("Y pending_replace", ("pending_replace", 10_000, 1_000, 9_000)),
        ("X trade 9000", ("filled", 10_000, 10_000, 0)),
        ("Y replace_rejected", ("filled", 10_000, 10_000, 0)),
    ],
    "C.3.a lowered to more than has traded, then filled": [
        ("X trade 1000", PART),
        ("-> replace Y 8000", ("pending_replace", 10_000, 1_000, 9_000)),
        ("X trade 500", ("pending_replace", 10_000, 1_500, 8_500)),
        ("Y pending_replace", ("pending_replace", 10_000, 1_500, 8_500)),
        ("X trade 100", ("pending_replace", 10_000, 1_600, 8_400)),
        ("Y replaced 8000", ("partially_filled", 8_000, 1_600, 6_400)),
        ("Y trade 6400", ("filled", 8_000, 8_000, 0)),
    ],
    "C.3.b lowered to just what has traded": [
        ("X new", ZERO),
        ("-> replace Y 7000", ("pending_replace", 10_000, 0, 10_000)),
        ("X trade 7000", ("pending_replace", 10_000, 7_000, 3_000)),
        ("Y replaced 7000", ("filled", 7_000, 7_000, 0)),
    ],
    "C.3.c lowered below what has traded: amended by the broker": [
        ("X new", ZERO),
        ("-> replace Y 7000", ("pending_replace", 10_000, 0, 10_000)),
        ("X trade 8000", ("pending_replace", 10_000, 8_000, 2_000)),
        ("Y replaced 8000", ("filled", 8_000, 8_000, 0)),
    ],
    "C.3.c the same of a broker that does not say to what": [
        ("X new", ZERO),
        ("-> replace Y 7000", ("pending_replace", 10_000, 0, 10_000)),
        ("X trade 8000", ("pending_replace", 10_000, 8_000, 2_000)),
        ("Y replaced", ("filled", 8_000, 8_000, 0)),
    ],
    "D.1.a one accepted, then another": [
        ("X trade 1000", PART),
        ("-> replace Y 8000", ("pending_replace", 10_000, 1_000, 9_000)),
        ("Y replaced 8000", ("partially_filled", 8_000, 1_000, 7_000)),
        ("Y trade 1000", ("partially_filled", 8_000, 2_000, 6_000)),
        ("-> replace Z 6000", ("pending_replace", 8_000, 2_000, 6_000)),
        ("Z replaced 6000", ("partially_filled", 6_000, 2_000, 4_000)),
        ("Z trade 3000", ("partially_filled", 6_000, 5_000, 1_000)),
        ("Z trade 1000", ("filled", 6_000, 6_000, 0)),
    ],
    "D.1.b one refused before it was pending, then another accepted": [
        ("X trade 1000", PART),
        ("-> replace Y 8000", ("pending_replace", 10_000, 1_000, 9_000)),
        ("Y replace_rejected", PART),
        ("-> replace Z 9000", ("pending_replace", 10_000, 1_000, 9_000)),
        ("Z replaced 9000", ("partially_filled", 9_000, 1_000, 8_000)),
    ],
    "D.1.c one refused after it was pending, then another accepted": [
        ("X trade 1000", PART),
        ("-> replace Y 8000", ("pending_replace", 10_000, 1_000, 9_000)),
        ("Y pending_replace", ("pending_replace", 10_000, 1_000, 9_000)),
        ("X trade 500", ("pending_replace", 10_000, 1_500, 8_500)),
        ("Y replace_rejected", ("partially_filled", 10_000, 1_500, 8_500)),
        ("-> replace Z 9000", ("pending_replace", 10_000, 1_500, 8_500)),
        ("Z replaced 9000", ("partially_filled", 9_000, 1_500, 7_500)),
    ],
    "D.2.a a second one waits until the first is answered; then three in a chain": [
        ("X trade 1000", PART),
        ("-> replace Y 8000", ("pending_replace", 10_000, 1_000, 9_000)),
        ("-> replace Z 7000", REFUSED),
        ("Y replaced 8000", ("partially_filled", 8_000, 1_000, 7_000)),
        ("-> replace Z 7000", ("pending_replace", 8_000, 1_000, 7_000)),
        ("-> replace W 9000", REFUSED),
        ("Z replaced 7000", ("partially_filled", 7_000, 1_000, 6_000)),
        ("-> replace W 9000", ("pending_replace", 7_000, 1_000, 6_000)),
        ("W replaced 9000", ("partially_filled", 9_000, 1_000, 8_000)),
        ("W trade 8000", ("filled", 9_000, 9_000, 0)),
    ],
    "fills under any key of the chain are the order's, old ones as well": [
        ("-> replace Y 8000", ("pending_replace", 10_000, 0, 10_000)),
        ("Y replaced 8000", ("new", 8_000, 0, 8_000)),
        ("X trade 1000", ("partially_filled", 8_000, 1_000, 7_000)),
        ("-> replace Z 9000", ("pending_replace", 8_000, 1_000, 7_000)),
        ("Y trade 1000", ("pending_replace", 8_000, 2_000, 6_000)),
        ("Z replaced 9000", ("partially_filled", 9_000, 2_000, 7_000)),
        ("X trade 500", ("partially_filled", 9_000, 2_500, 6_500)),
        ("Z trade 6500", ("filled", 9_000, 9_000, 0)),
    ],
    "a fill under the new key, before the word on the replace": [
        ("-> replace Y 12000", ("pending_replace", 10_000, 0, 10_000)),
        ("Y trade 11000", ("filled", 10_000, 10_000, 0)),
        ("Y replaced 12000", ("partially_filled", 12_000, 11_000, 1_000)),
    ],
    "a cancel while a replace is pending: replaced first, then canceled": [
        ("-> replace Y 8000", ("pending_replace", 10_000, 0, 10_000)),
        ("-> cancel", ("pending_cancel", 10_000, 0, 10_000)),
        ("Y replaced 8000", ("pending_cancel", 8_000, 0, 8_000)),
        ("Y canceled", ("canceled", 8_000, 0, 0)),
    ],
    "a cancel while a replace is pending: canceled first, the replace too late": [
        ("-> replace Y 8000", ("pending_replace", 10_000, 0, 10_000)),
        ("-> cancel", ("pending_cancel", 10_000, 0, 10_000)),
        ("X canceled", ("canceled", 10_000, 0, 0)),
        ("Y replace_rejected", ("canceled", 10_000, 0, 0)),
    ],
    "a cancel while a replace is pending: refused, and the replace still stands": [
        ("-> replace Y 8000", ("pending_replace", 10_000, 0, 10_000)),
        ("-> cancel", ("pending_cancel", 10_000, 0, 10_000)),
        ("X cancel_rejected", ("pending_replace", 10_000, 0, 10_000)),
        ("Y replaced 8000", ("new", 8_000, 0, 8_000)),
    ],
    "a replace in doubt ends with the order that it was of": [
        ("-> replace Y 8000", ("pending_replace", 10_000, 0, 10_000)),
        ("X expired", ("expired", 10_000, 0, 0)),
        ("Y replaced 8000", ("expired", 8_000, 0, 0)),
    ],
    "raised and canceled, and the word on the raise comes last": [
        ("-> replace Y 12000", ("pending_replace", 10_000, 0, 10_000)),
        ("X trade 10000", ("filled", 10_000, 10_000, 0)),
        ("Y canceled", ("canceled", 10_000, 10_000, 0)),
        ("Y replaced 12000", ("canceled", 12_000, 10_000, 0)),
    ],
}


class Play(Folded):
    """An order that works at a broker, and what both sides say of it."""

    def __init__(self, **facts: Any) -> None:
        facts = {"status": Status.NEW, "quantity": D(10_000), "broker_id": "north"} | facts
        super().__init__(an_order(**facts))
        self.asked: dict[str, Asked] = {}
        self.numbers = 0

    def hears(self, message: str) -> None:
        who, what, *more = message.split()
        if who == "->":
            self._asks(what, *more)
        elif what == "cancel_rejected":
            if not self.order.is_terminal:
                out = self.chain.is_out
                self._moves(cancel_refused(self.order, LATER, replacing=out))
        else:
            self._told(KEYS[who], E(what), *map(D, more))

    def _asks(self, what: str, *more: str) -> None:
        if what == "cancel":
            self._moves(cancel_requested(self.order, CancelOrigin.CLIENT, LATER))
            return
        self._moves(replace_requested(self.order, LATER))
        key, quantity = KEYS[more[0]], D(more[1])
        self.asked |= self.chain.changed
        self.asked[key] = Asked(key, quantity, self.order.limit_price, R.OPEN)
        self.chain = Chain(self.asked.values())

    def _told(self, key: str, kind: ExecutionType, *amount: Decimal) -> None:
        self.numbers += 1
        facts: dict[str, Any] = {"broker_order_key": key}
        if amount:
            facts["quantity" if kind is E.REPLACED else "last_quantity"] = amount[0]
        self.report(a_report(kind, f"e-{self.numbers}", **facts))

    def _moves(self, after: Order) -> None:
        self.versions.append(after)
        self.order = after


@pytest.mark.parametrize("vector", VECTORS)
def test_a_vector(vector: str) -> None:
    play = Play()
    for message, expected in VECTORS[vector]:
        if expected == REFUSED:
            with pytest.raises(InvalidTransition):
                play.hears(message)
            continue
        play.hears(message)
        o = play.order
        amounts = (o.quantity, o.filled_quantity, o.remaining_quantity)
        stands = (order_status(o), *map(int, amounts))
        assert stands == expected, message
    assert [v.version for v in play.versions] == list(range(1, len(play.versions) + 1))


def asked(name: str, quantity: int, state: ReplaceState = R.OPEN) -> Asked:
    return Asked(KEYS[name], D(quantity), D("187.25"), state)


def told(name: str, kind: ExecutionType, execution_id: str, quantity: int = 0) -> Any:
    facts: dict[str, Any] = {"broker_order_key": KEYS[name]}
    if quantity:
        facts["quantity" if kind is E.REPLACED else "last_quantity"] = D(quantity)
    return a_report(kind, execution_id, **facts)


@pytest.mark.parametrize(
    ("quantity", "reports"),
    [
        (20, [("X", E.TRADE, 8), ("Y", E.REPLACED, 20), ("Y", E.TRADE, 12)]),
        (20, [("X", E.TRADE, 10), ("Y", E.REPLACED, 20), ("Y", E.CANCELED, 0)]),
        (5, [("X", E.TRADE, 3), ("Y", E.REPLACED, 5), ("Y", E.TRADE, 2)]),
        (5, [("X", E.TRADE, 7), ("Y", E.REPLACED, 7)]),
        (5, [("X", E.TRADE, 3), ("Y", E.REPLACED, 5), ("Y", E.EXPIRED, 0)]),
        (20, [("X", E.TRADE, 4), ("Y", E.REPLACE_REJECTED, 0), ("X", E.TRADE, 6)]),
    ],
)
def test_the_order_of_arrival_does_not_matter(quantity: int, reports: list[Any]) -> None:
    """I5: a broker's own words on one order and its replace, in each order and told twice."""
    ends = set()
    words = [told(name, kind, f"e-{n}", q) for n, (name, kind, q) in enumerate(reports)]
    for order in permutations(words):
        waits = {"pending_request": PendingRequest.REPLACE, "status": Status.NEW}
        folded = Folded(an_order(**waits), [asked("Y", quantity)])
        for report in order:
            folded.report(report)
        ends.add(folded.order._replace(version=0))
        for report in order:
            assert folded.report(report) == []

    assert len(ends) == 1, ends
    assert ends.pop().pending_request is PendingRequest.NONE


def test_the_highest_number_that_was_accepted_rules_whichever_is_heard_of_last() -> None:
    waits = {"pending_request": PendingRequest.REPLACE, "status": Status.NEW}
    chain = [asked("Y", 20, R.NOT_RECEIVED), asked("Z", 15)]
    ends = set()
    for order in permutations([told("Y", E.REPLACED, "e-1", 20), told("Z", E.REPLACED, "e-2", 15)]):
        folded = Folded(an_order(**waits), chain)
        for report in order:
            folded.report(report)
        assert folded.chain.live_key(X) == KEYS["Z"]
        ends.add(folded.order._replace(version=0))

    assert [end.quantity for end in ends] == [15]


def test_late_evidence_changes_the_terms_and_not_what_is_asked_now() -> None:
    waits = {"pending_request": PendingRequest.REPLACE, "status": Status.NEW}
    folded = Folded(an_order(**waits), [asked("Y", 20, R.NOT_RECEIVED), asked("Z", 15)])
    (after,) = folded.report(told("Y", E.REPLACED, "e-1", 20))

    assert after.quantity == 20
    assert after.pending_request is PendingRequest.REPLACE


def test_a_market_order_has_no_price_whatever_fills_the_field() -> None:
    waits = {"pending_request": PendingRequest.REPLACE, "status": Status.NEW, "limit_price": None}
    folded = Folded(an_order(**waits), [asked("Y", 20)._replace(limit_price=None)])
    report = told("Y", E.REPLACED, "e-1", 20)
    (after,) = folded.report(replace(report, limit_price=D(100)))

    assert after.quantity == 20
    assert after.limit_price is None


@pytest.mark.parametrize("quantity", [D(21), D("NaN"), D(0), D(-1)])
def test_a_replace_never_comes_back_larger_than_anybody_asked(quantity: Decimal) -> None:
    """One parent cap: such a word is kept for a person, and the request stays unanswered."""
    waits = {"pending_request": PendingRequest.REPLACE, "status": Status.NEW}
    folded = Folded(an_order(**waits), [asked("Y", 20)])
    with pytest.raises(InvalidTransition):
        folded.report(a_report(E.REPLACED, broker_order_key=KEYS["Y"], quantity=quantity))

    assert folded.chain.is_out


@pytest.mark.parametrize(
    ("state", "kind"),
    [(R.WAITING, E.REPLACED), (R.WAITING, E.REPLACE_REJECTED), (R.ACCEPTED, E.REPLACE_REJECTED)],
)
def test_an_impossible_word_is_kept_apart(state: ReplaceState, kind: ExecutionType) -> None:
    folded = Folded(an_order(status=Status.NEW), [asked("Y", 20, state)])
    with pytest.raises(InvalidTransition):
        folded.report(told("Y", kind, "e-1"))
    with pytest.raises(InvalidTransition):
        folded.report(told("Z", kind, "e-1"))


@pytest.mark.parametrize(
    "facts",
    [
        {"pending_request": PendingRequest.REPLACE},
        {"pending_request": PendingRequest.CANCEL},
        {"status": Status.SENDING},
        {"status": Status.IN_DOUBT},
        {"status": Status.CANCELED},
    ],
)
def test_one_request_at_a_time_and_only_of_what_works(facts: dict[str, Any]) -> None:
    with pytest.raises(InvalidTransition):
        replace_requested(an_order(**{"status": Status.NEW} | facts), LATER)


def test_what_had_not_left_is_let_go_when_the_order_ends() -> None:
    waits = {"pending_request": PendingRequest.REPLACE, "status": Status.NEW}
    folded = Folded(an_order(**waits), [asked("Y", 20, R.WAITING)])
    (after,) = folded.report(told("X", E.TRADE, "e-1", 10))

    assert (after.status, after.pending_request) == (Status.FILLED, PendingRequest.NONE)
    assert folded.chain.changed[KEYS["Y"]].state is R.WITHDRAWN


@pytest.mark.parametrize("number", [1, 10, 999])
def test_a_key_of_a_chain_begins_with_the_key_of_its_attempt(number: int) -> None:
    key = replace_key(X, number)

    assert len(key) == 32
    assert (attempt_key_of(key), attempt_key_of(X)) == (X, X)
    assert order_id_of(key) == order_id_of(X)
    assert (is_replace_key(key), is_replace_key(X)) == (True, False)


@pytest.mark.parametrize("tail", ["R", "R1", "R01", "r001", "R0001", "X001", "R00\u0661", "R001 "])
def test_near_misses_are_no_keys(tail: str) -> None:
    assert order_id_of(X + tail) is None
