"""How late alerts were told: what a drill came to, for a person and for a program.

A share is the lateness at its rank, of causes that really were made: no value between two of them
is invented, and with fewer than a thousand p99.9 is the worst one.
"""

from math import ceil
from typing import Any, NamedTuple


class Late(NamedTuple):
    """How late the causes of one kind were told, in seconds, the soonest first."""

    late_s: list[float]

    def at(self, share: float) -> float:
        """Return the smallest lateness that this share of the causes was told within."""
        return self.late_s[max(0, ceil(len(self.late_s) * share) - 1)]

    def shown(self) -> dict[str, Any]:
        """Return it as plain values."""
        shares = {"p50_s": 0.5, "p99_s": 0.99, "p999_s": 0.999}
        found = {name: round(self.at(share), 3) for name, share in shares.items()}
        return {"causes": len(self.late_s), **found, "worst_s": round(self.late_s[-1], 3)}


class Alerted(NamedTuple):
    """What a drill came to: every cause, by kind, and what the gateway was doing."""

    kinds: dict[str, Late]
    orders: int
    seconds: float

    @property
    def whole(self) -> Late:
        return Late(sorted(late for kind in self.kinds.values() for late in kind.late_s))

    def lines(self) -> list[str]:
        """Tell it to a person, a line for each kind of cause."""
        kinds = {"all": self.whole, **self.kinds}
        return [
            *(
                f"{name:8} {len(kind.late_s):6,} causes, p50 {kind.at(0.5):.2f} s,"
                f" p99 {kind.at(0.99):.2f} s, p99.9 {kind.at(0.999):.2f} s,"
                f" worst {kind.late_s[-1]:.2f} s"
                for name, kind in kinds.items()
            ),
            f"{self.orders:,} orders were placed meanwhile, in {self.seconds:,.0f} s",
        ]

    def shown(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "all": self.whole.shown(),
            **{name: kind.shown() for name, kind in self.kinds.items()},
            "orders": self.orders,
            "orders_per_second": round(self.orders / self.seconds, 1),
            "seconds": round(self.seconds, 1),
        }
