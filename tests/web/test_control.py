"""What comes back when an override ends: what stood before it, and nothing temporary."""

from app.domain.records import BrokerControl
from app.domain.tuning import Edge, Mode, tuning_of
from app.web.brokers.control import changed, undone

NOW = 1_000_000
PLAIN = BrokerControl("nova", 1, 500, "running", "auto", "settings", 0, "start", None, None)


def test_a_change_without_an_end_is_for_good() -> None:
    after = changed(PLAIN, {"tps": 800}, None, NOW)

    assert (after.tps, after.expires_at, after.reverts_to) == (800, None, None)


def test_an_override_of_an_override_goes_back_to_what_was_for_good() -> None:
    first = changed(PLAIN, {"tps": 800}, 60, NOW)
    second = changed(first, {"tps": 900}, 30, NOW + 1)

    assert (second.tps, second.expires_at) == (900, NOW + 1 + 30_000)
    assert second.reverts_to == '{"tps":500}'


def test_a_change_for_good_ends_the_override_of_its_field_alone() -> None:
    both = changed(changed(PLAIN, {"tps": 800}, 60, NOW), {"dispatch": "paused"}, 60, NOW)
    after = changed(both, {"tps": 700}, None, NOW)

    assert (after.tps, after.dispatch) == (700, "paused")
    assert (after.reverts_to, after.expires_at) == ('{"dispatch":"running"}', NOW + 60_000)
    assert changed(after, {"dispatch": "running"}, None, NOW).expires_at is None


def test_an_undo_does_not_bring_back_what_has_expired_meanwhile() -> None:
    before = changed(PLAIN, {"tps": 800}, 60, NOW)
    after = changed(before, {"tps": 900}, None, NOW)._replace(version=3)

    in_time = undone(after, before, NOW + 1)
    late = undone(after, before, NOW + 60_000)

    assert (in_time.tps, in_time.expires_at) == (800, NOW + 60_000)
    assert (late.tps, late.expires_at, late.reverts_to) == (500, None, None)
    assert in_time.version == late.version == 3


def test_what_is_set_beside_the_number_goes_back_name_by_name() -> None:
    shown = changed(PLAIN, {"schedule": [{"at": "open", "tps": 3}]}, None, NOW)
    number = changed(shown, {"tps": 800, "held": True}, 60, NOW)
    both = changed(number, {"mode": "adaptive", "floor": 50}, None, NOW)

    late = undone(both, both, NOW + 60_000)
    assert (late.tps, tuning_of(late).held) == (500, False)
    assert (tuning_of(late).mode, tuning_of(late).floor) == (Mode.ADAPTIVE, 50)
    assert tuning_of(late).schedule == (Edge("open", 3),)


def test_a_row_that_says_nothing_of_its_tuning_has_no_text_for_it() -> None:
    there = changed(PLAIN, {"mode": "adaptive"}, None, NOW)

    assert PLAIN.tuning is None
    assert tuning_of(there).mode is Mode.ADAPTIVE
    assert changed(there, {"mode": "manual"}, None, NOW).tuning is None
