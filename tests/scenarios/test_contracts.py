"""What a contract says beside a rate: hours, numbers by phase, what a batch costs."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from app.domain.capabilities import Capabilities
from app.domain.windows import read_window
from tests.scenarios.fates import PLAIN
from tests.scenarios.floor import SESSION_OPENS, Floor
from tests.scenarios.seconds import worst_second
from tests.scenarios.test_pace import acts, lane
from tests.virtual import NS_PER_MS, Virtual

NEW_YORK = {"days": "mon-fri", "zone": "America/New_York"}
ORDERS = [f"o-{n}" for n in range(300)]


def able(**changes: Any) -> Capabilities:
    return replace(PLAIN, **changes)


@contextmanager
def a_floor(virtual: Virtual, **given: Any) -> Iterator[Floor]:
    floor = Floor(virtual, **given)
    yield floor
    floor.crash()


def shut(opens: str, closes: str) -> Capabilities:
    return able(blackouts=(read_window({**NEW_YORK, "opens": opens, "closes": closes}),))


def test_in_a_blackout_no_order_leaves_and_after_it_all_do(virtual: Virtual) -> None:
    with a_floor(virtual, capabilities=shut("09:29", "09:31")) as floor:
        floor.reserve_all(ORDERS[:20])
        floor.bell()
        floor.passes(61)
        assert floor.north.sent == []
        assert acts(floor) == (0, "blackout")
        assert lane(floor).why_not == "the broker takes nothing now"

        floor.comes_to("new", *ORDERS[:20])
        first = min(s.at_ns for s in floor.north.sent)

        ago_ns = floor.world.now_ns - first
        assert virtual.clock.now() * NS_PER_MS - ago_ns >= (SESSION_OPENS + 62_000) * NS_PER_MS


def test_in_a_blackout_cancels_and_new_terms_wait_too(virtual: Virtual) -> None:
    able_to_replace = replace(shut("09:31", "09:32"), replaces=True)
    with a_floor(virtual, capabilities=able_to_replace) as floor:
        floor.reserve_all(["gone", "changed"])
        floor.bell()
        floor.comes_to("new", "gone", "changed")
        floor.passes(60)
        floor.cancel("gone")
        floor.replace("changed", 20)
        floor.passes(30)
        claimed = "SELECT count(*) FROM replace_requests WHERE state <> 'waiting'"
        assert floor.query(claimed)[0][0] == 0, "what is claimed could not be withdrawn"
        floor.passes(31)
        assert {s.verb for s in floor.north.sent} == {"new"}

        floor.comes_to("canceled", "gone")
        floor.until(lambda: floor.order("changed").quantity == 20)


def test_the_contracts_own_profile_lowers_the_number_by_phase(virtual: Virtual) -> None:
    profile = (("open-60m", 40), ("open", 5), ("open+9s", 40))
    with a_floor(virtual, capabilities=able(rate_profile=profile)) as floor:
        assert acts(floor) == (5, "contract"), "two seconds before the bell, for clocks that differ"
        floor.reserve_all(ORDERS[:60])
        floor.bell()
        floor.passes(8)
        assert worst_second([s.at_ns for s in floor.north.sent]) <= 5
        floor.rate("north", 3)
        assert acts(floor) == (3, "operator")
        floor.rate("north", 50)
        floor.passes(4)

        assert acts(floor) == (40, "contract")


def test_no_second_costs_more_than_its_number_where_a_batch_costs_one_more(
    virtual: Virtual,
) -> None:
    costly = able(batch_max=10, batch_cost="request_plus_orders", max_in_flight=64)
    with a_floor(virtual, capabilities=costly, tps=200) as floor:
        requests: list[tuple[int, int]] = []
        leave = floor.north.leave

        def noted(verb: str, keys: Sequence[str]) -> None:
            requests.append((floor.world.now_ns, costly.cost(len(keys))))
            leave(verb, keys)

        floor.north.leave = noted  # type: ignore[method-assign]
        floor.reserve_all(ORDERS)
        floor.bell()
        took_s = floor.comes_to("new", *ORDERS)
        spent = [at for at, cost in requests for _ in range(cost)]

        assert len(spent) > len(ORDERS)
        assert worst_second(spent) <= 200
        assert took_s <= 1 + len(spent) / 200, "no permit is spent for nothing"
