"""What a broker can take: read as settings give it, and never guessed."""

from typing import Any

import pytest

from app.domain.capabilities import Capabilities

ORDER = ("XNYS", "limit", "day", "A-1")


@pytest.mark.parametrize(
    ("able", "lacking"),
    [
        ({}, None),
        ({"markets": ["XNYS"], "order_types": ["limit"], "accounts": ["A-1"]}, None),
        ({"markets": ["XNAS"]}, "markets"),
        ({"order_types": ["market"]}, "order_types"),
        ({"times_in_force": []}, "times_in_force"),
        ({"accounts": ["A-2", "A-3"]}, "accounts"),
    ],
)
def test_an_order_is_taken_by_whoever_takes_all_of_it(
    able: dict[str, Any], lacking: str | None
) -> None:
    found = Capabilities(**able)

    assert found.lacks(*ORDER) == lacking
    assert found.is_choosy is bool(able)


@pytest.mark.parametrize(
    "slip", [{"order_types": ["limt"]}, {"markets": "XNYS"}, {"accounts": [1]}, {"markets": 3}]
)
def test_a_slip_of_the_pen_stops_the_start(slip: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError)):
        Capabilities(**slip)


@pytest.mark.parametrize(
    "slip",
    [
        {"lists": True},
        {"list_message_max": 10},
        {"lists": True, "batch_max": 10, "list_message_max": 0},
    ],
)
def test_lists_have_several_orders_and_fragments_are_of_lists(slip: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="list"):
        Capabilities(**slip)
