"""QuickFIX, the C++ engine from its wheel, as a broker: acceptors/quickfix_acceptor.py.

The wheel exists for some Pythons and platforms only; where it is not, the tests that need it are
skipped with that reason. It is loaded by its own process and never by the tests: an engine that
crashes must not take them with it.
"""

import importlib.metadata
import importlib.util
import sys
from pathlib import Path
from typing import Final

from tests.servers import fix
from tests.servers.fix import Acceptor
from tests.servers.remains import Unavailable

ROOT: Final = Path(__file__).parents[2]
MODULE: Final = "tests.servers.acceptors.quickfix_acceptor"
# The tests are no installed package: whoever runs one of their modules says where they are.
RUN: Final = (
    "import runpy, sys; sys.path.insert(0, sys.argv.pop(1));"
    f" runpy.run_module({MODULE!r}, run_name='__main__', alter_sys=True)"
)
NO_WHEEL: Final = "no QuickFIX (the wheel quickfix-tls)"


def named(url: str) -> Acceptor:
    return fix.named("quickfix", url)


def in_docker() -> Acceptor:
    raise Unavailable("no image of QuickFIX's acceptor")


def of_our_own() -> Acceptor:
    if importlib.util.find_spec("quickfix") is None:
        raise Unavailable(NO_WHEEL)

    def command(directory: Path, port: int, control: int) -> list[str]:
        where = [str(directory), str(port), str(control), str(fix.CLIENTS)]
        return [sys.executable, "-c", RUN, str(ROOT), *where]

    version = importlib.metadata.version("quickfix-tls")
    return fix.started("quickfix", f"QuickFIX {version}", command)
