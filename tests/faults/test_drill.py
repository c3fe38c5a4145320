"""A broker dies under load, and nobody touches anything: how long until orders flow again."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest

from app.cli.drill import SECONDS_MAX
from app.cli.drill.alerts import GIVEN_UP_S, AlertDrill
from app.cli.drill.rehearsal import Rehearsal, Rehearsed
from tests.faults.storm_stage import say

pytestmark = pytest.mark.storm
# An alert's event within five seconds of its cause; of a thousand causes: test_promptness.py.
ALERT_SECONDS_MAX = 5.0
# One leaves the line dead, the other answers every order, question and ping with 503.
FAULTS: Final = ("dies", "errs")


def test_a_sick_broker_is_left_within_fifteen_seconds_of_its_first_failing_answer(
    tmp_path: Path,
) -> None:
    # Each is a minute that a person would wait through, on a house of its own: side by side.
    plays = [Rehearsal(tmp_path / fault, fault, 100, say) for fault in FAULTS]
    with ThreadPoolExecutor(len(plays)) as pool:
        for told in pool.map(Rehearsal.play, plays):
            _left_in_time(told)


def _left_in_time(told: Rehearsed) -> None:
    say("\n".join(told.incident.lines()))

    times = told.incident.times
    assert 0 <= times.detected <= times.decided <= times.fenced <= times.first_accepted
    assert times.first_accepted <= SECONDS_MAX
    assert told.incident.alerted is not None
    assert told.incident.alerted <= ALERT_SECONDS_MAX
    assert told.incident.failover["pinned"] > 0
    assert told.live_twice == 0
    assert told.report.balanced, told.report.shown()


def test_every_cause_becomes_an_event_on_the_bus(tmp_path: Path) -> None:
    told = AlertDrill(tmp_path, 8, 20, say).play()
    say("\n".join(told.lines()))

    assert told.whole.late_s[0] > 0
    assert told.whole.late_s[-1] < GIVEN_UP_S
    assert set(told.kinds) == {"report", "line", "broker"}
    assert told.orders > 0
