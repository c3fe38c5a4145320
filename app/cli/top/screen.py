"""Draws a picture as lines of a terminal: as wide as it is, and no longer than it is high.

Each grade has a shape and a word beside its colour, so that a monochrome terminal and every eye
read the same. The trap is a screen that lies: how old the numbers are stands in the first line,
and numbers that are too old are grey and called frozen.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from app.cli.asking.output import fitted, printable, width_of
from app.cli.top.picture import DOUBT_OLD_S, Broker, Grade, News, Picture

SEOUL: Final = ZoneInfo("Asia/Seoul")
# The console's bounds: so long after it was due a number is late, and then history.
LATE_S: Final = 3.0
FROZEN_S: Final = 10.0
SHAPES: Final = {
    Grade.OK: ("●", "cyan"),
    Grade.OFF: ("◌", "bright_black"),
    Grade.WARNING: ("▲", "yellow"),
    Grade.CRITICAL: ("■", "bold red"),
}
DOUBT: Final = "bold magenta"
FAINT: Final = "bright_black"
STRONG: Final = "bold"
WIDTH_MIN: Final = 40
BANNERS_MAX: Final = 3
NAME_MAX: Final = 16
NONE: Final = "-"
# The bar is left to the eye: the numbers beside it are what counts.
BAR_MAX: Final = 40
BAR_MIN: Final = 10
NEWS_WITHOUT_END: Final = 10

Piece = tuple[str, str]  # a text and its style
Line = list[Piece]


class Seen(NamedTuple):
    """What there is to draw: the last picture, its age, and why there is none newer."""

    place: str
    picture: Picture | None
    age_s: float
    trouble: str = ""
    live: bool = True
    rests_s: float = 0.0  # the next one was not to come before


def frame(seen: Seen, width: int, height: int | None) -> list[Line]:
    """Return the lines of one frame; without a height, as many as there are to say."""
    width = max(width, WIDTH_MIN)
    lines = [_head(seen, width)]
    if seen.trouble:
        lines.append([(f"■ {seen.trouble}", SHAPES[Grade.CRITICAL][1])])
    if seen.picture is not None:
        room = None if height is None else height - len(lines) - bool(seen.live)
        body = _body(seen.picture, seen.age_s, width, room)
        lines += _greyed(body) if _age(seen)[0] is Grade.CRITICAL else body
    foot: list[Line] = [[("q", STRONG), (" quit", FAINT)]] if seen.live else []
    if height is not None:
        lines = lines[: max(1, height - len(foot))]
        lines += [[] for _ in range(height - len(foot) - len(lines))]
    return [_cut(line, width) for line in [*lines, *foot]]


def plain(lines: Sequence[Line]) -> str:
    """Return the lines without their styles."""
    return "\n".join("".join(text for text, _ in line).rstrip() for line in lines)


def _head(seen: Seen, width: int) -> Line:
    left = f"openbell top ▸ {printable(seen.place)}"
    if seen.picture is None:
        return [(left, STRONG)]
    now = seen.picture.at + round(seen.age_s * 1000)
    grade, word = _age(seen)
    shape, style = SHAPES[grade]
    clocks = f"{_clock(now, UTC)} UTC  {_clock(now, SEOUL)} KST"
    mark = f"{shape} {word}"
    gap = width - width_of(left) - len(mark) - len(clocks) - 2
    if gap < 1:
        left = fitted(left, max(8, width_of(left) + gap - 1)).rstrip()
        gap = max(1, width - width_of(left) - len(mark) - len(clocks) - 2)
    return [(left, STRONG), (" " * gap, ""), (mark, style), (f"  {clocks}", "")]


def _age(seen: Seen) -> tuple[Grade, str]:
    late_s = seen.age_s - seen.rests_s
    if late_s > FROZEN_S:
        return Grade.CRITICAL, f"STALE {seen.age_s:.0f} s: frozen"
    if late_s > LATE_S:
        return Grade.WARNING, f"late {seen.age_s:.0f} s"
    return Grade.OK, f"live {seen.age_s:.1f} s"


def _body(picture: Picture, age_s: float, width: int, room: int | None) -> list[Line]:
    lines = [_news(banner, width) for banner in picture.banners[:BANNERS_MAX]]
    lines += [_bell(picture, age_s), *_drain(picture, width), []]
    table = _brokers(picture.brokers, width)
    doubts = _doubts(picture)
    if room is not None:
        # The table gives way first to what comes after it: one line of doubt is worth a broker.
        most = max(2, room - len(lines) - len(doubts) - 1)
        if len(table) > most:
            hidden = len(table) - most + 1
            table = [*table[: most - 1], [(f"  and {hidden} more: openbell broker list", FAINT)]]
    lines += [*table, [], *doubts]
    left = NEWS_WITHOUT_END if room is None else max(0, room - len(lines))
    return lines + [_news(one, width) for one in picture.news[:left]]


def _bell(picture: Picture, age_s: float) -> Line:
    bell = picture.bell
    if bell is None:
        return [("no session is known: openbell calendar build", SHAPES[Grade.WARNING][1])]
    now = picture.at + round(age_s * 1000)
    verb = ("close" if bell.is_open else "open") + ("s" if len(bell.markets) == 1 else "")
    return [
        (" ".join(bell.markets), STRONG),
        (f" {verb} in ", ""),
        (span((bell.at - now + 999) // 1000), STRONG),
    ]


def _drain(picture: Picture, width: int) -> Iterator[Line]:
    drain = picture.drain
    if drain is None:
        return
    if not drain.total:
        yield [("no order waits for this bell", FAINT)]
        return
    gone = drain.total - drain.waiting
    numbers = f" {gone:,} / {drain.total:,}  {100 * gone // drain.total} %"
    eta = "unknown: nothing may leave" if drain.eta_s is None else span(drain.eta_s)
    by = "" if drain.is_real or not drain.waiting else " at what may leave"
    said = f"{drain.waiting:,} wait · {drain.rate:,}/s · ETA {eta}{by}"
    bar = min(BAR_MAX, width - len(numbers) - 1)
    if bar >= BAR_MIN:
        full = bar * gone // drain.total
        yield [("█" * full, "cyan"), ("░" * (bar - full), FAINT), (numbers, STRONG)]
    else:
        yield [(numbers.strip(), STRONG)]
    yield [(said, SHAPES[Grade.WARNING][1] if drain.eta_s is None else "")]


def _doubts(picture: Picture) -> list[Line]:
    if not picture.doubts:
        return [[(f"{SHAPES[Grade.OK][0]} no order is in doubt", FAINT)]]
    age = picture.doubt_age_s
    oldest = "" if age is None else f", the oldest for {span(age)}"
    more = ": openbell doubt list" if age is not None and age >= DOUBT_OLD_S else ""
    return [[(f"◆ {picture.doubts:,} in doubt{oldest}{more}", DOUBT)]]


class _Column(NamedTuple):
    name: str
    least: int  # it is shown from this width of the terminal on


_COLUMNS: Final = (
    _Column("sent/s", 0),
    _Column("limit", 0),
    _Column("set", 90),
    _Column("flight", 60),
    _Column("waiting", 70),
    _Column("doubt", 0),
    _Column("breaker", 100),
    _Column("p95", 80),
    _Column("errors", 110),
)


def _brokers(brokers: Sequence[Broker], width: int) -> list[Line]:
    if not brokers:
        return [[("no broker is known here", FAINT)]]
    columns = [i for i, column in enumerate(_COLUMNS) if width >= column.least]
    cells = [[column.name for column in _COLUMNS], *(_cells(broker) for broker in brokers)]
    widths = {i: max(len(row[i]) for row in cells) for i in columns}
    name = min(NAME_MAX, max(6, *(width_of(printable(one.name)) for one in brokers)))
    said = width - 2 - name - sum(width + 2 for width in widths.values()) - 2
    lines: list[Line] = [
        [(fitted("  broker", name + 2) + _numbers(cells[0], widths) + "  state", FAINT)]
    ]
    for broker, row in zip(brokers, cells[1:], strict=True):
        shape, style = SHAPES[broker.grade]
        lines.append(
            [
                (f"{shape} ", style),
                (fitted(printable(broker.name), name), STRONG),
                (_numbers(row, widths), DOUBT if broker.in_doubt else ""),
                ("  " + fitted(printable(broker.says), max(8, said)).rstrip(), style),
            ]
        )
    return lines


def _numbers(row: Sequence[str], widths: dict[int, int]) -> str:
    return "".join(f"  {row[i]:>{width}}" for i, width in widths.items())


def _cells(broker: Broker) -> list[str]:
    def number(value: int | None) -> str:
        return NONE if value is None else f"{value:,}"

    return [
        number(broker.sent),
        number(broker.limit),
        number(broker.configured),
        number(broker.in_flight),
        number(broker.waiting),
        number(broker.in_doubt),
        (broker.circuit or NONE).replace("_", " "),
        NONE if broker.p95_ms is None else f"{broker.p95_ms:,.0f} ms",
        NONE if broker.error_ratio is None else f"{broker.error_ratio * 100:.1f} %",
    ]


def _news(news: News, width: int) -> Line:
    shape, style = SHAPES[news.grade]
    said = fitted(printable(news.says), width - 11).rstrip()
    return [(f"{shape} ", style), (f"{_clock(news.at, UTC)} ", FAINT), (said, style)]


def _greyed(lines: Sequence[Line]) -> list[Line]:
    return [[(text, FAINT) for text, _ in line] for line in lines]


def _cut(line: Line, width: int) -> Line:
    """Return what of the line fits."""
    kept: Line = []
    for text, style in line:
        room = width - sum(width_of(piece) for piece, _ in kept)
        if room <= 0:
            break
        kept.append((text if width_of(text) <= room else fitted(text, room), style))
    return kept


def _clock(at: int, zone: tzinfo) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).astimezone(zone).strftime("%H:%M:%S")


def span(seconds: int) -> str:
    """Return 00:05:12, or 3 d 04:00:00."""
    days, rest = divmod(max(0, seconds), 86_400)
    written = f"{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}"
    return f"{days} d {written}" if days else written
