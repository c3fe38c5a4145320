"""The record as operators see it: `ControlStore` of `ports.control`.

It adds the time to `control`, `audit` and `verdicts`; each change and its audit row are one
commit.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from functools import partial

from app import crash
from app.domain.order import Order
from app.domain.outflow import OutboxStands
from app.domain.records import (
    Actor,
    Anchor,
    Backlog,
    BrokerControl,
    Change,
    Doubt,
    Halt,
    LaneStatus,
    Route,
    SessionOverride,
    Vitals,
)
from app.domain.session import SessionPause
from app.domain.signs import Owners
from app.ledger.dispatch import verdicts
from app.ledger.dispatch.verdicts import Word
from app.ledger.edge import Edge
from app.ledger.operators import audit, bells, control, ending, pauses, showing
from app.ledger.operators.vitals import vitals
from app.ledger.outbox import waiting as outbox_waiting
from app.ledger.sessions import leases


class ControlLedger(Edge):
    """Sets rates, halts and bells, and answers for who did it."""

    async def controls(self) -> dict[str, BrokerControl]:
        return await self._read(control.controls)

    async def set_control(
        self, wanted: BrokerControl, expected_version: int, by: Actor
    ) -> BrokerControl:
        now = self._clock.now()
        after = await self._write_once(
            lambda c: control.set_control(c, wanted, expected_version, by, now)
        )
        crash.point("admin.after_commit")
        return after

    async def revert_expired(self) -> list[BrokerControl]:
        now = self._clock.now()
        return await self._write(lambda c: control.revert_expired(c, now))

    async def end_overrides(self) -> list[str]:
        now = self._clock.now()
        if not await self._read(lambda c: ending.is_due(c, now)):
            return []
        return await self._write(lambda c: ending.end(c, now))

    async def halts(self) -> list[Halt]:
        return await self._read(control.halts)

    async def halt(self, scope: str, target: str, by: Actor) -> Halt:
        now = self._clock.now()
        return await self._write_once(lambda c: control.halt(c, scope, target, by, now))

    async def resume(self, scope: str, target: str, by: Actor, seen: int | None = None) -> None:
        now, place = self._clock.now(), (scope, target)
        await self._write_once(lambda c: control.resume(c, place, by, now, seen))

    async def routes(self) -> list[Route]:
        return await self._read(control.routes)

    async def overrides(self) -> list[SessionOverride]:
        return await self._read(bells.in_force)

    async def every_override(self) -> list[SessionOverride]:
        return await self._read(bells.every)

    async def override_session(
        self, wanted: SessionOverride, expected_version: int, by: Actor
    ) -> SessionOverride:
        now = self._clock.now()
        return await self._write_once(lambda c: bells.put(c, wanted, expected_version, by, now))

    async def pauses(self) -> list[SessionPause]:
        return await self._read(pauses.every)

    async def pause_session(
        self, wanted: SessionPause, expected_version: int, by: Actor
    ) -> SessionPause:
        now = self._clock.now()
        return await self._write_once(lambda c: pauses.put(c, wanted, expected_version, by, now))

    async def audit(self, after: int, limit: int) -> list[dict[str, object]]:
        found = await self._read(lambda c: audit.page(c, after, limit))
        return [row._asdict() for row in found]

    async def audit_about(self, resources: Sequence[str], limit: int) -> list[dict[str, object]]:
        found = await self._read(lambda c: audit.about(c, resources, limit))
        return [row._asdict() for row in found]

    async def audit_broken_at(self, anchor: Anchor | None = None) -> int | None:
        found = audit.Checked()
        while found.broken is None and not found.ended:
            found = await self._read(partial(audit.check, so_far=found, anchor=anchor))
        return found.broken

    async def note(self, change: Change, by: Actor) -> int:
        now = self._clock.now()
        return await self._write_once(lambda c: audit.append(c, by, change, now))

    async def note_once(self, change: Change, by: Actor) -> int | None:
        now = self._clock.now()
        return await self._write(lambda c: audit.append_once(c, by, change, now))

    async def resolve_doubt(
        self,
        broker_order_key: str,
        verdict: str,
        terms: Mapping[str, str],
        by: Actor,
        seen: int | None = None,
    ) -> Order:
        now, word = self._clock.now(), Word(broker_order_key, verdict, terms, seen)
        return await self._write_once(lambda c: verdicts.resolve(c, word, by, now))

    async def show_lanes(self, lanes: Sequence[LaneStatus]) -> None:
        now = self._clock.now()
        if lanes:
            await self._write(lambda c: showing.show(c, lanes, now))

    async def shown_lanes(self) -> list[tuple[LaneStatus, int]]:
        return await self._read(showing.shown)

    async def ask(self, broker_order_key: str) -> None:
        await self._write(lambda c: showing.ask(c, broker_order_key))

    async def questions(self) -> list[str]:
        return await self._read(showing.open_questions)

    async def answer(self, broker_order_key: str, words: str) -> None:
        await self._write(lambda c: showing.answer(c, broker_order_key, words))

    async def answered(self, broker_order_key: str) -> str | None:
        return await self._read(lambda c: showing.answered(c, broker_order_key))

    async def waiting_sessions(self) -> list[str]:
        return await self._read(control.waiting_sessions)

    async def doubts(self) -> list[Doubt]:
        return await self._read(control.doubts)

    async def backlog(self) -> Backlog:
        return await self._read(control.backlog)

    async def by_status(self, trading_session_id: str, trade_date: date) -> dict[str, int]:
        return await self._read(lambda c: control.by_status(c, trading_session_id, trade_date))

    async def outbox(self) -> OutboxStands:
        return await self._read(outbox_waiting.stands)

    async def owners(self) -> Owners:
        now = self._clock.now()
        return await self._read(lambda c: leases.owners(c, now))

    async def vitals(self) -> Vitals:
        now = self._clock.now()
        return await self._database.read(lambda c: vitals(c, now))
