"""Which faults are on, and whether this request or this fill meets one.

A fault is switched on with a probability, a number of times, a time to live, or for one
request by its header. Each draws from its own seeded stream, so the same run misbehaves in
the same way, and one more fault does not move the others.
"""

from collections import Counter
from typing import Final

import msgspec

from app.brokers.sim.world import SECOND_NS, World

# Before the order is judged: it is not at the broker, and never will be.
UNJUDGED: Final = (
    "close_before_read",  # the connection ends without an answer
    "timeout_before_accept",  # no answer for `d` seconds, then the connection ends
    "http_429",  # with Retry-After: d
    "http_503",
    "unauthorized",  # 401, as after a token ran out
)
# The order is judged, and the client may not learn how.
JUDGED: Final = (
    "late_accept",  # judged after `d` seconds, by when the client has given up; no answer
    "disconnect_mid_batch",  # the first `k` items are judged, then a reset
    "accept_drop_reply",  # judged, then the connection ends without an answer
    "accept_then_500",
    "half_reply",  # half of the answer, then a reset
    "garbage",  # 200 with a body that nobody can read
    "huge_reply",  # 200 with 16 MiB
    "slow_drip",  # the answer at `bytes_per_s`
    "fill_before_ack",  # a fill is told before the answer leaves
)
# Asked once for each order, fill or look-up.
SINGLE: Final = (
    "reject_random",
    "query_stale",  # not found for `d` seconds after it was accepted
    "duplicate_fill",  # the same execution is told twice
    "disorder",  # a report is told up to `d` seconds late, so behind later ones
    "bust",  # a trade is taken back `d` seconds later
    "fill_after_cancel",  # a fill follows the cancel
    "fill_before_replace",  # `k` are filled under the old terms just before the new ones stand
    "unknown_order_fill",  # with a fill comes another, of an order that nobody sent
)
# POST /sim/faults only: the listener closes and connections are cut for `for_s` seconds; then
# all is well again.
REFUSE: Final = "refuse_conn"
NAMES: Final = frozenset((*UNJUDGED, *JUDGED, *SINGLE))


class Switch(msgspec.Struct, forbid_unknown_fields=True):
    """One fault that is on, and how."""

    probability: float = 1.0
    count: int | None = None  # how many times at most
    for_s: float | None = None  # how long
    d: float = 1.0  # seconds; each fault says of what
    k: int = 1  # items
    bytes_per_s: int = 100
    on: tuple[str, ...] = ("orders",)  # orders, cancels, replaces, lookups, ping
    until_ns: int | None = None  # set here, from `for_s`


class BadFault(ValueError):
    """No such fault, or not with these settings."""


read_switches: Final = msgspec.json.Decoder(dict[str, Switch | None]).decode


class Faults:
    """The switchboard."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._on: dict[str, Switch] = {}
        self.fired: Counter[str] = Counter()

    def set(self, switches: dict[str, Switch | None]) -> None:
        """Switch faults on, or off with None; the name `*` switches all off."""
        unknown = sorted(set(switches) - NAMES - {"*"})
        if unknown:
            raise BadFault(f"no fault {unknown[0]!r}; there are {[*sorted(NAMES), REFUSE]}")
        for name, switch in switches.items():
            if name == "*":
                self._on.clear()
            elif switch is None:
                self._on.pop(name, None)
            else:
                if switch.for_s is not None:
                    switch.until_ns = self._world.ns() + round(switch.for_s * SECOND_NS)
                self._on[name] = switch

    def names(self) -> list[str]:
        return sorted(name for name in self._on if self._alive(name))

    def for_request(self, call: str, header: str | None) -> tuple[str, Switch] | None:
        """Return the fault that this request meets, the header's first."""
        if header:
            name, switch = read_header(header)
            self.fired[name] += 1
            return name, switch
        if not self._on:
            return None
        for name in (*UNJUDGED, *JUDGED):
            switch_on = self._on.get(name)
            if switch_on is not None and call in switch_on.on and self._fires(name):
                return name, switch_on
        return None

    def draw(self, name: str) -> Switch | None:
        """Return the switch if this one order, fill or look-up meets the fault."""
        switch = self._on.get(name)
        return switch if switch is not None and self._fires(name) else None

    def _alive(self, name: str) -> bool:
        switch = self._on[name]
        ended = switch.until_ns is not None and self._world.ns() >= switch.until_ns
        return not ended and switch.count != 0

    def _fires(self, name: str) -> bool:
        switch = self._on[name]
        if not self._alive(name):
            del self._on[name]
            return False
        if self._world.die(name).random() >= switch.probability:
            return False
        if switch.count is not None:
            switch.count -= 1
        self.fired[name] += 1
        return True


def read_header(header: str) -> tuple[str, Switch]:
    """Read `X-Sim-Fault: name;d=0.5;k=3`."""
    name, *settings = (part.strip() for part in header.split(";"))
    if name not in UNJUDGED and name not in JUDGED:
        raise BadFault(f"no request fault {name!r}; there are {[*UNJUDGED, *JUDGED]}")
    fields = dict(setting.split("=", 1) for setting in settings if "=" in setting)
    try:
        return name, msgspec.convert(fields, Switch, strict=False)
    except msgspec.ValidationError as e:
        raise BadFault(str(e)) from e
