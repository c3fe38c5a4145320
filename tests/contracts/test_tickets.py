"""What `TicketStore` promises: a ticket opens once, and not for long."""

from typing import Final

from app.ports.orders import Ticket
from tests.builders import NOW
from tests.contracts.record import Shop, shop

__all__ = ["shop"]

ONE: Final = Ticket("d-1", "k-1", "A-1", NOW + 1_000)


def test_a_ticket_is_spent_by_the_first_who_shows_it(shop: Shop) -> None:
    shop.run(shop.store.issue(ONE))
    shop.run(shop.store.issue(ONE._replace(digest="d-2")))

    assert shop.run(shop.store.redeem("d-3")) is None
    assert shop.run(shop.store.redeem("d-1")) == ONE
    assert shop.run(shop.store.redeem("d-1")) is None
    assert shop.run(shop.store.redeem("d-2")) is not None


def test_a_ticket_that_is_too_old_opens_nothing_and_is_forgotten(shop: Shop) -> None:
    shop.run(shop.store.issue(ONE))
    shop.run(shop.store.issue(ONE._replace(digest="d-2")))
    shop.clock.at = NOW + 1_000
    assert shop.run(shop.store.redeem("d-1")) is None
    shop.run(shop.store.issue(ONE._replace(digest="d-3", expires_at=NOW + 2_000)))
    shop.clock.at = NOW

    assert shop.run(shop.store.redeem("d-2")) is None
