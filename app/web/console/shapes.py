"""How the console writes numbers, times and spans, and draws a line of them.

A time is written in Seoul's clock and carries its instant for the script, which turns all of
them to the zone that the reader asks for. A card's line is a small picture drawn here: it needs no
script, weighs a few hundred bytes, and the stream redraws it like everything else. It is never
alone: the number stands beside it in words. Only the one large chart is drawn in the browser.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote
from zoneinfo import ZoneInfo

from app.domain.values import Status, rfc3339
from app.web.console.grades import WORDS, Grade
from app.web.console.markup import Safe, tag
from app.web.console.paces import Second

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
SECOND_MS: Final = 1_000
MINUTE_MS: Final = 60_000
STATUS_SHAPES: Final = {
    Status.IN_DOUBT: ("doubt", "◆"),
    Status.HELD: ("warning", "▲"),
    Status.REJECTED: ("critical", "■"),
    Status.DENIED: ("critical", "■"),
    Status.CANCELED: ("off", "◌"),
    Status.EXPIRED: ("off", "◌"),
}
WIDTH: Final = 240
HEIGHT: Final = 36
# As many as a card has room for; the large chart has every second.
SPARK_POINTS: Final = 120
# A line of five seconds is not drawn as wide as one of a minute.
SPARK_MS_MIN: Final = 60_000


def clock(at: int, zone: ZoneInfo = SEOUL) -> str:
    """Return the time of day of an instant."""
    return datetime.fromtimestamp(at / 1000, UTC).astimezone(zone).strftime("%H:%M:%S")


def moment(at: int) -> Safe:
    """Return an instant as a time that the script can turn to another zone."""
    iso = rfc3339(at)
    return tag("time", clock(at), datetime=iso, title=iso)


def dated(at: int) -> Safe:
    """Return an instant of some day: its weekday and the time, to the minute."""
    iso = rfc3339(at)
    shown = datetime.fromtimestamp(at / 1000, UTC).astimezone(SEOUL).strftime("%a %H:%M")
    return tag("time", shown, datetime=iso, title=iso, data_day=True)


def stamped(at: int) -> Safe:
    """Return an instant of some month: its date and the time, to the second."""
    iso = rfc3339(at)
    shown = datetime.fromtimestamp(at / 1000, UTC).astimezone(SEOUL).strftime("%d %b %H:%M:%S")
    return tag("time", shown, datetime=iso, title=iso, data_date=True)


def order_link(order_id: str) -> Safe:
    """Return an order's id as the way to its page; an id stays one part of the path."""
    return tag("a", order_id, href=f"/console/orders/{quote(order_id, safe='')}", class_="id")


def order_status(status: Status) -> Safe:
    """Return an order's status as a word with its shape: what has ended is not what works."""
    role, shape = STATUS_SHAPES.get(status, ("ok", "●"))
    words = str(status).replace("_", " ")
    return tag("span", tag("span", f"{shape} ", aria_hidden="true"), words, class_=f"mark {role}")


def span(seconds: int) -> str:
    """Return 00:05:12, or 3 d 04:00:00."""
    days, rest = divmod(max(0, seconds), 86_400)
    written = f"{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}"
    return f"{days} d {written}" if days else written


def lasting(ms: int) -> str:
    """Return 430 ms, 12.4 s, or 00:01:20: as exact as anybody reads it."""
    if ms < SECOND_MS:
        return f"{ms} ms"
    return f"{ms / SECOND_MS:.1f} s" if ms < MINUTE_MS else span(ms // SECOND_MS)


def mark(grade: Grade, word: str | None = None) -> Safe:
    """Return shape and word of a grade, in its colour."""
    role, shape, usual = WORDS[grade]
    said = usual if word is None else word
    inside = (tag("span", shape, class_="shape", aria_hidden="true"), " ", said)
    return tag("span", *inside, class_=f"mark {role}")


def sparkline(paces: Sequence[Second], broker_id: str, label: str) -> Safe:
    """Draw a broker's pace against its limit: a solid line of what was, a dashed one over it."""
    drawn = [
        (moment, pace.sent[broker_id], pace.limit[broker_id])
        for moment, pace in _thinned(paces)
        if broker_id in pace.sent
    ]
    begin = drawn[0][0] if drawn else 0
    across = max(SPARK_MS_MIN, drawn[-1][0] - begin) if drawn else 1
    top = max([*(sent for _, sent, _ in drawn), *(limit for _, _, limit in drawn), 1]) * 1.08

    def points(numbers: Iterable[tuple[int, int]]) -> str:
        return " ".join(
            f"{(at - begin) * WIDTH / across:.0f},{HEIGHT - number * HEIGHT / top:.1f}"
            for at, number in numbers
        )

    return tag(
        "svg",
        tag("title", label),
        tag("polyline", points=points((at, limit) for at, _, limit in drawn), class_="limit"),
        tag("polyline", points=points((at, sent) for at, sent, _ in drawn), class_="pace"),
        viewbox=f"0 0 {WIDTH} {HEIGHT}",
        preserveaspectratio="none",
        class_="spark",
        role="img",
    )


def _thinned(paces: Sequence[Second]) -> Iterator[tuple[int, Second]]:
    """Yield so few seconds that the picture weighs little, and the same ones at the next tick."""
    every = 1 + len(paces) // SPARK_POINTS
    for one in paces:
        if one.at // 1_000 % every == 0 or one is paces[-1]:
            yield one.at, one


def bar(done: int, total: int, label: str) -> Safe:
    """Draw how much of a whole is done; text says the same."""
    return tag("progress", value=done, max=max(1, total), aria_label=label)
