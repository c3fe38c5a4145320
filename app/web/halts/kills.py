"""The kill switch: a halt and a mass cancel in one call, by firm, broker, account or symbol.

The halt is committed and the lanes are told before the first order is canceled: the trap is to
cancel while new ones go on leaving. What never left ends at once, what may be at a broker is asked
for; a firm's million takes several calls, each going on where the last one stopped.
"""

from collections.abc import Sequence
from typing import Any, Final

from app.domain.errors import Code
from app.domain.records import Change
from app.domain.sweep import Deed, SweepScope
from app.domain.values import CancelOrigin
from app.web.halts.covered import named_by, target_of
from app.web.halts.deed_told import KilledTold
from app.web.halts.selections import accounts_of, previewed
from app.web.halts.sweeps import Sweeps
from app.web.house import House
from app.web.operator_schemas import KillAsked, Preview
from app.web.operators.house_told import SweepPreviewTold
from app.web.shapes import halt_shape
from app.web.spec import Call, Reply, Spec, json_of, ok

HALT: Final = "admin:halt"


class Kills:
    """One red button behind a cover."""

    def __init__(self, house: House, sweeps: Sweeps) -> None:
        self._house = house
        self._sweeps = sweeps

    async def kill(self, call: Call[KillAsked, Preview]) -> Reply:
        """Stop new sends in scope, then cancel what is in it; 202: send it again to go on.

        It is undone by a resume of the halt, by another person; what was canceled stays so.
        """
        asked = call.body
        target = target_of(asked)
        scope = self._scope(call)
        sweeps = self._house.sweeps
        if call.query.dry_run:
            return ok(previewed(await sweeps.select(scope), Deed.CANCEL, scope))
        by = call.actor(asked.reason)
        standing = await self._house.control.halt(asked.scope, target, by)
        self._house.floor.halts_changed()
        one = by._replace(request_id=asked.request_id)
        begun = await sweeps.begin_sweep(scope, await sweeps.select(scope), one)
        told = await self._sweeps.swept(scope, begun, CancelOrigin.OPERATOR, asked.request_id)
        change = Change("kill", f"halt/{asked.scope}:{target}", None, told)
        audit_id = await self._house.control.note(change, one)
        told |= {"halt": halt_shape(standing), "audit_id": audit_id}
        return ok(told, status=200 if told["done"] else 202)

    def _scope(self, call: Call[KillAsked, Any]) -> SweepScope:
        asked = call.body
        of_account = asked.id if asked.scope == "account" else None
        return SweepScope(
            accounts=accounts_of(call.who, of_account, HALT),
            symbol=asked.id if asked.scope == "symbol" else None,
            broker_id=asked.id if asked.scope == "broker" else None,
        )


def kill_specs(house: House) -> Sequence[Spec[Any, Any]]:
    kills = Kills(house, Sweeps(house))
    return (
        Spec(
            method="POST",
            path="/admin/v1/kill",
            name="kill",
            scope=HALT,
            handler=kills.kill,
            reads=json_of(KillAsked),
            asks=Preview,
            answers={200: KilledTold | SweepPreviewTold, 202: KilledTold},
            refuses=(
                Code.MALFORMED_REQUEST,
                Code.NOT_FOUND,
                Code.IDEMPOTENCY_KEY_REUSED,
                Code.VALIDATION_FAILED,
                Code.CONFIRM_REQUIRED,
            ),
            names=lambda call: named_by(call.body),
            audited=True,
        ),
    )
