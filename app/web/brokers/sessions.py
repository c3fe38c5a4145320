"""The session of a broker that lives on one: how it stands, its numbers begun anew, its end.

The session is held by the process that owns the broker's lane; what is shown here is what that
process has last shown. A reset is a compare-and-set on the numbering that the operator saw: it
ends every number of ours that is still open, so the broker's people must do the same at that hour.
The trap is a reset out of habit: it takes the proof away from whoever is in doubt.
"""

from collections.abc import Sequence
from typing import Any, Final

from app.domain.broker_session import SessionStatus
from app.domain.errors import Code, Refused
from app.domain.records import Change
from app.web.access.keys import not_there
from app.web.brokers.told import BrokerSessionEndedTold, BrokerSessionResetTold, BrokerSessionTold
from app.web.house import House
from app.web.operator_schemas import Reasoned
from app.web.shapes import broker_session_shape
from app.web.spec import Call, Reply, Spec, etag, json_of, ok
from app.web.trail import Trail

SEE: Final = "admin:read"
TUNE: Final = "admin:tune"
SESSION: Final = "/admin/v1/brokers/{broker_id}/session"


class BrokerSessions:
    """The sessions as operators see and steer them."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._trail = Trail(house.control)

    async def shown(self, call: Call[None, None]) -> Reply:
        """Show a broker's session; its ETag is the numbering that a reset must name."""
        broker_id, session = self._session(call)
        numbers = await self._house.sessions.numbers(session.session_id)
        if numbers is not None:  # the record knows better than who shows it
            session = session._replace(**numbers._asdict())
        return ok(broker_session_shape(broker_id, session), etag(session.numbering))

    async def reset(self, call: Call[Reasoned, None]) -> Reply:
        """Begin a new numbering at 1 each way, as agreed with the broker's people."""
        broker_id, session = self._session(call)
        if call.version is None:
            raise Refused(Code.IF_MATCH_REQUIRED, "name the numbering that you saw")
        since = await self._trail.end()
        actor = call.actor(call.body.reason)
        after = await self._house.sessions.reset_by(session.session_id, call.version, actor)
        audit_id = await self._trail.written(since, call.request_id)
        # Whoever holds it has lost it: at once, and not at his next heartbeat.
        became = await self._house.floor.log_out(broker_id, "the numbers were reset")
        told = {"broker_id": broker_id, "session_id": session.session_id} | after._asdict()
        return ok(told | {"connection": became, "audit_id": audit_id}, etag(after.numbering))

    async def log_out(self, call: Call[Reasoned, None]) -> Reply:
        """End the connection politely; the session comes up again as after any loss."""
        broker_id, session = self._session(call)
        change = Change(
            "session.log_out", f"session/{session.session_id}", {"state": session.state}, None
        )
        audit_id = await self._house.control.note(change, call.actor(call.body.reason))
        became = await self._house.floor.log_out(broker_id, call.body.reason)
        return ok({"broker_id": broker_id, "connection": became, "audit_id": audit_id})

    def _session(self, call: Call[Any, None]) -> tuple[str, SessionStatus]:
        broker_id = call.part("broker_id")
        for lane in self._house.floor.lanes():
            if lane.broker_id == broker_id and lane.session is not None:
                return broker_id, lane.session
        raise not_there()


def broker_session_specs(house: House) -> Sequence[Spec[Any, Any]]:
    sessions = BrokerSessions(house)
    refuses = (Code.MALFORMED_REQUEST, Code.NOT_FOUND, Code.VALIDATION_FAILED)
    return (
        Spec(
            method="GET",
            path=SESSION,
            name="get_broker_session",
            scope=SEE,
            handler=sessions.shown,
            answers={200: BrokerSessionTold},
            shows=("ETag",),
            refuses=(Code.NOT_FOUND,),
        ),
        Spec(
            method="POST",
            path=f"{SESSION}/reset",
            name="reset_broker_session",
            scope=TUNE,
            handler=sessions.reset,
            reads=json_of(Reasoned),
            answers={200: BrokerSessionResetTold},
            shows=("ETag",),
            refuses=(*refuses, Code.STALE_VERSION, Code.IF_MATCH_REQUIRED),
            if_match="required",
            audited=True,
        ),
        Spec(
            method="POST",
            path=f"{SESSION}/logout",
            name="log_out_broker_session",
            scope=TUNE,
            handler=sessions.log_out,
            reads=json_of(Reasoned),
            answers={200: BrokerSessionEndedTold},
            refuses=refuses,
            audited=True,
        ),
    )
