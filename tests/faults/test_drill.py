"""A broker dies under load, and nobody touches anything: how long until orders flow again."""

from pathlib import Path

import pytest

from app.cli.alert_drill import GIVEN_UP_S, AlertDrill
from app.cli.drill import SECONDS_MAX
from app.cli.rehearsal import Rehearsal
from tests.faults.storm_stage import say

pytestmark = pytest.mark.storm
# An alert's event within five seconds of its cause; of a thousand causes: test_promptness.py.
ALERT_SECONDS_MAX = 5.0


# One leaves the line dead, the other answers every order, question and ping with 503.
@pytest.mark.parametrize("fault", ["dies", "errs"])
def test_a_sick_broker_is_left_within_fifteen_seconds_of_its_first_failing_answer(
    tmp_path: Path, fault: str
) -> None:
    told = Rehearsal(tmp_path, fault, 100, say).play()
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
