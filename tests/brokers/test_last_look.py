"""An order that waits for its connection is asked about once more before its first byte."""

import asyncio
import socket
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest

from app.brokers.http import HttpBroker
from app.domain.messages import Accepted, Answer, NotSent
from app.domain.values import replace_key
from tests.brokers.builders import a_cancellation, a_replacement, a_submission
from tests.brokers.counterparty import Counterparty, accepted, broker_at, results
from tests.eventually import eventually

ONE, TWO = a_submission(), a_submission()
KEY, OTHER = ONE.broker_order_key, TWO.broker_order_key
NEW_TERMS = a_replacement(ONE, replace_key(KEY, 1))
BOTH = results(accepted(KEY), accepted(OTHER), accepted(NEW_TERMS.broker_order_key))
Asks = Callable[[HttpBroker], Coroutine[Any, Any, list[Answer]]]


class Far:
    """A broker so far away that a connection takes as long as a test wants."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.waiting = 0
        self.near = asyncio.Event()
        connects = asyncio.SelectorEventLoop.sock_connect

        async def slowly(loop: Any, sock: socket.socket, address: Any) -> None:
            self.waiting += 1
            await self.near.wait()
            await connects(loop, sock, address)

        monkeypatch.setattr(asyncio.SelectorEventLoop, "sock_connect", slowly)


def halted_meanwhile(
    monkeypatch: pytest.MonkeyPatch, asks: Asks, key: str
) -> tuple[Sequence[Answer], int]:
    """Ask while a halt comes for one order; return the answers, and how many requests left."""

    async def story() -> tuple[Sequence[Answer], int]:
        halted: dict[str, str] = {}
        async with Counterparty([BOTH]) as peer, asyncio.TaskGroup() as tasks:
            broker, far = broker_at(peer.url), Far(monkeypatch)
            broker.heed(halted.get)
            asking = tasks.create_task(asks(broker))
            await eventually(lambda: far.waiting)
            halted[key] = "halted"
            far.near.set()
            answers, left = await asking, len(peer.requests)
            halted.clear()
            assert [type(a) for a in await broker.submit([ONE, TWO])] == [Accepted] * 2
            assert peer.connections == 1  # nothing is wrong with the line
            await broker.close()
        return answers, left

    return asyncio.run(story())


def test_a_halt_while_a_connection_is_made_holds_the_whole_batch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = halted_meanwhile(monkeypatch, lambda b: b.submit([ONE, TWO]), OTHER)
    assert found == ([NotSent("halted", ours=True)] * 2, 0)


def test_it_holds_new_terms_too(monkeypatch: pytest.MonkeyPatch) -> None:
    key = NEW_TERMS.broker_order_key
    found = halted_meanwhile(monkeypatch, lambda b: b.replace([NEW_TERMS]), key)
    assert found == ([NotSent("halted", ours=True)], 0)


def test_a_cancel_passes_whatever_is_halted(monkeypatch: pytest.MonkeyPatch) -> None:
    answers, left = halted_meanwhile(monkeypatch, lambda b: b.cancel([a_cancellation(KEY)]), KEY)
    assert ([type(answer) for answer in answers], left) == ([Accepted], 1)
