"""The audit log as operators read it, check it and carry it away.

A chain without its last rows is still a chain, and one that was sealed anew is as well: only a row
that somebody keeps elsewhere shows it. So every check tells the head of the chain, in a form that
the next check takes as its anchor; an export is rows as they were sealed, one a line, so that
whoever has the file needs nothing of ours to check it. A row names whatever account it is about, so
the log is read by who sees them all; that its chain holds may be asked by any auditor.
"""

from collections.abc import Sequence
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from app import codec
from app.domain.errors import Code
from app.domain.records import Anchor
from app.domain.values import rfc3339
from app.web.access.keys import must_see_all
from app.web.house import House
from app.web.operators.house_told import AuditTold, AuditVerifiedTold
from app.web.spec import JSON, Call, Reply, Spec, encode, ok
from app.web.trail import Trail

READ: Final = "audit:read"
LINES: Final = b"application/x-ndjson"


class _Query(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AuditAsked(_Query):
    """Rows after this sequence, oldest first."""

    after: int = Field(0, ge=0, le=2**62)
    limit: int = Field(100, ge=1, le=1_000)
    sealed: bool = Field(False, description="Each as it was sealed: what its hash is made of.")


class ExportAsked(_Query):
    """Rows after this sequence, oldest first; the last line says where to go on."""

    after: int = Field(0, ge=0, le=2**62)
    limit: int = Field(1_000, ge=1, le=10_000)


class ChainAsked(_Query):
    """Against which row, seen before and kept elsewhere."""

    anchor: str | None = Field(
        None,
        pattern=r"^[1-9][0-9]{0,17}:[0-9a-f]{64}$",
        description="A row's sequence and hash, as `12:3f…`: from there back nothing has changed.",
    )


class Audits:
    """Who did what, when and why."""

    def __init__(self, house: House) -> None:
        self._control = house.control

    async def listed(self, call: Call[None, AuditAsked]) -> Reply:
        """List who did what, when and why, oldest first."""
        must_see_all(call.who, READ)
        asked = call.query
        rows = await self._control.audit(asked.after, asked.limit)
        more = len(rows) == asked.limit
        told = {
            "data": rows if asked.sealed else [row_shape(row) for row in rows],
            "has_more": more,
            "next_after": rows[-1]["sequence"] if more else None,
        }
        return ok(told)

    async def export(self, call: Call[None, ExportAsked]) -> Reply:
        """Give the rows as they were sealed, one JSON object a line, oldest first.

        No line: there is none after this sequence. Keep the last one elsewhere: its sequence and
        hash are an anchor.
        """
        must_see_all(call.who, READ)
        rows = await self._control.audit(call.query.after, call.query.limit)
        return Reply(200, b"".join(encode(row) + b"\n" for row in rows), content_type=LINES)

    async def verify(self, call: Call[None, ChainAsked]) -> Reply:
        """Check the chain of hashes from the first row to the last, and against an anchor."""
        anchor = _anchor(call.query.anchor)
        broken_at = await self._control.audit_broken_at(anchor)
        end = await Trail(self._control).end()  # a fresh look: what was there may be cut off
        last = await self._control.audit(end - 1, 1) if end else []
        told = {
            "intact": broken_at is None,
            "first_broken": broken_at,
            "anchor": call.query.anchor,
            "head": f"{last[0]['sequence']}:{last[0]['hash']}" if last else None,
        }
        return ok(told)


def _anchor(text: str | None) -> Anchor | None:
    if text is None:
        return None
    sequence, _, digest = text.partition(":")
    return Anchor(int(sequence), digest)


def row_shape(row: dict[str, object]) -> dict[str, object]:
    """Return a row with its instant and its documents as people read them."""
    at = row["at"]
    assert isinstance(at, int), "the store stamps its audit rows"
    return row | {
        "at": rfc3339(at),
        "before": codec.decode(str(row["before"])),
        "after": codec.decode(str(row["after"])),
    }


def audit_specs(house: House) -> Sequence[Spec[Any, Any]]:
    audits = Audits(house)
    return [
        Spec(
            method="GET",
            path=f"/admin/v1/audit{path}",
            name=name,
            scope=READ,
            handler=handler,
            asks=asks,
            answers={200: told},
            refuses=(Code.VALIDATION_FAILED,),
            media=LINES.decode() if told is None else JSON.decode(),
        )
        for path, name, handler, asks, told in (
            ("", "list_audit", audits.listed, AuditAsked, AuditTold),
            ("/verify", "verify_audit", audits.verify, ChainAsked, AuditVerifiedTold),
            ("/export", "export_audit", audits.export, ExportAsked, None),
        )
    ]
