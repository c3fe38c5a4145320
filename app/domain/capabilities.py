"""What one broker can do: its contract as a record, read once, when settings are. Pure.

Plan, pacer, reconciler and failover ask it; nothing of a broker is written into code. The trap is
a number that stands in two places: a limit that operators set is theirs, this one the contract.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from app.domain.values import OrderType, TimeInForce
from app.domain.windows import Hours, Window, read_windows

BATCH_COSTS: Final = ("per_order", "per_request", "request_plus_orders", "one_plus_floor")
# What a broker may be choosy about, and which words there are; none: any.
_WORDS: Final[dict[str, frozenset[str]]] = {
    "markets": frozenset(),
    "order_types": frozenset(OrderType),
    "times_in_force": frozenset(TimeInForce),
    "accounts": frozenset(),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What one broker can do. Plan, pacer and reconciler read it; nothing is hard-coded."""

    batch_max: int = 1  # orders a request
    cancel_batch_max: int = 1
    # What a batch of n costs: per_order n, per_request 1, request_plus_orders n + 1 (a single order
    # is no batch: 1), one_plus_floor 1 and one more for each full `batch_cost_step`.
    batch_cost: str = "per_order"
    batch_cost_step: int = 40
    batch_same_symbol: bool = False
    # One refused order refuses its whole batch: then no batch holds orders of two accounts, so
    # that one customer's bad order never refuses another's.
    batch_atomic: bool = False
    # A batch leaves as one list (NewOrderList on FIX), so `batch_max` is the longest that it takes.
    # A message carries so many of its orders; None: all of them, it takes no fragments.
    lists: bool = False
    list_message_max: int | None = None
    query_by_key: bool = True  # else its doubts go to an operator
    find_batch_max: int = 1
    # It shows all of our orders on one question (OrderMassStatusRequest on FIX).
    mass_status: bool = False
    # The contract by the phase of a session: pairs such as ("open+10m", 6). It lowers what
    # operators set, and never raises it.
    rate_profile: tuple[tuple[str, int], ...] = ()
    # When it takes messages, cancels too; no windows: always, but for the blackouts.
    intake_windows: tuple[Window, ...] = ()
    blackouts: tuple[Window, ...] = ()
    guard_s: float = 2.0  # before an edge and after it nothing leaves
    # How long after the last send "unknown id" still proves nothing, in seconds: at least the
    # broker's longest ingest delay plus the staleness of its queries.
    visibility_window_s: float = 10.0
    unknown_answers_required: int = 2
    orders_per_second_max: int = 1000  # the contract; the operator's number stays below it
    max_in_flight: int = 64  # requests without an answer
    # Whether terms can be changed in one step. Cancel plus new is no replace: two may be live.
    replaces: bool = False
    replace_batch_max: int = 1
    # What it can trade, and for whom; None is all. A broker is never sent what it cannot take.
    markets: frozenset[str] | None = None
    order_types: frozenset[str] | None = None
    times_in_force: frozenset[str] | None = None
    accounts: frozenset[str] | None = None

    def __post_init__(self) -> None:
        """Read what settings write as JSON, or say what is wrong with it."""
        self._read_words()
        self._read_contract()

    def _read_words(self) -> None:
        """Read lists of words; one that no order can have is a slip."""
        for name, words in _WORDS.items():
            given = getattr(self, name)
            if given is None:
                continue
            if isinstance(given, str) or not all(isinstance(word, str) for word in given):
                raise TypeError(f"{name}: expected a list of words, was {given!r}")
            strange = sorted(set(given) - words) if words else []
            if strange:
                raise ValueError(f"{name}: expected some of {sorted(words)}, was {strange[0]!r}")
            object.__setattr__(self, name, frozenset(given))

    @property
    def is_choosy(self) -> bool:
        """Whether there is anything that it does not take."""
        return any(getattr(self, name) is not None for name in _WORDS)

    def lacks(self, market: str, order_type: str, time_in_force: str, account: str) -> str | None:
        """Return for want of what it cannot take such an order, or None."""
        wanted = {
            "markets": market,
            "order_types": order_type,
            "times_in_force": time_in_force,
            "accounts": account,
        }
        for name, word in wanted.items():
            able = getattr(self, name)
            if able is not None and word not in able:
                return name
        return None

    def _read_contract(self) -> None:
        """Read what a batch costs, the numbers by phase, and the hours."""
        if self.batch_cost not in BATCH_COSTS:
            raise ValueError(f"batch_cost: expected one of {BATCH_COSTS}, was {self.batch_cost!r}")
        if self.batch_cost_step <= 1:  # a single order would cost more than one permit, and wait
            raise ValueError(f"batch_cost_step: expected 2 or more, was {self.batch_cost_step}")
        if self.lists and self.batch_max <= 1:
            raise ValueError(f"lists: expected a batch_max of 2 or more, was {self.batch_max}")
        if self.list_message_max is not None and not (self.lists and self.list_message_max >= 1):
            raise ValueError("list_message_max: expected 1 or more, where there are lists")
        profile = tuple(_edge(edge) for edge in self.rate_profile)
        object.__setattr__(self, "rate_profile", profile)
        for name in ("intake_windows", "blackouts"):
            object.__setattr__(self, name, read_windows(getattr(self, name)))

    @property
    def hours(self) -> Hours:
        return Hours(self.intake_windows, self.blackouts, round(self.guard_s * 1000))

    def cost(self, orders: int) -> int:
        """Return the permits that one batch of so many orders spends."""
        match self.batch_cost:
            case "per_request":
                return 1
            case "request_plus_orders":
                return orders if orders <= 1 else orders + 1
            case "one_plus_floor":
                return 1 + orders // self.batch_cost_step
            case _:
                return orders

    def affordable(self, permits: int, orders: int) -> int:
        """Return how many of these orders one batch may carry for so many permits."""
        if self.batch_cost == "per_order":
            return min(permits, orders)
        while orders and self.cost(orders) > permits:
            orders -= 1
        return orders

    def useful(self, permits: int) -> int:
        """Return how many of so many permits one batch can spend."""
        return self.cost(self.affordable(permits, max(1, self.batch_max)))

    def orders_for(self, permits: int) -> int:
        """Return how many orders leave for so many permits, in batches as large as may be."""
        size = max(1, self.batch_max)
        full, rest = divmod(max(0, permits), self.cost(size))
        return full * size + self.affordable(rest, size)


def _edge(written: Any) -> tuple[str, int]:
    at, tps = (written["at"], written["tps"]) if isinstance(written, Mapping) else written
    return str(at), int(tps)
