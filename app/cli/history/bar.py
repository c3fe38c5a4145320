"""How far a load is, for whoever waits: a bar at a terminal, and a line now and then elsewhere.

The time that is left comes from the last half minute: the ceiling may have moved since the load
began, and an average from the beginning would go on telling the old one's time.
"""

import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any, Final, NamedTuple

from app.cli.asking.output import say

SPEED_OVER_S: Final = 30.0
LINE_EVERY_S: Final = 10.0


class Speed:
    """Rows a second lately, and what that means for the rest."""

    def __init__(self) -> None:
        self._marks: deque[tuple[float, int]] = deque()

    def note(self, rows: int, now_s: float) -> None:
        self._marks.append((now_s, rows))
        while len(self._marks) > 2 and now_s - self._marks[0][0] > SPEED_OVER_S:  # noqa: PLR2004 - a speed needs two
            self._marks.popleft()

    @property
    def per_second(self) -> float:
        if not self._marks:
            return 0.0
        (began, first), (ended, last) = self._marks[0], self._marks[-1]
        return (last - first) / (ended - began) if ended > began else 0.0

    def left(self, rows: int) -> str:
        """Return in words how long so many rows take."""
        if not rows:
            return "nothing left"
        speed = self.per_second
        if speed <= 0:
            return "no end in sight"
        minutes, seconds = divmod(round(rows / speed), 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours}:{minutes:02d}:{seconds:02d} left"


class Shown(NamedTuple):
    """What there is to show of a load."""

    rows: int
    done: int
    said: str


@contextmanager
def bar(what: str) -> Iterator[Callable[[Shown], None]]:
    """Lend a function that shows how far it is."""
    speed = Speed()
    if not sys.stderr.isatty():
        yield _lines(what, speed)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns: tuple[Any, ...] = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[said]}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=None, said="")

        def show(shown: Shown) -> None:
            speed.note(shown.done, monotonic())
            said = f"{_speed_of(speed, shown)}  {shown.said}"
            progress.update(task, total=shown.rows, completed=shown.done, said=said)

        yield show


def _lines(what: str, speed: Speed) -> Callable[[Shown], None]:
    next_at = monotonic() + LINE_EVERY_S

    def show(shown: Shown) -> None:
        nonlocal next_at
        now_s = monotonic()
        speed.note(shown.done, now_s)
        if now_s >= next_at:
            next_at = now_s + LINE_EVERY_S
            done = f"{what} {shown.done:,} of {shown.rows:,}"
            say(f"{done}, {_speed_of(speed, shown)}  {shown.said}".rstrip())

    return show


def _speed_of(speed: Speed, shown: Shown) -> str:
    return f"{speed.per_second:,.0f}/s, {speed.left(shown.rows - shown.done)}"
