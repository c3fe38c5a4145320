"""What a load is asked to do: values that are handed to each worker's process.

The trap is a worker with an opinion of its own. Everything that decides what a row becomes stands
here, is the same for all workers, and its digest is kept with each chunk.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Final

from app.accounts.history.chunks import Load
from app.accounts.history.mapping import SourceMapping
from app.accounts.mongo import Driver

# Thirty beats: a worker that is only slow keeps its chunk, and a dead one's is taken up before
# anybody at a terminal has understood what happened.
LEASE_S: Final = 30
# Far above what 2,000 documents take a store that is well, and a twentieth of the time after which
# the live view's writes would call it away.
LATENCY_MS_MAX: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """Where the account store is."""

    url: str
    database: str
    driver: Driver


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadPlan:
    """One load of one source."""

    root: Path
    source: str  # its name, whatever folder it is mounted on
    mapping: SourceMapping
    store: Store
    before: date | None = None  # only trade dates before it: from there on the live stream has all
    rejects: Path = Path("rejects.parquet")
    lease_s: float = LEASE_S
    latency_ms_max: int = LATENCY_MS_MAX

    @property
    def load(self) -> Load:
        """What the chunks remember of it."""
        return Load(self.source, self.mapping.digest, self.before)

    @property
    def lease(self) -> timedelta:
        return timedelta(seconds=self.lease_s)
