"""Every process says what a rule is; one that watches tries it on the last minutes."""

import pytest

from app.diagnostics.rulebook import RulesAsShipped
from app.diagnostics.shipped import SHIPPED
from app.domain.errors import Code, Refused
from app.domain.values import rfc3339
from app.ports.trouble import Rulebook
from tests.builders import StillClock
from tests.diagnostics.rig import Watched
from tests.virtual import Virtual


def test_a_process_that_watches_nothing_knows_the_rules_all_the_same() -> None:
    book: Rulebook = RulesAsShipped(StillClock(), None)
    whole = book.checked({"rule_id": "clock.skew", "warning": {"raise_at": 150}})

    assert set(book.shipped()) == set(SHIPPED)
    assert book.checked(whole) == whole
    assert whole["warning"] == {"raise_at": 150.0, "window_s": 0.0, "for_s": 0.0}
    assert book.rehearsed(whole) is None


def test_what_is_no_rule_is_refused_with_every_fault() -> None:
    with pytest.raises(Refused) as refused:
        RulesAsShipped(StillClock(), None).checked({"rule_id": "clock.skew", "sample_min": 0})

    assert refused.value.code is Code.VALIDATION_FAILED
    assert "sample_min" in str(refused.value)


def test_a_rehearsal_says_when_by_the_wall_clock(virtual: Virtual) -> None:
    watched = Watched(virtual)
    book = RulesAsShipped(watched.clock, watched.watch)
    watched.passes(5)
    watched.brokers["north"].alive = False
    began = watched.clock.now()
    watched.passes(6)
    watched.brokers["north"].alive = True
    watched.passes(20)
    found = book.rehearsed(book.checked({"rule_id": "broker.unreachable"}))
    watched.database.close()

    assert found is not None
    (firing,) = found.firings
    assert (firing["subject"], firing["severity"]) == ("broker/north", "warning")
    assert rfc3339(began + 2_000) <= str(firing["raised_at"]) <= rfc3339(began + 4_000)
    assert str(firing["cleared_at"]) > str(firing["raised_at"])


def test_rules_of_the_store_are_in_force_within_seconds(virtual: Virtual) -> None:
    watched = Watched(virtual)
    watched.operators = [
        {"rule_id": "broker.unreachable", "enabled": False},
        {"rule_id": "clock.skew", "warning": {"raise_at": "fast"}},
    ]
    watched.brokers["north"].alive = False
    open_now = watched.passes(12)
    watched.database.close()

    assert open_now == {}
    assert list(watched.watch.bad_rules) == ["clock.skew"]
