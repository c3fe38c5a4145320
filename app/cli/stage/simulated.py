"""Simulated brokers beside us: what the gateway needs to know of each."""

import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from app.brokers.sim.process import SimProcess

# What the simulated contract allows; the operator's number starts at 200 and stays below it.
CONTRACT: Final = 1_000
START_RATE: Final = 200
FILLS: Final = ("--fills", "partial")


class Simulated(NamedTuple):
    """One simulated broker: its process, the rate it starts with, its contract."""

    process: SimProcess
    rate: int
    contract: int

    @property
    def name(self) -> str:
        return self.process.name

    def settings(self) -> dict[str, Any]:
        """Return the broker as the gateway's settings name it."""
        return {
            "adapter": "http",
            "orders_per_second": self.rate,
            "drill_url": self.process.url,
            "options": {
                "url": self.process.url,
                "secret": self.process.secret,
                "orders_per_second_max": self.contract,
            },
        }


def start(
    directory: Path,
    name: str,
    gateway: str,
    *,
    rate: int = START_RATE,
    contract: int = CONTRACT,
    arguments: Sequence[str] = FILLS,
) -> Simulated:
    """Start one, with its record in `directory`, and return when it listens."""
    directory.mkdir(parents=True, exist_ok=True)
    secret_file = directory / f"{name}.secret"
    if not secret_file.exists():
        secret_file.touch(0o600)
        secret_file.write_text(secrets.token_hex(32))
    more = [
        "--with-parent",
        "--tps",
        str(contract),
        "--callback",
        f"{gateway}/hooks/brokers/{name}",
        *arguments,
    ]
    audit = directory / f"{name}.audit.jsonl"
    process = SimProcess(audit, secret_file.read_text(), name=name, more=more)
    return Simulated(process.start(), rate, contract)
