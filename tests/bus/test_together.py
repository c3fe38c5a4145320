"""Who publishes while another one does goes with the next batch, in the order of asking."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest

from app.bus.together import EVENTS_MAX, Together
from app.ports.bus import Event
from tests.bus.kafka_house import an_event
from tests.virtual import VirtualLoop


class Wire:
    """What was sent, batch by batch; each takes a second, and may fail."""

    def __init__(self) -> None:
        self.sent: list[list[str]] = []
        self.failures: list[BaseException | None] = []
        self.busy = False
        self.together = Together(self._send)

    async def _send(self, events: Sequence[Event]) -> None:
        assert not self.busy
        self.busy = True
        try:
            self.sent.append([event.event_id for event in events])
            await asyncio.sleep(1)
            failure = self.failures.pop(0) if self.failures else None
            if failure is not None:
                raise failure
        finally:
            self.busy = False

    def publish(self, *names: str) -> asyncio.Future[None]:
        """Begin now, in the order of the calls."""
        events = [an_event(0)._replace(event_id=name) for name in names]
        return asyncio.ensure_future(self.together.publish(events))  # noqa: TID251 - its story ends it


def on(story: Callable[[Wire], Coroutine[Any, Any, None]]) -> list[list[str]]:
    wire = Wire()
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(story(wire))
    return wire.sent


def test_who_comes_meanwhile_shares_the_next_batch() -> None:
    async def story(wire: Wire) -> None:
        await asyncio.gather(*(wire.publish(name) for name in "abc"))
        await wire.publish("d", "e")

    assert on(story) == [["a"], ["b", "c"], ["d", "e"]]


def test_a_failure_is_told_to_all_who_wait_and_leaves_nothing_behind() -> None:
    async def story(wire: Wire) -> None:
        wire.failures.append(OSError("away"))
        first = wire.publish("a")
        await asyncio.sleep(0.5)
        told = await asyncio.gather(first, wire.publish("b"), return_exceptions=True)
        assert [str(one) for one in told] == ["away", "away"]
        await wire.publish("c")

    assert on(story) == [["a"], ["c"]]


def test_who_is_cancelled_while_he_carries_loses_nobody_elses_events() -> None:
    async def story(wire: Wire) -> None:
        first, second, third = (wire.publish(name) for name in "abc")
        await asyncio.sleep(0.5)
        fourth = wire.publish("d")
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.gather(second, third, fourth)
        assert first.cancelled()

    assert on(story)[-1] == ["b", "c", "d"]


def test_who_gives_up_waiting_is_not_carried() -> None:
    async def story(wire: Wire) -> None:
        first = wire.publish("a")
        await asyncio.sleep(0.5)
        second, third = wire.publish("b"), wire.publish("c")
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.gather(first, third)

    assert on(story) == [["a"], ["c"]]


def test_a_bug_is_told_to_each_and_is_no_answer_to_anybody() -> None:
    async def story(wire: Wire) -> None:
        wire.failures += [AssertionError("a bug"), None]
        told = await asyncio.gather(*(wire.publish(n) for n in "ab"), return_exceptions=True)
        assert isinstance(told[0], AssertionError)
        assert told[1] is None

    assert on(story)[-1] == ["b"]


@pytest.mark.parametrize("size", [1, EVENTS_MAX - 1, 2 * EVENTS_MAX])
def test_a_batch_is_bounded_but_a_request_is_never_divided(size: int) -> None:
    async def story(wire: Wire) -> None:
        first = wire.publish("a")
        await asyncio.sleep(0.5)
        await asyncio.gather(first, wire.publish(*("b" * size)), wire.publish("c", "c"))

    _, *batches = on(story)

    expected = [["b"] * size, ["c", "c"]]
    assert batches == ([expected[0] + expected[1]] if size == 1 else expected)
