"""The workers of one load, each a process of its own.

Processes and not tasks: reading, mapping and folding a row is 40 us of Python, and one
interpreter makes 20,000 documents a second whatever the number of its tasks. And a corrupted page
can take its reader down, C library and all; then it takes one worker down, the chunk's lease
ends, and another one goes on. They share nothing but the store.

The trap is a worker that outlives the command that started it, and loads on while everybody
believes that the load has been stopped; each looks once a second whether its starter still lives.
"""

import asyncio
import multiprocessing
import os
import signal
import socket
import sys
from typing import Final

from app.accounts.history.loader import Orphaned, Worker
from app.accounts.history.plan import LoadPlan
from app.accounts.mongo import close_client, make_client
from app.clock import Clock, SystemClock
from app.ports.away import StoreAway

AWAY: Final = 6  # the exit codes of the command line: unreachable, and try again
STOPPED: Final = 75
# A worker that was asked to stop gives its chunk back first.
STOP_S_MAX: Final = 5.0


class Crew:
    """Some workers. `start` them once; a worker that has died stays dead."""

    def __init__(self, plan: LoadPlan, workers: int) -> None:
        # Spawned and not forked: a fork would copy the threads' locks of both drivers.
        context = multiprocessing.get_context("spawn")
        self._processes = [
            context.Process(target=run_worker, args=(plan,), daemon=True) for _ in range(workers)
        ]

    def start(self) -> None:
        for process in self._processes:
            process.start()

    @property
    def alive(self) -> int:
        """How many still work."""
        return sum(process.is_alive() for process in self._processes)

    @property
    def pids(self) -> list[int]:
        return [process.pid for process in self._processes if process.pid is not None]

    @property
    def deaths(self) -> list[int]:
        """The exit codes of those that did not end well; a signal's is negative."""
        return [process.exitcode for process in self._processes if process.exitcode]

    def stop(self) -> None:
        """Ask those that still work to give their chunks back, and wait for them."""
        for process in self._processes:
            if process.is_alive():
                process.terminate()
        for process in self._processes:
            if process.pid is not None:
                process.join(STOP_S_MAX)
                if process.is_alive():
                    process.kill()
                    process.join()


def run_worker(plan: LoadPlan) -> None:
    """Work in this process until nothing is left; the exit code says how it ended."""
    try:
        asyncio.run(_work(plan, SystemClock()))
    except StoreAway as e:
        sys.stderr.write(f"a worker has given up: {e}\n")
        sys.exit(AWAY)
    except (Orphaned, asyncio.CancelledError, KeyboardInterrupt):
        sys.exit(STOPPED)


async def _work(plan: LoadPlan, clock: Clock) -> None:
    task = asyncio.current_task()
    assert task is not None
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    loop.add_signal_handler(signal.SIGINT, task.cancel)
    name = f"{socket.gethostname()}:{os.getpid()}:{clock.random_bits(32):08x}"
    client = make_client(plan.store.url, plan.store.driver)
    try:
        await Worker(name, plan, client, clock, _is_watched).run()
    finally:
        await close_client(client)


def _is_watched() -> bool:
    parent = multiprocessing.parent_process()
    return parent is None or parent.is_alive()
