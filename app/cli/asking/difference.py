"""What a change is about, in lines for a person: before it is made, and when another was first.

The gateway's dry run says what would become of it; where a door knows none, what is sent is laid
beside what stands there. The trap is a dry run that shows no difference, because what it tells
has no place for the fact that changes: then what is sent is shown as well.
"""

from collections.abc import Mapping
from typing import Any, Final

from app.cli.asking.output import cell, facts, table

# They say what an answer is, or what the line below says already.
QUIET: Final = frozenset({"dry_run", "selection_id", "reason"})
# Whoever was first changed one fact or two; a row that is another one differs in all.
NOW_MAX: Final = 6
# They differ after every change, and say nothing of it.
STAMPS: Final = frozenset({"version", "changed_at", "changed_by", "updated_at", "reason"})


def would_lines(
    document: Mapping[str, Any], body: Mapping[str, Any], would: Mapping[str, Any] | None
) -> list[str]:
    """Return what would become of it, by what the door says of a dry run or by what is sent."""
    by = document.get("changed_by")
    lines = [f"changed last by {by} at {document.get('changed_at')}"] if by else []
    before, after = (would.get(name) if would else None for name in ("before", "after"))
    if isinstance(before, dict) and isinstance(after, dict):
        found = _differences(before, after)
    elif would is not None:
        # It tells what comes of the change; what is changed stands in what was read.
        known = {name: new for name, new in body.items() if _has(document, name)}
        found = _differences(document, known) + _told(would)
    else:
        found = []
    # What has no facts to compare is shown as it stands.
    return lines + (found or _differences(document, body) or facts(document))


def now_said(seen: Mapping[str, Any], current: object) -> str:
    """Return which facts stand there now that were others when they were read."""
    if not isinstance(current, dict):
        return ""
    found = [
        f"{name} {cell(new)} (was {cell(old)})"
        for name, new in current.items()
        if name not in STAMPS and (old := _stands(seen, name)) != new
    ]
    more = f", and {len(found) - NOW_MAX} more" if len(found) > NOW_MAX else ""
    return ", ".join(found[:NOW_MAX]) + more


def _told(would: Mapping[str, Any]) -> list[str]:
    told = {k: v for k, v in would.items() if k not in QUIET and v is not None}
    rows = {k: v for k, v in told.items() if isinstance(v, list) and v and isinstance(v[0], dict)}
    lines = facts({k: v for k, v in told.items() if k not in rows})
    return lines + [line for found in rows.values() for line in table(found)]


def _differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    return [
        f"{name}: {cell(old)} → {cell(new)}"
        for name, new in after.items()
        if name not in QUIET and (old := _stands(before, name)) != new
    ]


def _stands(document: Mapping[str, Any], name: str) -> Any:
    """Return what a document says of a fact, itself or in one of its parts."""
    return next((part[name] for part in _parts(document) if name in part), None)


def _has(document: Mapping[str, Any], name: str) -> bool:
    return any(name in part for part in _parts(document))


def _parts(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [document, *(part for part in document.values() if isinstance(part, dict))]
