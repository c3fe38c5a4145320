"""Reads the metrics page of a gateway, as far as a command needs a number of it.

The trap is a number that is taken for zero because it is not there: what the page does not show
is None, and whoever asks has to say so.
"""

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from app.cli.asking.client import Client

METRICS: Final = "/metrics"
_LINE: Final = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? +(\S+)(?: +\d+)?")
_LABEL: Final = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')


class Sample(NamedTuple):
    """One line of the page."""

    name: str
    labels: dict[str, str]
    value: float


class Metrics:
    """The numbers of one moment."""

    def __init__(self, lines: Iterable[str]) -> None:
        self.samples = [sample for line in lines if (sample := _sample(line)) is not None]

    def value(self, name: str, **labels: str) -> float | None:
        """Return the first number of this name with these labels; None if the page has none."""
        for sample in self.samples:
            if sample.name == name and labels.items() <= sample.labels.items():
                return sample.value
        return None


def read_metrics(client: Client) -> Metrics:
    """Ask a gateway for its page, or raise `Failure`; it needs no key."""
    return Metrics(line.decode("utf-8", "replace") for line in client.lines(METRICS, {}))


def _sample(line: str) -> Sample | None:
    found = None if line.startswith("#") else _LINE.fullmatch(line)
    if found is None:
        return None
    try:
        return Sample(found[1], dict(_LABEL.findall(found[2] or "")), float(found[3]))
    except ValueError:
        return None
