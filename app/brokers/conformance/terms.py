"""What a person asks for, read: which broker of the settings, and what its cases may do.

Both doors, the command line and pytest, hand over words; here they become values or a sentence
that says what is wrong. The trap is money: without an order of the user's own choice, `live`
is refused.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final

from app.brokers.conformance.subject import Subject, Terms
from app.domain.values import Side
from app.settings import read_settings

# Nobody's money is spent on a default.
LIVE_NAMES: Final = ("account_id", "symbol", "quantity", "limit_price")
# Every term that may be given, and how it is read.
TERMS: Final[Mapping[str, Callable[[str], object]]] = {
    "account_id": str,
    "symbol": str,
    "market": str,
    "currency": str,
    "side": Side,
    "quantity": Decimal,
    "limit_price": Decimal,
    "orders_max": int,  # of one case
    "patience_s": float,  # above the adapter's own time-outs
    "secret_option": str,  # which of the adapter's options holds its secret
    "callbacks": str,  # HOST:PORT that the broker pushes to
    "ledger": Path,  # whose session numbers go on from run to run; without it a fresh one
}


class Unplayable(ValueError):
    """The cases cannot be played like this; the message says why."""


def subject_of(name: str) -> Subject:
    """Return a broker as the settings name it."""
    try:
        brokers = read_settings().brokers
    except ValueError as e:
        raise Unplayable(str(e)) from e
    if name not in brokers:
        raise Unplayable(f"OPENBELL_BROKERS has no {name!r}; it has {sorted(brokers)}")
    return Subject(name, brokers[name].adapter, brokers[name].options)


def terms_of(words: Sequence[str], *, live: bool, money: bool) -> tuple[Terms, Path | None]:
    """Return the terms that are given as `name=value`, and the ledger's file if one is named."""
    given = dict(word.partition("=")[::2] for word in words)
    unknown = sorted(set(given) - set(TERMS))
    if unknown:
        raise Unplayable(f"no such term {unknown[0]!r}; there are {', '.join(TERMS)}")
    missing = [name for name in LIVE_NAMES if name not in given]
    if live and missing:
        raise Unplayable(f"live orders need {', '.join(missing)}: your own, far from the market")
    try:
        read: dict[str, Any] = {name: TERMS[name](value) for name, value in given.items()}
    except (ValueError, InvalidOperation) as e:
        raise Unplayable(f"terms: {e}") from e
    file: Path | None = read.pop("ledger", None)
    return replace(Terms(live=live, money=money), **read), file
