"""Makes account documents of a source's rows: the mapping, and then the fold of every live event.

Loading and verifying both come through here, so they cannot read a row in two ways.

The trap is a loop of two rules: one that loads what the other would have refused. What a row
becomes is decided once: a document, a reject with its reason, or nothing of ours because its
trade date is on or after the cut-over.
"""

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import NamedTuple

from app.accounts.fold import NotAnOrder, fold
from app.accounts.history.fields import BadRow
from app.accounts.history.mapping import Bound, SourceMapping
from app.accounts.history.source import (
    Batch,
    Fingerprint,
    Slice,
    Unreadable,
    bound_to,
    fingerprint_of,
    read,
)
from app.accounts.history.totals import trade_date_in
from app.accounts.storable import that_fit
from app.ports.accounts import AccountDocument


class Made(NamedTuple):
    """What some rows of a batch became; places count within the batch."""

    documents: list[tuple[int, AccountDocument]]
    reasons: dict[int, str]
    later: int


def bound_as_surveyed(
    root: Path, part: Slice, mapping: SourceMapping, surveyed: Fingerprint
) -> Bound:
    """Fit the mapping to the file of a slice, provided that it is still the one that was seen.

    Raises `Unreadable` or `BadMapping`.
    """
    if fingerprint_of(root / part.path) != surveyed:
        raise Unreadable("it has changed since the load began")
    return bound_to(root, part.path, mapping)


def batches(root: Path, part: Slice, bound: Bound) -> Iterator[Batch]:
    """Yield the rows of a slice, as the mapping wants them; raise `Unreadable`."""
    return read(root, part, bound.columns)


def made(batch: Batch, bound: Bound, before: date | None, places: range) -> Made:
    """Make documents of the rows at these places of a batch."""
    documents = []
    reasons: dict[int, str] = {}
    later = 0
    for place in places:
        try:
            document = fold(bound.payload(batch.rows[place]))
        except (BadRow, NotAnOrder) as e:
            reasons[place] = str(e)
            continue
        if before is not None and trade_date_in(document.document) >= before:
            later += 1
            continue
        _, causes = that_fit([document])
        if causes:
            reasons[place] = causes[document.order_id]
        else:
            documents.append((place, document))
    return Made(documents, reasons, later)
