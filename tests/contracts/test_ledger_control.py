"""What `ControlStore` promises operators, on every implementation of the record."""

from decimal import Decimal

import pytest

from app.domain.errors import Code, Refused
from app.domain.failover import RoutePolicy
from app.domain.messages import Unknown
from app.domain.records import Actor, Change, SessionOverride, Settlement
from app.domain.tuning import Mode, Tuning, tuning_of, with_facts
from app.domain.values import Status
from tests.builders import NOW, SESSION
from tests.contracts.record import KIM, LEE, Shop, shop

__all__ = ["shop"]


def test_a_control_is_compare_and_set_and_audited(shop: Shop) -> None:
    before = shop.run(shop.store.controls())["north"]
    wanted = before._replace(tps=7)
    after = shop.run(shop.store.set_control(wanted, before.version, KIM))
    with pytest.raises(Refused) as stale:
        shop.run(shop.store.set_control(wanted, before.version, LEE))
    with pytest.raises(Refused) as unknown:
        shop.run(shop.store.set_control(wanted._replace(broker_id="x"), 1, LEE))

    assert (stale.value.code, unknown.value.code) == (Code.STALE_VERSION, Code.NOT_FOUND)
    assert (after.tps, after.version, after.changed_by) == (7, before.version + 1, "kim")
    assert shop.run(shop.store.controls())["north"] == after
    (row,) = shop.run(shop.store.audit(0, 10))
    assert (row["actor"], row["action"]) == ("kim", "broker.control")


def test_an_override_ends_with_its_time(shop: Shop) -> None:
    before = shop.run(shop.store.controls())["north"]
    wanted = before._replace(tps=7, expires_at=NOW + 1_000, reverts_to='{"tps": 100}')
    shop.run(shop.store.set_control(wanted, before.version, KIM))
    shop.clock.at = NOW + 999
    assert shop.run(shop.store.revert_expired()) == []
    shop.clock.at = NOW + 1_000

    (back,) = shop.run(shop.store.revert_expired())
    assert (back.tps, back.expires_at, back.version) == (100, None, before.version + 2)
    assert shop.run(shop.store.revert_expired()) == []


def test_a_halt_stands_until_another_person_lifts_it(shop: Shop) -> None:
    first = shop.run(shop.store.halt("symbol", "AAPL", KIM))
    assert shop.run(shop.store.halt("symbol", "AAPL", LEE)) == first
    assert shop.run(shop.store.halts()) == [first]
    with pytest.raises(Refused) as alone:
        shop.run(shop.store.resume("symbol", "AAPL", KIM))
    shop.run(shop.store.resume("symbol", "AAPL", LEE))
    with pytest.raises(Refused) as gone:
        shop.run(shop.store.resume("symbol", "AAPL", LEE))

    assert alone.value.code is Code.SECOND_PRINCIPAL_REQUIRED
    assert gone.value.code is Code.NOT_FOUND
    assert shop.run(shop.store.halts()) == []


def test_a_halt_of_nothing_is_refused_and_not_noted(shop: Shop) -> None:
    with pytest.raises(Refused) as refused:
        shop.run(shop.store.halt("everything", "", KIM))

    assert refused.value.code is Code.VALIDATION_FAILED
    assert shop.run(shop.store.halts()) == []


def test_a_bell_is_moved_with_its_version(shop: Shop) -> None:
    wanted = SessionOverride(SESSION.trading_session_id, 0, 1, 2, "", "")
    one = shop.run(shop.store.override_session(wanted, 0, KIM))
    two = shop.run(shop.store.override_session(one._replace(opens_at=0), 1, LEE))
    with pytest.raises(Refused) as stale:
        shop.run(shop.store.override_session(one, 1, KIM))

    assert (one.version, two.version, two.changed_by) == (1, 2, "lee")
    assert stale.value.code is Code.STALE_VERSION
    assert shop.run(shop.store.overrides()) == [two]
    gone = shop.run(shop.store.override_session(two._replace(lifted_at=NOW), 2, KIM))
    assert shop.run(shop.store.overrides()) == []
    assert shop.run(shop.store.every_override()) == [gone]
    assert gone.version == 3
    assert [r.route_id for r in shop.run(shop.store.routes())] == ["XNAS"]


def test_bells_and_policies_that_were_set_for_a_time_go_back(shop: Shop) -> None:
    session = SESSION.trading_session_id
    back = '{"opens_at":null,"closes_at":null}'
    moved = SessionOverride(session, 0, 1, 2, "", "", NOW + 1_000, back)
    shop.run(shop.store.override_session(moved, 0, KIM))
    policy = RoutePolicy("XNAS", cooldown_s=90, expires_at=NOW + 1_000, reverts_to="{}")
    wanted = policy._replace(reverts_to='{"cooldown_s":60}', candidates=("north",))
    shop.run(shop.store.set_policy(wanted, 0, KIM))
    shop.clock.at = NOW + 999
    assert shop.run(shop.store.end_overrides()) == []
    shop.clock.at = NOW + 1_000

    assert shop.run(shop.store.end_overrides()) == ["route/XNAS", f"session/{session}"]
    assert shop.run(shop.store.overrides()) == []
    after = shop.run(shop.store.policies())["XNAS"]
    assert (after.cooldown_s, after.candidates, after.version) == (60, ("north",), 2)
    assert (after.expires_at, after.reverts_to) == (None, None)
    assert shop.run(shop.store.end_overrides()) == []
    assert {row["actor"] for row in shop.run(shop.store.audit(2, 10))} == {"openbell"}


def test_whatever_operators_do_stands_in_one_chain(shop: Shop) -> None:
    shop.run(shop.store.note(Change("looked", "x", None, None), KIM))
    shop.run(shop.store.halt("all", "", KIM))
    shop.run(shop.store.resume("all", "", LEE))

    rows = shop.run(shop.store.audit(0, 10))
    assert [row["action"] for row in rows] == ["looked", "halt", "resume"]
    assert shop.run(shop.store.audit(1, 1)) == rows[1:2]
    assert shop.run(shop.store.audit_broken_at()) is None


def test_whatever_a_stranger_wrote_is_noted_as_well_as_it_can_be(shop: Shop) -> None:
    """A refused request is noted with the path that was asked for, and that may hold anything."""
    change = Change("denied.halt", "/admin/v1/x\0y\ud800", None, {"code": "scope-missing"})
    shop.run(shop.store.note(change, Actor("eve\0", "\0because", "r\0")))

    (row,) = shop.run(shop.store.audit(0, 10))
    assert (row["actor"], row["resource"]) == ("eve\ufffd", "/admin/v1/x\ufffdy?")
    assert (row["reason"], row["request_id"]) == ("\ufffdbecause", "r\ufffd")
    assert shop.run(shop.store.audit_broken_at()) is None


def test_what_one_request_has_noted_is_noted_once(shop: Shop) -> None:
    change = Change("throttle.advised", "broker/north", None, {"tps": 80})
    by = Actor("openbell", "an anomaly", "an_1-1")

    assert shop.run(shop.store.note_once(change, by)) == 1
    assert shop.run(shop.store.note_once(change, by)) is None
    assert shop.run(shop.store.note_once(change._replace(action="other"), by)) == 2
    assert shop.run(shop.store.note_once(change, by._replace(request_id="an_1-2"))) == 3
    assert shop.run(shop.store.audit_broken_at()) is None


def test_how_a_rate_is_found_stands_in_the_row_and_goes_back_name_by_name(shop: Shop) -> None:
    before = shop.run(shop.store.controls())["north"]
    assert before.tuning is None
    wanted = with_facts(before, {"mode": "adaptive", "floor": 5, "held": True})
    back = '{"tps": 100, "held": false}'
    wanted = wanted._replace(expires_at=NOW + 1_000, reverts_to=back)
    shop.run(shop.store.set_control(wanted, before.version, KIM))
    shop.clock.at = NOW + 1_000

    (reverted,) = shop.run(shop.store.revert_expired())
    assert shop.run(shop.store.controls())["north"] == reverted
    assert tuning_of(reverted) == Tuning(mode=Mode.ADAPTIVE, floor=5)


def test_a_person_settles_a_doubt_once(shop: Shop) -> None:
    claimed = shop.sending()
    key = claimed.broker_order_key
    shop.run(shop.store.settle([Settlement(key, Unknown("timeout"), 7)]))
    order = shop.run(shop.store.resolve_doubt(key, "filled", {"price": "187.25"}, KIM))
    with pytest.raises(Refused) as again:
        shop.run(shop.store.resolve_doubt(key, "not_received", {}, LEE))

    assert (order.status, order.filled_quantity) == (Status.FILLED, Decimal(10))
    assert again.value.code is Code.DOUBT_SETTLED


def test_the_backlog_is_what_waits(shop: Shop) -> None:
    shop.take("c-1", reserved=True)
    shop.take("c-2")

    backlog = shop.run(shop.store.backlog())
    assert backlog.reserved == {SESSION.trading_session_id: 1}
    assert (backlog.ready, backlog.in_doubt, backlog.outbox) == ({"XNAS": 1}, {}, 2)


def test_the_vitals_say_what_waits_who_owns_and_what_is_in_doubt(shop: Shop) -> None:
    quiet = shop.run(shop.store.vitals())
    claimed = shop.sending("c-1")
    shop.take("c-2")
    shop.run(shop.store.settle([Settlement(claimed.broker_order_key, Unknown("?"), 5)]))
    since = shop.get(claimed.order.order_id).updated_at
    vitals = shop.run(shop.store.vitals())

    assert not quiet.ready
    assert not quiet.owned
    assert not quiet.doubts
    assert quiet.outbox_first == 0
    assert vitals.ready == {"XNAS": 1}
    assert vitals.owned == {"north"}
    assert vitals.doubts == {"north": (1, since)}
    assert [(r.route_id, r.active_broker) for r in vitals.routes] == [("XNAS", "north")]
    assert 0 < vitals.outbox_first < vitals.outbox_last
    assert vitals.unbalanced == 0
    shop.passes(10_001)
    assert shop.run(shop.store.vitals()).owned == set()


def test_the_outbox_says_what_waits_and_what_its_oldest_event_is(shop: Shop) -> None:
    assert shop.run(shop.store.outbox()) == (0, None, None, None)
    order = shop.take()
    shop.take("c-2")

    stands = shop.run(shop.store.outbox())
    assert stands.waiting >= 2
    assert (stands.oldest_event_id, stands.oldest_at) == (f"{order.order_id}-1", order.updated_at)


def test_whoever_owns_a_lane_is_known_also_when_he_is_gone(shop: Shop) -> None:
    assert shop.run(shop.store.owners()).owners == ()
    epoch = shop.run(shop.store.take_lease("north", "gw-1", 3_000))
    shop.run(shop.store.take_lease("south", "gw-2", 3_000))

    found = shop.run(shop.store.owners())
    north = found.of("north")
    assert north is not None
    assert (north.holder, north.epoch, north.stands(found.at)) == ("gw-1", epoch, True)
    assert not north.stands(found.at + 3_001)
    assert found.of("west") is None

    shop.run(shop.store.drop_lease("north", "gw-1", epoch))
    again = shop.run(shop.store.owners())
    (north, south) = again.owners
    assert (north.expires_at, north.stands(again.at), south.stands(again.at)) == (0, False, True)
