"""How the console writes numbers, times and spans, and draws a line of them.

A time is written in Seoul's clock and carries its instant for the script, which turns all of
them to the zone that the reader asks for. A line of numbers is a small picture drawn here: it
needs no library and no script, weighs a few hundred bytes, and the stream redraws it like
everything else. It is never alone: the number stands beside it in words.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote
from zoneinfo import ZoneInfo

from app.domain.values import rfc3339
from app.web.console.judge import WORDS, Grade
from app.web.console.markup import Safe, tag

SEOUL: Final = ZoneInfo("Asia/Seoul")
ZONES: Final = {
    "XNYS": "America/New_York",
    "XNAS": "America/New_York",
    "ARCX": "America/New_York",
    "XKRX": "Asia/Seoul",
    "XTKS": "Asia/Tokyo",
    "XHKG": "Asia/Hong_Kong",
    "XLON": "Europe/London",
}
WIDTH: Final = 240
HEIGHT: Final = 36


def clock(at: int, zone: ZoneInfo = SEOUL) -> str:
    """Return the time of day of an instant."""
    return datetime.fromtimestamp(at / 1000, UTC).astimezone(zone).strftime("%H:%M:%S")


def moment(at: int) -> Safe:
    """Return an instant as a time that the script can turn to another zone."""
    iso = rfc3339(at)
    return tag("time", clock(at), datetime=iso, title=iso)


def order_link(order_id: str) -> Safe:
    """Return an order's id as the way to its page; an id stays one part of the path."""
    return tag("a", order_id, href=f"/console/orders/{quote(order_id, safe='')}", class_="id")


def span(seconds: int) -> str:
    """Return 00:05:12, or 3 d 04:00:00."""
    days, rest = divmod(max(0, seconds), 86_400)
    written = f"{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}"
    return f"{days} d {written}" if days else written


def mark(grade: Grade, word: str | None = None) -> Safe:
    """Return shape and word of a grade, in its colour."""
    role, shape, usual = WORDS[grade]
    said = usual if word is None else word
    inside = (tag("span", shape, class_="shape", aria_hidden="true"), " ", said)
    return tag("span", *inside, class_=f"mark {role}")


def sparkline(numbers: Sequence[int], limit: int, label: str) -> Safe:
    """Draw numbers against their limit: a solid line of what was, a dashed one of what may be."""
    top = max([limit, *numbers, 1]) * 1.08
    step = WIDTH / max(1, len(numbers) - 1)
    points = " ".join(
        f"{i * step:.1f},{HEIGHT - number / top * HEIGHT:.1f}" for i, number in enumerate(numbers)
    )
    y = f"{HEIGHT - limit / top * HEIGHT:.1f}"
    return tag(
        "svg",
        tag("title", label),
        tag("polyline", points=f"0,{y} {WIDTH},{y}", class_="limit"),
        tag("polyline", points=points, class_="pace") if len(numbers) > 1 else None,
        viewbox=f"0 0 {WIDTH} {HEIGHT}",
        preserveaspectratio="none",
        class_="spark",
        role="img",
    )


def bar(done: int, total: int, label: str) -> Safe:
    """Draw how much of a whole is done; text says the same."""
    return tag("progress", value=done, max=max(1, total), aria_label=label)
