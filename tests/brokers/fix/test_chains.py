"""What two answers prove of a replace, for every manner in which brokers name an order."""

from decimal import Decimal
from typing import Final

import pytest

from app import codec
from app.brokers.fix.chains import PENDING, Asked, asked_as, settled, weighed
from app.brokers.fix.said import Said
from app.domain.messages import Absent, Found, Lookup, Unknown
from app.domain.order import Order
from app.domain.values import Status, replace_key
from app.ports.sessions import Placed
from tests.brokers.builders import a_key
from tests.builders import an_order

FIRST: Final = a_key()
NEXT: Final = replace_key(FIRST, 1)
OLD: Final = an_order(quantity=Decimal(10), limit_price=Decimal(185))
TERMS: Final = {"old": (10, 185), "new": (20, 186), "amended": (18, 186)}
UNKNOWN: Final = Said(shown=Absent())
SILENCE: Final = Unknown("no answer within 3 s")
_F, _A, _U = Found, Absent, Unknown


def shows(text: str) -> Said | Lookup:
    """Read `R new`: it calls the order by the next id (`O`: the first), under the new terms."""
    if text in {"unknown", "silence"}:
        return UNKNOWN if text == "unknown" else SILENCE
    name, terms, *more = text.split()
    quantity, price = TERMS.get(terms, (None, None))
    status = Status.REJECTED if "rejected" in more else Status.NEW
    shown = Found(
        "N1",
        status,
        quantity=None if quantity is None else Decimal(quantity),
        limit_price=None if price is None else Decimal(price),
    )
    return Said(request={"O": FIRST, "R": NEXT}[name], shown=shown, is_pending="E" in more)


def an_asked(*, lacked: bool = False, terms: str = "new") -> Asked:
    quantity, price = TERMS[terms]
    return Asked(NEXT, FIRST, (Decimal(quantity), Decimal(price)), lacked)


@pytest.mark.parametrize(
    ("by_key", "by_original", "verdict"),
    [
        # It knows the latest id only.
        ("R new", "unknown", _F),
        ("R amended", "unknown", _F),
        ("R unsaid", "unknown", _F),
        ("R old", "unknown", _U),
        ("unknown", "O old", _A),
        ("unknown", "O unsaid", _A),
        ("unknown", "O old E", _U),
        # It knows every id, and calls the order by the latest.
        ("R new", "R new", _F),
        ("R amended", "R amended", _F),
        ("R unsaid", "R unsaid", _F),
        ("R old", "R old", _U),
        ("unknown", "R new", _F),
        ("R new E", "R new E", _U),
        # It calls the order by whichever id it was asked for.
        ("R new", "O new", _F),
        ("R old", "O old", _A),
        ("R old E", "O old E", _U),
        ("R amended", "O amended", _F),
        # It calls the order by its first id for ever.
        ("unknown", "O new", _F),
        ("O new", "O new", _F),
        ("O old", "O old", _A),
        ("unknown", "O amended", _U),
        # The replace was refused, and it says so.
        ("R old rejected", "O old", _A),
        ("R old rejected", "unknown", _U),
        # Nothing, or not enough.
        ("unknown", "unknown", _U),
        ("silence", "O old", _U),
        ("silence", "O unsaid", _U),
        ("silence", "O new", _F),
        ("silence", "silence", _U),
        ("unknown", "silence", _U),
        ("R new", "silence", _F),
    ],
)
def test_answers_and_what_they_prove(by_key: str, by_original: str, verdict: type[Lookup]) -> None:
    found = settled(an_asked(), OLD, shows(by_key), shows(by_original))

    assert type(found) is verdict, found


def test_an_order_that_is_unknown_by_any_id_is_absence_once_the_number_is_lacking() -> None:
    assert settled(an_asked(lacked=True), OLD, UNKNOWN, UNKNOWN) == Absent()
    assert isinstance(settled(an_asked(lacked=True), OLD, UNKNOWN, SILENCE), Unknown)


@pytest.mark.parametrize("order", [None, OLD])
@pytest.mark.parametrize(
    ("by_key", "by_original", "verdict"),
    [("R old", "unknown", _F), ("unknown", "O old", _A), ("O old", "R old", _F)],
)
def test_where_terms_cannot_tell_the_name_does(
    order: Order | None, by_key: str, by_original: str, verdict: type[Lookup]
) -> None:
    asked = an_asked(terms="old")

    assert type(settled(asked, order, shows(by_key), shows(by_original))) is verdict


def test_a_pending_one_says_so() -> None:
    assert settled(an_asked(), OLD, shows("R old E"), UNKNOWN) == PENDING


def test_what_was_asked_is_read_from_what_left() -> None:
    body = codec.text([(41, FIRST), (11, NEXT), (38, "20"), (44, "186")])
    market = codec.text([(41, FIRST), (11, NEXT), (38, "20")])

    assert asked_as(NEXT, Placed(1, 7, lacked=False, body=body)) == an_asked()
    found = asked_as(NEXT, Placed(1, 7, lacked=True, body=market))
    assert found == Asked(NEXT, FIRST, (Decimal(20), None), lacked=True)
    assert asked_as(NEXT, None) is None


def test_a_question_about_an_order_that_shows_a_refused_replace_proves_nothing() -> None:
    refused = Found("N2", Status.REJECTED)

    by_next = weighed(FIRST, Said(key=NEXT, request=NEXT, shown=refused), None, refused=False)
    by_own = weighed(FIRST, Said(key=FIRST, request=FIRST, shown=refused), None, refused=False)

    assert isinstance(by_next, Unknown)
    assert by_own == refused
