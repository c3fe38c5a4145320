"""Anomalies for people: what goes on, who has seen it, what nobody needs to hear of.

A mark on an anomaly needs no `If-Match`: the anomaly moves each second by itself, and a mark
takes nothing back that somebody else has set. What a person raises is a rule of its own,
`manual.<name>`; the trap would be a person's word that the next look of the watch talks away.
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
from app.domain.errors import Code
from app.domain.records import Change
from app.web.anomaly_told import AnomaliesTold, AnomalyTold
from app.web.cursors import cursor_at, place_of
from app.web.house import House
from app.web.keys import not_there
from app.web.operator_schemas import AnomaliesAsked, AnomalyRaised, Reasoned, Silenced
from app.web.problems import invalid_at
from app.web.spec import Call, Reply, Spec, json_of, ok

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
            return ok({"data": [told(a) for a in going_on], "has_more": False, "next_cursor": None})
        listing = ("anomalies", asked.state)
        before = None if asked.cursor is None else place_of(asked.cursor, listing)
        page = await self._store.anomalies(before, asked.limit)
        more = len(page) >= asked.limit
        shown = [told(a) for a in page if asked.state in {None, a.state}]
        return ok(
            {
                "data": shown,
                "has_more": more,
                "next_cursor": cursor_at(page[-1].opened_at, listing) if more else None,
            }
        )

    async def get(self, call: Call[None, None]) -> Reply:
        """Show one."""
        return ok(told(await self._anomaly(call)))

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
        await self._audit(call, "anomaly.raise", wanted.subject, wanted.model_dump())
        await self._store.note([finding])
        standing = await self._standing(finding.rule_id, finding.subject)
        return ok(told(standing), status=201)

    async def resolve(self, call: Call[Reasoned, None]) -> Reply:
        """End one that a person or another system has raised."""
        anomaly = await self._anomaly(call)
        if not anomaly.rule_id.startswith(ENDED_BY_PEOPLE):
            raise invalid_at("anomaly_id", f"{anomaly.rule_id} ends when it is over")
        after = {"state": AnomalyState.RESOLVED}
        await self._audit(call, "anomaly.resolve", str(anomaly.subject), after)
        await self._store.note([_over(anomaly)])
        return ok(told(await self._anomaly(call)))

    async def ack(self, call: Call[Reasoned, None]) -> Reply:
        """Say that somebody has seen it; who said so first, stands."""
        by = call.actor(call.body.reason)
        return ok(told(await self._store.acknowledge(call.part("anomaly_id"), by)))

    async def silence(self, call: Call[Silenced, None]) -> Reply:
        """Let nobody be told of it for a while; programs are told nonetheless."""
        until = self._house.clock.now() + call.body.ttl_s * 1000
        by = call.actor(call.body.reason)
        return ok(told(await self._store.silence(call.part("anomaly_id"), until, by)))

    async def _anomaly(self, call: Call[Any, Any]) -> Anomaly:
        found = await self._store.anomaly(call.part("anomaly_id"))
        if found is None:
            raise not_there()
        return found

    async def _standing(self, rule_id: str, subject: Subject) -> Anomaly:
        for anomaly in await self._store.open_anomalies():
            if (anomaly.rule_id, anomaly.subject) == (rule_id, subject):
                return anomaly
        raise not_there()  # somebody has ended it in this moment

    async def _audit(
        self, call: Call[Any, Any], action: str, subject: str, after: dict[str, Any]
    ) -> None:
        change = Change(action, subject, None, after)
        await self._house.control.note(change, call.actor(call.body.reason))


def _over(anomaly: Anomaly) -> Finding:
    return Finding(
        rule_id=anomaly.rule_id,
        rule_version=anomaly.rule_version,
        subject=anomaly.subject,
        severity=None,
        observed=anomaly.observed,
        threshold=anomaly.threshold,
        recommended=anomaly.recommended,
        evidence={},
        drill=anomaly.drill,
    )


def anomaly_specs(house: House) -> Sequence[Spec[Any, Any]]:
    anomalies = Anomalies(house)
    return (*_shown(anomalies), *_marked(anomalies))


PATH: Final = "/admin/v1/anomalies"
ONE: Final = f"{PATH}/{{anomaly_id}}"
MARKED: Final = (Code.MALFORMED_REQUEST, Code.NOT_FOUND, Code.VALIDATION_FAILED)


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
        refuses=MARKED,
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
            refuses=MARKED,
            audited=True,
        )
        for word, handler in words.items()
    ]
    return (raised, silenced, *said)
