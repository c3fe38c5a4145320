"""`openbell bench fix` with QuickFIX around it: as the acceptor, and as the client beside ours.

    python -m tests.servers.fix_bench --rounds 5                        more options: bench fix's
    python -m tests.servers.fix_bench --acceptor-engine quickfixj       the acceptor is QuickFIX/J
    python -m tests.servers.fix_bench --durable                         some minutes more

The gateway's programs know no engine but their own, so this starts the acceptor and names the
commands that are run beside: QuickFIX as it is, and with `--durable`, where the disk allows it,
QuickFIX with a store that is on disk before the bytes leave, as ours is.

What is alike: one acceptor process for all, a desk and a comp id of its own for each; the fields
and lengths of an order, so of its report; the orders on the wire at once; Nagle's delay off; no
dictionary on any side; both logs off; one disk. What is not: QuickFIX is C++ with a client of
Python on top, waits for no disk unless it is made to, has then no group commit, and keeps no
report. So the figure beside the buffered store is the hard one, and the other is the like one.

The acceptor is Python on top as well, and takes about as long for a round trip as it takes to make
one: where its processor is full, two clients that are both faster look the same. What the
processor tells is beside it, and QuickFIX/J's acceptor is a faster one.

The trap is one process for both ends, which shares one lock between those that are compared: here
each has its own.
"""

import argparse
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.servers import fix_quickfix, fix_quickfixj
from tests.servers.acceptors.written_through import write_through
from tests.servers.fix import SENDER, Acceptor
from tests.servers.remains import Unavailable, end_all

ROOT: Final = Path(__file__).parents[2]
ENGINES: Final = {"quickfix": fix_quickfix.of_our_own, "quickfixj": fix_quickfixj.of_our_own}
BESIDE: Final = "tests.servers.acceptors.quickfix_initiator"


def options(acceptor: Acceptor, *, durable: bool) -> list[str]:
    """Return what `openbell bench fix` needs to know of it."""
    ours = acceptor.client()
    where = ["--acceptor", f"{ours.host}:{ours.port}", "--sender", ours.name, "--target", SENDER]
    for how in ((), ("--durable",)) if durable and _can_write_through() else ((),):
        other = acceptor.client()
        command = [sys.executable, "-m", BESIDE, *how, str(other.port), other.name]
        where += ["--beside", shlex.join(command)]
    return where


def _can_write_through() -> bool:
    with tempfile.TemporaryDirectory() as directory:
        return write_through(Path(directory))


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.servers.fix_bench", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--acceptor-engine", choices=sorted(ENGINES), default="quickfix")
    parser.add_argument("--durable", action="store_true", help="beside a durable store, too")
    given, more = parser.parse_known_args(arguments)
    try:
        acceptor = ENGINES[given.acceptor_engine]()
        where = options(acceptor, durable=given.durable)
        command = [sys.executable, "-m", "app", "bench", "fix", *where, *more]
        return subprocess.run(command, cwd=ROOT, check=False).returncode  # noqa: S603 - our own
    except Unavailable as e:
        sys.stderr.write(f"no acceptor: {e}\n")
        return 1
    finally:
        end_all()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
