"""Anomalies for people: what goes on, who has seen it, what nobody needs to hear of.

A mark names the version that its maker saw. An anomaly is measured each second, so its version
moves only with what would change a person's mind: how bad it is, whether it is over, who has seen
it. What a person raises is a rule of its own, `manual.<name>`; the trap would be a person's word
that the next look of the watch talks away.
"""

from collections.abc import Sequence
from typing import Any, Final

from app.domain.alerts import RULES as EXTERNAL
from app.domain.anomaly import (
    Anomaly,
    AnomalyState,
    Finding,
    Observed,
    Recommended,
    Severity,
    Subject,
    Threshold,
    told,
)
from app.domain.errors import Code, Refused
from app.web.access.keys import not_there
from app.web.cursors import cursor_at, place_of
from app.web.house import House
from app.web.operator_schemas import AnomaliesAsked, AnomalyRaised, Reasoned, Silenced
from app.web.operators.anomaly_told import AnomaliesTold, AnomalyTold
from app.web.problems import invalid_at
from app.web.spec import Call, Reply, Spec, etag, json_of, ok

SEE: Final = "admin:read"
TUNE: Final = "admin:tune"
MANUAL: Final = "manual."
# Nobody measures these, so nobody but a person can say that they are over.
ENDED_BY_PEOPLE: Final = (MANUAL, EXTERNAL)


class Anomalies:
    """Trouble as operators see and mark it."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._store = house.trouble

    async def list(self, call: Call[None, AnomaliesAsked]) -> Reply:
        """List anomalies, the newest first; with `state=open` all that go on, the oldest first."""
        asked = call.query
        if asked.state is AnomalyState.OPEN:
            going_on = await self._store.open_anomalies()
            shown = [_shape(a) for a in going_on]
            return ok({"data": shown, "has_more": False, "next_cursor": None})
        listing = ("anomalies", asked.state)
        before = None if asked.cursor is None else place_of(asked.cursor, listing)
        page = await self._store.anomalies(before, asked.limit)
        more = len(page) >= asked.limit
        shown = [_shape(a) for a in page if asked.state in {None, a.state}]
        return ok(
            {
                "data": shown,
                "has_more": more,
                "next_cursor": cursor_at(page[-1].opened_at, listing) if more else None,
            }
        )

    async def get(self, call: Call[None, None]) -> Reply:
        """Show one; its ETag is what a mark must name."""
        return _told(await self._anomaly(call))

    async def raise_(self, call: Call[AnomalyRaised, None]) -> Reply:
        """Raise one by hand, or in a drill: all who listen hear of it."""
        wanted = call.body
        kind, _, name = wanted.subject.partition("/")
        finding = Finding(
            rule_id=MANUAL + wanted.name,
            rule_version=1,
            subject=Subject(kind, name),
            severity=Severity(wanted.severity),
            observed=Observed("people", 1.0, "people", 0.0, 1),
            threshold=Threshold(">=", 1.0, 0.0, 0.0),
            recommended=Recommended("none"),
            evidence={"summary": wanted.reason, "raised_by": call.who.name},
            valid_for_s=wanted.ttl_s,
            drill=wanted.drill,
        )
        return _told(await self._store.raise_by(finding, call.actor(wanted.reason)), 201)

    async def resolve(self, call: Call[Reasoned, None]) -> Reply:
        """End one that a person or another system has raised."""
        anomaly = await self._seen(call)
        if not anomaly.rule_id.startswith(ENDED_BY_PEOPLE):
            raise invalid_at("anomaly_id", f"{anomaly.rule_id} ends when it is over")
        by = call.actor(call.body.reason)
        return _told(await self._store.resolve_by(anomaly.anomaly_id, by, call.version))

    async def ack(self, call: Call[Reasoned, None]) -> Reply:
        """Say that somebody has seen it; who said so first, stands."""
        anomaly, by = await self._seen(call), call.actor(call.body.reason)
        return _told(await self._store.acknowledge(anomaly.anomaly_id, by, call.version))

    async def silence(self, call: Call[Silenced, None]) -> Reply:
        """Let nobody be told of it for a while; programs are told nonetheless."""
        until = self._house.clock.now() + call.body.ttl_s * 1000
        anomaly, by = await self._seen(call), call.actor(call.body.reason)
        return _told(await self._store.silence(anomaly.anomaly_id, until, by, call.version))

    async def _anomaly(self, call: Call[Any, Any]) -> Anomaly:
        found = await self._store.anomaly(call.part("anomaly_id"))
        if found is None:
            raise not_there()
        return found

    async def _seen(self, call: Call[Any, Any]) -> Anomaly:
        """Return the anomaly, if it is as its marker saw it."""
        anomaly = await self._anomaly(call)
        if call.version != anomaly.version:
            raise Refused(
                Code.STALE_VERSION,
                f"it is {anomaly.state}, {anomaly.severity},"
                f" seen by {anomaly.acknowledged_by or 'nobody'} by now",
                current=_shape(anomaly),
            )
        return anomaly


def _shape(anomaly: Anomaly) -> dict[str, Any]:
    return told(anomaly) | {"version": anomaly.version}


def _told(anomaly: Anomaly, status: int = 200) -> Reply:
    return ok(_shape(anomaly), etag(anomaly.version), status=status)


def anomaly_specs(house: House) -> Sequence[Spec[Any, Any]]:
    anomalies = Anomalies(house)
    return (*_shown(anomalies), *_marked(anomalies))


PATH: Final = "/admin/v1/anomalies"
ONE: Final = f"{PATH}/{{anomaly_id}}"
MARKED: Final = (
    Code.MALFORMED_REQUEST,
    Code.NOT_FOUND,
    Code.STALE_VERSION,
    Code.VALIDATION_FAILED,
    Code.IF_MATCH_REQUIRED,
)


def _shown(anomalies: Anomalies) -> Sequence[Spec[Any, Any]]:
    return (
        Spec(
            method="GET",
            path=PATH,
            name="list_anomalies",
            scope=SEE,
            handler=anomalies.list,
            asks=AnomaliesAsked,
            answers={200: AnomaliesTold},
            refuses=(Code.VALIDATION_FAILED,),
        ),
        Spec(
            method="GET",
            path=ONE,
            name="get_anomaly",
            scope=SEE,
            handler=anomalies.get,
            answers={200: AnomalyTold},
            shows=("ETag",),
            refuses=(Code.NOT_FOUND,),
        ),
    )


def _marked(anomalies: Anomalies) -> Sequence[Spec[Any, Any]]:
    raised = Spec(
        method="POST",
        path=PATH,
        name="raise_anomaly",
        scope=TUNE,
        handler=anomalies.raise_,
        reads=json_of(AnomalyRaised),
        answers={201: AnomalyTold},
        shows=("ETag",),
        refuses=(Code.MALFORMED_REQUEST, Code.VALIDATION_FAILED),
        audited=True,
    )
    silenced = Spec(
        method="POST",
        path=f"{ONE}/silence",
        name="silence_anomaly",
        scope=TUNE,
        handler=anomalies.silence,
        reads=json_of(Silenced),
        answers={200: AnomalyTold},
        shows=("ETag",),
        refuses=MARKED,
        if_match="required",
        audited=True,
    )
    words = {"ack": anomalies.ack, "resolve": anomalies.resolve}
    said = [
        Spec(
            method="POST",
            path=f"{ONE}/{word}",
            name=f"{word}_anomaly",
            scope=TUNE,
            handler=handler,
            reads=json_of(Reasoned),
            answers={200: AnomalyTold},
            shows=("ETag",),
            refuses=MARKED,
            if_match="required",
            audited=True,
        )
        for word, handler in words.items()
    ]
    return (raised, silenced, *said)
