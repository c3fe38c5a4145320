"""`/v1/webhooks`: where a client's own systems are told of his orders, and what they were told.

An endpoint belongs to whoever sees every account that it hears of; for anybody else it is not
there. Making one hands its accounts' orders to another server, so it takes the power to read them
as well as the power to change. The secret is told by the answer that makes it, and by no other.

The trap is a URL into our own network: it is judged here by its letters, and its name is not asked
for, because the answer would tell the caller what we can see. Before each delivery it is judged
again, with its addresses.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from app.domain.errors import Code, Refused
from app.domain.records import Actor
from app.domain.values import ulid
from app.domain.webhooks import (
    RANK_BITS,
    DeliveryState,
    DisabledBy,
    Endpoint,
    EndpointState,
    enabled,
    rank_at,
    rotated,
)
from app.web.access.keys import EVERY_ACCOUNT, authorize, not_there
from app.web.cursors import cursor_at, place_of
from app.web.house import Endpoints, House
from app.web.problems import invalid_at
from app.web.quotas.toll import READS, Toll
from app.web.shapes import rfc3339
from app.web.spec import Call, Reply, etag, ok
from app.web.webhooks.schemas import (
    DeliveriesAsked,
    EndpointAsked,
    EndpointChanged,
    ReplayAsked,
    Rotation,
)
from app.web.webhooks.shapes import delivery_shape, endpoint_shape, is_delivery_id, is_endpoint_id
from app.webhooks.guard import Forbidden, target_of
from app.webhooks.listener import WAITING_MAX
from app.webhooks.making import test_delivery
from app.webhooks.signing import SALT_BITS, mark_of, secret_of, shown

READ: Final = "orders:read"
WRITE: Final = "orders:write"
ID_BITS: Final = 80
# A chunk holds the one writer for some 10 ms, behind which new orders wait.
CHUNK: Final = 500
# Clients and proxies wait for a minute at most; they should never have to.
WORK_S_MAX: Final = 5.0


class Webhooks:
    """The doors to a client's endpoints."""

    def __init__(self, house: House, endpoints: Endpoints, toll: Toll) -> None:
        self._clock = house.clock
        self._store = endpoints.store
        self._rules = endpoints.rules
        self._roots = endpoints.roots
        self._toll = toll

    async def create(self, call: Call[EndpointAsked, None]) -> Reply:
        """Make an endpoint; the answer has its secret, this once.

        It hears of what happens from now on. Verify each request by the Standard Webhooks
        specification, answer 2xx within 15 seconds, and apply each `webhook-id` once.
        """
        asked = call.body
        await self._admitted(call)
        accounts = self._accounts(call, asked.accounts)
        now, root = self._clock.now(), self._roots.read()
        endpoint = Endpoint(
            endpoint_id=f"we_{ulid(now, self._clock.random_bits(ID_BITS))}",
            version=1,
            url=self._judged(asked.url),
            accounts=accounts,
            types=tuple(sorted(set(asked.types))),
            description=asked.description,
            state=EndpointState.ENABLED,
            disabled_by=None,
            root=mark_of(root),
            salt=f"{self._clock.random_bits(SALT_BITS):032x}",
            previous_salt=None,
            previous_until=None,
            created_at=now,
            changed_at=now,
        )
        await self._store.create_endpoint(endpoint, _by(call))
        place = (b"location", f"/v1/webhooks/{endpoint.endpoint_id}".encode())
        return self._with_secret(endpoint, root, place, status=201)

    async def list(self, call: Call[None, None]) -> Reply:
        """List the endpoints of the key's accounts, the oldest first."""
        mine = [e for e in await self._store.endpoints() if _sees(call, e)]
        return ok({"data": [endpoint_shape(e, self._clock.now()) for e in mine]})

    async def get(self, call: Call[None, None]) -> Reply:
        """Show one endpoint; its ETag is its version."""
        return self._told(await self._own(call))

    async def change(self, call: Call[EndpointChanged, None]) -> Reply:
        """Change an endpoint, or enable it again; what waits for it goes to the new URL."""
        asked, before = call.body, await self._own(call)
        await self._admitted(call)
        wanted = before._replace(
            url=before.url if asked.url is None else self._judged(asked.url),
            accounts=before.accounts
            if asked.accounts is None
            else self._accounts(call, asked.accounts),
            types=before.types if asked.types is None else tuple(sorted(set(asked.types))),
            description=before.description if asked.description is None else asked.description,
        )
        stopped = before.disabled_by is DisabledBy.OPERATOR
        if asked.enabled is True and before.state is not EndpointState.ENABLED:
            if stopped:
                raise Refused(Code.VALIDATION_FAILED, "an operator disabled it: ask for him")
            wanted = enabled(wanted)
        elif asked.enabled is False and not stopped:
            off = EndpointState.DISABLED
            wanted = wanted._replace(state=off, disabled_by=DisabledBy.OWNER)
        return self._told(await self._changed(call, wanted, before))

    async def delete(self, call: Call[None, None]) -> Reply:
        """Delete an endpoint; what waits for it is never sent."""
        before = await self._own(call)
        await self._admitted(call)
        wanted = before._replace(state=EndpointState.DELETED, disabled_by=DisabledBy.OWNER)
        await self._changed(call, wanted, before)
        return ok({"endpoint_id": before.endpoint_id, "deleted": True})

    async def rotate(self, call: Call[Rotation, None]) -> Reply:
        """Make a new secret, told this once; the old one signs beside it for a while."""
        before = await self._own(call)
        await self._admitted(call)
        root = self._roots.read()
        salt = f"{self._clock.random_bits(SALT_BITS):032x}"
        until = self._clock.now() + call.body.overlap_s * 1_000
        wanted = rotated(before, salt, mark_of(root), until)
        return self._with_secret(await self._changed(call, wanted, before), root)

    async def test(self, call: Call[None, None]) -> Reply:
        """Send a `webhook.test`; its delivery says how it went."""
        endpoint = await self._own(call)
        await self._admitted(call)
        if endpoint.state is not EndpointState.ENABLED:
            raise Refused(Code.ENDPOINT_NOT_READY, "the endpoint is disabled: enable it first")
        number = self._clock.random_bits(ID_BITS)
        made = test_delivery(endpoint, number, self._clock.now())
        if not await self._store.enqueue([made], WAITING_MAX):
            raise Refused(Code.ENDPOINT_NOT_READY, "too much waits for the endpoint already")
        return ok(delivery_shape(made), status=202)

    async def deliveries(self, call: Call[None, DeliveriesAsked]) -> Reply:
        """List what was made for an endpoint in the last 7 days, the newest first."""
        endpoint, asked = await self._own(call), call.query
        listing = ("webhooks", endpoint.endpoint_id, asked.state)
        before = None if asked.cursor is None else place_of(asked.cursor, listing)
        found = await self._store.deliveries(
            endpoint.endpoint_id, asked.state, before, asked.limit + 1
        )
        page, more = found[: asked.limit], len(found) > asked.limit
        return ok(
            {
                "data": [delivery_shape(delivery) for delivery in page],
                "has_more": more,
                "next_cursor": cursor_at(page[-1].rank, listing) if more else None,
            }
        )

    async def delivery(self, call: Call[None, None]) -> Reply:
        """Show one delivery, with the body that is sent."""
        endpoint, delivery_id = await self._own(call), _delivery_id(call)
        found = await self._store.delivery(endpoint.endpoint_id, delivery_id)
        if found is None:
            raise not_there()
        return ok(delivery_shape(found) | {"body": found.body})

    async def replay(self, call: Call[None, None]) -> Reply:
        """Send one delivery again, under its own `webhook-id`."""
        endpoint, delivery_id = await self._own(call), _delivery_id(call)
        await self._admitted(call)
        again = await self._store.replay(endpoint.endpoint_id, delivery_id)
        if again is None:
            raise not_there()
        return ok(delivery_shape(again), status=202)

    async def replay_since(self, call: Call[ReplayAsked, None]) -> Reply:
        """Send again what ended since an instant, each under its own `webhook-id`.

        200: all of it waits. 202: it was much; ask again with `next_since`.
        """
        endpoint, asked = await self._own(call), call.body
        await self._admitted(call)
        state = None if asked.state is None else DeliveryState(asked.state)
        loop = asyncio.get_running_loop()
        until = loop.time() + WORK_S_MAX
        # Nothing is kept of before 1970, and nothing has ended after now.
        since = min(max(0, _instant(asked.since)), self._clock.now())
        last, replayed, done = rank_at(since) - 1, 0, False
        while not done and loop.time() < until:
            step = await self._store.replay_since(endpoint.endpoint_id, last, state, CHUNK)
            last, replayed = step.last, replayed + step.deliveries
            done = step.deliveries < CHUNK
        following = None if done else rfc3339(last >> RANK_BITS)
        told = {"replayed": replayed, "done": done, "next_since": following}
        return ok(told, status=200 if done else 202)

    async def _own(self, call: Call[Any, Any]) -> Endpoint:
        """Return the endpoint that the path names, if the caller sees all that it hears of."""
        endpoint_id = call.part("endpoint_id")
        found = await self._store.endpoint(endpoint_id) if is_endpoint_id(endpoint_id) else None
        if found is None or not _sees(call, found):
            raise not_there()
        return found

    async def _admitted(self, call: Call[Any, Any]) -> None:
        """Let who changes something also read it, at the price of a read."""
        authorize(call.who, READ)
        await self._toll.one(call, READS)

    def _accounts(self, call: Call[Any, Any], wanted: Sequence[str] | None) -> tuple[str, ...]:
        """Return whose orders are asked for: each an account that the caller sees."""
        accounts = tuple(sorted(set(call.who.accounts if wanted is None else wanted)))
        for account_id in accounts:
            authorize(call.who, READ, account_id)
        return (EVERY_ACCOUNT,) if EVERY_ACCOUNT in accounts else accounts

    def _judged(self, url: str) -> str:
        try:
            target_of(url, self._rules)
        except Forbidden as e:
            raise invalid_at("url", str(e)) from None
        return url

    async def _changed(self, call: Call[Any, Any], wanted: Endpoint, before: Endpoint) -> Endpoint:
        """Put it down, made of `before`: whoever names a version to come has not seen it."""
        if call.version is not None and call.version != before.version:
            raise Refused(Code.STALE_VERSION, f"the version is {before.version}")
        return await self._store.change_endpoint(wanted, before.version, _by(call))

    def _told(self, endpoint: Endpoint) -> Reply:
        return ok(endpoint_shape(endpoint, self._clock.now()), etag(endpoint.version))

    def _with_secret(
        self, endpoint: Endpoint, root: bytes, *headers: tuple[bytes, bytes], status: int = 200
    ) -> Reply:
        secret = shown(secret_of(root, endpoint.endpoint_id, endpoint.salt))
        document = endpoint_shape(endpoint, self._clock.now()) | {"secret": secret}
        return ok(document, etag(endpoint.version), *headers, status=status)


def _sees(call: Call[Any, Any], endpoint: Endpoint) -> bool:
    return all(call.who.sees(account_id) for account_id in endpoint.accounts)


def _by(call: Call[Any, Any]) -> Actor:
    return call.actor("asked by its owner")._replace(name=call.who.key_id)


def _delivery_id(call: Call[Any, Any]) -> str:
    delivery_id = call.part("delivery_id")
    if not is_delivery_id(delivery_id):
        raise not_there()
    return delivery_id


def _instant(text: str) -> int:
    try:
        return round(datetime.fromisoformat(text).timestamp() * 1_000)
    except ValueError:
        raise invalid_at("since", "expected an instant such as 2026-03-02T14:30:00.000Z") from None
