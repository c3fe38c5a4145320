"""The whole page around the panels: header, banner, frame, dialogs; and the small pages.

Everything that moves stands in an element with `data-panel`; the script puts the stream's HTML
there and touches nothing else, so focus and a half-written reason survive each tick. Without
the script the page is right as well, and asks for itself again every five seconds.
"""

from collections.abc import Mapping
from typing import Final
from zoneinfo import ZoneInfo

from app.web.console.dialogs import act_dialog, keys_dialog
from app.web.console.markup import Piece, Safe, join, tag
from app.web.console.shapes import clock
from app.web.console.sight import Sight, Viewer

DOCTYPE: Final = Safe("<!doctype html>")
STATIC: Final = "/console/static"
# A house by such a name is a real one, and says so in red.
PRODUCTION: Final = ("prod", "live")
# The exchange's own clock, where it is not Seoul's.
CITIES: Final = {
    "America/New_York": "New York",
    "Asia/Tokyo": "Tokyo",
    "Asia/Hong_Kong": "Hong Kong",
    "Europe/London": "London",
}
_TITLES: Final = (
    ("session", "Session"),
    ("drain", "Drain"),
    ("brokers", "Brokers"),
    ("doubts", "In doubt"),
    ("timeline", "Timeline"),
    ("tuning", "Tuning history"),
    ("pipelines", "Checks and pipelines"),
)


def console_page(sight: Sight, viewer: Viewer, drawn: Mapping[str, str]) -> str:
    """Return the console as it is at this moment."""
    main = tag(
        "main",
        _live("banner", drawn, role="status", aria_live="polite"),
        tag("div", [_section(name, title, drawn) for name, title in _TITLES], class_="grid"),
        id="main",
    )
    return _document(
        f"{sight.environment} openbell".strip(),
        tag("a", "Skip to the brokers", href="#brokers", class_="skip"),
        _header(sight, viewer, drawn),
        main,
        _footer(drawn),
        act_dialog(),
        keys_dialog(),
        tag("div", id="toast", role="status", aria_live="assertive"),
        script=True,
        chart=True,
    )


def login_page(why: str = "") -> str:
    """Return the door: one field, for an operator's key."""
    return _document(
        "openbell: sign in",
        tag(
            "main",
            tag("h1", "openbell"),
            tag("p", why, class_="mark critical", role="alert") if why else None,
            tag(
                "form",
                tag("label", "Operator key", for_="key"),
                tag(
                    "input",
                    id="key",
                    name="key",
                    type="password",
                    autocomplete="current-password",
                    required=True,
                    autofocus=True,
                    maxlength=200,
                ),
                tag("button", "Sign in", type="submit"),
                tag("p", "A key with admin:read: openbell key create", class_="small"),
                method="post",
                action="/console/login",
            ),
            class_="login",
        ),
    )


def again_page() -> str:
    """Return a page that asks for the console from here.

    A link in a chat comes from another site, and a strict cookie stays at home then; what our
    own page asks for carries it.
    """
    return _document("openbell", tag("main", tag("p", "One moment…")), again_s=0)


def plain_page(title: str, *inside: Piece) -> str:
    """Return a page that does not move, with the way back."""
    back = tag("p", tag("a", "← Console", href="/console"))
    form = find_form()
    return _document(
        title, tag("main", back, form, tag("h1", title), *inside, class_="plain"), script=True
    )


def find_form(query: str = "") -> Safe:
    return tag(
        "form",
        tag("label", "Find", for_="find", class_="hidden"),
        tag(
            "input",
            id="find",
            name="q",
            type="search",
            value=query,
            placeholder="order id, account, or account/client id",
            maxlength=200,
            autocomplete="off",
        ),
        tag("button", "Find", type="submit"),
        action="/console/orders",
        method="get",
        role="search",
    )


def _document(
    title: str,
    *body: Piece,
    script: bool = False,
    chart: bool = False,
    again_s: int | None = None,
) -> str:
    refresh = None
    if again_s is not None:
        refresh = tag("meta", http_equiv="refresh", content=f"{again_s}; url=/console")
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        refresh,
        tag("title", title),
        tag("link", rel="icon", href=f"{STATIC}/bell.svg", type="image/svg+xml"),
        tag("link", rel="stylesheet", href=f"{STATIC}/uplot.css") if chart else None,
        tag("link", rel="stylesheet", href=f"{STATIC}/console.css"),
        tag("script", src=f"{STATIC}/uplot.js", defer=True) if chart else None,
        tag("script", src=f"{STATIC}/console.js", defer=True) if script else None,
    )
    return join(DOCTYPE, tag("html", head, tag("body", *body), lang="en"))


def _live(name: str, drawn: Mapping[str, str], **attributes: str) -> Safe:
    return tag("div", Safe(drawn.get(name, "")), id=name, data_panel=name, **attributes)


def _section(name: str, title: str, drawn: Mapping[str, str]) -> Safe:
    heading = tag("h2", title, id=f"{name}-title")
    above = _filters() if name == "timeline" else None
    below = _chart() if name == "drain" else None
    return tag(
        "section",
        heading,
        above,
        _live(name, drawn),
        below,
        class_=f"panel {name}",
        aria_labelledby=f"{name}-title",
    )


def _chart() -> Safe:
    """Return the place of the chart; the script draws there, in what the stream says."""
    title = "Messages a second (solid) against what may leave (dashed), fifteen minutes"
    return tag(
        "figure",
        tag("div", id="chart", role="img", aria_label=title),
        tag("figcaption", "sent a second ━ · may leave ╌ · ", tag("span", id="chart-says")),
        class_="chart",
    )


def _filters() -> Safe:
    """Return the choice of what the timeline shows; it hides lines and asks nobody."""
    return tag(
        "fieldset",
        tag("legend", "Show", class_="hidden"),
        [
            tag(
                "label",
                tag("input", type="radio", name="story", value=value, checked=value == "all"),
                value,
            )
            for value in ("all", "automatic", "human", "critical")
        ],
        tag("button", "Copy for chat", type="button", id="copy", title="as text, newest first"),
        class_="filters",
    )


def _header(sight: Sight, viewer: Viewer, drawn: Mapping[str, str]) -> Safe:
    return tag(
        "header",
        _name(sight.environment),
        _live("verdict", drawn),
        tag("span", "not live", id="live", class_="mark off"),
        tag("span", _clocks(sight), class_="clocks"),
        tag(
            "form",
            tag("span", viewer.name, title=" ".join(sorted(viewer.scopes))),
            " ",
            tag("button", "◐", type="button", id="theme", title="light or dark (l)"),
            tag("button", "?", type="button", id="keys", title="keys (?)"),
            tag("button", "Sign out", type="submit"),
            method="post",
            action="/console/logout",
            class_="who",
        ),
        tag("noscript", tag("p", "No script runs here: reload to see what has changed.")),
        class_="top",
    )


def _name(environment: str) -> Safe:
    """Say which house this is: the wrong one is turned when two look alike."""
    if not environment:
        return tag("h1", "openbell")
    real = environment.lower().startswith(PRODUCTION)
    named = tag("span", environment, class_="environment real" if real else "environment")
    return tag("h1", "openbell ", tag("span", "▸ ", aria_hidden="true"), named)


def _clocks(sight: Sight) -> list[Safe]:
    """Write the time in Seoul, at the exchange of the night and in UTC."""
    nights = [sight.markets.get(session.market, "UTC") for session in sight.tonight]
    zones = [*nights, *sight.markets.values()]
    exchange = next((zone for zone in zones if zone in CITIES), "America/New_York")
    three = (("KST", "Asia/Seoul"), (CITIES[exchange], exchange), ("UTC", "UTC"))
    return [
        tag(
            "span",
            f"{label} ",
            tag("b", clock(sight.at, ZoneInfo(name)), data_clock=name, data_label=label),
        )
        for label, name in three
    ]


def _footer(drawn: Mapping[str, str]) -> Safe:
    return tag(
        "footer",
        _live("halt", drawn),
        tag(
            "label",
            "Why ",
            tag(
                "input",
                id="reason",
                type="text",
                maxlength=500,
                minlength=5,
                autocomplete="off",
                placeholder="reason for small steps, kept in the audit log",
            ),
            class_="why",
        ),
        find_form(),
        class_="bottom",
    )
