"""What every book keeps the same, whatever it is made of: how much fits, and how money is added.

MongoDB keeps a document of 16 MiB at most. The limit here is lower, by what the stored form adds
to the JSON, and the same for every book: an order that one store takes and another refuses would
make the view depend on where it is kept.
"""

from collections.abc import Iterable
from decimal import Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow
from typing import Final

from app.ports.accounts import AccountDocument

# MongoDB's 16 MiB hold this much JSON, its own types and names, and the guard around them.
DOCUMENT_BYTES_MAX: Final = 15 << 20
# Money is added exactly or not at all: 60 digits hold every sum there can be, and a rounding
# would raise instead of passing.
_EXACT: Final = Context(prec=60, traps=[Inexact, InvalidOperation, DivisionByZero, Overflow])


def that_fit(
    documents: Iterable[AccountDocument],
) -> tuple[list[AccountDocument], dict[str, str]]:
    """Return the documents that any book can keep, and why it cannot keep the others."""
    fitting, causes = [], {}
    for document in documents:
        length = len(document.document)
        if length > DOCUMENT_BYTES_MAX:
            causes[document.order_id] = (
                f"a document of {length} bytes, more than the {DOCUMENT_BYTES_MAX} that fit"
            )
        else:
            fitting.append(document)
    return fitting, causes


def total(values: Iterable[Decimal]) -> str:
    """Return the exact sum, written out."""
    added = Decimal(0)
    for value in values:
        added = _EXACT.add(added, value)
    return format(added, "f")
