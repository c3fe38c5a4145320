"""Finds the adapter that settings name, or stops the start with the list of what is installed.

Our own adapters register through the same entry-point group as a stranger's: there is no
privileged path. The trap it avoids is the loader that imports every plug-in it can see and
logs what breaks: here nothing is imported that nobody asked for, and nothing breaks quietly.
"""

from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from typing import Final, cast

from app.domain.profile import edges_of
from app.ports.brokers import Broker

GROUP: Final = "openbell.brokers"


class UnknownAdapter(Exception):
    """Settings name an adapter that is not installed."""


class BadAdapter(Exception):
    """The adapter is installed, but these options do not build it."""


def installed() -> list[str]:
    """Return the names that settings may use; imports none of them."""
    return sorted(entry_points(group=GROUP).names)


def load(adapter: str, options: Mapping[str, object]) -> Broker:
    """Build the adapter that settings ask for, or fail while we are still starting."""
    return build(adapter, factory(adapter), options)


def factory(adapter: str) -> Callable[..., object]:
    """Return what builds an adapter; for whoever builds one many times."""
    found = entry_points(group=GROUP)
    if adapter not in found.names:
        raise UnknownAdapter(f"no broker adapter {adapter!r}; installed: {installed()}")
    try:
        return cast("Callable[..., object]", found[adapter].load())
    except (ImportError, AttributeError, TypeError, ValueError) as e:
        raise BadAdapter(f"broker adapter {adapter!r} cannot start: {e}") from e


def build(adapter: str, make: Callable[..., object], options: Mapping[str, object]) -> Broker:
    """Build an adapter with its options."""
    try:
        broker = cast("Broker", make(**options))
        edges_of(broker.capabilities)
    except (ImportError, AttributeError, TypeError, ValueError) as e:
        raise BadAdapter(f"broker adapter {adapter!r} cannot start: {e}") from e
    return broker
