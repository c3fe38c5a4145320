"""When a broker's circuit opens and how it comes back: its numbers, and how far each may go. Pure.

An operator turns them within bounds: no number lets a broker be asked without end, or never
again. The trap is two numbers that contradict each other: more trials out at once than there are
trials, or a first wait that is longer than the longest.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class GateSettings:
    """When a circuit opens, and how it comes back."""

    failures_max: int = 20  # in a row
    failure_rate: float = 0.5
    slow_rate: float = 0.8
    slow_s: float = 1.0
    window_s: int = 10  # the rates look back over so many buckets of a second
    calls_min: int = 50  # fewer calls in the window say nothing
    open_s: float = 5.0  # doubles with each trip
    open_s_max: float = 60.0
    calm_s: float = 300.0  # closed for so long, the doubling starts anew
    jitter: float = 0.10  # several gateways do not knock together
    trials: int = 5
    trials_in_flight_max: int = 2
    half_open_s_max: float = 15.0  # a trial out for so long is lost
    ping_s_max: float = 5.0


USUAL: Final = GateSettings()
NAMES: Final = tuple(field.name for field in fields(GateSettings))
# From where to where a person may turn each. The least waits keep a dead broker from being asked
# in a circle; the longest are what a person at the open would still wait for.
BOUNDS: Final[Mapping[str, tuple[float, float]]] = {
    "failures_max": (1, 1_000),
    "failure_rate": (0.05, 1.0),
    "slow_rate": (0.05, 1.0),
    "slow_s": (0.05, 60.0),
    "window_s": (1, 60),
    "calls_min": (1, 10_000),
    "open_s": (0.5, 300.0),
    "open_s_max": (0.5, 600.0),
    "calm_s": (1.0, 3_600.0),
    "jitter": (0.0, 0.5),
    "trials": (1, 100),
    "trials_in_flight_max": (1, 20),
    "half_open_s_max": (1.0, 120.0),
    "ping_s_max": (0.5, 30.0),
}


def numbers_of(turned: Mapping[str, float]) -> GateSettings:
    """Return the numbers in force; a name that only a newer version knows is passed over."""
    known = {name: turned[name] for name in NAMES if name in turned}
    kinds = {name: type(getattr(USUAL, name)) for name in known}
    return replace(USUAL, **{name: kinds[name](value) for name, value in known.items()})


def as_facts(settings: GateSettings) -> dict[str, float]:
    """Return every number by its name."""
    return asdict(settings)


def contradiction(settings: GateSettings) -> tuple[str, str] | None:
    """Return which number cannot stand beside another, and why."""
    if settings.open_s > settings.open_s_max:
        return "open_s", f"{settings.open_s:g} is above open_s_max, {settings.open_s_max:g}"
    if settings.trials_in_flight_max > settings.trials:
        words = f"{settings.trials_in_flight_max} at once are more than {settings.trials} trials"
        return "trials_in_flight_max", words
    return None
