"""`python -m app.brokers.sim`: prints one JSON line when it is ready, then serves."""

import asyncio
import sys

from app.brokers.sim.options import parse
from app.brokers.sim.service import serve


def main() -> None:
    options = parse()
    if sys.platform == "win32":
        asyncio.run(serve(options))
        return
    import uvloop  # noqa: PLC0415 - there is none for Windows

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(options))


if __name__ == "__main__":
    main()
