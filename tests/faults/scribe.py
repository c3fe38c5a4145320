"""A process that takes orders into a ledger, at a durability that it is told: never our own.

`python -m tests.faults.scribe LEDGER ACKED LEVEL` takes orders in batches for ever and appends
the ids of each batch to ACKED once the ledger has said that it is durable. It goes around the
check that start-up makes, to show what that check is for.
"""

import asyncio
import sys
from pathlib import Path

from app.clock import SystemClock
from app.domain.records import Taken
from app.ledger.schema import upgrade
from app.ledger.store import Ledger
from app.sqlite import Database
from tests.builders import a_taking

BATCH = 10


async def write(ledger: Ledger, acked: Path) -> None:
    number = 0
    with acked.open("a") as file:
        while True:
            entries = [a_taking(f"c-{number + i}", reserved=True) for i in range(BATCH)]
            number += BATCH
            results = await ledger.take(entries)
            file.writelines(f"{r.order.order_id}\n" for r in results if isinstance(r, Taken))
            file.flush()


def main(path: str, acked: str, level: str) -> None:
    database = Database(Path(path))
    upgrade(database)
    raw = database._writer.raw_connection()
    raw.cursor().execute(f"PRAGMA synchronous={level}")
    raw.close()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    asyncio.run(write(Ledger(database, SystemClock()), Path(acked)))


if __name__ == "__main__":
    main(*sys.argv[1:])
