"""Whether the whole of the operator's number is used and never more: N, sent and counted.

The gateway is given N and the broker enforces N over a strictly sliding second, in code that
the two do not share. What is counted is what the broker's own record shows at its socket.
"""

from pathlib import Path
from time import monotonic, sleep
from typing import Final

from app.cli.asking.output import say
from app.cli.bench.bell import SECOND_NS, Book, Wire, within, worst_second
from app.cli.bench.machine import cpu_s
from app.cli.bench.report import Figure, figure
from app.cli.bench.store import fill

# The window of a fresh gateway is shut for a second; the bell rings later than that.
START_S_MAX: Final = 15.0
POLL_S: Final = 0.05


def measure(directory: Path, per_second: int, seconds: float) -> list[Figure]:
    """Send for so many seconds at the full rate; return the figures."""
    orders = round(per_second * (seconds + 1))
    data = directory / "data"
    data.mkdir(parents=True)
    sessions, _ = fill(data, orders)
    book = Book(directory, sessions, rate=per_second, tps=per_second)
    try:
        say(f"{orders:,} orders wait; sending for {seconds:g} s at {per_second:,} a second")
        book.ring()
        used, began = cpu_s(book.pid), monotonic()
        _until_sent(book, round(per_second * seconds * 0.5), START_S_MAX + seconds)
        sleep(seconds * 0.5 + 0.5)
        spent, took_s = cpu_s(book.pid), monotonic() - began
        book.stage.stop()
        busy = None if used is None or spent is None else (spent - used) / took_s
        return [
            *figures(book.wire(), per_second, seconds),
            *figure("gateway's processor: share of a core", "share", [busy]),
        ]
    finally:
        book.close()


def _until_sent(book: Book, orders: int, patience_s: float) -> None:
    """Wait for the half of it, seldom: what asks the broker slows it down."""
    waited = 0.0
    while book.accepted() < orders and waited < patience_s:
        sleep(POLL_S)
        waited += POLL_S


def figures(wire: Wire, per_second: int, seconds: float) -> list[Figure]:
    """Return what the wire saw, from the first send on; a later part shows what the bell cost."""
    first, half_s = wire.sent[0], seconds / 2
    middle, end = first + round(half_s * SECOND_NS), first + round(seconds * SECOND_NS)
    sent = within(wire.sent, first, end)
    share = 100 * sent / (per_second * seconds)
    later = 100 * within(wire.sent, middle, end) / (per_second * half_s)
    most = f"<= {per_second:,}"
    worst_sent, worst_arrived = worst_second(wire.sent), worst_second(wire.arrived)
    return [
        *figure("sent of what is allowed", "%", [share], ">= 98"),
        *figure("the same, in the second half", "%", [later], ">= 98"),
        *figure("worst second at the socket", "orders", [worst_arrived], most),
        *figure("worst second by our own stamps", "orders", [worst_sent], most),
        *figure("refused as too fast", "orders", [wire.refused], "0"),
        *figure("sent", "orders", [sent]),
    ]
