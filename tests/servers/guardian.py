"""Ends what a dead test run has left: it outlives its parent by seconds, and only to clean up.

A test run that gets `kill -9` runs no `finally` and no `atexit`. So the run starts this small
process beside its servers and tells it, line by line on standard input, what there is to end.
When that input ends, the run has ended, however it did. `PR_SET_PDEATHSIG` was the other way:
it is Linux's own, it is lost when a process changes its user, as PostgreSQL's must, it fires
when the thread that started the server ends, and it removes no directory.

    +p PID SIGNAL   a server, and the signal that ends it in peace
    -p PID          it has ended
    +d PATH         a directory of ours
    -d PATH         it is gone
"""

import contextlib
import os
import shutil
import signal
import sys
import time

# A server that has not ended by then will not; PostgreSQL's fast stop takes 0.1 s.
PEACE_S = 5.0


def main() -> None:
    servers, directories = listen()
    for pid, number in servers.items():
        tell(pid, signal.SIGCONT)
        tell(pid, number)
    give_up_at = time.perf_counter() + PEACE_S
    while any(map(lives, servers)) and time.perf_counter() < give_up_at:
        time.sleep(0.02)
    for pid in servers:
        tell(pid, signal.SIGKILL)
    for directory in directories:
        shutil.rmtree(directory, ignore_errors=True)


def listen() -> tuple[dict[int, int], set[str]]:
    """Return what is left when the run has ended."""
    servers: dict[int, int] = {}
    directories: set[str] = set()
    for line in sys.stdin:
        word, _, what = line.rstrip("\n").partition(" ")
        if word == "+p":
            pid, number = what.split()
            servers[int(pid)] = int(number)
        elif word == "-p":
            servers.pop(int(what), None)
        elif word == "+d":
            directories.add(what)
        elif word == "-d":
            directories.discard(what)
    return servers, directories


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def tell(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


if __name__ == "__main__":
    main()
