"""The page of the audit log: who did what, to what, by which door, from where, and why.

It shows a page of rows, the newest first, and leads to the doors that check the chain and carry
rows away. A row names whatever account it is about, so the page is for keys that read the log and
see every account; the doors ask the same. The trap is the end of the log: what was the end once
may be cut off, so it is looked for anew at each look, in as many small steps as its length has
bits.
"""

from typing import Any, Final

from app import codec
from app.web.access.keys import EVERY_ACCOUNT
from app.web.console.finding import around
from app.web.console.markup import Piece, Safe, join, tag
from app.web.console.shapes import stamped
from app.web.console.sight import AuditRow, Viewer
from app.web.console.small import plain_page
from app.web.console.timeline import changed
from app.web.console.words import deed
from app.web.house import House
from app.web.trail import Trail

AUDIT: Final = "audit:read"
SHOWN: Final = 100
TITLE: Final = "Audit log"
DOORS: Final = "/admin/v1/audit"
NOT_YOURS: Final = "The audit log is for keys with audit:read that see every account."
UNASKED: Final = "\N{EN DASH}"  # written before anybody asked by which door, and from where


class AuditPages:
    """Reads what the pages of the log show."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def page(self, viewer: Viewer, before: int | None) -> str | None:
        """Return the rows before this sequence, or the newest; None: they are not his to read."""
        if not may_audit(viewer):
            return None
        control = self._house.control
        last = await Trail(control).end() if before is None else before - 1
        first = max(0, last - SHOWN)
        rows = [_told(row) for row in await control.audit(first, last - first)] if last else []
        return plain_page(TITLE, *log_page(rows), around=around(self._house))

    def refused(self) -> str:
        """Return the page for a key that may not read the log."""
        return plain_page(TITLE, tag("p", NOT_YOURS), around=around(self._house))


def may_audit(viewer: Viewer) -> bool:
    return viewer.may(AUDIT) and viewer.sees(EVERY_ACCOUNT)


def log_page(rows: list[AuditRow]) -> tuple[Piece, ...]:
    """Return the inside of the page: rows as the log has them, the oldest first."""
    check = tag("a", "Check the chain", href=f"{DOORS}/verify")
    if not rows:
        return tag("p", "No row stands here."), tag("p", check)
    first, last = rows[0]["sequence"], rows[-1]["sequence"]
    export = tag(
        "a",
        "Export these rows, sealed",
        href=f"{DOORS}/export?after={first - 1}&limit={len(rows)}",
        download=f"audit-{first}-{last}.ndjson",
    )
    back = None
    if first > 1:
        back = tag("a", "Further back →", href=f"/console/audit?before={first}", rel="next")
    return (
        tag("p", f"Rows {first:,} to {last:,}, the newest first. ", check, " · ", export),
        tag("section", _table(rows), class_="panel", aria_label=TITLE),
        tag("p", back) if back else None,
    )


def _table(rows: list[AuditRow]) -> Safe:
    columns = ("When", "Via", "What", "By", "Why", "From", "Row")
    head = tag("thead", tag("tr", [tag("th", name, scope="col") for name in columns]))
    body = tag("tbody", [_row(row) for row in reversed(rows)])
    return tag("div", tag("table", head, body, class_="life log"), class_="wide")


def _row(row: AuditRow) -> Safe:
    did = deed(str(row["action"]), str(row["resource"]))
    refused = str(row["action"]).startswith("denied.")
    shape = tag("span", "▲ ", class_="mark warning", aria_hidden="true") if refused else None
    return tag(
        "tr",
        tag("td", stamped(int(row["at"]))),
        tag("td", tag("span", row["via"] or UNASKED, class_="kind")),
        tag("td", join(shape, did, changed(row)), class_="says", title=row["action"]),
        tag("td", row["actor"]),
        tag("td", row["reason"], class_="why-cell"),
        tag("td", row["ip"] or UNASKED),
        tag("td", f"#{row['sequence']}"),
    )


def _told(row: dict[str, Any]) -> AuditRow:
    return row | {name: codec.decode(row[name]) for name in ("before", "after")}
