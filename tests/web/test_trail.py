"""The audit row that an answer names is the one that this request wrote."""

from app.domain.records import Actor, Change
from app.web.trail import Trail
from tests.web.house import Gateway, run


def test_rows_that_others_write_meanwhile_are_not_ours(gateway: Gateway) -> None:
    ledger = gateway.ledger

    async def story() -> tuple[int, int | None, int | None]:
        trail = Trail(ledger)
        change = Change("test", "test", None, None)
        for _ in range(11):
            await ledger.note(change, Actor("mina", "before", "r-0"))
        since = await trail.end()
        await ledger.note(change, Actor("jun", "between", "r-1"))
        await ledger.note(change, Actor("mina", "ours", "r-2"))
        return since, await trail.written(since, "r-2"), await trail.written(since, "r-3")

    assert run(story()) == (11, 13, None)
