"""`openbell bench fix` with QuickFIX around it: as the acceptor, and as the client beside ours.

    python -m tests.servers.fix_bench --rounds 5                        more options: bench fix's
    python -m tests.servers.fix_bench --acceptor-engine quickfixj       the acceptor is QuickFIX/J

The gateway's programs know no engine but their own, so this starts the acceptor and names the
command that is run beside. The trap is one process for both ends, which shares one lock between
those that are compared: here each has its own.
"""

import argparse
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.servers import fix_quickfix, fix_quickfixj
from tests.servers.fix import SENDER, Acceptor
from tests.servers.remains import Unavailable, end_all

ROOT: Final = Path(__file__).parents[2]
ENGINES: Final = {"quickfix": fix_quickfix.of_our_own, "quickfixj": fix_quickfixj.of_our_own}
BESIDE: Final = "tests.servers.acceptors.quickfix_initiator"


def options(acceptor: Acceptor) -> list[str]:
    """Return what `openbell bench fix` needs to know of it."""
    ours, other = acceptor.client(), acceptor.client()
    beside = [sys.executable, "-m", BESIDE, str(other.port), other.name]
    where = ["--acceptor", f"{ours.host}:{ours.port}", "--sender", ours.name, "--target", SENDER]
    return [*where, "--beside", shlex.join(beside)]


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.servers.fix_bench", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--acceptor-engine", choices=sorted(ENGINES), default="quickfix")
    given, more = parser.parse_known_args(arguments)
    try:
        acceptor = ENGINES[given.acceptor_engine]()
        command = [sys.executable, "-m", "app", "bench", "fix", *options(acceptor), *more]
        return subprocess.run(command, cwd=ROOT, check=False).returncode  # noqa: S603 - our own
    except Unavailable as e:
        sys.stderr.write(f"no acceptor: {e}\n")
        return 1
    finally:
        end_all()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
