"""The open in a terminal, for whoever is on call: `openbell top`.

At a terminal it draws over itself until `q`; elsewhere it prints a frame each time, which a
pipe can follow. It only looks. The trap is a terminal left without its echo or in its second
screen: whatever ends the command, a key, a signal or a fault of ours, puts it back first.
"""

import os
import select
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from shutil import get_terminal_size
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from app.cli.asking.command import Call, asking
from app.cli.asking.output import Ends, Failure, Output, print_out
from app.cli.top.screen import Line, Seen, frame, plain
from app.cli.top.watch import ANSWER_S_MAX, Asker, Look, Watcher, looked

if TYPE_CHECKING:  # a frame for a script needs no colours
    from rich.text import Text

# A key is answered, and a second told, without anybody noticing the wait.
DRAW_EVERY_S: Final = 0.25
NARROW: Final = (80, 24)
QUIT: Final = b"qQ\x03\x04"
TERMINATED: Final = 128 + signal.SIGTERM


@asking(role="operator", timeout_s=ANSWER_S_MAX)
def top(
    call: Call,
    *,
    interval: Annotated[
        float, typer.Option(min=0.1, max=60, help="Seconds between two looks, at least.")
    ] = 1.0,
    once: Annotated[bool, typer.Option("--once", help="Print one frame, and end.")] = False,
) -> None:
    """Watch the open: the bell, the drain, the brokers, doubts and news, until q.

    It asks less often where an answer takes long. With -o json it prints what the gateway
    said, a line for each look.

    \b
    Examples:
      openbell top
      openbell top --once --context prod
    """  # noqa: D301 - the mark must be the character, it keeps the lines below as they are
    if hasattr(sys.stdout, "reconfigure"):
        # A terminal without our shapes shows a question mark, and no traceback.
        sys.stdout.reconfigure(errors="replace")
    asker = Asker(call.client)
    if call.screen.output is Output.JSON:
        _repeat(call, interval, once=once, tell=lambda: _json(asker))
    elif once or not sys.stdout.isatty():
        _repeat(call, interval, once=once, tell=lambda: _frame(call, asker))
    else:
        _live(call, asker, interval)


def _repeat(call: Call, interval: float, *, once: bool, tell: Callable[[], str]) -> None:
    """Print one look after the other; the first one must succeed."""
    for turn in count():
        try:
            print_out(tell())
            sys.stdout.flush()
        except Failure as e:
            if once or not turn or e.ends is Ends.AUTHENTICATION:
                raise
            print_out(f"■ {e.what}: {e.why}")
        if once:
            return
        call.client.pause(interval)


def _json(asker: Asker) -> str:
    import json

    return json.dumps(asker.documents()._asdict(), ensure_ascii=False)


def _frame(call: Call, asker: Asker) -> str:
    seen = Seen(_place(call), looked(asker), 0.0, live=False)
    width = get_terminal_size(NARROW).columns
    return plain(frame(seen, width, None)) + "\n"


def _place(call: Call) -> str:
    return call.target.name or call.target.url


def _live(call: Call, asker: Asker, interval: float) -> None:
    from rich.console import Console
    from rich.live import Live

    place, console = _place(call), Console(highlight=False)
    watcher = Watcher(asker, interval)
    with _raw() as key, _ended_by_a_signal():
        watcher.start()
        try:
            with Live(console=console, screen=True, auto_refresh=False) as live:
                while key(DRAW_EVERY_S) not in QUIT:
                    watcher.check()
                    _must_be_let_in(watcher.look)
                    live.update(_drawn(place, watcher.look, console), refresh=True)
        finally:
            watcher.stop()


def _must_be_let_in(look: Look) -> None:
    """End with words if the key was never good; one that was revoked meanwhile is told."""
    trouble = look.trouble
    if look.picture is None and trouble is not None and trouble.ends is Ends.AUTHENTICATION:
        raise trouble


def _drawn(place: str, look: Look, console: Any) -> "Text":
    age_s = max(0.0, monotonic() - look.at_s) if look.picture else 0.0
    trouble = "" if look.trouble is None else _said(look.trouble)
    seen = Seen(place, look.picture, age_s, trouble, rests_s=look.rests_s)
    return _styled(frame(seen, console.size.width, console.size.height))


def _said(trouble: Failure) -> str:
    return f"{trouble.what}: {trouble.why}; it is asked again"


def _styled(lines: list[Line]) -> "Text":
    from rich.text import Text

    text = Text(no_wrap=True, overflow="crop")
    for number, line in enumerate(lines):
        if number:
            text.append("\n")
        for piece, style in line:
            text.append(piece, style)
    return text


@contextmanager
def _raw() -> Iterator[Callable[[float], bytes]]:
    """Lend a way to wait for one key, and give the terminal back as it was."""
    if not sys.stdin.isatty():
        from threading import Event

        never = Event()

        def slept(seconds: float) -> bytes:
            never.wait(seconds)
            return b"-"

        yield slept
        return
    import termios
    import tty

    handle = sys.stdin.fileno()
    before = termios.tcgetattr(handle)

    def pressed(seconds: float) -> bytes:
        ready, _, _ = select.select([handle], [], [], seconds)
        # A terminal that has gone away reads as its end, which is in every word: it quits.
        return os.read(handle, 1) if ready else b"-"

    try:
        tty.setcbreak(handle)
        yield pressed
    finally:
        termios.tcsetattr(handle, termios.TCSADRAIN, before)


@contextmanager
def _ended_by_a_signal() -> Iterator[None]:
    """Let SIGTERM end it as any exception does, so that the terminal is put back."""

    def end(_number: int, _where: object) -> None:
        raise SystemExit(TERMINATED)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
