"""What `SessionStore` promises, on every implementation of the record."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

import pytest

from app.domain.errors import Code, Refused
from app.domain.messages import Accepted, Unknown
from app.domain.records import FenceLost, Settlement
from app.ledger.sessions.store import SessionLedger
from app.ports.sessions import Numbers, Outgoing, Placed, SessionOwner, SessionStore, Unread
from tests.builders import NOW
from tests.contracts.record import KIM, Shop, sendable, shop

__all__ = ["shop"]

ID: Final = "FIX.4.4:OPENBELL->NORTH"
FIRST: Final = Numbers(1, 1, 1)
UNREAD: Final = Unread(
    "s-1-7", "", "no such ExecType: 'Z'", b"8=FIX.4.4\x0135=8\x0158=\xe9\x00\x01"
)
HEARTBEAT: Final = Outgoing("0", None, "[]")


def store_of(shop: Shop) -> SessionStore:
    return SessionLedger(shop.store._database, shop.clock)  # type: ignore[attr-defined]


def owned(shop: Shop, holder: str = "me", broker_id: str = "north") -> SessionOwner:
    return SessionOwner(ID, broker_id, shop.run(shop.store.take_lease(broker_id, holder, 10_000)))


def said(key: str) -> str:
    return f'[[11,"{key}"]]'


def orders(*keys: str) -> list[Outgoing]:
    return [Outgoing("D", key, said(key)) for key in keys]


def keys_of(messages: Sequence[Outgoing]) -> list[str]:
    return [m.broker_order_key or "" for m in messages]


def test_a_new_session_begins_at_one_and_an_old_one_where_it_stood(shop: Shop) -> None:
    store, session = store_of(shop), owned(shop)
    assert shop.run(store.numbers(ID)) is None
    at = shop.run(store.open(session))
    shop.run(store.append(session, at, [HEARTBEAT, HEARTBEAT]))
    shop.run(store.advance(session, at, 5))

    assert at == FIRST
    assert shop.run(store.open(owned(shop))) == Numbers(1, 3, 5)
    assert shop.run(store.numbers(ID)) == Numbers(1, 3, 5)


def test_a_session_is_of_one_broker(shop: Shop) -> None:
    store = store_of(shop)
    shop.run(store.open(owned(shop)))
    with pytest.raises(FenceLost):
        shop.run(store.open(owned(shop, broker_id="south")))


def test_a_batch_takes_numbers_in_its_order(shop: Shop) -> None:
    store, session = store_of(shop), owned(shop)
    at = shop.run(store.open(session))
    batch = [HEARTBEAT, *orders(*(f"k-{n:03}" for n in range(250)))]
    after = shop.run(store.append(session, at, batch))
    again = shop.run(store.append(session, after, orders("l-1")))

    assert (after, again) == (Numbers(1, 252, 1), Numbers(1, 253, 1))
    found = shop.run(store.placed(ID, [*keys_of(batch), "l-1"]))
    assert {key: place.number for key, place in found.items()} == {
        **{f"k-{n:03}": n + 2 for n in range(250)},
        "l-1": 252,
    }


def test_asked_again_an_append_finds_its_own_work(shop: Shop) -> None:
    store, session = store_of(shop), owned(shop)
    at = shop.run(store.open(session))
    once = shop.run(store.append(session, at, orders("a", "b")))
    twice = shop.run(store.append(session, at, orders("a", "b")))
    with pytest.raises(FenceLost):
        shop.run(store.append(session, at, orders("a", "c")))
    with pytest.raises(FenceLost):
        shop.run(store.append(session, at, orders("a")))

    assert once == twice == Numbers(1, 3, 1)
    assert shop.run(store.placed(ID, ["c"])) == {}


def test_who_lost_the_lease_writes_no_number(shop: Shop) -> None:
    store, former = store_of(shop), owned(shop, "former")
    at = shop.run(store.open(former))
    shop.passes(20_000)
    now = owned(shop, "now")
    for refused in (
        lambda: store.open(former),
        lambda: store.append(former, at, orders("a")),
        lambda: store.advance(former, at, 2),
        lambda: store.keep_apart(former, [UNREAD]),
        lambda: store.lack(former, 1, 1, 9),
        lambda: store.reset(former, at, FIRST, "they asked"),
    ):
        with pytest.raises(FenceLost):
            shop.run(refused())

    assert shop.run(store.open(now)) == FIRST
    assert shop.run(store.append(now, at, orders("a"))) == Numbers(1, 2, 1)


def test_what_came_in_never_goes_back(shop: Shop) -> None:
    store, session = store_of(shop), owned(shop)
    at = shop.run(store.open(session))
    moved = shop.run(store.advance(session, at, 7))
    late = shop.run(store.advance(session, at, 3))

    assert (moved.next_in, late.next_in) == (7, 7)
    assert shop.run(store.numbers(ID)) == Numbers(1, 1, 7)


def test_what_nobody_could_read_is_counted_once_until_somebody_has_seen_it(shop: Shop) -> None:
    store, session = store_of(shop), owned(shop)
    another = UNREAD._replace(name="s-1-8")
    shop.run(store.keep_apart(session, [UNREAD]))
    shop.run(store.keep_apart(session, [UNREAD, another]))

    assert shop.run(shop.store.vitals()).quarantined == 2


def test_a_number_is_lacked_when_the_broker_showed_it(shop: Shop) -> None:
    store, session = store_of(shop), owned(shop)
    at = shop.run(store.open(session))
    shop.run(store.append(session, at, orders("a", "b", "c")))
    assert shop.run(store.lack(session, 1, 2, 2)) == 1
    assert shop.run(store.lack(session, 1, 2, 9)) == 1

    assert shop.run(store.placed(ID, ["a", "b", "c", "d"])) == {
        "a": Placed(1, 1, lacked=False, body=said("a")),
        "b": Placed(1, 2, lacked=True, body=said("b")),
        "c": Placed(1, 3, lacked=True, body=said("c")),
    }


def a_list(*keys: str) -> Outgoing:
    return Outgoing("E", None, "[]", keys)


def test_the_orders_of_a_list_are_placed_and_lacked_under_its_one_number(shop: Shop) -> None:
    store, session = store_of(shop), owned(shop)
    at = shop.run(store.open(session))
    batch = [*orders("a"), a_list("b", "c"), a_list("d", "e"), *orders("f")]
    after = shop.run(store.append(session, at, batch))
    again = shop.run(store.append(session, at, batch))
    assert shop.run(store.lack(session, 1, 2, 2)) == 3
    assert shop.run(store.lack(session, 1, 3, 3)) == 3
    assert shop.run(store.lack(session, 1, 1, 9)) == 2
    found = shop.run(store.placed(ID, [*"abcdef", "g"]))

    assert after == again == Numbers(1, 5, 1)
    assert {key: place[:3] for key, place in found.items()} == {
        "a": (1, 1, True),
        "b": (1, 2, True),
        "c": (1, 2, True),
        "d": (1, 3, True),
        "e": (1, 3, True),
        "f": (1, 4, True),
    }


def test_a_list_that_was_not_asked_for_is_not_lacked(shop: Shop) -> None:
    store, session = store_of(shop), owned(shop)
    at = shop.run(store.open(session))
    shop.run(store.append(session, at, [a_list("a", "b"), a_list("c"), a_list("d", "e")]))
    shop.run(store.lack(session, 1, 2, 2))
    found = shop.run(store.placed(ID, [*"abcde"]))

    assert {key for key, place in found.items() if place.lacked} == {"c"}


def test_a_reset_ends_every_number_before_it(shop: Shop) -> None:
    store, session = store_of(shop), owned(shop)
    at = shop.run(store.open(session))
    before = shop.run(store.append(session, at, orders("a")))
    after = shop.run(store.reset(session, before, FIRST._replace(next_in=2), "they asked"))
    again = shop.run(store.reset(session, before, FIRST._replace(next_in=2), "they asked"))
    with pytest.raises(FenceLost):
        shop.run(store.append(session, before, orders("b")))
    with pytest.raises(FenceLost):
        shop.run(store.advance(session, before, 9))
    shop.run(store.append(session, after, orders("b")))

    assert after == again == Numbers(2, 1, 2)
    assert shop.run(store.placed(ID, ["a", "b"])) == {
        "a": Placed(1, 1, lacked=True, body=said("a")),
        "b": Placed(2, 1, lacked=False, body=said("b")),
    }
    assert shop.run(shop.store.audit(0, 10)) == []


def test_an_attempt_older_than_the_session_may_have_left_by_another_way(shop: Shop) -> None:
    store, old = store_of(shop), shop.sending("c-1").broker_order_key
    session = owned(shop)
    shop.clock.at += 1_000
    at = shop.run(store.open(session))
    shop.run(store.append(session, at, [HEARTBEAT]))
    shop.clock.at += 1_000
    young = shop.sending("c-2").broker_order_key
    # The last thing that it remembers has the lowest number, if it is a list.
    shop.clock.at += 1_000
    shop.run(store.append(owned(shop), at._replace(next_out=2), [a_list("a", "b")]))

    assert shop.run(store.placed(ID, [old, young])) == {old: Placed(0, 0, lacked=False)}


def test_what_left_on_a_session_of_another_name_is_never_lacked(shop: Shop) -> None:
    store, session = store_of(shop), owned(shop)
    before = shop.run(store.open(session))
    at = shop.run(store.append(session, before, orders("a")))
    shop.run(store.lack(session, 1, 1, 1))
    shop.run(store.reset(session, at, FIRST, "they asked"))
    renamed = session._replace(session_id="FIX.4.4:OPENBELL2->NORTH")
    shop.run(store.open(renamed))

    assert shop.run(store.placed(renamed.session_id, ["a"])) == {
        "a": Placed(1, 1, lacked=False, body=said("a"))
    }
    assert shop.run(store.placed(ID, ["a"])) == {"a": Placed(1, 1, lacked=True, body=said("a"))}


def test_a_person_resets_what_he_saw_and_it_is_audited(shop: Shop) -> None:
    store, session = store_of(shop), owned(shop)
    with pytest.raises(Refused) as unknown:
        shop.run(store.reset_by(ID, 1, KIM))
    at = shop.run(store.open(session))
    before = shop.run(store.append(session, at, orders("a")))
    after = shop.run(store.reset_by(ID, 1, KIM))
    with pytest.raises(Refused) as stale:
        shop.run(store.reset_by(ID, 1, KIM))
    with pytest.raises(FenceLost):
        shop.run(store.append(session, before, orders("b")))

    assert (unknown.value.code, stale.value.code) == (Code.NOT_FOUND, Code.STALE_VERSION)
    assert after == shop.run(store.numbers(ID)) == Numbers(2, 1, 1)
    (row,) = shop.run(shop.store.audit(0, 10))
    assert (row["actor"], row["action"], row["resource"], row["reason"]) == (
        "kim",
        "session.reset",
        f"session/{ID}",
        "because",
    )


def test_what_only_asks_or_cancels_places_nothing(shop: Shop) -> None:
    store, session = store_of(shop), owned(shop)
    at = shop.run(store.open(session))
    shop.run(store.append(session, at, [Outgoing("H", "a", "[]"), Outgoing("F", "a", "[]")]))

    assert shop.run(store.placed(ID, ["a"])) == {}


def test_a_key_leads_to_its_order(shop: Shop) -> None:
    store, claimed = store_of(shop), shop.sending("c-1")
    key = claimed.broker_order_key
    found = shop.run(store.orders([key, "no key", f"{'0' * 26}01"]))

    assert list(found) == [key]
    assert (found[key].symbol, found[key].order_id) == ("AAPL", key[:26])


def test_what_is_old_is_dropped_unless_it_is_in_doubt(shop: Shop) -> None:
    store, doubtful = store_of(shop), shop.sending("c-1")
    key = doubtful.broker_order_key
    shop.run(shop.store.settle([Settlement(key, Unknown("?"), 7)]))
    session = owned(shop)
    at = shop.run(store.open(session))
    at = shop.run(store.append(session, at, [*orders("a", key, "b"), HEARTBEAT]))
    shop.clock.at += 1_000
    shop.run(store.append(session, at, orders("c")))

    assert shop.run(store.forget(ID, NOW, 10)) == 0
    assert shop.run(store.forget(ID, NOW + 1_000, 2)) == 2
    assert shop.run(store.forget(ID, NOW + 1_000, 10)) == 1
    assert set(shop.run(store.placed(ID, ["a", "b", "c", key]))) == {key, "c"}


def test_of_a_list_only_the_orders_in_doubt_are_kept(shop: Shop) -> None:
    store, doubtful = store_of(shop), shop.sending("c-1")
    key = doubtful.broker_order_key
    shop.run(shop.store.settle([Settlement(key, Unknown("?"), 7)]))
    session = owned(shop)
    at = shop.run(store.open(session))
    shop.run(store.append(session, at, [HEARTBEAT, a_list("a", key, "b")]))
    shop.clock.at += 1_000

    assert shop.run(store.forget(ID, NOW + 1_000, 10)) == 4  # the list itself, too
    assert shop.run(store.lack(session, 1, 2, 2)) == 1
    assert shop.run(store.placed(ID, ["a", key, "b"])) == {key: Placed(1, 2, lacked=True)}


def test_a_replace_of_which_nothing_is_known_is_kept_with_what_it_said(shop: Shop) -> None:
    store, claimed = store_of(shop), shop.sending("c-1")
    shop.run(shop.store.settle([Settlement(claimed.broker_order_key, Accepted("N-1"), 1)]))
    order = shop.get(claimed.order.order_id)
    shop.run(shop.store.amend(order.order_id, order.version, Decimal(20), Decimal(186)))
    (asked,) = shop.run(shop.store.claim_replaces(shop.owned(), 1, sendable))
    key = asked.replacement.broker_order_key
    session = owned(shop)
    at = shop.run(store.open(session))
    shop.run(store.append(session, at, [Outgoing("G", key, said(key)), *orders("a")]))
    shop.clock.at += 1_000

    assert shop.run(store.forget(ID, NOW + 1_000, 10)) == 1
    assert shop.run(store.placed(ID, [key, "a"])) == {
        key: Placed(1, 1, lacked=False, body=said(key))
    }
