"""What an order's status proves of a request that nobody answered. Pure.

A new order is `Absent` only if the number of its message is shown lacking, too. Of a replace the
status is asked for twice at once: under its own id, and under the one that it was to replace.
Brokers differ in which ids they understand, and in which one they then call the order by. So the
terms decide where they are shown and differ, and the names elsewhere; both are read from what
left, for the broker's word is about that very message.

The trap is "unknown order" in answer to the replace's id: some brokers know it only once they
have agreed. So that alone proves nothing while the broker may have the message. Under its old
terms, and with nothing pending, the order shows that the replace is not in force; how often and
how late it must do so is the reconciler's business. Should it come into force after all, it is
one order still, and its report says so.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final, NamedTuple

from app import codec
from app.brokers.fix import tags
from app.brokers.fix.said import Said
from app.domain.messages import Absent, Found, Lookup, Unknown
from app.domain.order import Order
from app.domain.values import Status, is_replace_key
from app.ports.sessions import Placed

PENDING: Final = Unknown("found, and still pending there")

Terms = tuple[Decimal, Decimal | None]


class Asked(NamedTuple):
    """What a replace said when it left: its own id, the one that it was to replace, its terms."""

    key: str
    original: str
    terms: Terms
    lacked: bool  # it never came, and never will


def asked_as(key: str, placed: Placed | None) -> Asked | None:
    """Read what left under this key; None if nothing did."""
    if placed is None:
        return None
    fields: Mapping[int, str] = dict(codec.decode(placed.body))
    price = fields.get(tags.LIMIT_PRICE)
    terms = (Decimal(fields[tags.QUANTITY]), None if price is None else Decimal(price))
    return Asked(key, fields[tags.ORIGINAL_CLIENT_ORDER_ID], terms, placed.lacked)


def settled(
    asked: Asked, order: Order | None, by_key: Said | Lookup, by_original: Said | Lookup
) -> Lookup:
    """Weigh the two answers; `order` has the terms that we hold to be in force."""
    new, old = shown(asked.key, by_key), shown(asked.key, by_original)
    if PENDING in (new, old):
        return PENDING
    if isinstance(new, Found) and new.status is Status.REJECTED:
        new = Absent()  # the replace was, and not the order
    found = new if isinstance(new, Found) else old
    if not isinstance(found, Found):
        nowhere = isinstance(new, Absent) and isinstance(old, Absent)
        return Absent() if nowhere and asked.lacked else Unknown(f"it says {new}, {old}"[:200])
    is_renamed = not isinstance(old, Found) or _name(by_original) == asked.key
    is_known = found is new or is_renamed
    verdict = _by_terms(asked, order, found, is_known=is_known, is_renamed=is_renamed)
    if verdict is None:
        verdict = found if is_known else Absent()
    # An answer that did not come proves nothing, and so it does not help to prove.
    return new if isinstance(verdict, Absent) and isinstance(new, Unknown) else verdict


def _by_terms(
    asked: Asked, order: Order | None, found: Found, *, is_known: bool, is_renamed: bool
) -> Lookup | None:
    """Return what the terms tell, None if they tell nothing."""
    if order is None or found.quantity is None:
        return None
    if found.limit_price is None and asked.terms[1] is not None:
        return None
    former: Terms = (order.quantity, order.limit_price)
    stands: Terms = (found.quantity, found.limit_price)
    if former == asked.terms:
        return None
    if stands == asked.terms:
        return found
    if stands == former:
        return Unknown("found by the new id, under the old terms") if is_renamed else Absent()
    # The broker may have amended what it agreed to.
    return found if is_known else Unknown("found, and under neither terms")


def weighed(key: str, answer: Said | Lookup, placed: Placed | None, *, refused: bool) -> Lookup:
    """Let "unknown order" stand only where the number proves it too, or its own refusal did."""
    lookup = shown(key, answer)
    if isinstance(answer, Said) and answer.is_refused_replace and not is_replace_key(key):
        return Unknown("it shows a refused replace of it, and not the order")
    if not isinstance(lookup, Absent) or refused or placed is None or placed.lacked:
        return lookup
    if not placed.number:
        return Unknown(
            "it says unknown order; another adapter may have sent it before this session"
        )
    return Unknown(f"it says unknown order, and has not shown that it lacks {placed.number}")


def shown(key: str, answer: Said | Lookup) -> Lookup:
    """Return what an answer shows of whatever this key names: an order, or a replace of it."""
    if not isinstance(answer, Said):
        return answer
    if answer.is_pending and is_replace_key(key):
        return PENDING
    return answer.shown or Unknown("it did not say")


def _name(answer: Said | Lookup) -> str | None:
    return answer.request if isinstance(answer, Said) else None
