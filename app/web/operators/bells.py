"""The bells of a session as operators move them: for good, for a time, and back.

The same instant twice is a closed day. A lifted override goes on counting its versions, so that
nobody who saw it before changes it afterwards by mistake.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from app.domain.errors import Code, Refused
from app.domain.records import SessionOverride
from app.domain.reverting import Spell, bells_ended, spelled
from app.web.clients.schemas import Asked
from app.web.house import House
from app.web.operator_schemas import BellsMoved, Preview, Reasoned, Undo
from app.web.operators.house_told import OverrideChangedTold, OverridesTold, OverrideTold
from app.web.problems import invalid_at
from app.web.shapes import instant
from app.web.spec import Call, Reply, Spec, etag, json_of, ok
from app.web.told import WouldTold
from app.web.undoing import Undoing, undo_spec, would

SEE: Final = "admin:read"
TUNE: Final = "admin:tune"
SESSION: Final = "trading_session_id"
SESSIONS: Final = "/admin/v1/sessions"
PATH: Final = f"{SESSIONS}/{{trading_session_id}}/override"


class Bells:
    """When sessions open and close, against the calendar."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._undoing = Undoing(house)

    async def overrides(self, call: Call[None, None]) -> Reply:  # noqa: ARG002 - doors are alike
        """List the sessions whose bells an operator has moved."""
        found = await self._house.control.overrides()
        return ok({"data": [_shape(override) for override in found]})

    async def get(self, call: Call[None, None]) -> Reply:
        """Show a session's override, or that it has none; its ETag is what a change must name."""
        override = await self._standing(call)
        return ok(_shape(override), etag(override.version))

    async def override(self, call: Call[BellsMoved, Preview]) -> Reply:
        """Move a session's bells; the same instant twice closes the day."""
        before = await self._seen(call)
        body, name = call.body, before.trading_session_id
        bells = (_instant("opens_at", body.opens_at), _instant("closes_at", body.closes_at))
        try:
            self._house.reference().calendar.with_overrides({name: bells})
        except ValueError as e:
            raise invalid_at("opens_at", str(e)) from None
        until = None if body.ttl_s is None else self._house.clock.now() + body.ttl_s * 1_000
        lifted = before.lifted_at is not None
        replaced = {
            "opens_at": None if lifted else before.opens_at,
            "closes_at": None if lifted else before.closes_at,
        }
        spell = spelled(Spell(before.expires_at, before.reverts_to), replaced, until)
        wanted = before._replace(
            opens_at=bells[0], closes_at=bells[1], lifted_at=None, **spell._asdict()
        )
        return await self._set(call, before, wanted)

    async def lift(self, call: Call[Reasoned, Preview]) -> Reply:
        """Let the calendar rule the session again."""
        before = await self._seen(call)
        return await self._set(call, before, self._lifted(before))

    async def undo(self, call: Call[Reasoned, Undo]) -> Reply:
        """Take a move of the bells back, if it is still the last one."""
        standing = await self._standing(call)
        resource = f"session/{standing.trading_session_id}"
        before = await self._undoing.before(
            call, resource, standing.version, lambda: _stale(standing)
        )
        wanted = self._lifted(standing)
        if before is not None:
            wanted = bells_ended(SessionOverride(**before), self._house.clock.now())
        return await self._put(call, wanted, standing.version)

    def _lifted(self, override: SessionOverride) -> SessionOverride:
        now = self._house.clock.now()
        return override._replace(expires_at=None, reverts_to=None, lifted_at=now)

    async def _set(
        self, call: Call[Any, Preview], before: SessionOverride, wanted: SessionOverride
    ) -> Reply:
        if call.query.dry_run:
            return ok(would(_shape(before), _shape(wanted)))
        return await self._put(call, wanted, before.version)

    async def _put(self, call: Call[Any, Any], wanted: SessionOverride, version: int) -> Reply:
        since, by = await self._undoing.here(), call.actor(call.body.reason)
        moved = await self._house.control.override_session(wanted, version, by)
        await self._house.on_override()
        path = f"/admin/v1/sessions/{moved.trading_session_id}/override"
        return ok(_shape(moved) | await self._undoing.told(call, since, path), etag(moved.version))

    async def _standing(self, call: Call[Any, Any]) -> SessionOverride:
        name = call.part(SESSION)
        for override in await self._house.control.every_override():
            if override.trading_session_id == name:
                return override
        return SessionOverride(name, 0, 0, 0, "", "never overridden", lifted_at=0)

    async def _seen(self, call: Call[Any, Any]) -> SessionOverride:
        standing = await self._standing(call)
        if call.version != standing.version:
            raise _stale(standing)
        return standing


def _shape(override: SessionOverride) -> dict[str, Any]:
    stands = override.lifted_at is None
    return override._asdict() | {
        "opens_at": instant(override.opens_at) if stands else None,
        "closes_at": instant(override.closes_at) if stands else None,
        "expires_at": instant(override.expires_at),
        "lifted_at": instant(override.lifted_at or None),
    }


def _stale(override: SessionOverride) -> Refused:
    return Refused(
        Code.STALE_VERSION,
        f"{override.changed_by} changed this: the version is {override.version}",
        current=_shape(override),
        changed_by=override.changed_by,
    )


def _instant(name: str, text: str) -> int:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise invalid_at(name, "expected an instant such as 2026-11-23T14:30:00.000Z") from None
    if at.tzinfo is None:
        raise invalid_at(name, "expected an instant with its zone, such as …Z")
    return round(at.timestamp() * 1000)


def bell_specs(house: House) -> Sequence[Spec[Any, Any]]:
    bells = Bells(house)
    shown = [
        Spec(
            method="GET",
            path=path,
            name=name,
            scope=SEE,
            handler=handler,
            answers={200: told},
            shows=("ETag",) if path == PATH else (),
        )
        for path, name, handler, told in (
            (f"{SESSIONS}/overrides", "list_session_overrides", bells.overrides, OverridesTold),
            (PATH, "get_session_override", bells.get, OverrideTold),
        )
    ]
    doors: Sequence[tuple[str, str, Any, type[Asked]]] = (
        ("PUT", "override_session", bells.override, BellsMoved),
        ("DELETE", "lift_session_override", bells.lift, Reasoned),
    )
    changed = [
        Spec(
            method=method,
            path=PATH,
            name=name,
            scope=TUNE,
            handler=handler,
            reads=json_of(model),
            asks=Preview,
            answers={200: OverrideChangedTold | WouldTold},
            shows=("ETag",),
            refuses=(
                Code.MALFORMED_REQUEST,
                Code.STALE_VERSION,
                Code.VALIDATION_FAILED,
                Code.IF_MATCH_REQUIRED,
            ),
            if_match="required",
            audited=True,
        )
        for method, name, handler, model in doors
    ]
    undo = undo_spec(f"{PATH}/undo", "undo_session_override", TUNE, bells.undo, OverrideChangedTold)
    return (*shown, *changed, undo)
