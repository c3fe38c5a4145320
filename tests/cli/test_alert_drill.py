"""The arithmetic of the drill of alerts: which event tells which cause, and what a share is.

The drill itself is played in `tests/faults/test_drill.py`.
"""

import random
from typing import Any

import pytest

from app.cli.drill.alert_times import Late
from app.cli.drill.alerts import GIVEN_UP_S, Course


def event(
    rule: str = "broker.unreachable",
    *,
    state: str = "open",
    subject: tuple[str, str] = ("broker", "east"),
    name: str = "an_1",
) -> dict[str, Any]:
    kind, subject_id = subject
    return {
        "anomaly_id": name,
        "rule": {"id": rule},
        "state": state,
        "subject": {"kind": kind, "id": subject_id},
    }


@pytest.fixture
def course() -> Course:
    course = Course("line", "broker/east", random.Random(1))
    course.caused_ms = 10_000
    return course


def test_the_first_event_after_a_cause_tells_it(course: Course) -> None:
    assert course.hears(12_500, event())
    assert not course.hears(13_000, event("broker.unreachable", name="an_2"))

    assert course.late_s == [2.5]


@pytest.mark.parametrize(
    "other",
    [event(subject=("broker", "west")), event("breaker.opened"), event(state="resolved")],
    ids=["another broker", "another rule", "an end"],
)
def test_what_is_about_something_else_tells_nothing(course: Course, other: dict[str, Any]) -> None:
    assert not course.hears(12_500, other)

    assert course.late_s == []


def test_an_event_from_before_the_cause_tells_nothing(course: Course) -> None:
    assert not course.hears(9_999, event())

    assert course.late_s == []


def test_the_next_cause_waits_until_everything_has_ended(course: Course) -> None:
    course.hears(12_500, event())
    course.hears(12_600, event(name="an_2"))
    course.hears(20_000, event(state="resolved"))
    course.due = 0.0
    assert not course.ready

    course.hears(20_100, event(state="resolved", name="an_2"))
    course.due = 0.0
    assert course.ready


def test_a_cause_that_nothing_tells_counts_as_late(course: Course) -> None:
    assert course.gives_up()

    assert course.late_s[0] > GIVEN_UP_S
    assert course.caused_ms is None


@pytest.mark.parametrize(
    ("count", "share", "late"),
    [(1, 0.5, 1), (2, 0.5, 1), (1_000, 0.99, 990), (1_000, 0.999, 999), (100, 0.999, 100)],
)
def test_a_share_is_told_within_the_lateness_at_its_rank(
    count: int, share: float, late: int
) -> None:
    assert Late([float(n) for n in range(1, count + 1)]).at(share) == late
