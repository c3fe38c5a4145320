"""What brokers answered, on its way to disk.

Answers arrive one by one and are committed together: whatever came while the last commit ran.
The trap is to stop too early: an answer that is heard and not written is a doubt tomorrow.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Sequence
from typing import Final

from app import crash
from app.domain.messages import (
    Accepted,
    Answer,
    NotSent,
    Rejected,
    Submission,
    Throttled,
    Unknown,
)
from app.domain.records import Settlement
from app.ports.dispatch import DispatchStore

WORDS: Final[dict[type[Answer], str]] = {
    Accepted: "accepted",
    Rejected: "rejected",
    NotSent: "not_sent",
    Throttled: "throttled",
    Unknown: "unknown",
}


class Answers:
    """One lane's answers: heard, counted, settled."""

    def __init__(self, store: DispatchStore) -> None:
        self._store = store
        self._heard: deque[Settlement] = deque()
        self._wake = asyncio.Event()
        self._all_heard = False
        self.counts: Counter[str] = Counter()

    def note(
        self, batch: Sequence[Submission], answers: Sequence[Answer], sent_ns: int | None
    ) -> None:
        """Hear one answer for each of the batch; `sent_ns` None: no byte has left."""
        for submission, answer in zip(batch, answers, strict=True):
            self._heard.append(Settlement(submission.broker_order_key, answer, sent_ns))
            self.counts[WORDS[type(answer)]] += 1
        self._wake.set()

    def end(self) -> None:
        """Say that nothing more will be heard; `run` returns when the last one is on disk."""
        self._all_heard = True
        self._wake.set()

    async def run(self) -> None:
        """Put answers on disk until the end."""
        while self._heard or not self._all_heard:
            await self._wake.wait()
            self._wake.clear()
            while self._heard:
                settled = list(self._heard)
                self._heard.clear()
                await self._store.settle(settled)
                crash.point("settle.after_commit")
