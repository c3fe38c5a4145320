"""What may not be sent, by scope. A halt stops sends; cancels always pass."""

from collections.abc import Iterable
from typing import Final, NamedTuple

from app.domain.records import Halt

SCOPES: Final = ("all", "route", "broker", "account", "symbol")


def version_of(halt: Halt) -> int:
    """Return what its resume must name: a halt never changes, and the next one is a later one."""
    return halt.halted_at


class Halts(NamedTuple):
    """Every halt in force, sorted by scope."""

    everything: bool = False
    routes: frozenset[str] = frozenset()
    brokers: frozenset[str] = frozenset()
    accounts: frozenset[str] = frozenset()
    symbols: frozenset[str] = frozenset()

    @classmethod
    def of(cls, rows: Iterable[Halt]) -> "Halts":
        standing = list(rows)

        def targets(scope: str) -> frozenset[str]:
            return frozenset(h.target for h in standing if h.scope == scope)

        return cls(
            bool(targets("all")),
            targets("route"),
            targets("broker"),
            targets("account"),
            targets("symbol"),
        )

    def covers_broker(self, broker_id: str) -> bool:
        """Whether nothing may leave for this broker."""
        return self.everything or broker_id in self.brokers

    def covers(self, route_id: str, account_id: str, symbol: str) -> bool:
        """Whether an order of this book, account or symbol may not leave, wherever it goes."""
        return (
            self.everything
            or route_id in self.routes
            or account_id in self.accounts
            or symbol in self.symbols
        )
