"""The house's own checks: what is slow, far or without an owner says so, and what is unknown."""

import asyncio

import pytest

from app.domain.signs import Owners
from app.web.console.grades import Finding, Grade
from app.web.console.inside import inside
from app.web.console.paces import Paces
from app.web.console.panels import panels
from app.web.console.sight import Sight
from tests.virtual import VirtualClock, VirtualLoop, run_virtual
from tests.web.console.sights import (
    NOW,
    OPERATOR,
    a_book,
    a_pace,
    a_second,
    a_sight,
    an_owner,
)
from tests.web.stand_ins import StillFloor


def found(sight: Sight, name: str) -> Finding:
    (finding,) = [one for one in inside(sight) if one.name == name]
    return finding


def late(*late_ms: float) -> Sight:
    seconds = [
        a_second(NOW - (len(late_ms) - i) * 1_000, 9)._replace(late_ms=one)
        for i, one in enumerate(late_ms)
    ]
    return a_sight(paces=tuple(seconds))


def owned(*owners: object) -> Sight:
    return a_sight(book=a_book(owners=Owners(NOW, owners)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("sight", "name", "grade", "says"),
    [
        (a_sight(), "Writer", Grade.OK, "a commit of 212 takes 3.1 ms, at p99 9.8 ms"),
        (a_sight(commits=a_pace(p99_ms=251.0)), "Writer", Grade.WARNING, "at p99 251 ms"),
        (a_sight(commits=a_pace(p50_ms=None)), "Writer", Grade.OK, "wrote nothing"),
        (a_sight(commits=a_pace(running=False)), "Writer", Grade.CRITICAL, "does not run"),
        (late(1.4, 12.0, 2.0), "Loop lag", Grade.OK, "2 ms now, 12 ms at worst"),
        (late(900.0, 2.0), "Loop lag", Grade.WARNING, "900 ms at worst"),
        (a_sight(), "Clock skew", Grade.OK, "3 ms between"),
        (a_sight(book=a_book(skew_ms=200.0)), "Clock skew", Grade.WARNING, "200 ms between"),
        (a_sight(), "Owner of nova", Grade.OK, "gw-2 (0f3a), epoch 41"),
        (owned(), "Owner of nova", Grade.WARNING, "no process has ever sent"),
        (owned(an_owner(expires_at=NOW)), "Owner of nova", Grade.CRITICAL, "gw-2 (0f3a) is silent"),
        (owned(an_owner(expires_at=0)), "Owner of nova", Grade.CRITICAL, "gave it back"),
        (owned(an_owner(holder="0f3a9c")), "Owner of nova", Grade.OK, "0f3a9c, epoch 41"),
    ],
)
def test_each_sign_says_what_was_found(sight: Sight, name: str, grade: Grade, says: str) -> None:
    finding = found(sight, name)

    assert finding.grade is grade
    assert says in finding.says
    assert finding.fix if grade is not Grade.OK else not finding.fix
    assert name in panels(sight, OPERATOR)["pipelines"]


def test_what_nobody_measured_is_not_said_to_be_well() -> None:
    sight = a_sight(commits=None, book=a_book(owners=None))

    names = {one.name for one in inside(sight)}
    assert names == {"Clock skew"}


def test_a_loop_that_is_held_up_says_for_how_long() -> None:
    """The beat sleeps a second, and something else holds the loop for half of one over its end."""

    async def watched(clock: VirtualClock) -> list[float | None]:
        paces = Paces(StillFloor(), clock)
        async with asyncio.TaskGroup() as group:
            beat = group.create_task(paces.run())
            await asyncio.sleep(2.75)
            loop = asyncio.get_running_loop()
            assert isinstance(loop, VirtualLoop)
            loop.held_for(750_000_000)
            await asyncio.sleep(1)
            beat.cancel()
        return [one.late_ms for one in paces.seen()]

    late_ms = run_virtual(watched)

    assert late_ms == pytest.approx([0.0, 0.0, 0.0, 500.0])
