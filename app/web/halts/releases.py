"""The release of a session's orders as operators pause it: its bell rings, and nothing leaves.

What was released before goes on leaving, and cancels pass; for a stop of everything there is the
halt. A pause may end by itself; else whoever sees it may end it, for it is no halt.
"""

from collections.abc import Sequence
from typing import Any, Final

from app.domain.errors import Code, Refused
from app.domain.session import SessionPause
from app.domain.values import rfc3339
from app.web.access.keys import not_there
from app.web.house import House
from app.web.operator_schemas import PauseAsked, Preview, Reasoned
from app.web.operators.house_told import PauseChangedTold, PausePreviewTold, ReleaseTold
from app.web.shapes import instant, session_shape
from app.web.spec import Call, Reply, Spec, etag, json_of, ok

SEE: Final = "admin:read"
TUNE: Final = "admin:tune"
PATH: Final = "/admin/v1/sessions/{trading_session_id}"


class Releases:
    """Which sessions are let go when their bell rings."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def get(self, call: Call[None, None]) -> Reply:
        """Show a session and whether its release is paused; its ETag is what a pause must name."""
        pause = await self._standing(call)
        session = self._house.reference().calendar.session(pause.trading_session_id)
        assert session is not None, "it was just found"
        now = self._house.clock.now()
        told = session_shape(session, now) | {"release": _shape(pause)}
        return ok(told, etag(pause.version))

    async def pause(self, call: Call[PauseAsked, Preview]) -> Reply:
        """Release no more orders of a session; what was released before goes on leaving."""
        ttl_s = call.body.ttl_s
        until = None if ttl_s is None else self._house.clock.now() + ttl_s * 1_000
        return await self._set(call, paused=True, until=until)

    async def resume(self, call: Call[Reasoned, Preview]) -> Reply:
        """Release the orders of a session again."""
        return await self._set(call, paused=False, until=None)

    async def _set(self, call: Call[Any, Preview], *, paused: bool, until: int | None) -> Reply:
        before = await self._standing(call)
        if call.version != before.version:
            raise Refused(
                Code.STALE_VERSION,
                f"{before.changed_by} changed this: the version is {before.version}",
                current=_shape(before),
                changed_by=before.changed_by,
                changed_at=rfc3339(before.changed_at),
            )
        if call.query.dry_run:
            reserved = (await self._house.control.backlog()).reserved
            orders = reserved.get(before.trading_session_id, 0)
            return ok({"dry_run": True, "orders_affected": orders, "paused": paused})
        wanted = before._replace(paused=paused, expires_at=until)
        by = call.actor(call.body.reason)
        after = await self._house.control.pause_session(wanted, before.version, by)
        self._house.floor.halts_changed()
        undo = "resume" if paused else "pause"
        path = f"/admin/v1/sessions/{after.trading_session_id}/{undo}"
        return ok(_shape(after) | {"undo_url": path}, etag(after.version))

    async def _standing(self, call: Call[Any, Any]) -> SessionPause:
        name = call.part("trading_session_id")
        if self._house.reference().calendar.session(name) is None:
            raise not_there()
        known = {p.trading_session_id: p for p in await self._house.control.pauses()}
        return known.get(name, SessionPause(name))


def _shape(pause: SessionPause) -> dict[str, Any]:
    return pause._asdict() | {
        "changed_at": instant(pause.changed_at or None),
        "expires_at": instant(pause.expires_at),
    }


def release_specs(house: House) -> Sequence[Spec[Any, Any]]:
    releases = Releases(house)
    refuses = (
        Code.MALFORMED_REQUEST,
        Code.NOT_FOUND,
        Code.STALE_VERSION,
        Code.VALIDATION_FAILED,
        Code.IF_MATCH_REQUIRED,
    )
    return (
        Spec(
            method="GET",
            path=PATH,
            name="get_session_release",
            scope=SEE,
            handler=releases.get,
            answers={200: ReleaseTold},
            shows=("ETag",),
            refuses=(Code.NOT_FOUND,),
        ),
        Spec(
            method="POST",
            path=f"{PATH}/pause",
            name="pause_session",
            scope=TUNE,
            handler=releases.pause,
            reads=json_of(PauseAsked),
            asks=Preview,
            answers={200: PauseChangedTold | PausePreviewTold},
            shows=("ETag",),
            refuses=refuses,
            if_match="required",
            audited=True,
        ),
        Spec(
            method="POST",
            path=f"{PATH}/resume",
            name="resume_session",
            scope=TUNE,
            handler=releases.resume,
            reads=json_of(Reasoned),
            asks=Preview,
            answers={200: PauseChangedTold | PausePreviewTold},
            shows=("ETag",),
            refuses=refuses,
            if_match="required",
            audited=True,
        ),
    )
