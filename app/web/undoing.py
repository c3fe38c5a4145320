"""Takes a change back by the audit row that it wrote, if it is still the last one.

The row keeps what stood before. The trap is an undo that comes late: somebody has changed the
thing again, and would be overruled by a button that names an older change.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from app import codec
from app.domain.errors import Code, Refused
from app.web.access.keys import not_there
from app.web.house import House
from app.web.operator_schemas import Reasoned, Undo
from app.web.spec import Call, Reply, Spec, json_of
from app.web.told import Told
from app.web.trail import Trail

UNDOES: Final = (
    Code.MALFORMED_REQUEST,
    Code.NOT_FOUND,
    Code.STALE_VERSION,
    Code.VALIDATION_FAILED,
)


class Undoing:
    """The way from a change to its audit row, and back."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._trail = Trail(house.control)

    async def before(
        self, call: Call[Any, Undo], resource: str, version: int, stale: Callable[[], Refused]
    ) -> Mapping[str, Any] | None:
        """Return what stood before the change that the caller names; None: nothing did."""
        rows = await self._house.control.audit(call.query.audit_id - 1, 1)
        row = rows[0] if rows else {}
        if row.get("resource") != resource:
            raise not_there()
        after = codec.decode(str(row["after"]))
        if not isinstance(after, dict) or after.get("version") != version:
            raise stale()
        found: Mapping[str, Any] | None = codec.decode(str(row["before"]))
        return found

    async def here(self) -> int:
        """Return where the audit log ends now: ask before a change."""
        return await self._trail.end()

    async def told(self, call: Call[Any, Any], since: int, path: str) -> dict[str, Any]:
        """Name the row that this call has written after `since`, and how to take it back."""
        audit_id = await self._trail.written(since, call.request_id)
        return {"audit_id": audit_id, "undo_url": f"{path}/undo?audit_id={audit_id}"}


def would(before: object, after: object) -> dict[str, Any]:
    """Say what a change would make of a document."""
    return {"dry_run": True, "before": before, "after": after}


def undo_spec(
    path: str,
    name: str,
    scope: str,
    handler: Callable[[Call[Reasoned, Undo]], Awaitable[Reply]],
    told: type[Told],
) -> Spec[Reasoned, Undo]:
    """Describe the door that takes one kind of change back; the audit row is what was seen."""
    return Spec(
        method="POST",
        path=path,
        name=name,
        scope=scope,
        handler=handler,
        reads=json_of(Reasoned),
        asks=Undo,
        answers={200: told},
        shows=("ETag",),
        refuses=UNDOES,
        audited=True,
    )
