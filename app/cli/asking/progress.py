"""Shows at a terminal that long work goes on, and how far it is where somebody counts.

On stderr alone and only when that is a terminal: a script hears nothing, and rich is not even
imported. The trap is a bar that takes the data with it: rich would lead stdout through itself,
so `openbell audit export > file` would print the rows and leave the file empty.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

Advance = Callable[[int], None]
# What the gateway itself works at for long: it answers when it is done.
PATIENCE_S: Final = 1_800.0


@contextmanager
def working(what: str, total: int | None = None) -> Iterator[Advance]:
    """Lend a function that says how much more is done; without a total only that it goes on."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(
        *_columns(counted=total is not None), console=console, transient=True, redirect_stdout=False
    ) as progress:
        task = progress.add_task(what, total=total)
        yield lambda more: progress.update(task, advance=more)


def _columns(*, counted: bool) -> tuple[Any, ...]:
    from rich.progress import (
        BarColumn,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn("{task.description}"), BarColumn())
    if counted:
        return (*columns, TaskProgressColumn(), TimeRemainingColumn())
    return (*columns, TextColumn("{task.completed:,.0f}"), TimeElapsedColumn())
