"""Which broker each route leads to: its policy, its lock, and the failovers by hand.

A policy and a lock have one version: whoever locks a route has seen who may move it. A failover
names the epoch that its caller saw, so that two people at the open do not move a route twice; its
dry run says what would stand in the way.
"""

from typing import Any, Final

from app.domain.errors import Code, Refused
from app.domain.failover import (
    Failover,
    FailoverKind,
    RouteLock,
    RoutePolicy,
    told,
)
from app.domain.records import Route
from app.domain.reverting import Spell, spelled
from app.domain.values import rfc3339
from app.web.access.keys import not_there
from app.web.house import House
from app.web.operator_schemas import (
    FailbackWanted,
    FailoversAsked,
    FailoverWanted,
    PolicyChange,
    Preview,
    Reasoned,
    RouteLocked,
    Undo,
)
from app.web.problems import invalid_at
from app.web.shapes import instant
from app.web.spec import Call, Reply, etag, ok
from app.web.undoing import Undoing, would

SEE: Final = "admin:read"
MOVE: Final = "admin:failover"
HOUR_MS: Final = 3_600_000


class Courses:
    """The routes as operators see and lead them."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._undoing = Undoing(house)

    # --- what is so ---------------------------------------------------------------------

    async def routes(self, call: Call[None, None]) -> Reply:  # noqa: ARG002 - doors are alike
        """List every route: where it leads, who may move it, what goes on."""
        policies = await self._house.courses.policies()
        going_on = await self._going_on()
        routes = await self._house.control.routes()
        shapes = [self._shape(r, policies[r.route_id], going_on.get(r.route_id)) for r in routes]
        return ok({"data": shapes})

    async def route(self, call: Call[None, None]) -> Reply:
        """Show one route; its ETag is the version of its policy."""
        route, policy = await self._found(call)
        going_on = (await self._going_on()).get(route.route_id)
        return ok(self._shape(route, policy, going_on), etag(policy.version))

    async def failovers(self, call: Call[None, FailoversAsked]) -> Reply:
        """List failovers, the latest first, and whatever goes on."""
        asked = call.query
        since = self._house.clock.now() - asked.hours * HOUR_MS
        found = await self._house.courses.failovers(since)
        wanted = [f for f in found if asked.route_id in {None, f.route_id}]
        return ok({"data": [failover_shape(f) for f in wanted]})

    async def failover(self, call: Call[None, None]) -> Reply:
        """Show one: its steps with their times, what it rests on; a word on it names its ETag."""
        found = await self._one(call)
        return _told(found)

    # --- who may move it ----------------------------------------------------------------

    async def policy(self, call: Call[PolicyChange, Preview]) -> Reply:
        """Say how much may be done to a route by itself, and to whom it may go."""
        route, policy = await self._seen(call)
        given = call.body.model_dump(exclude={"reason", "ttl_s"})
        wanted = {name: value for name, value in given.items() if value is not None}
        known = await self._house.control.controls()
        strange = sorted(set(wanted.get("candidates", ())) - set(known))
        if strange:
            raise invalid_at("candidates", f"no broker {strange[0]} here")
        ttl_s = call.body.ttl_s
        until = None if ttl_s is None else self._house.clock.now() + ttl_s * 1_000
        replaced = {name: getattr(policy, name) for name in wanted}
        spell = spelled(Spell(policy.expires_at, policy.reverts_to), replaced, until)
        after = policy.with_terms(wanted)._replace(**spell._asdict())
        return await self._set(call, route, after, policy)

    async def lock(self, call: Call[RouteLocked, Preview]) -> Reply:
        """Let nothing but a forced failover move a route, for a while."""
        route, policy = await self._seen(call)
        until = self._house.clock.now() + call.body.ttl_s * 1_000
        lock = RouteLock(until, call.who.name, call.body.reason)
        return await self._set(call, route, policy._replace(lock=lock), policy)

    async def unlock(self, call: Call[Reasoned, Preview]) -> Reply:
        """Lift a lock before its time."""
        route, policy = await self._seen(call)
        return await self._set(call, route, policy._replace(lock=None), policy)

    async def undo(self, call: Call[Reasoned, Undo]) -> Reply:
        """Take a change of a policy or a lock back, if it is still the last one."""
        route, policy = await self._found(call)
        resource = f"route/{route.route_id}"
        before = await self._undoing.before(call, resource, policy.version, lambda: _stale(policy))
        assert before is not None, "a policy was there before every change"
        wanted = RoutePolicy.read(before).ended(self._house.clock.now())
        return await self._put(call, route, wanted, policy.version)

    async def _set(
        self, call: Call[Any, Preview], route: Route, wanted: RoutePolicy, before: RoutePolicy
    ) -> Reply:
        if call.query.dry_run:
            return ok(would(policy_shape(before), policy_shape(wanted)))
        return await self._put(call, route, wanted, before.version)

    async def _put(
        self, call: Call[Any, Any], route: Route, wanted: RoutePolicy, version: int
    ) -> Reply:
        since = await self._undoing.here()
        by = call.actor(call.body.reason)
        after = await self._house.courses.set_policy(wanted, version, by)
        going_on = (await self._going_on()).get(route.route_id)
        path = f"/admin/v1/routes/{route.route_id}"
        told = self._shape(route, after, going_on) | await self._undoing.told(call, since, path)
        return ok(told, etag(after.version))

    # --- who moves it -------------------------------------------------------------------

    async def switch(self, call: Call[FailoverWanted, Preview]) -> Reply:
        """Lead a route to another broker; what was never sent goes there, doubts stay."""
        return await self._switched(call, call.body.to, FailoverKind(call.body.kind))

    async def failback(self, call: Call[FailbackWanted, Preview]) -> Reply:
        """Lead a route home: to the first of its candidates."""
        return await self._switched(call, None, FailoverKind.FAILBACK)

    async def _switched(
        self, call: Call[Any, Preview], to: str | None, kind: FailoverKind
    ) -> Reply:
        route, _ = await self._found(call)
        helm = self._house.helm
        if call.query.dry_run:
            found = [c._asdict() for c in await helm.prechecks(route.route_id, to, kind)]
            ready = all(c["passed"] or not c["required"] for c in found)
            return ok({"dry_run": True, "would_switch": ready, "prechecks": found})
        by = call.actor(call.body.reason)
        after = await helm.switch(route.route_id, to, kind, call.body.expected_epoch, by)
        location = f"/admin/v1/failovers/{after.failover_id}".encode()
        return _told(after, (b"location", location), status=202)

    async def abort(self, call: Call[Reasoned, None]) -> Reply:
        """End a failover that has not led its route elsewhere yet."""
        failover, by = await self._as_seen(call), call.actor(call.body.reason)
        return _told(await self._house.helm.abort(failover.failover_id, by, call.version))

    async def acknowledge(self, call: Call[Reasoned, None]) -> Reply:
        """Say that somebody has read it: the next one may happen by itself again."""
        failover, by = await self._as_seen(call), call.actor(call.body.reason)
        store, failover_id = self._house.courses, failover.failover_id
        return _told(await store.acknowledge_failover(failover_id, by, call.version))

    # --- what is known ------------------------------------------------------------------

    async def _one(self, call: Call[Any, Any]) -> Failover:
        found = await self._house.courses.failover(call.part("failover_id"))
        if found is None:
            raise not_there()
        return found

    async def _as_seen(self, call: Call[Any, Any]) -> Failover:
        """Return the failover, if it has come no further than the caller saw."""
        failover = await self._one(call)
        if call.version != failover.version:
            raise Refused(
                Code.STALE_VERSION,
                f"{failover.failover_id} is {failover.state} by now",
                current=failover_shape(failover),
                changed_by=failover.acknowledged_by or failover.by,
                changed_at=rfc3339(failover.acknowledged_at or failover.updated_at),
            )
        return failover

    async def _going_on(self) -> dict[str, Failover]:
        found = await self._house.courses.failovers(self._house.clock.now())
        return {f.route_id: f for f in found if not f.has_ended}

    async def _found(self, call: Call[Any, Any]) -> tuple[Route, RoutePolicy]:
        route_id = call.part("route_id")
        routes = await self._house.control.routes()
        route = next((r for r in routes if r.route_id == route_id), None)
        if route is None:
            raise not_there()
        return route, (await self._house.courses.policies())[route_id]

    async def _seen(self, call: Call[Any, Any]) -> tuple[Route, RoutePolicy]:
        """Return the route, if its policy is the one that the operator saw."""
        route, policy = await self._found(call)
        if call.version != policy.version:
            raise _stale(policy)
        return route, policy

    def _shape(
        self, route: Route, policy: RoutePolicy, going_on: Failover | None
    ) -> dict[str, Any]:
        lock = policy.locked(self._house.clock.now())
        return {
            **route._asdict(),
            "policy": policy_shape(policy),
            "lock": None if lock is None else lock._asdict() | {"until": rfc3339(lock.until)},
            "failover": None if going_on is None else failover_shape(going_on),
        }


def policy_shape(policy: RoutePolicy) -> dict[str, Any]:
    shape = policy._asdict()
    del shape["lock"]
    expires_at = instant(policy.expires_at)
    return shape | {"changed_at": rfc3339(policy.changed_at), "expires_at": expires_at}


def _stale(policy: RoutePolicy) -> Refused:
    return Refused(
        Code.STALE_VERSION,
        f"{policy.changed_by} changed this: the version is {policy.version}",
        current=policy_shape(policy),
        changed_by=policy.changed_by,
        changed_at=rfc3339(policy.changed_at),
    )


def failover_shape(failover: Failover) -> dict[str, Any]:
    return told(failover) | {
        "trading_session_id": failover.trading_session_id,
        "by": failover.by,
        "acknowledged_by": failover.acknowledged_by,
        "acknowledged_at": instant(failover.acknowledged_at),
        "version": failover.version,
    }


def _told(failover: Failover, *headers: tuple[bytes, bytes], status: int = 200) -> Reply:
    return ok(failover_shape(failover), etag(failover.version), *headers, status=status)
