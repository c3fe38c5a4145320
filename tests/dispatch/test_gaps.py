"""What a broker shows and does not explain: noted, told once, ended by evidence or a word."""

from decimal import Decimal

import pytest

from app.dispatch.gaps import ABSENT, ANYTHING, FILLS, Gaps, least_traded
from app.domain import episode
from app.domain.anomaly import Anomaly
from app.domain.episode import Place
from app.domain.messages import Found
from app.domain.values import Status
from tests.builders import an_order

TEN = Decimal(10)


def told(gaps: Gaps) -> list[Anomaly]:
    findings = gaps.news()
    gaps.told(findings)
    return [episode.opened(f, Place(), "in_1", n, 5) for n, f in enumerate(findings) if f.severity]


@pytest.mark.parametrize(
    ("found", "least"),
    [
        (Found("b", Status.NEW), Decimal(0)),
        (Found("b", Status.CANCELED), Decimal(0)),
        (Found("b", Status.CANCELED, filled_quantity=Decimal(3)), Decimal(3)),
        (Found("b", Status.PARTIALLY_FILLED), ANYTHING),
        (Found("b", Status.PARTIALLY_FILLED, filled_quantity=Decimal(3)), Decimal(3)),
        (Found("b", Status.FILLED), TEN),
        (Found("b", Status.FILLED, quantity=Decimal(7)), Decimal(7)),
        (Found("b", Status.FILLED, filled_quantity=Decimal(0)), TEN),
    ],
)
def test_a_status_says_how_much_has_traded_at_the_least(found: Found, least: Decimal) -> None:
    assert least_traded(found, TEN) == least


def test_a_gap_is_told_once_and_ends_when_the_executions_come() -> None:
    gaps = Gaps("north")
    gaps.note(FILLS, "k-1", TEN)
    (opened,) = told(gaps)
    assert opened.evidence == {"orders": {"k-1": "10"}}
    assert gaps.news() == []
    gaps.follow({"k-1": an_order(filled_quantity=Decimal(9))})
    assert gaps.news() == []
    gaps.follow({"k-1": an_order(filled_quantity=Decimal(9), overfilled_quantity=Decimal(1))})

    (end,) = gaps.news()
    assert (end.rule_id, end.severity) == (FILLS, None)


def test_an_order_that_is_lacking_is_told_of_until_it_has_ended() -> None:
    gaps = Gaps("north")
    gaps.note(ABSENT, "k-1")
    told(gaps)
    gaps.follow({"k-1": an_order(status=Status.NEW)})
    assert gaps.keys == {"k-1"}
    gaps.follow({"k-1": an_order(status=Status.CANCELED)})

    assert [f.severity for f in gaps.news()] == [None]


def test_the_next_life_takes_over_what_was_told() -> None:
    former, gaps = Gaps("north"), Gaps("north")
    former.note(FILLS, "k-1", TEN)
    standing = told(former)
    gaps.hear(standing)
    Gaps("south").hear(standing)

    assert gaps.keys == {"k-1"}
    assert gaps.news() == []
    gaps.follow({"k-1": an_order(filled_quantity=TEN)})
    assert [f.severity for f in gaps.news()] == [None]


def test_an_acknowledged_gap_ends_and_stays_so() -> None:
    gaps = Gaps("north")
    gaps.note(FILLS, "k-1", TEN)
    (opened,) = told(gaps)
    gaps.hear([opened._replace(acknowledged_at=9)])
    assert [f.severity for f in gaps.news()] == [None]
    gaps.note(FILLS, "k-1", TEN)

    assert gaps.keys == set()
    assert gaps.knows("k-1")
