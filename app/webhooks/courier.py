"""Carries what is due to its endpoint, each by itself, and notes how it ended.

    due ─► places ─► claim (durable, with a lease) ─► guard, signing, post ─► verdict ─► settle

A claim is on disk before the first byte leaves. Whoever dies before the end is on disk leaves a
row that is due again when its lease is over, and it goes out again under the same `webhook-id`.

The trap is a dead endpoint that takes the places of those that live. So each has a few; one that
fails or is slow has one, and all of those together have a quarter of the house's.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable
from typing import Final

from app import crash
from app.clock import Clock
from app.consuming import ANYTHING, persistently
from app.domain.webhooks import (
    JITTER_BITS,
    Answer,
    DeliveryState,
    Endpoint,
    Settled,
    judged,
)
from app.mishaps import Mishaps
from app.ports.webhooks import Claim, Due, WebhookStore
from app.webhooks.carrier import Post
from app.webhooks.guard import Forbidden, Rules, target_of
from app.webhooks.signing import NoRoot, Roots, headers, mark_of, secrets_of

IN_FLIGHT_MAX: Final = 256
OF_ENDPOINT_MAX: Final = 4
# Of those who fail or are slow, each and together.
OF_SICK_MAX: Final = 1
SICK_IN_FLIGHT_MAX: Final = IN_FLIGHT_MAX // 4
SLOW_S: Final = 3.0
# Four times what the longest try takes, so that nobody else sends what we still hear about.
LEASE_MS: Final = 60_000
# The doors of another process queue tests and replays, and cannot wake us.
LOOK_EVERY_S: Final = 1.0
# Answers gather for a moment, so that a burst of them is one commit and not a hundred.
BREATH_S: Final = 0.02
# After a turn, rest three times as long: a thousand endpoints with something due are 60 ms of
# questions, and the store has others to serve.
REST: Final = 3.0


class WrongRoot(Exception):
    """An endpoint's secret was derived from another pepper than ours."""


class Courier:
    """The one loop, and a task for each delivery that is out."""

    def __init__(
        self,
        store: WebhookStore,
        post: Post,
        clock: Clock,
        rules: Rules,
        roots: Roots,
        mishaps: Mishaps,
    ) -> None:
        self._store = store
        self._post = post
        self._clock = clock
        self._rules = rules
        self._roots = roots
        self._mishaps = mishaps
        self._wake = asyncio.Event()
        self._ended: list[Settled] = []
        self._busy: Counter[str] = Counter()
        self._sick_busy: Counter[str] = Counter()
        self._slow: set[str] = set()
        self._turn_of: dict[str, int] = {}  # when an endpoint was served last, in turns
        self._turns = 0
        self.counts: Counter[str] = Counter()  # by what became of a try

    def wake(self) -> None:
        """Look at once: something was queued."""
        self._wake.set()

    async def run(self) -> None:
        """Carry for ever; what is out when we are cancelled goes again after its lease."""
        async with asyncio.TaskGroup() as sends:

            async def turn() -> int:
                return await self._turn(sends)

            while True:
                await persistently(turn, ANYTHING, self._mishaps.of("carrying"))

    async def _turn(self, sends: asyncio.TaskGroup) -> int:
        began = asyncio.get_running_loop().time()
        self._wake.clear()
        await self._settle()
        due = await self._store.due()
        now = self._clock.now()
        self._turns += 1
        places = self._places(self._ours(due), now)
        if places:
            for claim in await self._store.claim(places, now + LEASE_MS):
                self._begin(claim, sends)
        took_s = asyncio.get_running_loop().time() - began
        await self._pause(due, now, max(BREATH_S, REST * took_s))
        return len(places)

    async def _settle(self) -> None:
        ended = list(self._ended)
        if not ended:
            return
        await self._store.settle(ended)
        del self._ended[: len(ended)]
        for one in ended:
            self.counts[_became(one)] += 1

    def _ours(self, due: Iterable[Due]) -> list[Due]:
        """Return the endpoints whose signature would be the right one."""
        waiting = list(due)
        if not waiting:
            return []
        try:
            mark = mark_of(self._roots.read())
        except NoRoot as e:
            self._mishaps.threw(e, "signing")
            return []
        ours = [one for one in waiting if one.endpoint.root == mark]
        if len(ours) == len(waiting):
            self._mishaps.worked("signing")
        else:
            strange = len(waiting) - len(ours)
            self._mishaps.threw(WrongRoot(f"{strange} endpoints have another pepper"), "signing")
        return ours

    def _places(self, due: Iterable[Due], now: int) -> dict[str, int]:
        """Return how many may leave to each endpoint now, the longest unserved first."""
        ready = [
            one.endpoint
            for one in due
            if one.due_at <= now and (one.endpoint.quiet_until or 0) <= now
        ]
        ready.sort(key=lambda endpoint: self._turn_of.get(endpoint.endpoint_id, 0))
        free = IN_FLIGHT_MAX - self._busy.total()
        free_for_sick = SICK_IN_FLIGHT_MAX - self._sick_busy.total()
        found: dict[str, int] = {}
        for endpoint in ready:
            name, sick = endpoint.endpoint_id, self._is_sick(endpoint)
            most = OF_SICK_MAX if sick else OF_ENDPOINT_MAX
            given = min(most - self._busy[name], free, free_for_sick if sick else free)
            if given <= 0:
                continue
            found[name] = given
            free -= given
            free_for_sick -= given * sick
            self._turn_of[name] = self._turns
        return found

    def _is_sick(self, endpoint: Endpoint) -> bool:
        return endpoint.failing_since is not None or endpoint.endpoint_id in self._slow

    def _begin(self, claim: Claim, sends: asyncio.TaskGroup) -> None:
        name, sick = claim.endpoint.endpoint_id, int(self._is_sick(claim.endpoint))
        self._busy[name] += 1
        self._sick_busy[name] += sick
        sends.create_task(self._send(claim, sick))

    async def _send(self, claim: Claim, sick: int) -> None:
        name = claim.endpoint.endpoint_id
        began = asyncio.get_running_loop().time()
        try:
            answer = await self._tried(claim)
        except Exception as e:  # noqa: BLE001 - a bug of ours on one delivery; the others go on
            self._mishaps.threw(e, "sending")
            answer = Answer(None, "a fault of ours")
        else:
            self._mishaps.worked("sending")
        finally:
            self._busy -= Counter({name: 1})
            self._sick_busy -= Counter({name: sick})
        slow = asyncio.get_running_loop().time() - began > SLOW_S
        (self._slow.add if slow else self._slow.discard)(name)
        now = self._clock.now()
        chance = self._clock.random_bits(JITTER_BITS)
        verdict = judged(claim.delivery.attempts + 1, answer, now, chance)
        self._ended.append(Settled(claim.delivery, claim.lease, answer, verdict, now))
        self._wake.set()

    async def _tried(self, claim: Claim) -> Answer:
        """Judge the URL of now, sign, and send once."""
        try:
            target = target_of(claim.endpoint.url, self._rules)
        except Forbidden as e:
            return Answer(None, f"not sent: {e}")
        now = self._clock.now()
        body = claim.delivery.body.encode()
        secrets = secrets_of(self._roots.read(), claim.endpoint, now)
        signed = headers(secrets, claim.delivery.delivery_id, now // 1_000, body)
        crash.point("webhook.before_post")
        answer = await self._post.send(target, signed, body)
        crash.point("webhook.after_post")
        return answer

    async def _pause(self, due: Iterable[Due], now: int, rest_s: float) -> None:
        """Wait until something has ended or was queued, or the next one is due."""
        later = [one.due_at - now for one in due if one.due_at > now]
        wait_s = min([LOOK_EVERY_S, *(ms / 1_000 for ms in later)])
        await asyncio.sleep(rest_s)
        try:
            async with asyncio.timeout(max(0.0, wait_s - rest_s)):
                await self._wake.wait()
        except TimeoutError:
            return


def _became(one: Settled) -> str:
    match one.verdict.state:
        case DeliveryState.DELIVERED:
            return "delivered"
        case DeliveryState.WAITING:
            return "retried"
        case DeliveryState.FAILED:
            return "failed"
