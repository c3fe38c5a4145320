"""A figure with its rounds, and how a run is told: to a person, and as JSON.

A figure is no verdict: the target stands beside it and the exit code says nothing. The trap is
the best of many rounds, so a figure is a median and shows how far its rounds lie apart.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from app.cli.asking.output import facts, print_out, table


class Figure(NamedTuple):
    """One number, measured in rounds."""

    name: str
    unit: str
    rounds: tuple[float, ...]
    target: str = ""

    def document(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "unit": self.unit,
            "median": written(median(self.rounds)),
            "min": written(min(self.rounds)),
            "max": written(max(self.rounds)),
            "target": self.target,
            "rounds": [written(value) for value in self.rounds],
        }


def figure(name: str, unit: str, rounds: Sequence[float | None], target: str = "") -> list[Figure]:
    """Return the figure in a list, or nothing where this machine could not tell."""
    known = tuple(value for value in rounds if value is not None)
    return [Figure(name, unit, known, target)] if known else []


def ratio(name: str, over: Sequence[float], under: Sequence[float], target: str) -> Figure:
    """Return the ratio of each round's two halves, which met the same machine."""
    return Figure(name, "ratio", tuple(a / b for a, b in zip(over, under, strict=True)), target)


def written(value: float) -> float | int:
    """Return a value with as many digits as it deserves."""
    if abs(value) >= 100:  # noqa: PLR2004 - three digits before the point are enough
        return round(value)
    return round(value, 3 if abs(value) < 10 else 1)  # noqa: PLR2004 - ditto


def told(
    bench: str,
    machine: Mapping[str, Any],
    conditions: Mapping[str, Any],
    figures: Sequence[Figure],
    file: Path | None,
) -> None:
    """Print a run, and write it to `file` as JSON if one is named."""
    document = {
        "bench": bench,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": dict(machine),
        "conditions": dict(conditions),
        "figures": [one.document() for one in figures],
    }
    if file is not None:
        file.write_text(json.dumps(document, indent=2) + "\n", "utf-8")
    print_out("\n".join(lines(document)))


def lines(document: Mapping[str, Any]) -> list[str]:
    """Return the run as a person reads it."""
    shown = [
        {
            "figure": found["name"],
            "median": grouped(found["median"]),
            "range": f"{grouped(found['min'])}..{grouped(found['max'])}",
            "rounds": len(found["rounds"]),
            "unit": found["unit"],
            "target": found["target"],
        }
        for found in document["figures"]
    ]
    return [
        f"bench {document['bench']}, {document['at']}",
        "",
        *facts({**document["machine"], **document["conditions"]}),
        "",
        *table(shown),
    ]


def grouped(value: float) -> str:
    return f"{value:,}"
