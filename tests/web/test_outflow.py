"""What waits to leave is told, also while the bus is away."""

from app.bus.topics import RETENTION_DAYS
from app.ledger.outbox.waiting import happened_at
from tests.web.house import READER, Gateway
from tests.web.operators import ADMIN, reserve

PATH = f"{ADMIN}/outbox"


def test_an_empty_outbox_waits_for_nothing(gateway: Gateway) -> None:
    told = gateway.client.get(PATH, headers=gateway.key()).json()

    assert (told["waiting"], told["oldest_event_id"], told["oldest_age_s"]) == (0, None, None)
    assert told["parked"] == dict.fromkeys(RETENTION_DAYS, 0)


def test_the_oldest_event_says_how_long_it_waits(gateway: Gateway) -> None:
    reserve(gateway, 3)
    began = gateway.clock.at
    gateway.clock.at += 60_000
    gateway.bus.down = True
    told = gateway.client.get(PATH, headers=gateway.key()).json()

    assert (told["waiting"], told["parked"]) == (3, None)
    assert told["oldest_type"] == "io.openbell.order.reserved.v1"
    assert told["oldest_age_s"] >= (gateway.clock.at - began) / 1000 - 1


def test_who_places_orders_does_not_see_the_outbox(gateway: Gateway) -> None:
    reply = gateway.client.get(PATH, headers=gateway.key("lee", READER))

    assert reply.status_code == 403


def test_an_event_that_names_no_instant_has_no_age() -> None:
    assert happened_at('{"updated_at": "2026-03-02T14:30:00.000Z"}') == 1_772_461_800_000
    assert happened_at('{"at": 7}') == 7
    assert happened_at('{"at": "soon"}') is None
    assert happened_at("[]") is None
