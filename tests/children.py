"""Children of a test: what they say first, and their end, neither of them waited for for ever.

A pipe has no time-out, and `with Popen` waits at its end until the child has ended by itself. So a
test that reads from a child that stands still stands still with it, and one that fails before it
has told its child to end waits for that child: both without a word about who it was.
"""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import AnyStr, Final

from app.cli.stage.processes import ready_line

# A start takes two seconds where nothing else runs. Only a test that fails waits so long.
WITHIN_S: Final = 120.0


def first_words(child: "subprocess.Popen[AnyStr]", within_s: float = WITHIN_S) -> AnyStr:
    """Return the next line of its output; nothing if it ended, or was killed for its silence."""
    return ready_line(child, within_s)


@contextmanager
def outlived(child: "subprocess.Popen[AnyStr]") -> Iterator["subprocess.Popen[AnyStr]"]:
    """Lend a child; whatever happens, it is dead at the end and its pipes are closed."""
    with child:
        try:
            yield child
        finally:
            child.kill()
